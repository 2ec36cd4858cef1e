package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

var errInjected = errors.New("injected")

// ledger is what a workload was told.
type ledger struct {
	shard  stream.Shard
	bases  []stream.Offset // acknowledged batches
	values map[string]string
	within stream.Shard // of transactions, each of which is aborted with a document of its number
	ended  int          // of them that were acknowledged
}

// exercise uses every part of the engine once and notes what was acknowledged; errors are expected and end the part.
func exercise(e *Engine, l *ledger) {
	ctx := context.Background()
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	if err != nil {
		return
	}
	l.shard = s.Shard(0)
	dropped, err := e.Create(ctx, stream.Spec{Name: "dropped", Shards: 1})
	if err != nil {
		return
	}
	transactions, err := e.Create(ctx, stream.Spec{Name: "transactions", Shards: 1})
	if err != nil {
		return
	}
	l.within = transactions.Shard(0)
	for i := range 24 {
		if i%3 == 0 {
			abortOne(e, l)
		}
		entries := []stream.Append{{Shard: s.Shard(0), Batch: batchOf(3 * kib)}, {Shard: dropped.Shard(0), Batch: batchOf(6 * kib)}}
		r, _ := e.Append(ctx, entries).Wait(ctx)
		if r[0].Err == nil {
			l.bases = append(l.bases, r[0].Base)
		}
		key := fmt.Sprint(i % 3)
		if _, err := e.State().Apply(ctx, state.Change{Key: state.Key{Kind: "k", ID: key}, If: state.Any, Value: []byte(fmt.Sprint(i))}); err == nil {
			l.values[key] = fmt.Sprint(i)
		} else {
			delete(l.values, key) // one or the other
		}
		c, _ := e.Read(ctx, s.Shard(0), 0, kib)
		c.Release()
	}
	_ = e.Delete(ctx, dropped.ID)
}

// abortOne aborts a transaction if all before it was acknowledged.
func abortOne(e *Engine, l *ledger) {
	ctx := context.Background()
	n := l.ended + 1
	r, _ := e.Append(ctx, []stream.Append{{Shard: l.within, Batch: within(int64(n), 0)}}).Wait(ctx)
	if r[0].Err != nil {
		return
	}
	document := state.Change{Key: state.Key{Kind: "transactions", ID: "ended"}, If: state.Any, Value: fmt.Append(nil, n)}
	if _, _, err := e.Transact(ctx, []stream.Append{{Shard: l.within, Batch: markerOf(int64(n), false)}}, nil, []state.Change{document}); err == nil {
		l.ended = n
	}
}

// verifyAborted checks that as many transactions are aborted as the document says, and no fewer than were acknowledged.
func verifyAborted(t *testing.T, what string, e *Engine, l *ledger) {
	t.Helper()
	b, err := e.Bounds(context.Background(), l.within)
	if err != nil && l.ended == 0 {
		return // the stream is not there yet
	}
	aborted, failed := e.Aborted(context.Background(), l.within, 0, b.End)
	n := 0
	if d, err := e.State().Get(context.Background(), state.Key{Kind: "transactions", ID: "ended"}); err == nil {
		n, _ = strconv.Atoi(string(d.Value))
	}
	if err = errors.Join(err, failed); err != nil || len(aborted) != n || n < l.ended || n > l.ended+1 || b.LastStable < stream.Offset(2*n) {
		t.Errorf("%s: the document says that %d transactions were aborted, %d are and %d were acknowledged; %+v, %v", what, n, len(aborted), l.ended, b, err)
	}
}

// TestEveryFault fails the n-th operation of the disk for n = 1, 2, 3... until a run meets no fault: nothing hangs, nothing acknowledged is lost,
// and a failed write or sync of the log stops the engine for good instead of being tried again.
func TestEveryFault(t *testing.T) {
	for n := 1; ; n++ {
		disk := vfs.NewMem()
		calls, failed := make(chan struct{}, 1<<20), vfs.Op("")
		failedName, syncsAfter := "", 0
		var failedFile vfs.File
		hook := func(c *vfs.Call) error {
			calls <- struct{}{}
			if failed == vfs.OpSync && c.Op == vfs.OpSync && c.File == failedFile {
				syncsAfter++
			}
			if len(calls) != n {
				return nil
			}
			failed, failedName, failedFile = c.Op, c.Name, c.File
			if c.Op == vfs.OpWrite {
				c.Bytes = c.Bytes[:len(c.Bytes)/2/vfs.DirectAlign*vfs.DirectAlign]
			}
			return errInjected
		}
		l := &ledger{values: map[string]string{}}
		config := tiny(vfs.Fault(disk, serial(hook)))
		e, err := Open(context.Background(), config)
		if err == nil {
			exercise(e, l)
			err = e.Close()
		}
		met := len(calls) >= n
		if met && failed == vfs.OpSync && syncsAfter > 0 {
			t.Errorf("fault %d: %s was synced %d times after a sync had failed", n, failedName, syncsAfter)
		}
		if err != nil && !errors.Is(err, errInjected) {
			t.Errorf("fault %d (%s %s): %v", n, failed, failedName, err)
		}
		verifyLedger(t, fmt.Sprintf("fault %d (%s %s)", n, failed, failedName), tiny(disk), l)
		if t.Failed() {
			t.FailNow()
		}
		if !met {
			t.Logf("%d faults", n-1)
			return
		}
	}
}

// serial lets only one hook run at a time.
func serial(hook func(*vfs.Call) error) func(*vfs.Call) error {
	turn := make(chan struct{}, 1)
	return func(c *vfs.Call) error {
		turn <- struct{}{}
		defer func() { <-turn }()
		return hook(c)
	}
}

func verifyLedger(t *testing.T, what string, c Config, l *ledger) {
	t.Helper()
	e, err := Open(context.Background(), c)
	if err != nil {
		t.Errorf("%s: open: %v", what, err)
		return
	}
	defer e.Close()
	if len(l.bases) > 0 {
		have := map[stream.Offset]bool{}
		for _, r := range readAll(t, e, l.shard) {
			have[r.offset] = true
		}
		for _, base := range l.bases {
			if !have[base] {
				t.Errorf("%s: acknowledged offset %d is gone", what, base)
			}
		}
	}
	for key, want := range l.values {
		d, err := e.State().Get(context.Background(), state.Key{Kind: "k", ID: key})
		if err != nil || string(d.Value) != want {
			t.Errorf("%s: document %s is %q, %v, want %q", what, key, d.Value, err, want)
		}
	}
	verifyAborted(t, what, e, l)
	r, err := Check(c.FS, c.Dir)
	if !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("%s: check of an open log: %+v, %v", what, r, err)
	}
}

// TestFailedSyncIsFatal: the engine says so, refuses appends, and serves what was durable.
func TestFailedSyncIsFatal(t *testing.T) {
	ctx := context.Background()
	disk := vfs.NewMem()
	broken := make(chan struct{})
	e := mustOpen(t, tiny(vfs.Fault(disk, func(c *vfs.Call) error {
		select {
		case <-broken:
			if c.Op == vfs.OpSync {
				return errInjected
			}
		default:
		}
		return nil
	})))
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	one := batchOf(kib)
	testAppend(t, e, s.Shard(0), one)
	close(broken)
	for range 2 {
		r, _ := e.Append(ctx, []stream.Append{{Shard: s.Shard(0), Batch: one}}).Wait(ctx)
		if !errors.Is(r[0].Err, stream.ErrUnavailable) || !errors.Is(r[0].Err, errInjected) {
			t.Fatalf("append: %v", r[0].Err)
		}
	}
	if err := <-e.Fatal(); !errors.Is(err, errInjected) {
		t.Fatalf("fatal: %v", err)
	}
	if n := len(readAll(t, e, s.Shard(0))); n == 0 {
		t.Fatal("what was durable is not served")
	}
	if b, _ := e.Bounds(ctx, s.Shard(0)); int(b.End) != len(readAll(t, e, s.Shard(0))) {
		t.Fatalf("bounds %+v", b)
	}
	if err := e.Close(); !errors.Is(err, errInjected) {
		t.Fatalf("close: %v", err)
	}
}

// TestDiskFull: appends are refused, reads go on, and appends are taken again once there is space.
func TestDiskFull(t *testing.T) {
	ctx := context.Background()
	disk := vfs.NewMem()
	c := tiny(disk)
	now := c.Clock.(*clock.Virtual)
	e := mustOpen(t, c)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	big, err := e.Create(ctx, stream.Spec{Name: "big", Shards: 1})
	must(t, err)
	one := batchOf(5 * kib)
	disk.SetLimit(600 * kib)
	taken := 0
	for err == nil {
		if err = appendOne(e, big.Shard(0), one); err == nil {
			taken++
		}
	}
	if !errors.Is(err, stream.ErrFull) || taken < 50 {
		t.Fatalf("after %d batches: %v", taken, err)
	}
	if n := len(readAll(t, e, big.Shard(0))); n < taken*5 {
		t.Fatalf("%d records are left of %d batches", n, taken)
	}
	clocktest.Eventually(t, "the statistics say so", func() bool { return e.Stats(false).Full })
	disk.SetLimit(0)
	clocktest.Eventually(t, "appends are taken again", func() bool {
		now.Advance(time.Second)
		return appendOne(e, s.Shard(0), one) == nil
	})
	must(t, e.Close())
	e = mustOpen(t, c)
	if n := len(readAll(t, e, big.Shard(0))); n < taken*5 {
		t.Fatalf("after a restart %d records are left of %d batches", n, taken)
	}
	must(t, e.Close())
}

// TestPowerCutKeepsTheDirectory: after Open no power cut takes the data directory away, nor what was acknowledged in it.
func TestPowerCutKeepsTheDirectory(t *testing.T) {
	disk := vfs.NewMem()
	c := tiny(disk)
	c.Dir = "/var/lib/node"
	e := mustOpen(t, c)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	for seed := range uint64(20) {
		after := c
		after.FS = disk.CrashClone(rand.New(rand.NewPCG(seed, 0)))
		again := mustOpen(t, after)
		if _, err := again.StreamByID(t.Context(), s.ID); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		must(t, again.Close())
	}
	must(t, e.Close())
}
