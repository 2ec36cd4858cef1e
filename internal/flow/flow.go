// Package flow moves records: it reads a stream from a cursor, gathers batches, writes them to a sink and then moves the cursor. Flow is that
// loop, Sink is where batches go, Batch is what a sink is given.
//
//	read ──► measure ──► plan ──► write ──► commit
//	 ▲         │          │         │          └ cursors, owner "flow/<name>", in the log
//	 │ log     │ offsets  │ state   └ Sink.Write, again until it succeeds
//	 └─────────┘          └ document kind "flow": which records the batch is made of, before any of them is written
//
// A batch holds offsets, not records: reading ahead only measures, and the sink reads the records from the log when it writes them. So memory
// does not grow with the size of a batch, and because the plan is durable before the first write, a batch that is written again, after an
// error or a crash, is made of the same records and has the same ID. A sink that makes writing one ID twice have the effect of once
// therefore neither loses nor repeats a record. What moves the truth forward is the plan: it is written under the version read when the lease was
// taken, so a worker that lost its lease cannot plan; the cursor follows, and an old worker's late commit of it is outrun by the plan.
//
// One worker at a time runs a flow, by a lease in State. The package refuses to know what a sink is, which service asked, or what records mean.
package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// ErrSourceGone ends a flow whose stream was deleted.
var ErrSourceGone = errors.New("source stream deleted")

// Config says what a flow moves and how.
type Config struct {
	Name   string    // unique among all flows, e.g. "firehose/orders"; also of its cursors, lease and checkpoint
	Stream stream.ID // the source, all its shards
	Owner  string    // who takes the lease: this node, by the same name after a restart
	Limits Limits
	Retry  Backoff
	Lease  time.Duration // how long a dead worker keeps others waiting; 0 = DefaultLease
	// Discover is how often the source is asked for new shards; 0 = DefaultDiscover.
	Discover time.Duration

	// Transform makes of one record none, one or several, as they are handed to the sink; nil leaves them as they are. It must do the same
	// with the same record.
	Transform Transform
	// Label names a batch for its sink when it is planned; the label is kept with the plan, so that later attempts see the same. nil = none.
	Label func(*Batch) (string, error)
	// Failed decides after each failed write; nil = retry for ever.
	Failed func(batch *Batch, attempt int, err error) Verdict
	// Delivered is told of each batch after its cursors are committed. It must not block for long.
	Delivered func(ctx context.Context, batch *Batch)
}

// Limits say when a batch is complete: as soon as one is reached. A batch that reaches none is written when its oldest part has waited for Age.
type Limits struct {
	Records int           // 0 = no limit
	Bytes   int64         // of values, before Transform; the record that reaches it is still part of the batch; 0 = DefaultBytes
	Age     time.Duration // 0 = do not wait for more than there is
}

// The defaults of a Config.
const (
	DefaultLease    = 30 * time.Second
	DefaultDiscover = 5 * time.Second
	DefaultBytes    = 5 << 20
)

// Verdict is what becomes of a batch that could not be written.
type Verdict int

const (
	Retry Verdict = iota // write it again after a pause
	Skip                 // give it up: its records count as lost, the cursor moves on
)

// Deps are what a flow works with. All are required.
type Deps struct {
	Log    stream.Log
	State  state.Store
	Clock  clock.Clock
	Random *rand.Rand // for jitter; the flow's own
	Budget *Budget
	Logger *slog.Logger
}

// Flow is one running or stopped flow.
type Flow struct {
	config Config
	deps   Deps
	sink   Sink
	stop   chan struct{} // closed by Stop
	finish chan struct{} // closed by Finish
	ended  chan struct{} // closed when Run returns
	stops  sync.Once
	ends   sync.Once

	mu       sync.Mutex // guards the fields below
	status   Status
	position map[int32]stream.Offset // delivered so far, per shard
	waiting  time.Time               // timestamp of the oldest record read but not delivered; zero = none
}

// New returns a flow into sink, which Run connects and closes.
func New(config Config, deps Deps, sink Sink) (*Flow, error) {
	if config.Name == "" || config.Owner == "" || config.Stream.IsZero() {
		return nil, fmt.Errorf("flow %q of stream %s for owner %q: all three must be given", config.Name, config.Stream, config.Owner)
	}
	if config.Limits.Records < 0 || config.Limits.Bytes < 0 || config.Limits.Age < 0 {
		return nil, fmt.Errorf("flow %s: limits %+v must not be negative", config.Name, config.Limits)
	}
	config.Limits.Bytes = cmp.Or(config.Limits.Bytes, DefaultBytes)
	config.Lease = cmp.Or(config.Lease, DefaultLease)
	config.Discover = cmp.Or(config.Discover, DefaultDiscover)
	config.Retry = config.Retry.orDefault()
	deps.Logger = deps.Logger.With("flow", config.Name)
	return &Flow{
		config: config, deps: deps, sink: sink, stop: make(chan struct{}), finish: make(chan struct{}), ended: make(chan struct{}),
		status: Status{Name: config.Name, Stage: Waiting}, position: map[int32]stream.Offset{},
	}, nil
}

// Source returns the stream that the flow reads.
func (f *Flow) Source() stream.ID { return f.config.Stream }

// Stop asks a flow to take no more, write what it has taken, and end. A batch that cannot be written is tried once more and left for the next run.
func (f *Flow) Stop() { f.stops.Do(func() { close(f.stop) }) }

// Finish asks a flow to write all that there is, which includes everything appended before the call, and end. Where records come as fast as they are
// written that never is; Stop ends it.
func (f *Flow) Finish() { f.ends.Do(func() { close(f.finish) }) }

// Drain finishes a flow that runs and waits until it has ended. If ctx ends first it stops the flow and returns ctx's cause.
func (f *Flow) Drain(ctx context.Context) error {
	f.Finish()
	select {
	case <-f.ended:
		return nil
	case <-ctx.Done():
		f.Stop()
		return context.Cause(ctx)
	}
}

func (f *Flow) stopping() bool  { return isClosed(f.stop) }
func (f *Flow) finishing() bool { return isClosed(f.finish) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Run works until the flow is stopped, its stream is deleted (ErrSourceGone), the log or the state is closed, or ctx ends, and returns
// ctx's cause then. While another worker holds the lease it waits. It may be called once.
func (f *Flow) Run(ctx context.Context) error {
	defer close(f.ended)
	defer f.setStage(Ended)
	defer f.setWaiting(0, false)
	defer f.closeSink()
	for attempt := 0; ; attempt++ {
		began := f.batches()
		err := f.work(ctx)
		if f.batches() != began {
			attempt = 0
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil || f.stopping():
			return err
		case errors.Is(err, stream.ErrNotFound):
			return fmt.Errorf("%w: %s", ErrSourceGone, f.config.Stream)
		case errors.Is(err, stream.ErrClosed), errors.Is(err, state.ErrClosed):
			return err
		}
		f.failed(err)
		f.deps.Logger.Warn("flow interrupted", "error", err)
		f.pause(ctx, attempt)
	}
}

// work takes the lease, connects the sink and moves records until something ends it.
func (f *Flow) work(ctx context.Context) error {
	f.setStage(Waiting)
	lease, err := f.acquire(ctx)
	if err != nil || lease == nil {
		return err
	}
	return f.keep(ctx, *lease, func(ctx context.Context) error {
		if err := f.sink.Connect(ctx); err != nil {
			return fmt.Errorf("connect sink: %w", err)
		}
		f.setStage(Running)
		return f.session(ctx, lease.Epoch)
	})
}

func (f *Flow) closeSink() {
	if err := f.sink.Close(); err != nil {
		f.deps.Logger.Warn("sink did not close", "error", err)
	}
}
