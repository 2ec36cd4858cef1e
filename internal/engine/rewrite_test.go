package engine

import (
	"context"
	"fmt"
	"testing"

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
