package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// smallDisk is a log whose files are larger than its disk.
func smallDisk(fs vfs.FS) Config {
	c := tiny(fs)
	c.FileBytes, c.AllocateBytes = 2*mib, 128*kib
	c.RetentionInterval = 1000 * time.Hour // nobody looks
	return c
}

// keepAndDrop makes two streams of one shard.
func keepAndDrop(t *testing.T, e *Engine, round int) (keep, drop *stream.Stream) {
	t.Helper()
	made := func(name string) (s *stream.Stream) {
		onceTaken(t, e, name+" is made", func() (err error) {
			s, err = e.Create(t.Context(), stream.Spec{Name: stream.Name(name), Shards: 1})
			return err
		})
		return s
	}
	return made(fmt.Sprint("keep", round)), made(fmt.Sprint("drop", round))
}

// onceTaken does something as soon as the disk has room for it: while a file is written anew there may be none.
func onceTaken(t *testing.T, e *Engine, what string, do func() error) {
	t.Helper()
	clocktest.Eventually(t, what, func() bool {
		e.cfg.Clock.(*clock.Virtual).Advance(time.Second)
		err := do()
		if err != nil && !errors.Is(err, stream.ErrFull) {
			t.Fatal(what, err)
		}
		return err == nil
	})
}

// TestFileLargerThanTheDisk: a disk that is full before its first file is gets its space back when what is in the file is deleted or trimmed, wholly or
// mostly, as often as one likes; and what is left is read as before.
func TestFileLargerThanTheDisk(t *testing.T) {
	for limit := int64(480 * kib); limit < 720*kib; limit += 12 * kib {
		// In a smaller file, full or nearly, more may be alive than there is room for to write it anew: only the first round is for certain.
		for fileBytes, rounds := range map[int64]int{2 * mib: 5, limit * 4 / 5: 1} {
			disk := vfs.NewMem()
			c := smallDisk(disk)
			c.FileBytes = fileBytes
			now := c.Clock.(*clock.Virtual)
			e := mustOpen(t, c)
			kept := map[stream.Shard]stream.Offset{}
			disk.SetLimit(limit)
			for round := range rounds {
				what := fmt.Sprintf("limit %d, files of %d, round %d", limit, fileBytes, round)
				keep, drop := keepAndDrop(t, e, round)
				onceTaken(t, e, what+": the first is kept", func() error { return appendOne(e, keep.Shard(0), batchOf(2*kib)) })
				kept[keep.Shard(0)] = 0
				taken := int64(0)
				clocktest.Eventually(t, what+": much is taken", func() bool {
					for now.Advance(time.Second); appendOne(e, drop.Shard(0), batchOf(3*kib)) == nil; {
						taken += 3 * kib
					}
					return taken > limit/3
				})
				isFull := func() bool {
					fillUp(t, e, drop.Shard(0), batchOf(3*kib))
					return e.Stats(false).Full
				}
				clocktest.Eventually(t, what+": the disk is full", isFull)
				if round == 3 {
					must(t, e.Close())
					e = mustOpen(t, c)
					clocktest.Eventually(t, what+": the disk is full still", isFull)
				}
				free := func() error { return e.Delete(t.Context(), drop.ID) }
				if round%2 == 1 {
					free = func() error { _, err := e.Trim(t.Context(), drop.Shard(0), -1); return err }
				}
				must(t, returns(t, what+": freeing space ends", free))
				clocktest.Eventually(t, what+": appends are taken again", func() bool {
					now.Advance(time.Second)
					return appendOne(e, keep.Shard(0), batchOf(kib)) == nil && !e.Stats(false).Full
				})
			}
			for shard, first := range kept {
				if r := readAll(t, e, shard); len(r) == 0 || r[0].offset != first {
					t.Fatalf("limit %d: shard %v: %d records", limit, shard, len(r))
				}
			}
			endsSound(t, e, c, fmt.Sprint("limit ", limit))
		}
	}
}

// TestPowerCutWhileEndingEarly cuts power at every operation from the deletion on that makes a full disk's file end early.
func TestPowerCutWhileEndingEarly(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	disk := vfs.NewMem()
	var cutting atomic.Bool
	var mu sync.Mutex
	var cuts []*vfs.Mem
	c := smallDisk(vfs.Fault(disk, func(call *vfs.Call) error {
		if cutting.Load() && call.Op != vfs.OpRead && call.Op != vfs.OpSize {
			mu.Lock()
			defer mu.Unlock()
			for range 4 {
				cuts = append(cuts, disk.CrashClone(rand.New(rand.NewPCG(seed, uint64(len(cuts))))))
			}
		}
		return nil
	}))
	now := c.Clock.(*clock.Virtual)
	e := mustOpen(t, c)
	keep, drop := keepAndDrop(t, e, 0)
	for range 3 {
		testAppend(t, e, keep.Shard(0), batchOf(kib))
	}
	want := fmt.Sprint(readAll(t, e, keep.Shard(0)))
	disk.SetLimit(600 * kib)
	fillUp(t, e, drop.Shard(0), batchOf(3*kib))
	cutting.Store(true)
	must(t, e.Delete(t.Context(), drop.ID))
	clocktest.Eventually(t, "appends are taken again", func() bool {
		now.Advance(time.Second)
		return e.Stats(false).Rewrites > 0 && !e.Stats(false).Full
	})
	must(t, e.Close())
	for i, cut := range cuts {
		after := c
		after.FS = cut
		e := mustOpen(t, after)
		if got := fmt.Sprint(readAll(t, e, keep.Shard(0))); got != want {
			t.Errorf("cut %d of %d: %s is read, not %s", i, len(cuts), got, want)
		}
		if err := appendOne(e, keep.Shard(0), batchOf(kib)); err != nil && !errors.Is(err, stream.ErrFull) {
			t.Errorf("cut %d: append: %v", i, err)
		}
		endsSound(t, e, after, fmt.Sprint("cut ", i))
	}
	t.Logf("%d cuts", len(cuts))
}
