package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

func testAppend(t *testing.T, e *Engine, shard stream.Shard, b []byte) stream.Appended {
	t.Helper()
	r, err := e.Append(context.Background(), []stream.Append{{Shard: shard, Batch: b}}).Wait(context.Background())
	must(t, err)
	must(t, r[0].Err)
	return r[0]
}

// TestRewrite: files that are mostly dead are written anew, wholly dead ones are removed, and what is live reads as before, also after a restart.
func TestRewrite(t *testing.T) {
	ctx := context.Background()
	c := tiny(vfs.NewMem())
	e := mustOpen(t, c)
	keep, err := e.Create(ctx, stream.Spec{Name: "keep", Shards: 2})
	must(t, err)
	drop, err := e.Create(ctx, stream.Spec{Name: "drop", Shards: 1})
	must(t, err)
	one := batchOf(3 * kib)
	for i := range 200 {
		testAppend(t, e, drop.Shard(0), one)
		if i%8 == 0 {
			testAppend(t, e, keep.Shard(int32(i/8%2)), one)
		}
	}
	before := fmt.Sprint(readAll(t, e, keep.Shard(0)), readAll(t, e, keep.Shard(1)))
	// All but the last file at once: those that are finished later are written anew on their own, and not small enough to be put together.
	clocktest.Eventually(t, "full files are finished", func() bool {
		e.view.RLock()
		defer e.view.RUnlock()
		n := len(e.checkpoints)
		return n > 0 && e.checkpoints[n-1].file == e.active.Load().First
	})
	files := e.Stats(false).Files
	must(t, e.Delete(ctx, drop.ID))
	clocktest.Eventually(t, "dead bytes are gone", func() bool { return e.Stats(false).Files < files/3 && e.Stats(false).Rewrites > 0 })
	for range 2 {
		if after := fmt.Sprint(readAll(t, e, keep.Shard(0)), readAll(t, e, keep.Shard(1))); after != before {
			t.Fatal("rewriting has changed what is read")
		}
		must(t, e.Close())
		e = mustOpen(t, c)
	}
	must(t, e.Close())
}

// halfDead fills two streams in turn, and deletes one: each file is mostly dead then.
func halfDead(t *testing.T, e *Engine) (keep *stream.Stream) {
	t.Helper()
	ctx := context.Background()
	keep, err := e.Create(ctx, stream.Spec{Name: "keep", Shards: 2})
	must(t, err)
	drop, err := e.Create(ctx, stream.Spec{Name: "drop", Shards: 1})
	must(t, err)
	for i := range 200 {
		testAppend(t, e, drop.Shard(0), batchOf(3*kib))
		if i%8 == 0 {
			testAppend(t, e, keep.Shard(int32(i/8%2)), batchOf(3*kib))
		}
		if i%30 == 0 {
			abortedIn(t, e, keep.Shard(int32(i/30%2)), int64(i))
		}
	}
	must(t, e.Delete(ctx, drop.ID))
	return keep
}

// TestRewriteEnds: what would be no smaller is left as it is, however little may be dead in a file and however much of it is not batches.
func TestRewriteEnds(t *testing.T) {
	ctx := context.Background()
	c := tiny(vfs.NewMem())
	c.RewriteDead = 1
	e := mustOpen(t, c)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	batches := make([]stream.Append, 100)
	for i := range batches {
		batches[i] = stream.Append{Shard: s.Shard(0), Batch: batchOf(1)}
	}
	for range 60 {
		results, err := e.Append(ctx, batches).Wait(ctx)
		must(t, err)
		must(t, results[0].Err)
	}
	must(t, e.Close())
	c.RewriteDead = 0.05
	e = mustOpen(t, c)
	closing(t, e)
	e.tend()
	clocktest.Eventually(t, "nothing is worth writing anew", func() bool { return e.wasteful() == nil })
	if n, files := e.Stats(false).Rewrites, e.Stats(false).Files; n > int64(files) {
		t.Errorf("%d files were made of %d", n, files)
	}
}

// TestRewriteOnAFullDisk: a file that cannot be written anew for want of space costs nothing but that space: the log goes on, what there is of the
// new file is removed, and the file is written when there is space.
func TestRewriteOnAFullDisk(t *testing.T) {
	var full, tried atomic.Bool
	mem := vfs.NewMem()
	c := tiny(vfs.Fault(mem, func(call *vfs.Call) error {
		if call.Op == vfs.OpWrite && call.Name == rewriteTmp && full.Load() && call.Off > 0 {
			tried.Store(true)
			return fmt.Errorf("injected: %w", vfs.ErrNoSpace)
		}
		return nil
	}))
	full.Store(true)
	e := mustOpen(t, c)
	closing(t, e)
	keep := halfDead(t, e)
	clocktest.Eventually(t, "a file is tried to be written anew", tried.Load)
	clocktest.Eventually(t, "what there is of it is removed", func() bool {
		names, err := mem.List("/data/log")
		must(t, err)
		return !slices.Contains(names, rewriteTmp)
	})
	testAppend(t, e, keep.Shard(0), batchOf(kib))
	full.Store(false)
	clocktest.Eventually(t, "files are written anew", func() bool {
		e.tend()
		return e.Stats(false).Rewrites > 0
	})
	select {
	case err := <-e.Fatal():
		t.Fatal(err)
	default:
	}
}

// TestDamageDoesNotStopMaintenance: what is damaged is left as it is; other files are written anew, and other shards trimmed, as if nothing were.
func TestDamageDoesNotStopMaintenance(t *testing.T) {
	for what, at := range map[string]int64{"records": 100, "leader epoch": 15} {
		t.Run(what, func(t *testing.T) { maintainDamaged(t, at) })
	}
}

// maintainDamaged damages a byte of a batch.
func maintainDamaged(t *testing.T, at int64) {
	ctx := context.Background()
	c := tiny(vfs.NewMem())
	c.RewriteDead = 1 // not before the damage is done
	e := mustOpen(t, c)
	old, err := e.Create(ctx, stream.Spec{Name: "old", Shards: 20, Config: stream.Config{Retention: time.Hour}})
	must(t, err)
	for range 5 {
		for _, s := range shardsOf(old) {
			testAppend(t, e, s, batchOf(kib))
		}
	}
	keep := halfDead(t, e)
	must(t, e.Close())

	flip := func(f *logFile, at int64) {
		t.Helper()
		b := make([]byte, 1)
		_, err := f.file.ReadAt(b, at)
		must(t, err)
		b[0] ^= 1
		_, err = f.file.WriteAt(b, at)
		must(t, err)
	}
	e = mustOpen(t, c)
	spans := e.tables.shards[keep.Shard(0)].spans
	extents, err := e.extentsOf(spans[0])
	must(t, err)
	flip(spans[0].file, int64(extents[0].Position)+at)
	damaged := spans[0].file.name
	index := e.tables.shards[old.Shard(3)].spans[0]
	extents, err = e.extentsOf(index)
	must(t, err)
	flip(index.file, index.Position)
	flip(index.file, int64(extents[0].Position)+at) // the index cannot be made again from the groups
	must(t, e.Close())

	c.RewriteDead = 0.5
	e = mustOpen(t, c)
	closing(t, e)
	e.cfg.Clock.(*clock.Virtual).Advance(2 * time.Hour)
	var corrupt *stream.CorruptError
	if err := e.retain(ctx); !errors.As(err, &corrupt) {
		t.Errorf("retention meets a damaged index and says %v", err)
	}
	for _, s := range shardsOf(old) {
		b, err := e.Bounds(ctx, s)
		must(t, err)
		if trimmed := b.Start == b.End; trimmed != (s.Index != 3) {
			t.Errorf("shard %d: %+v", s.Index, b)
		}
	}
	clocktest.Eventually(t, "other files are written anew", func() bool {
		e.tend()
		return e.Stats(false).Rewrites > 0
	})
	e.view.RLock()
	defer e.view.RUnlock()
	if !slices.ContainsFunc(e.files, func(f *logFile) bool { return f.name == damaged }) {
		t.Error("the damaged file is gone")
	}
}
