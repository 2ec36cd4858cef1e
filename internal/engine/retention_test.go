package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestRetentionLooksOnce: a shard whose next batch is to be kept is not looked into again until that one is due, also when batches before it
// in the same file are gone.
func TestRetentionLooksOnce(t *testing.T) {
	ctx := context.Background()
	size := int64(len(batchOf(kib)))
	for what, config := range map[string]stream.Config{
		"by age":   {Retention: time.Hour, Timestamps: stream.LogAppendTime},
		"by bytes": {Retention: -1, RetentionBytes: size + 1},
	} {
		t.Run(what, func(t *testing.T) {
			c := tiny(vfs.NewMem())
			c.RetentionInterval = 1000 * time.Hour // the test looks itself
			e := mustOpen(t, c)
			closing(t, e)
			clock := c.Clock.(*clock.Virtual)
			st, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1, Config: config})
			must(t, err)
			s := e.tables.shards[st.Shard(0)]
			due := func() bool {
				e.view.RLock()
				defer e.view.RUnlock()
				return s.expired(clock.Now().UnixMilli())
			}
			for range 3 {
				testAppend(t, e, st.Shard(0), batchOf(kib))
				clock.Advance(20 * time.Minute)
			}
			clock.Advance(time.Minute)
			must(t, e.retain(ctx))
			if b, err := e.Bounds(ctx, st.Shard(0)); err != nil || b.Start != 1 || b.End != 3 {
				t.Fatalf("bounds %+v, %v", b, err)
			}
			if due() {
				t.Error("the batch that is kept seems to be due")
			}
			testAppend(t, e, st.Shard(0), batchOf(kib))
			clock.Advance(20 * time.Minute)
			if !due() {
				t.Error("the next batch is due, and not seen to be")
			}
			must(t, e.retain(ctx))
			if b, err := e.Bounds(ctx, st.Shard(0)); err != nil || b.Start != 2 || b.End != 4 {
				t.Fatalf("bounds %+v, %v", b, err)
			}
		})
	}
}

// TestPrefixOfAGrowingShard: what is trimmed and what that frees are of one moment, also while batches are published.
func TestPrefixOfAGrowingShard(t *testing.T) {
	c := tiny(vfs.NewMem())
	c.FileBytes = 64 * mib
	e := mustOpen(t, c)
	closing(t, e)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	one := batchOf(1) // one record
	testAppend(t, e, s.Shard(0), one)
	ctx, stop := context.WithCancel(t.Context())
	var appending sync.WaitGroup
	appending.Go(func() {
		for range 20000 {
			if ctx.Err() != nil || appendOne(e, s.Shard(0), one) != nil {
				return
			}
		}
		stop()
	})
	for ctx.Err() == nil {
		end, bytes, err := e.prefix(s.Shard(0), func(*format.Extent, stream.Offset, int64) bool { return true })
		if err != nil || bytes != int64(end)*int64(len(one)) {
			t.Errorf("%d bytes before offset %d, a record has %d: %v", bytes, end, len(one), err)
			break
		}
	}
	stop()
	appending.Wait()
}

// TestReadBesideTrims: a chunk is empty only at the end of what is readable; a reader that a trim overtakes is told so. Readers go on behind what an
// empty chunk covers, and would pass over what is left.
func TestReadBesideTrims(t *testing.T) {
	ctx := context.Background()
	e := mustOpen(t, tiny(vfs.NewMem()))
	closing(t, e)
	st, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	const count = 1000
	for range count {
		testAppend(t, e, st.Shard(0), batchOf(kib))
	}
	var trims sync.WaitGroup
	trims.Go(func() {
		for before := stream.Offset(50); before < count; before += 50 {
			if _, err := e.Trim(ctx, st.Shard(0), before); err != nil {
				t.Errorf("trim: %v", err)
			}
		}
	})
	t.Cleanup(trims.Wait)
	var from stream.Offset
	for from < count-50 {
		chunk, err := e.Read(ctx, st.Shard(0), from, 1)
		switch {
		case errors.Is(err, stream.ErrOutOfRange):
			if chunk.Bounds.Start <= from {
				t.Fatalf("reading at %d is refused within %+v", from, chunk.Bounds)
			}
		case err != nil:
			t.Fatal(err)
		case len(chunk.Batches) == 0:
			t.Fatalf("nothing at %d within %+v", from, chunk.Bounds)
		}
		from = chunk.Bounds.Start
		chunk.Release()
	}
}
