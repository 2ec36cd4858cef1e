package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// cold returns an engine that has n batches of 3 KiB in each shard of a stream, none of them in memory.
func cold(t *testing.T, c Config, shards int32, n int) (*Engine, *stream.Stream) {
	t.Helper()
	e := mustOpen(t, c)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: shards})
	must(t, err)
	for range n {
		for i := range shards {
			testAppend(t, e, s.Shard(i), batchOf(3*kib))
		}
	}
	must(t, e.Close())
	e = mustOpen(t, c)
	closing(t, e)
	return e, s
}

// readOn reads a shard from an offset to its end, and fails the test unless each batch comes once and in order.
func readOn(t *testing.T, e *Engine, shard stream.Shard, from stream.Offset, maxBytes int) {
	t.Helper()
	for {
		chunk, err := e.Read(context.Background(), shard, from, maxBytes)
		must(t, err)
		if len(chunk.Batches) == 0 {
			if from != chunk.Bounds.End {
				t.Fatalf("nothing at offset %d, the shard ends at %d", from, chunk.Bounds.End)
			}
			return
		}
		for _, b := range chunk.Batches {
			h, err := batch.Verify(b)
			must(t, err)
			if stream.Offset(h.BaseOffset) != from {
				t.Fatalf("batch at offset %d, not %d", h.BaseOffset, from)
			}
			from = stream.Offset(h.LastOffset()) + 1
		}
		chunk.Release()
	}
}

// settle waits until nothing is being read ahead and returns how many reads are held.
func (a *readAhead) settle() int {
	a.reading.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.order.Len()
}

func aheadConfig(fs vfs.FS) Config {
	c := tiny(fs)
	c.TailBytes, c.FileBytes, c.AheadBytes, c.ReadBytes = 1, 2*mib, mib, 128*kib
	return c
}

// TestReadAhead: who reads on finds what comes next in memory, checked, and no batch is read from the files twice.
func TestReadAhead(t *testing.T) {
	e, s := cold(t, aheadConfig(vfs.NewMem()), 3, 200)
	for i := range s.Shards {
		chunk, err := e.Read(t.Context(), s.Shard(i), 0, 64*kib)
		must(t, err)
		next := chunk.Batches[len(chunk.Batches)-1]
		h, err := batch.Parse(next)
		must(t, err)
		before := e.readAhead.settle()
		chunk.Release()
		if held := e.readAhead.settle(); held != before+1 && held != e.readAhead.most {
			t.Fatalf("%d reads are held, %d before the chunk was released", held, before)
		}
		cold := e.Stats(false).ColdReads
		from := stream.Offset(h.LastOffset()) + 1
		chunk, err = e.Read(t.Context(), s.Shard(i), from, 64*kib)
		must(t, err)
		if got, err := batch.Verify(chunk.Batches[0]); err != nil || stream.Offset(got.BaseOffset) != from {
			t.Errorf("read ahead: offset %d, not %d: %v", got.BaseOffset, from, err)
		}
		if reads := e.Stats(false).ColdReads - cold; reads != 0 {
			t.Errorf("%d reads for what was read ahead", reads)
		}
		chunk.Release()
		readOn(t, e, s.Shard(i), from, 64*kib)
	}
	e.readAhead.settle()
	if reads := e.Stats(false).ColdReads; reads > int64(s.Shards)*(200+40) { // a second time only what was asked for a second time
		t.Errorf("%d reads for %d batches", reads, 200*s.Shards)
	}
}

// TestReadAheadIsShared: of several who read the same, one a little after the other, all but the first chunk is read once, and it stays what it is
// until the last has released it.
func TestReadAheadIsShared(t *testing.T) {
	const batches, readers = 200, 5
	e, s := cold(t, aheadConfig(vfs.NewMem()), 1, batches)
	bounds, err := e.Bounds(t.Context(), s.Shard(0))
	must(t, err)
	var at [readers]stream.Offset
	for at[readers-1] < bounds.End {
		var chunks [readers]stream.Chunk
		for i := range readers {
			chunks[i], err = e.Read(t.Context(), s.Shard(0), at[i], 64*kib)
			must(t, err)
		}
		for i, c := range chunks {
			for _, b := range c.Batches { // the readers before have released theirs
				h, err := batch.Verify(b)
				must(t, err)
				if stream.Offset(h.BaseOffset) != at[i] {
					t.Fatalf("reader %d: batch at offset %d, not %d", i, h.BaseOffset, at[i])
				}
				at[i] = stream.Offset(h.LastOffset()) + 1
			}
			c.Release()
			e.readAhead.settle()
		}
	}
	first := int64(64 * kib / (3 * kib))
	if reads := e.Stats(false).ColdReads; reads > batches+readers*first {
		t.Errorf("%d reads of %d batches by %d readers", reads, batches, readers)
	}
	e.cfg.Clock.(*clock.Virtual).Advance(staleAhead)
	e.readAhead.expire(e.cfg.Clock.Now())
	if held := e.readAhead.settle(); held != 0 {
		t.Errorf("%d reads are held when nobody has read for a while", held)
	}
}

// TestReadAheadHasABudget: what nobody comes for does not keep others out for ever, nor take more than its part.
func TestReadAheadHasABudget(t *testing.T) {
	c := aheadConfig(vfs.NewMem())
	c.AheadBytes, c.ReadBytes = 200*kib, 64*kib
	e, s := cold(t, c, 8, 60)
	read := func(shards ...int32) {
		t.Helper()
		for _, i := range shards {
			chunk, err := e.Read(t.Context(), s.Shard(i), 0, 64*kib)
			must(t, err)
			chunk.Release()
			if held := e.readAhead.settle(); held > 3 {
				t.Fatalf("%d reads of 64 KiB are held, the budget is %d bytes", held, c.AheadBytes)
			}
		}
	}
	expect := func(want ...int32) {
		t.Helper()
		var held []int32
		for k := range e.readAhead.reads {
			held = append(held, k.shard.Index)
		}
		if slices.Sort(held); !slices.Equal(held, want) {
			t.Errorf("what was read ahead is of the shards %v, want %v", held, want)
		}
	}
	read(0, 1, 2, 3, 4)
	expect(0, 1, 2)
	e.cfg.Clock.(*clock.Virtual).Advance(staleAhead)
	read(5, 6)
	expect(2, 5, 6)
	for i := range s.Shards {
		readOn(t, e, s.Shard(i), 0, 64*kib)
	}
}

// TestReadAheadOnlyWhatIsWanted: small reads are searches, nothing is read ahead for them; nor what is in memory already.
func TestReadAheadOnlyWhatIsWanted(t *testing.T) {
	e, s := cold(t, aheadConfig(vfs.NewMem()), 1, 60)
	chunk, err := e.Read(t.Context(), s.Shard(0), 0, minAhead-1)
	must(t, err)
	chunk.Release()
	if held := e.readAhead.settle(); held != 0 {
		t.Errorf("%d reads are held after a small one", held)
	}
	c := aheadConfig(vfs.NewMem())
	c.TailBytes = mib
	e, s = cold(t, c, 1, 60)
	other, err := e.Create(t.Context(), stream.Spec{Name: "other", Shards: 1})
	must(t, err)
	testAppend(t, e, other.Shard(0), batchOf(2*gapBytes)) // the tail begins here, too far away to be read in passing
	testAppend(t, e, s.Shard(0), batchOf(3*kib))
	bounds, err := e.Bounds(t.Context(), s.Shard(0))
	must(t, err)
	from := bounds.End / 61 * 30 // of 61 batches alike
	chunk, err = e.Read(t.Context(), s.Shard(0), from, 64*kib)
	must(t, err)
	want := 30 - len(chunk.Batches)
	chunk.Release()
	e.readAhead.settle()
	for k, at := range e.readAhead.reads {
		if n := len(at.Value.(*aheadRead).got.batches); n != want {
			t.Errorf("%d batches were read ahead from offset %d, %d are before the tail", n, k.from, want)
		}
	}
	readOn(t, e, s.Shard(0), from, 64*kib)
}

// TestReadAheadFails: a read that fails ahead is nobody's, the one that comes for it is told what is wrong then; and what was trimmed or
// deleted meanwhile is not served.
func TestReadAheadFails(t *testing.T) {
	var broken atomic.Bool
	fs := vfs.Fault(vfs.NewMem(), func(call *vfs.Call) error {
		if call.Op == vfs.OpRead && broken.Load() {
			return errInjected
		}
		return nil
	})
	e, s := cold(t, aheadConfig(fs), 1, 100)
	release := func(c stream.Chunk, broke bool) {
		broken.Store(broke)
		c.Release()
		e.readAhead.settle()
		broken.Store(false)
	}
	chunk, err := e.Read(t.Context(), s.Shard(0), 0, 64*kib)
	must(t, err)
	release(chunk, true)
	readOn(t, e, s.Shard(0), 0, 64*kib)

	chunk, err = e.Read(t.Context(), s.Shard(0), 0, 64*kib)
	must(t, err)
	next := stream.Offset(len(chunk.Batches))
	release(chunk, false)
	_, err = e.Trim(t.Context(), s.Shard(0), next+1)
	must(t, err)
	if _, err := e.Read(t.Context(), s.Shard(0), next, 64*kib); !errors.Is(err, stream.ErrOutOfRange) {
		t.Errorf("read ahead of a trim: %v", err)
	}
	must(t, e.Delete(t.Context(), s.ID))
	if _, err := e.Read(t.Context(), s.Shard(0), next, 64*kib); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("read ahead of a deletion: %v", err)
	}
}

// TestReadAheadOfACompaction: what was read before a compaction is not served after it. Whether it was committed could not be told any more.
func TestReadAheadOfACompaction(t *testing.T) {
	c := aheadConfig(vfs.NewMem())
	e := mustOpen(t, c)
	s := keyedStream(t, e, "s", 1).Shard(0)
	for range 100 {
		putKeys(t, e, s, 3*kib, "k")
	}
	must(t, e.Close())
	e = mustOpen(t, c)
	closing(t, e)
	chunk, err := e.Read(t.Context(), s, 0, 64*kib)
	must(t, err)
	next := stream.Offset(len(chunk.Batches))
	chunk.Release()
	if held := e.readAhead.settle(); held != 1 {
		t.Fatalf("%d reads are held, not one", held)
	}
	must(t, e.CompactNow(t.Context()))
	chunk, err = e.Read(t.Context(), s, next, 64*kib)
	must(t, err)
	defer chunk.Release()
	if h, err := batch.Verify(chunk.Batches[0]); err != nil || h.BaseOffset < 98 {
		t.Errorf("offset %d of 99, of which compaction has left the last: %v", h.BaseOffset, err)
	}
}

// TestReadAheadSideBySide: readers that meet at the same places, of each size, each find everything.
func TestReadAheadSideBySide(t *testing.T) {
	e, s := cold(t, aheadConfig(vfs.NewMem()), 2, 150)
	for i := range 12 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			readOn(t, e, s.Shard(int32(i%2)), 0, 64*kib+(i/6)*16*kib)
		})
	}
}
