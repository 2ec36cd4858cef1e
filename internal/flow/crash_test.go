package flow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/flow/flowtest"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

var errKilled = errors.New("killed")

// killer counts the steps that change something, and kills the process at the n-th: before it has its effect, or after, when nobody
// learns of it. From then on nothing has an effect.
type killer struct {
	n      int
	after  bool
	count  int
	dead   bool
	cancel context.CancelCauseFunc
}

func (k *killer) step(do func() error) error {
	if k.dead {
		return errKilled
	}
	fatal := k.count == k.n
	k.count++
	if fatal && !k.after {
		return k.kill()
	}
	err := do()
	if fatal {
		return k.kill()
	}
	return err
}

func (k *killer) kill() error {
	k.dead = true
	k.cancel(errKilled)
	return errKilled
}

type mortalLog struct {
	stream.Log
	*killer
}

func (l mortalLog) Commit(ctx context.Context, owner string, cursors []stream.Cursor) error {
	return l.step(func() error { return l.Log.Commit(ctx, owner, cursors) })
}

type mortalState struct {
	state.Store
	*killer
}

func (s mortalState) Apply(ctx context.Context, changes ...state.Change) (versions []int64, err error) {
	err = s.step(func() error {
		versions, err = s.Store.Apply(ctx, changes...)
		return err
	})
	return versions, err
}

func (s mortalState) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (lease state.Lease, err error) {
	err = s.step(func() error {
		lease, err = s.Store.Acquire(ctx, name, owner, ttl)
		return err
	})
	return lease, err
}

func (s mortalState) Release(ctx context.Context, lease state.Lease) error {
	return s.step(func() error { return s.Store.Release(ctx, lease) })
}

type mortalSink struct {
	*flowtest.Sink
	*killer
}

func (s mortalSink) Write(ctx context.Context, b *flow.Batch) error {
	return s.step(func() error { return s.Sink.Write(ctx, b) })
}

// TestKilledAnywhereEverythingOnce kills a flow before and after each step it takes, then lets new ones, killed a few steps later, go on with
// different limits, so that what is gathered anew would be cut differently. In the end every record is in the sink once.
func TestKilledAnywhereEverythingOnce(t *testing.T) {
	runs := 0
	for _, after := range []bool{false, true} {
		for n := 0; ; n++ {
			reached := true
			synctest.Test(t, func(t *testing.T) { reached = killedAt(t, n, after) })
			runs++
			if !reached || t.Failed() {
				break
			}
		}
	}
	t.Logf("killed %d times", runs)
}

func killedAt(t *testing.T, n int, after bool) (reached bool) {
	b := newBench(t, 3)
	log, store := b.log, b.state
	sink := &flowtest.Sink{}
	run := func(n int, bytes int64, age time.Duration) bool {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		k := &killer{n: n, after: after, cancel: cancel}
		b.log, b.state = mortalLog{log, k}, mortalState{store, k}
		c := b.config()
		c.Limits = flow.Limits{Bytes: bytes, Age: age}
		f := b.flow(c, mortalSink{sink, k})
		end := start(ctx, f)
		for i := range 4 {
			time.Sleep(20 * time.Second)
			b.log = log
			b.send(int32(i%3), 7)
		}
		synctest.Wait()
		if err := end(); err != nil && !k.dead {
			t.Fatalf("killed at %d, after=%v: %v", n, after, err)
		}
		return k.dead
	}
	reached = run(n, 1000, time.Minute)
	run(n%5, 700, 10*time.Second)
	run(n%3, 1900, time.Minute)
	if run(-1, 1300, 30*time.Second) {
		t.Fatal("killed without being asked to")
	}
	b.expect(sink.Values(), b.sent)
	if t.Failed() {
		t.Logf("killed at step %d, after=%v", n, after)
	}
	return reached
}
