package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestNoDescriptorLeft: from the n-th opening on nothing can be opened, for n = 1, 2, 3...: the log takes appends or refuses them, says what it lacks,
// and goes on once it can open files again. Its disk has not failed, and nothing acknowledged is lost.
func TestNoDescriptorLeft(t *testing.T) {
	for n := int64(1); ; n++ {
		if met := withoutDescriptors(t, n); t.Failed() || !met {
			t.Logf("%d openings", n-1)
			return
		}
	}
}

// withoutDescriptors has openings fail from the n-th on, and says whether there were so many.
func withoutDescriptors(t *testing.T, n int64) (met bool) {
	t.Helper()
	disk := vfs.NewMem()
	var counted, spared atomic.Bool // openings are counted; they succeed again
	var opened atomic.Int64
	c := tiny(vfs.Fault(disk, func(call *vfs.Call) error {
		switch call.Op {
		case vfs.OpCreate, vfs.OpOpen, vfs.OpSyncDir:
			if counted.Load() && opened.Add(1) >= n && !spared.Load() {
				return fmt.Errorf("injected: %w", vfs.ErrTooManyFiles)
			}
		}
		return nil
	}))
	now := c.Clock.(*clock.Virtual)
	e := mustOpen(t, c)
	closing(t, e)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 2})
	must(t, err)
	counted.Store(true)
	var done atomic.Bool
	var failed error
	go func() {
		defer done.Store(true)
		failed = appendAndTrim(t, e, s)
	}()
	clocktest.Eventually(t, fmt.Sprintf("opening %d: nothing hangs but what waits", n), func() bool { return done.Load() || e.Stats(false).Full })
	spared.Store(true)
	clocktest.Eventually(t, fmt.Sprintf("opening %d: the log goes on", n), func() bool {
		now.Advance(time.Second)
		return done.Load()
	})
	if failed != nil {
		t.Errorf("opening %d: %v", n, failed)
	}
	bounds, err := e.Bounds(t.Context(), s.Shard(0))
	must(t, err)
	if got := stream.Offset(len(readAll(t, e, s.Shard(0)))); got != bounds.End {
		t.Errorf("opening %d: %d records are read, the shard ends at %d", n, got, bounds.End)
	}
	must(t, e.Close())
	if r, err := Check(disk, c.Dir); err != nil || len(r.Damage) > 0 {
		t.Errorf("opening %d: check: %+v, %v", n, r, err)
	}
	must(t, mustOpen(t, c).Close())
	return opened.Load() >= n
}

// appendAndTrim makes files full, dead and mostly dead; what is refused it sends again.
func appendAndTrim(t *testing.T, e *Engine, s *stream.Stream) error {
	one := batchOf(3 * kib)
	for i := range 120 {
		shard := s.Shard(int32(min(1, i%8))) // one in eight is kept
		err := appendOne(e, shard, one)
		for errors.Is(err, stream.ErrFull) {
			err = appendOne(e, shard, one)
		}
		if err == nil && i%10 == 9 {
			_, err = e.Trim(t.Context(), s.Shard(1), -1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
