package tier

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/memory"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// appendOne appends a batch, or says why it was refused.
func (r *rig) appendOne(shard stream.Shard) error {
	b, err := r.log.Bounds(r.Context(), shard)
	must(r, err)
	results, err := r.log.Append(r.Context(), []stream.Append{{Shard: shard, Batch: numbered(r.clock.Now(), b.End)}}).Wait(r.Context())
	return errors.Join(err, results[0].Err)
}

// TestAFullDiskIsRelieved: while the store fails the disk fills up, and nothing is lost; once it works, what is copied makes room, though the disk takes
// nothing else.
func TestAFullDiskIsRelieved(t *testing.T) {
	ctx := t.Context()
	c := clock.NewVirtual(epoch)
	disk, store := vfs.NewMem(), &faultyStore{Store: memory.New(c)}
	e, err := engine.Open(ctx, engine.Config{
		Dir: "/data", FS: disk, Clock: c, Random: seeded(1), TailBytes: 8 << 10, IndexBytes: 1, AheadBytes: 16 << 10, FileBytes: 64 << 10, RetentionInterval: never,
		GroupBytes: 16 << 10, MaxUnitBytes: 4 << 20, AllocateBytes: 256 << 10, ZeroBytes: 8 << 10, ReadBytes: 8 << 10, CompactInterval: never,
	})
	must(t, err)
	l, err := New(ctx, plainConfig(), Deps{Local: e, State: e.State(), Objects: store, Clock: c, Random: seeded(1)})
	must(t, err)
	defer func() {
		l.Close()
		disk.SetLimit(0)
		must(t, e.Close())
	}()
	r := &rig{T: t, clock: c, log: l, store: store}
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention, c.Compaction.SegmentBytes = 1, 50*batchBytes })
	store.set(func(string, object.Name) error { return errFault }, nil)
	disk.SetLimit(1800 << 10)
	for err = nil; err == nil; err = r.appendOne(st.Shard(0)) {
	}
	if !errors.Is(err, stream.ErrFull) {
		t.Fatalf("append: %v", err)
	}
	c.Advance(time.Second)
	for range 5 {
		l.Work(ctx)
	}
	if x := r.extent(st); x.Tiered != -1 || x.Local != 0 {
		t.Fatalf("%+v", x)
	}
	end := r.check(st).End
	store.set(nil, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Work(context.WithoutCancel(ctx))
	}()
	clocktest.Eventually(t, "segments are copied though the disk is full", func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	if x := r.extent(st); x.Tiered < end-60 || x.Local != x.Tiered {
		t.Fatalf("of %d offsets: %+v", end, x)
	}
	clocktest.Eventually(t, "appends are taken again", func() bool {
		c.Advance(time.Second)
		return r.appendOne(st.Shard(0)) == nil
	})
	r.check(st)
}

// TestAFullDiskKeepsNothingThatMayBeCopied: local retention and the size of segments would let more stay than there is room for beside it, to write
// the files anew that hold it.
func TestAFullDiskKeepsNothingThatMayBeCopied(t *testing.T) {
	ctx := t.Context()
	c := clock.NewVirtual(epoch)
	disk := vfs.NewMem()
	e, err := engine.Open(ctx, engine.Config{
		Dir: "/data", FS: disk, Clock: c, Random: seeded(1), TailBytes: 8 << 10, IndexBytes: 1, AheadBytes: 16 << 10, FileBytes: 1 << 20, RetentionInterval: time.Second,
		GroupBytes: 16 << 10, MaxUnitBytes: 4 << 20, AllocateBytes: 128 << 10, ZeroBytes: 8 << 10, ReadBytes: 8 << 10, CompactInterval: never,
	})
	must(t, err)
	l, err := New(ctx, plainConfig(), Deps{Local: e, State: e.State(), Objects: memory.New(c), Full: e.Full, Clock: c, Random: seeded(1)})
	must(t, err)
	defer func() {
		l.Close()
		disk.SetLimit(0)
		must(t, e.Close())
	}()
	r := &rig{T: t, clock: c, log: l}
	st := r.tiered(func(c *stream.Config) { c.Compaction.SegmentBytes = 1 << 20 })
	disk.SetLimit(1600 << 10)
	for range 3 { // full, and full again
		for err = nil; err == nil; err = r.appendOne(st.Shard(0)) {
		}
		if !errors.Is(err, stream.ErrFull) {
			t.Fatalf("append: %v", err)
		}
		clocktest.Eventually(t, "appends are taken again", func() bool {
			c.Advance(time.Second)
			l.Work(ctx)
			return r.appendOne(st.Shard(0)) == nil
		})
	}
	r.check(st)
}
