package flowtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// ErrKilled answers every step of a killed process.
var ErrKilled = errors.New("killed")

// Killer counts the steps of a process that change something durable, and kills it at the n-th: before the step has its effect, or after, when
// nobody learns of it. From then on nothing has an effect. Log, State, Objects and Sink return what the process is given to work on; what is
// behind them lives on.
type Killer struct {
	n      int
	after  bool
	cancel context.CancelFunc

	mu    sync.Mutex // guards the fields below, and makes steps happen one at a time
	count int
	dead  bool
}

// Mortal returns the context of a process and what kills it at step n, counted from 0; never if n is negative.
func Mortal(parent context.Context, n int, after bool) (context.Context, *Killer) {
	ctx, cancel := context.WithCancel(parent)
	return ctx, &Killer{n: n, after: after, cancel: cancel}
}

// KillAnywhere calls run, in a bubble of virtual time, for a kill before and after each step there is: until a run says that its first process
// ended without having reached step n.
func KillAnywhere(t *testing.T, run func(t *testing.T, n int, after bool) (reached bool)) {
	t.Helper()
	runs := 0
	for _, after := range []bool{false, true} {
		for n, reached := 0, true; reached; n++ {
			synctest.Test(t, func(t *testing.T) { // a failure of it ends t too
				defer func() {
					if t.Failed() {
						t.Logf("killed at step %d, after=%v", n, after)
					}
				}()
				reached = run(t, n, after)
			})
			runs++
		}
	}
	t.Logf("killed %d times", runs)
}

// Killed says whether the process was killed.
func (k *Killer) Killed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dead
}

func (k *Killer) step(do func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dead {
		return ErrKilled
	}
	k.dead = k.count == k.n
	k.count++
	if k.dead {
		defer k.cancel()
		if !k.after {
			return ErrKilled
		}
	}
	err := do()
	if k.dead {
		return ErrKilled
	}
	return err
}

// stepTo is step for what returns a value.
func stepTo[T any](k *Killer, do func() (T, error)) (value T, err error) {
	err = k.step(func() error {
		value, err = do()
		return err
	})
	return value, err
}

// Log returns a log whose changes are steps, appends apart: those are its clients'.
func (k *Killer) Log(l stream.Log) stream.Log { return mortalLog{l, k} }

// State returns a store whose changes are steps.
func (k *Killer) State(s state.Store) state.Store { return mortalState{s, k} }

// Objects returns a store in which beginning, writing and committing an object are steps.
func (k *Killer) Objects(o object.Store) object.Store { return mortalObjects{o, k} }

// Sink returns a sink whose writes are steps.
func (k *Killer) Sink(s flow.Sink) flow.Sink { return mortalSink{s, k} }

type mortalLog struct {
	stream.Log
	*Killer
}

// Commit implements stream.Log, as a step.
func (l mortalLog) Commit(ctx context.Context, owner string, cursors []stream.Cursor) error {
	return l.step(func() error { return l.Log.Commit(ctx, owner, cursors) })
}

// Trim implements stream.Log, as a step.
func (l mortalLog) Trim(ctx context.Context, shard stream.Shard, before stream.Offset) (stream.Offset, error) {
	return stepTo(l.Killer, func() (stream.Offset, error) { return l.Log.Trim(ctx, shard, before) })
}

type mortalState struct {
	state.Store
	*Killer
}

// Apply implements state.Store, as a step for all changes together.
func (s mortalState) Apply(ctx context.Context, changes ...state.Change) ([]int64, error) {
	return stepTo(s.Killer, func() ([]int64, error) { return s.Store.Apply(ctx, changes...) })
}

// Acquire implements state.Store, as a step.
func (s mortalState) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (state.Lease, error) {
	return stepTo(s.Killer, func() (state.Lease, error) { return s.Store.Acquire(ctx, name, owner, ttl) })
}

// Release implements state.Store, as a step.
func (s mortalState) Release(ctx context.Context, lease state.Lease) error {
	return s.step(func() error { return s.Store.Release(ctx, lease) })
}

type mortalObjects struct {
	object.Store
	*Killer
}

// Create implements object.Store, as a step.
func (o mortalObjects) Create(ctx context.Context, name object.Name) (object.Writer, error) {
	w, err := stepTo(o.Killer, func() (object.Writer, error) { return o.Store.Create(ctx, name) })
	if err != nil {
		return nil, err
	}
	return mortalWriter{w, o.Killer}, nil
}

type mortalWriter struct {
	object.Writer
	*Killer
}

// Write implements object.Writer, as a step: an object may be cut anywhere.
func (w mortalWriter) Write(p []byte) (int, error) {
	return stepTo(w.Killer, func() (int, error) { return w.Writer.Write(p) })
}

// Commit implements object.Writer, as a step.
func (w mortalWriter) Commit(ctx context.Context) (object.Info, error) {
	return stepTo(w.Killer, func() (object.Info, error) { return w.Writer.Commit(ctx) })
}

type mortalSink struct {
	flow.Sink
	*Killer
}

// Write implements flow.Sink, as a step.
func (s mortalSink) Write(ctx context.Context, b *flow.Batch) error {
	return s.step(func() error { return s.Sink.Write(ctx, b) })
}
