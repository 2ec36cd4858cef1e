package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/streamtest"
	"github.com/freshet/freshet/internal/vfs"
)

// keyedStream makes a stream of so many shards that is compacted eagerly.
func keyedStream(t testing.TB, e *Engine, name stream.Name, shards int32) *stream.Stream {
	t.Helper()
	s, err := e.Create(context.Background(), stream.Spec{Name: name, Shards: shards, Config: stream.Config{KeepAll: true, Compaction: eagerly}})
	must(t, err)
	return s
}

// putKeys appends one batch with a record of size bytes for each key.
func putKeys(t testing.TB, e *Engine, s stream.Shard, size int, keys ...string) {
	t.Helper()
	var b batch.Builder
	for i, k := range keys {
		b.Add(epoch.UnixMilli(), []byte(k), []byte(strings.Repeat(string(rune('a'+i%26)), size)))
	}
	r, err := e.Append(context.Background(), []stream.Append{{Shard: s, Batch: b.Finish(batch.NoProducer)}}).Wait(context.Background())
	must(t, err)
	must(t, r[0].Err)
}

func offsetsOf(records []keyedRecord) (all []stream.Offset) {
	for _, r := range records {
		all = append(all, r.offset)
	}
	return all
}

// numbered returns the keys k<from> to k<to-1>.
func numbered(from, to int) (keys []string) {
	for i := from; i < to; i++ {
		keys = append(keys, fmt.Sprint("k", i))
	}
	return keys
}

// TestCompactInManyPasses: with memory for a few keys only a shard is compacted just so, pass after pass.
func TestCompactInManyPasses(t *testing.T) {
	var want []stream.Offset
	for _, memory := range []int64{mib, kib} {
		c := tiny(vfs.NewMem())
		c.CompactMemory = memory
		e := mustOpen(t, c)
		closing(t, e)
		s := keyedStream(t, e, "s", 1).Shard(0)
		for i := range 60 {
			putKeys(t, e, s, 10, numbered(i, i+20)...)
		}
		must(t, e.CompactNow(t.Context()))
		got := offsetsOf(readKeyed(t, e, s, 0))
		if want == nil {
			want = got
		}
		if len(got) != 78+20 || !slices.Equal(got, want) { // keys 0 to 77 of the first 59 batches, and the last batch
			t.Errorf("with %d bytes for keys %d records are left: %v", memory, len(got), got)
		}
		if runs := e.Stats(false).Compaction; runs.Runs != 1 || runs.Freed == 0 || runs.Left != 0 || runs.Dirtiest != 1 || !runs.LastRun.Equal(epoch) {
			t.Errorf("%+v", runs)
		}
	}
}

// TestBatchWithMoreKeysThanMemory: what does not fit of one batch stays, and nothing is lost.
func TestBatchWithMoreKeysThanMemory(t *testing.T) {
	c := tiny(vfs.NewMem())
	c.CompactMemory = kib // 34 keys
	e := mustOpen(t, c)
	closing(t, e)
	s := keyedStream(t, e, "s", 1).Shard(0)
	putKeys(t, e, s, 1, append(numbered(0, 100), numbered(0, 100)...)...)
	putKeys(t, e, s, 1, "end")
	must(t, e.CompactNow(t.Context()))
	found := map[string]stream.Offset{}
	for _, r := range readKeyed(t, e, s, 0) {
		found[r.key] = r.offset
	}
	for i, k := range numbered(0, 100) {
		if found[k] != stream.Offset(100+i) {
			t.Errorf("the last record of %s is at %d", k, found[k])
		}
	}
}

// TestCompactedFilesArePutTogether: what many compactions of small shards leave does not become many files, or much that is dead.
func TestCompactedFilesArePutTogether(t *testing.T) {
	c := tiny(vfs.NewMem())
	c.FileBytes = 256 * kib
	e := mustOpen(t, c)
	closing(t, e)
	s := keyedStream(t, e, "s", 40)
	for round := range 40 {
		for i, shard := range shardsOf(s) {
			if i == round || round%10 == 0 {
				putKeys(t, e, shard, 50, "a", "b", fmt.Sprint("c", round))
			}
		}
		must(t, e.CompactNow(t.Context()))
	}
	clocktest.Eventually(t, "dead files are gone", func() bool {
		e.tend()
		return e.Stats(false).Compaction.Files <= mergeFiles+1
	})
	for _, shard := range shardsOf(s) {
		if got := readKeyed(t, e, shard, 0); len(got) < 5 {
			t.Errorf("shard %d: %v", shard.Index, got)
		}
	}
}

// TestCompactionLeavesOtherShardsAlone: log files with much that is compacted and a little that is not are written anew without the former.
func TestCompactionLeavesOtherShardsAlone(t *testing.T) {
	c := tiny(vfs.NewMem())
	e := mustOpen(t, c)
	closing(t, e)
	s := keyedStream(t, e, "s", 1).Shard(0)
	other, err := e.Create(t.Context(), stream.Spec{Name: "other", Shards: 1})
	must(t, err)
	for range 100 {
		putKeys(t, e, s, 300, numbered(0, 10)...)
		testAppend(t, e, other.Shard(0), batchOf(300))
	}
	before, files := readAll(t, e, other.Shard(0)), e.Stats(false).FileBytes
	must(t, e.CompactNow(t.Context()))
	clocktest.Eventually(t, "space is given back", func() bool {
		testAppend(t, e, other.Shard(0), batchOf(10)) // files are settled as the log goes on
		e.tend()
		return e.Stats(false).FileBytes < files/2
	})
	if after := readAll(t, e, other.Shard(0)); fmt.Sprint(after[:len(before)]) != fmt.Sprint(before) {
		t.Error("what is not compacted has changed")
	}
	if got := readKeyed(t, e, s, 0); len(got) != 20 {
		t.Errorf("%d records are left", len(got))
	}
}

// TestCompactByTheClock: compaction is done when its interval has passed, at no more than its rate.
func TestCompactByTheClock(t *testing.T) {
	c := tiny(vfs.NewMem())
	c.CompactInterval, c.CompactRate = 15*time.Second, 64*kib
	e := mustOpen(t, c)
	closing(t, e)
	s := keyedStream(t, e, "s", 1).Shard(0)
	for range 64 {
		putKeys(t, e, s, 4*kib, "a")
	}
	virtual := e.cfg.Clock.(*clock.Virtual)
	began := virtual.Now()
	virtual.Advance(c.CompactInterval)
	clocktest.Eventually(t, "it is compacted", func() bool {
		virtual.Advance(500 * time.Millisecond)
		return e.Stats(false).Compaction.Runs > 0
	})
	if took := e.Stats(false).Compaction.Took; took < 7*time.Second || virtual.Now().Sub(began) < 22*time.Second { // 256 KiB are read twice
		t.Errorf("at 64 KiB/s it took %s", took)
	}
	if got := readKeyed(t, e, s, 0); len(got) != 2 {
		t.Errorf("%v are left", got)
	}
}

// damagedCompacted makes a log with one compacted file, closes it, and damages a byte of that.
func damagedCompacted(t *testing.T, c Config, at func(f *logFile) int64) (s *stream.Stream, name string) {
	t.Helper()
	e := mustOpen(t, c)
	s = keyedStream(t, e, "s", 2)
	for range 10 {
		for _, shard := range shardsOf(s) {
			putKeys(t, e, shard, 100, numbered(0, 10)...)
		}
	}
	aborted := batch.Producer{ID: 7, Sequence: 0}
	testAppend(t, e, s.Shard(1), streamtest.Transactional(aborted, epoch, "aborted"))
	marker := batch.AppendMarker(nil, batch.Marker{ProducerID: aborted.ID, Time: epoch})
	_, _, err := e.Transact(t.Context(), []stream.Append{{Shard: s.Shard(1), Batch: marker}}, nil, nil)
	must(t, err)
	putKeys(t, e, s.Shard(1), 1, "last")
	must(t, e.CompactNow(t.Context()))
	if len(e.compacted) != 1 {
		t.Fatalf("%d compacted files", len(e.compacted))
	}
	for _, f := range e.compacted {
		name = f.name
		b := make([]byte, 1)
		where := at(f)
		_, err := f.file.ReadAt(b, where)
		must(t, err)
		b[0] ^= 1
		_, err = f.file.WriteAt(b, where)
		must(t, err)
	}
	must(t, e.Close())
	return s, name
}

// TestDamageToACompactedFile: indexes are made again from groups, damaged batches are not served, and a file without which something is missing is named.
func TestDamageToACompactedFile(t *testing.T) {
	allocated := func(f *logFile) int64 { return f.allocated.Load() }
	for what, row := range map[string]struct {
		at     func(f *logFile) int64
		mended bool
	}{
		"trailer":   {func(f *logFile) int64 { return allocated(f) - 20 }, true},
		"directory": {func(f *logFile) int64 { return allocated(f) - 100 }, true},
		"index":     {func(f *logFile) int64 { return f.end.Load() + 3 }, true},
		"batch":     {func(f *logFile) int64 { return 4096 + 48 + 100 }, false},
	} {
		t.Run(what, func(t *testing.T) {
			c := tiny(vfs.NewMem())
			s, name := damagedCompacted(t, c, row.at)
			r, err := Check(c.FS, c.Dir)
			must(t, err)
			if len(r.Damage) != 1 || r.Damage[0].File != "log/"+name {
				t.Errorf("check finds %v", r.Damage)
			}
			e := mustOpen(t, c)
			closing(t, e)
			for _, shard := range shardsOf(s) {
				chunk, err := e.Read(t.Context(), shard, 0, 1<<20)
				if damaged := !row.mended && shard.Index == 0; isDamage(err) != damaged || !damaged && err != nil {
					t.Errorf("shard %d is read: %v", shard.Index, err)
				}
				chunk.Release()
				if row.mended && len(readKeyed(t, e, shard, 0)) != 20-8*int(shard.Index) { // the marker's record, the last one, and ten
					t.Errorf("shard %d has %v", shard.Index, readKeyed(t, e, shard, 0))
				}
				if told, err := e.Aborted(t.Context(), shard, 0, 1<<20); err != nil || row.mended && len(told) != int(shard.Index) {
					t.Errorf("shard %d: aborted are %v, %v", shard.Index, told, err)
				}
				putKeys(t, e, shard, 1, "more")
				putKeys(t, e, shard, 1, "more")
			}
			must(t, e.CompactNow(t.Context())) // the damaged shard is left alone, the other is not
			if left := e.Stats(false).Compaction.Left; left > 0 && row.mended {
				t.Errorf("%d shards are left alone", left)
			}
			if got := readKeyed(t, e, s.Shard(1), 0); len(got) != 14 {
				t.Errorf("the other shard has %d records", len(got))
			}
		})
	}
}

func TestMissingCompactedFile(t *testing.T) {
	c := tiny(vfs.NewMem())
	_, name := damagedCompacted(t, c, func(*logFile) int64 { return 4000 }) // no byte that means anything
	must(t, c.FS.Remove("/data/log/"+name))
	_, err := Open(t.Context(), c)
	var corrupt *stream.CorruptError
	if !errors.As(err, &corrupt) || corrupt.File != "log/"+name {
		t.Errorf("open says %v", err)
	}
	if r, err := Check(c.FS, c.Dir); err != nil || len(r.Damage) == 0 || r.Damage[0].File != "log/"+name {
		t.Errorf("check says %+v, %v", r, err)
	}
}

// TestStrayCompactedFile: one that nothing refers to is no part of the log, whatever is in it, and is removed.
func TestStrayCompactedFile(t *testing.T) {
	c := tiny(vfs.NewMem())
	s, name := damagedCompacted(t, c, func(*logFile) int64 { return 4000 })
	stray := compactedName(77)
	must(t, c.FS.Rename("/data/log/"+name, "/data/log/"+stray))
	if _, err := Open(t.Context(), c); err == nil {
		t.Fatal("a file under another's name is taken for it")
	}
	must(t, c.FS.Rename("/data/log/"+stray, "/data/log/"+name))
	f, err := c.FS.Create("/data/log/" + stray)
	must(t, err)
	_, err = f.WriteAt([]byte("nothing"), 0)
	must(t, errors.Join(err, f.Close()))
	e := mustOpen(t, c)
	closing(t, e)
	if names, err := c.FS.List("/data/log"); err != nil || slices.Contains(names, stray) || !slices.Contains(names, name) {
		t.Errorf("left are %v, %v", names, err)
	}
	if got := readKeyed(t, e, s.Shard(0), 0); len(got) != 20 {
		t.Errorf("%d records", len(got))
	}
}

// TestCompactionIsTriedAgain: whichever step of it finds no space or no descriptor, nothing is lost, what there is of a file goes, and the next run does
// what this one did not.
func TestCompactionIsTriedAgain(t *testing.T) {
	for _, lacking := range []error{vfs.ErrNoSpace, vfs.ErrTooManyFiles} {
		failed := 0
		for n := int64(1); ; n++ {
			var compacting atomic.Bool
			var calls atomic.Int64
			disk := vfs.NewMem()
			c := tiny(vfs.Fault(disk, func(call *vfs.Call) error {
				ours := call.Name == compactTmp || strings.HasSuffix(call.Name, ".compacted.log")
				if !compacting.Load() || !ours || call.Op == vfs.OpSync || call.Op == vfs.OpRemove {
					return nil
				}
				if at := calls.Add(1); at == n || at == n+1 { // once more for the run with what is lent
					return fmt.Errorf("injected: %w", lacking)
				}
				return nil
			}))
			e := mustOpen(t, c)
			s := keyedStream(t, e, "s", 1).Shard(0)
			for i := range 30 {
				putKeys(t, e, s, 500, numbered(i%3, i%3+10)...)
			}
			compacting.Store(true)
			_ = e.CompactNow(t.Context())
			compacting.Store(false)
			if calls.Load() >= n {
				failed++
			}
			must(t, e.CompactNow(t.Context()))
			if got := readKeyed(t, e, s, 0); len(got) != 12+10 {
				t.Errorf("%v at call %d: %d records are left", lacking, n, len(got))
			}
			if names, err := disk.List("/data/log"); err != nil || slices.Contains(names, compactTmp) {
				t.Errorf("%v at call %d leaves %v", lacking, n, names)
			}
			must(t, e.Close())
			if calls.Load() < n {
				break
			}
		}
		if failed < 5 {
			t.Errorf("%v: only %d calls failed", lacking, failed)
		}
	}
}

// TestProgressOfACompactionStays: a crash in the middle of a long compaction costs the pass that was under way.
func TestProgressOfACompactionStays(t *testing.T) {
	disk := vfs.NewMem()
	var left *vfs.Mem
	begun := 0
	c := tiny(vfs.Fault(disk, func(call *vfs.Call) error {
		if call.Op == vfs.OpCreate && call.Name == compactTmp {
			if begun++; begun == 4 {
				left = disk.CrashClone(rand.New(rand.NewPCG(1, 1)))
			}
		}
		return nil
	}))
	e := mustOpen(t, c)
	s := keyedStream(t, e, "s", 1).Shard(0)
	for range 200 {
		putKeys(t, e, s, 100, numbered(0, 5)...)
	}
	must(t, e.CompactNow(t.Context()))
	want := readKeyed(t, e, s, 0)
	must(t, e.Close())
	if left == nil {
		t.Fatalf("all was done in %d passes", begun)
	}
	c.FS = left
	e = mustOpen(t, c)
	closing(t, e)
	if clean := e.tables.shards[s].clean; clean < 5 || clean >= 995 {
		t.Errorf("up to %d of 1000 was compacted before the crash", clean)
	}
	must(t, e.CompactNow(t.Context()))
	if got := readKeyed(t, e, s, 0); !slices.Equal(got, want) {
		t.Errorf("%d records are left, not %d", len(got), len(want))
	}
}

// TestCompactionFreesAFullDisk: on a disk with no space left what is written again and again is compacted all the same, with what the log has put by, and
// appends are taken again.
func TestCompactionFreesAFullDisk(t *testing.T) {
	disk := vfs.NewMem()
	c := tiny(disk)
	c.FileBytes, c.AllocateBytes, c.GroupBytes, c.ZeroBytes = 256*kib, 256*kib, 16*kib, -1
	c.SpaceInterval = time.Millisecond
	disk.SetLimit(2 * mib)
	e := mustOpen(t, c)
	closing(t, e)
	s := keyedStream(t, e, "s", 1).Shard(0)
	var b batch.Builder
	one := func(i int) []byte {
		b.Reset()
		b.Add(epoch.UnixMilli(), fmt.Append(nil, "k", i%10), []byte(strings.Repeat("x", 2*kib)))
		return b.Finish(batch.NoProducer)
	}
	append1 := func(i int) error {
		r, err := e.Append(t.Context(), []stream.Append{{Shard: s, Batch: one(i)}}).Wait(t.Context())
		must(t, err)
		return r[0].Err
	}
	n := 0
	for ; append1(n) == nil; n++ {
	}
	if n < 300 {
		t.Fatalf("the disk is full after %d records", n)
	}
	junk, err := disk.Create("/junk") // what is left is another's
	must(t, err)
	must(t, junk.Allocate(2*mib-disk.Used()))
	clocktest.Eventually(t, "the shard is compacted", func() bool { // the engine's own upkeep may have taken the last room, which it gives back
		err := e.CompactNow(t.Context())
		if err != nil && !errors.Is(err, vfs.ErrNoSpace) {
			t.Fatal(err)
		}
		return err == nil
	})
	if got := readKeyed(t, e, s, 0); len(got) != 11 {
		t.Errorf("%d records are left", len(got))
	}
	virtual := e.cfg.Clock.(*clock.Virtual)
	clocktest.Eventually(t, "appends are taken again", func() bool {
		virtual.Advance(time.Millisecond)
		return append1(n) == nil
	})
}
