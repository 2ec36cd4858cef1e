package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// appendOne appends batches to a shard in one call and returns the first error.
func appendOne(e *Engine, shard stream.Shard, batches ...[]byte) error {
	var entries []stream.Append
	for _, b := range batches {
		entries = append(entries, stream.Append{Shard: shard, Batch: b})
	}
	results, err := e.Append(context.Background(), entries).Wait(context.Background())
	if err != nil {
		return err
	}
	return firstError(results)
}

// fillUp appends to a shard until the disk is full.
func fillUp(t *testing.T, e *Engine, shard stream.Shard, b []byte) {
	t.Helper()
	refused := 0 // in a row: the first one has the engine look for what it can free
	clocktest.Eventually(t, "the disk stays full", func() bool {
		var err error
		for refused++; err == nil; {
			if err = appendOne(e, shard, b); err == nil {
				refused = 1
			}
		}
		if !errors.Is(err, stream.ErrFull) {
			t.Fatalf("append to a full disk: %v", err)
		}
		return refused == 5
	})
}

// returns runs do, which must not wait for anything that does not come.
func returns(t *testing.T, what string, do func() error) error {
	t.Helper()
	var done atomic.Bool
	var err error
	go func() {
		err = do()
		done.Store(true)
	}()
	clocktest.Eventually(t, what, done.Load)
	return err
}

// TestFullDiskCanBeFreed: wherever in a file the disk is full, also at its very end, deletion, trimming and retention free space, after which appends
// are taken again, and the log closes in order.
func TestFullDiskCanBeFreed(t *testing.T) {
	one := batchOf(3 * kib)
	for limit := int64(400 * kib); limit < 480*kib; limit += 4 * kib {
		ctx := t.Context()
		disk := vfs.NewMem()
		c := tiny(disk)
		c.RetentionInterval = 1000 * time.Hour // the test looks itself
		now := c.Clock.(*clock.Virtual)
		e := mustOpen(t, c)
		var streams []*stream.Stream
		for i := range 3 {
			s, err := e.Create(ctx, stream.Spec{Name: stream.Name(fmt.Sprint("s", i)), Shards: 1, Config: stream.Config{Retention: time.Hour}})
			must(t, err)
			streams = append(streams, s)
			for range 20 {
				testAppend(t, e, s.Shard(0), one)
			}
		}
		disk.SetLimit(limit)
		for i, free := range []func() error{
			func() error { return e.Delete(ctx, streams[0].ID) },
			func() error { _, err := e.Trim(ctx, streams[1].Shard(0), -1); return err },
			func() error { now.Advance(2 * time.Hour); return e.retain(ctx) },
		} {
			fillUp(t, e, streams[2].Shard(0), one)
			what := fmt.Sprintf("limit %d: way %d of freeing space ends", limit, i)
			if err := returns(t, what, func() error { _, err := e.NewProducerID(ctx); return err }); err != nil && !errors.Is(err, stream.ErrFull) {
				t.Fatalf("%s: producer id: %v", what, err)
			}
			if err := returns(t, what, free); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			e.tend()
			clocktest.Eventually(t, what+", and appends are taken again", func() bool {
				now.Advance(time.Second)
				return appendOne(e, streams[2].Shard(0), one) == nil
			})
		}
		endsSound(t, e, c, fmt.Sprint("limit ", limit))
	}
}

// endsSound closes a log that must be undamaged then, and open again.
func endsSound(t *testing.T, e *Engine, c Config, what string) {
	t.Helper()
	must(t, e.Close())
	if r, err := Check(c.FS, c.Dir); err != nil || len(r.Damage) > 0 {
		t.Fatalf("%s: check: %+v, %v", what, r, err)
	}
	must(t, mustOpen(t, c).Close())
}

// TestLargeUnitOnAFullDisk: a call that has no place is refused before it is taken, and holds nobody up.
func TestLargeUnitOnAFullDisk(t *testing.T) {
	ctx := t.Context()
	disk := vfs.NewMem()
	e := mustOpen(t, tiny(disk))
	closing(t, e)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	drop, err := e.Create(ctx, stream.Spec{Name: "drop", Shards: 1})
	must(t, err)
	testAppend(t, e, drop.Shard(0), batchOf(kib))
	disk.SetLimit(600 * kib)
	large := batchOf(700 * kib)
	if err := returns(t, "a large call is answered", func() error { return appendOne(e, s.Shard(0), large) }); !errors.Is(err, stream.ErrFull) {
		t.Errorf("large call: %v", err)
	}
	must(t, returns(t, "a small call is answered", func() error { return appendOne(e, s.Shard(0), batchOf(kib)) }))
	must(t, returns(t, "a deletion is answered", func() error { return e.Delete(ctx, drop.ID) }))
	disk.SetLimit(0)
	must(t, appendOne(e, s.Shard(0), large))
}

// TestSpareGivesBack: a dead file that is kept to be written over is no reason to refuse appends.
func TestSpareGivesBack(t *testing.T) {
	ctx := t.Context()
	disk := vfs.NewMem()
	c := tiny(disk)
	c.FileBytes = mib
	e := mustOpen(t, c)
	closing(t, e)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	for e.spareSize.Load() < mib/2 {
		testAppend(t, e, s.Shard(0), batchOf(8*kib))
		_, err := e.Trim(ctx, s.Shard(0), -1)
		must(t, err)
	}
	kept := e.spareSize.Load()
	before, err := e.Bounds(ctx, s.Shard(0))
	must(t, err)
	disk.SetLimit(disk.Used())
	fillUp(t, e, s.Shard(0), batchOf(8*kib))
	after, err := e.Bounds(ctx, s.Shard(0))
	must(t, err)
	if taken := after.Bytes - before.Bytes; taken < kept/2 {
		t.Errorf("%d bytes were taken, %d were kept in a dead file", taken, kept)
	}
}

// TestGiveUp: if a disk says it is full where it had promised space, what waits for that ends when it is told to, and the engine with it.
func TestGiveUp(t *testing.T) {
	ctx := t.Context()
	var full atomic.Bool
	held := make(chan struct{}, 1)
	e := mustOpen(t, tiny(vfs.Fault(vfs.NewMem(), func(call *vfs.Call) error {
		if call.Op != vfs.OpWrite || !full.Load() {
			return nil
		}
		select {
		case held <- struct{}{}:
		default:
		}
		return fmt.Errorf("injected: %w", vfs.ErrNoSpace)
	})))
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	full.Store(true)
	ended := make(chan error)
	go func() { ended <- e.Delete(ctx, s.ID) }()
	<-held
	e.GiveUp()
	if err := <-ended; !errors.Is(err, stream.ErrUnavailable) {
		t.Errorf("deletion: %v", err)
	}
	if err := e.Close(); !errors.Is(err, stream.ErrFull) {
		t.Errorf("close: %v", err)
	}
}

// TestDocumentsThatFreeSpaceAreTakenOnAFullDisk, and no others.
func TestDocumentsThatFreeSpaceAreTakenOnAFullDisk(t *testing.T) {
	ctx := t.Context()
	disk := vfs.NewMem()
	c := tiny(disk)
	e := mustOpen(t, c)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	disk.SetLimit(400 * kib)
	fillUp(t, e, s.Shard(0), batchOf(3*kib))
	change := func(size int, frees bool) state.Change {
		return state.Change{Key: state.Key{Kind: "k", ID: fmt.Sprint(size, frees)}, Value: make([]byte, size), Frees: frees}
	}
	for _, row := range []struct {
		changes []state.Change
		want    error
	}{
		{[]state.Change{change(10, false)}, state.ErrFull},
		{[]state.Change{change(10, true)}, nil},
		{[]state.Change{change(11, true), change(11, false)}, state.ErrFull},
		{[]state.Change{change(12, true), change(13, true)}, nil},
		{[]state.Change{change(maxFreeing, true)}, state.ErrFull},
	} {
		apply := func() error { _, err := e.State().Apply(ctx, row.changes...); return err }
		err := returns(t, "a change is answered", apply)
		for tries := 0; row.want != nil && err == nil && tries < 10; tries++ { // upkeep has freed a little since
			fillUp(t, e, s.Shard(0), batchOf(1))
			err = returns(t, "a change is answered", apply)
		}
		if !errors.Is(err, row.want) {
			t.Errorf("%d changes, the first of %d bytes: %v, want %v", len(row.changes), len(row.changes[0].Value), err, row.want)
		}
	}
	endsSound(t, e, c, "full")
}
