package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// filled returns the disk of a log with finished, rewritten and unfinished files, two checkpoints, streams, documents and cursors.
func filled(t *testing.T, closeIt bool) (*vfs.Mem, Config, []stream.Shard) {
	t.Helper()
	ctx := context.Background()
	disk := vfs.NewMem()
	c := tiny(disk)
	e := mustOpen(t, c)
	var shards []stream.Shard
	for i := range 2 {
		s, err := e.Create(ctx, stream.Spec{Name: stream.Name(fmt.Sprint("s", i)), Shards: 2})
		must(t, err)
		shards = append(shards, s.Shard(0), s.Shard(1))
	}
	drop, err := e.Create(ctx, stream.Spec{Name: "drop", Shards: 1})
	must(t, err)
	for i := range 90 {
		testAppend(t, e, shards[i%4], batchOf(200+i*30))
		if i%6 == 0 {
			abortedIn(t, e, shards[i%4], int64(i))
		}
		if i < 50 {
			testAppend(t, e, drop.Shard(0), batchOf(6*kib))
		}
		_, err := e.State().Apply(ctx, state.Change{Key: state.Key{Kind: "k", ID: fmt.Sprint(i % 5)}, If: state.Any, Value: []byte(fmt.Sprint(i))})
		must(t, err)
		must(t, e.Commit(ctx, "me", []stream.Cursor{{Shard: shards[0], Next: stream.Offset(i)}}))
	}
	must(t, e.Delete(ctx, drop.ID))
	clocktest.Eventually(t, "a file is rewritten", func() bool { return e.Stats(false).Rewrites > 0 })
	if closeIt {
		must(t, e.Close())
		return disk, c, shards
	}
	crashed := disk.CrashClone(rand.New(rand.NewPCG(1, 1)))
	must(t, e.Close())
	c.FS = crashed
	return crashed, c, shards
}

// content is everything that a reader can see, up to the first error.
func content(t *testing.T, e *Engine, shards []stream.Shard) (string, error) {
	var all strings.Builder
	for _, s := range shards {
		b, err := e.Bounds(context.Background(), s)
		if err != nil {
			return "", err
		}
		for from := b.Start; from < b.End; {
			chunk, err := e.Read(context.Background(), s, from, 4000)
			if err != nil {
				return all.String(), err
			}
			for _, one := range chunk.Batches {
				h, err := checkBatch(one, from)
				if err != nil {
					t.Errorf("served: %v", err)
				}
				fmt.Fprintf(&all, "%v %d %x\n", s, h.BaseOffset, h.CRC)
				from = stream.Offset(h.LastOffset()) + 1
			}
			chunk.Release()
		}
		aborted, err := e.Aborted(context.Background(), s, b.Start, b.End)
		if err != nil {
			return all.String(), err
		}
		fmt.Fprintf(&all, "stable %d aborted %v\n", b.LastStable, aborted)
	}
	documents, err := e.State().List(context.Background(), "k", "")
	if err != nil {
		return "", err
	}
	cursors, err := e.Committed(context.Background(), "me")
	fmt.Fprint(&all, documents, cursors)
	return all.String(), err
}

// damage is one thing that can happen to a file on the disk.
type damage struct {
	name string
	do   func(t *testing.T, f vfs.File, size int64, random *rand.Rand) (at int64)
}

var damages = []damage{
	{"bit flip", func(t *testing.T, f vfs.File, size int64, random *rand.Rand) int64 {
		at := random.Int64N(size)
		b := make([]byte, 1)
		_, err := f.ReadAt(b, at)
		must(t, err)
		b[0] ^= 1 << random.IntN(8)
		_, err = f.WriteAt(b, at)
		must(t, err)
		return at
	}},
	{"truncation", func(t *testing.T, f vfs.File, size int64, random *rand.Rand) int64 {
		at := random.Int64N(size)
		must(t, f.Truncate(at))
		return at
	}},
	{"zeroed page", func(t *testing.T, f vfs.File, size int64, random *rand.Rand) int64 {
		at := random.Int64N(size) / 512 * 512
		_, err := f.WriteAt(make([]byte, min(512, size-at)), at)
		must(t, err)
		return at
	}},
}

// TestDamage: whatever happens to a byte of a closed log, it is either found, with the file's name, or without effect; never are other bytes
// served than were written. What opening does not find at once, because it reads no old batch, Check and reading find.
func TestDamage(t *testing.T) {
	disk, c, shards := filled(t, true)
	e := mustOpen(t, c)
	want, err := content(t, e, shards)
	must(t, err)
	must(t, e.Close())
	if r, err := Check(disk, c.Dir); err != nil || len(r.Damage) > 0 {
		t.Fatalf("check of the undamaged log: %+v, %v", r, err)
	}
	random := chance(t)
	outcomes := map[string]int{}
	for _, dir := range []string{c.Dir, filepath.Join(c.Dir, logDir)} {
		names, err := disk.List(dir)
		must(t, err)
		for _, name := range names {
			for _, d := range damages {
				for range 15 {
					outcomes[testDamage(t, disk, c, shards, want, filepath.Join(dir, name), d, random)]++
				}
			}
			if t.Failed() {
				t.Fatalf("damage to %s", name)
			}
		}
	}
	t.Logf("%v", outcomes)
	if outcomes["found at open"] == 0 || outcomes["found by reading"] == 0 || outcomes["found by check"] == 0 {
		t.Errorf("outcomes %v: not all kinds", outcomes)
	}
}

func testDamage(t *testing.T, disk *vfs.Mem, c Config, shards []stream.Shard, want, name string, d damage, random *rand.Rand) string {
	broken := disk.CrashClone(rand.New(rand.NewPCG(0, 0))) // everything is synced, so this is a copy
	f, err := broken.Open(name)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	if size == 0 {
		return "empty"
	}
	at := d.do(t, f, size, random)
	c.FS = broken
	report, err := Check(broken, c.Dir)
	must(t, err)
	named := func(err error) bool {
		var corrupt *stream.CorruptError
		if !errors.As(err, &corrupt) {
			return false
		}
		// A log file that ends too early may show only where its neighbour does not fit.
		return strings.HasSuffix(name, filepath.Base(corrupt.File)) || d.name == "truncation" && neighbours(t, broken, name, filepath.Base(corrupt.File))
	}
	e, err := Open(context.Background(), c)
	if err != nil {
		if !named(err) || len(report.Damage) == 0 {
			t.Errorf("%s at byte %d of %s: open says %v, check %v", d.name, at, name, err, report.Damage)
		}
		return "found at open"
	}
	defer e.Close()
	got, err := content(t, e, shards)
	switch {
	case err != nil && (!named(err) || len(report.Damage) == 0):
		t.Errorf("%s at byte %d of %s: reading says %v, check %v", d.name, at, name, err, report.Damage)
	case err != nil:
		if left, ok := strings.CutPrefix(want, got); !ok || d.name == "bit flip" && !beginsAt(left, err) {
			t.Errorf("%s at byte %d of %s: reading ends with %v behind %d of %d bytes", d.name, at, name, err, len(got), len(want))
		}
		if e.Stats(false).CorruptReads == 0 {
			t.Errorf("%s at byte %d of %s: reading says %v, and the read was not counted", d.name, at, name, err)
		}
		return "found by reading"
	case got != want:
		t.Errorf("%s at byte %d of %s changed what is read; check says %v", d.name, at, name, report.Damage)
	case len(report.Damage) > 0:
		return "found by check"
	}
	return "without effect"
}

// beginsAt says whether an error of a read is about the batch that is first in the content which was not read, or about an index.
func beginsAt(left string, err error) bool {
	line, _, _ := strings.Cut(left, "\n")
	words := strings.Fields(line) // of which the last two are an offset and a checksum
	return !strings.Contains(err.Error(), ", offset ") || strings.Contains(err.Error(), ", offset "+words[len(words)-2]+":")
}

// neighbours says whether the log file of that path stands next to another.
func neighbours(t *testing.T, disk *vfs.Mem, path, other string) bool {
	t.Helper()
	names, err := disk.List(filepath.Dir(path))
	must(t, err)
	a, b := slices.Index(names, filepath.Base(path)), slices.Index(names, other)
	return filepath.Base(filepath.Dir(path)) == logDir && b >= 0 && (a-b == 1 || b-a == 1)
}

// TestDamageAtTheEnd: after a power cut the last group may be cut off as torn, but nothing before it, and nothing else is served.
func TestDamageAtTheEnd(t *testing.T) {
	disk, c, shards := filled(t, false)
	c.FS = disk.CrashClone(rand.New(rand.NewPCG(0, 0)))
	e := mustOpen(t, c)
	whole, err := content(t, e, shards)
	must(t, err)
	last := e.active.Load().name
	end := e.active.Load().end.Load()
	must(t, e.Close())
	refused := 0
	for at := int64(0); at < end; at += 97 {
		c.FS = disk.CrashClone(rand.New(rand.NewPCG(0, 0)))
		f, err := c.FS.Open(filepath.Join(c.Dir, logDir, last))
		must(t, err)
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at); err == io.EOF {
			break
		}
		b[0] ^= 0x10
		_, err = f.WriteAt(b, at)
		must(t, err)
		e, err := Open(context.Background(), c)
		var corrupt *stream.CorruptError
		if errors.As(err, &corrupt) {
			refused++
			continue
		}
		must(t, err)
		if got, err := content(t, e, shards); err != nil || len(got) < len(whole)-300 {
			t.Fatalf("flip at byte %d: %v, %d of %d bytes are left", at, err, len(got), len(whole))
		}
		must(t, e.Close())
	}
	if refused == 0 {
		t.Error("no flip was found to be damage")
	}
}

// TestDump: a dump names every batch.
func TestDump(t *testing.T) {
	disk, c, _ := filled(t, true)
	var out bytes.Buffer
	must(t, Dump(disk, c.Dir, DumpOptions{Stream: "s1", OneShard: true, Shard: 1, Records: true, Limit: 3}, &out))
	if n := strings.Count(out.String(), "batch s1/1 offset="); n != 3 || !strings.Contains(out.String(), "record offset=0") {
		t.Errorf("dump of three batches:\n%s", &out)
	}
	out.Reset()
	must(t, Dump(disk, c.Dir, DumpOptions{}, &out))
	for _, want := range []string{"group ", "batch s0/0 offset=0..", " transactional\n", " marker=abort coordinator=0\n", "aborted producer=0 offset=1..2\n", "cursors of \"me\": 1", "document k/"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the dump does not have %q", want)
		}
	}
	if err := Dump(disk, c.Dir, DumpOptions{Stream: "s2"}, &out); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("dump of a stream that there is not: %v", err)
	}
	for _, name := range []stream.Name{"s1", ""} {
		if err := Dump(disk, c.Dir, DumpOptions{Stream: name, OneShard: true, Shard: 9}, io.Discard); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("dump of a shard of %q that there is not: %v", name, err)
		}
	}
}

// TestDumpAsJSON: each line of a dump is an object that says what it is of, and the same lines are there as for humans.
func TestDumpAsJSON(t *testing.T) {
	disk, c, _ := filled(t, true)
	var text, out bytes.Buffer
	must(t, Dump(disk, c.Dir, DumpOptions{Records: true}, &text))
	must(t, Dump(disk, c.Dir, DumpOptions{Records: true, JSON: true}, &out))
	if strings.Count(out.String(), "\n") != strings.Count(text.String(), "\n") {
		t.Errorf("%d lines of JSON for %d of text", strings.Count(out.String(), "\n"), strings.Count(text.String(), "\n"))
	}
	types := map[string]int{}
	var record struct {
		Type, Stream string
		Offset       *int64
		Value        []byte
	}
	for line := range bytes.Lines(out.Bytes()) {
		must(t, json.Unmarshal(line, &record))
		types[record.Type]++
		if record.Type == "record" && (record.Offset == nil || len(record.Value) == 0) {
			t.Fatalf("a record without offset or value: %s", line)
		}
	}
	for _, want := range []string{"file", "group", "batch", "record", "aborted", "delete", "document", "cursors"} {
		if types[want] == 0 {
			t.Errorf("no line of type %q among %v", want, types)
		}
	}
	for k := kindStream; k < kindShard; k++ { // what only a checkpoint has is not in a log file
		c := newChange(k)
		if s, ok := c.(*streamChange); ok {
			s.stream = &stream.Stream{}
		}
		if l := lineOf(c); strings.HasPrefix(l.Type, "*") || l.text == "" {
			t.Errorf("kind %d of change has no line: %+v", k, l)
		}
	}
}

// chance returns random numbers, and says by which seed they come again.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64N(1 << 32)
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestNoCheckpointLeft: if all checkpoints are damaged, the log files say the same as long as they go back to the log's beginning; else the log
// does not open.
func TestNoCheckpointLeft(t *testing.T) {
	for _, whole := range []bool{true, false} {
		disk := vfs.NewMem()
		c := tiny(disk)
		e := mustOpen(t, c)
		s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
		must(t, err)
		for i := range 40 {
			testAppend(t, e, s.Shard(0), batchOf(4*kib))
			if i == 30 && !whole {
				_, err := e.Trim(t.Context(), s.Shard(0), -1)
				must(t, err)
				clocktest.Eventually(t, "a file is given up", func() bool { return e.Stats(false).Removed > 0 })
			}
		}
		want, err := content(t, e, shardsOf(s))
		must(t, err)
		must(t, e.Close())
		names, err := disk.List(c.Dir)
		must(t, err)
		for _, name := range names {
			if strings.HasPrefix(name, checkpointPrefix) {
				f, err := disk.Open(filepath.Join(c.Dir, name))
				must(t, err)
				_, err = f.WriteAt([]byte{1}, 9)
				must(t, errors.Join(err, f.Close()))
			}
		}
		r, err := Check(disk, c.Dir)
		must(t, err)
		if len(r.Damage) == 0 {
			t.Error("check finds no damage")
		}
		e, err = Open(t.Context(), c)
		var corrupt *stream.CorruptError
		if !whole {
			if !errors.As(err, &corrupt) || !strings.HasPrefix(corrupt.File, checkpointPrefix) {
				t.Errorf("open without the first file: %v", err)
			}
			continue
		}
		must(t, err)
		if got, err := content(t, e, shardsOf(s)); err != nil || got != want {
			t.Errorf("%d bytes are read, not %d: %v", len(got), len(want), err)
		}
		must(t, e.Close())
		if r, err := Check(disk, c.Dir); err != nil || len(r.Damage) > 1 { // the older checkpoint is still there
			t.Errorf("check after a start: %+v, %v", r, err)
		}
	}
}
