package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/flow/flowtest"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

const seed = 20261121

// bench is a log and a state that outlive the flows on them. In a synctest bubble, time is virtual.
type bench struct {
	t      *testing.T
	log    stream.Log
	state  state.Store
	source *stream.Stream
	sent   []string
	logged *strings.Builder
}

func newBench(t *testing.T, shards int32) *bench {
	t.Helper()
	l := memlog.New(clock.Real(), rand.NewChaCha8([32]byte{1}))
	t.Cleanup(func() { l.Close() })
	b := &bench{t: t, log: l, state: memstate.New(clock.Real()), logged: &strings.Builder{}}
	var err error
	b.source, err = l.Create(t.Context(), stream.Spec{Name: "source", Shards: shards, Config: stream.Config{Timestamps: stream.LogAppendTime}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send appends n records to a shard, one batch of the log.
func (b *bench) send(shard int32, n int) {
	b.t.Helper()
	var w batch.Builder
	for range n {
		v := fmt.Sprintf("r%04d-%s", len(b.sent), strings.Repeat("x", 94))
		b.sent = append(b.sent, v)
		w.Add(time.Now().UnixMilli(), nil, []byte(v))
	}
	b.append(shard, w.Finish(batch.NoProducer))
}

func (b *bench) append(shard int32, raw []byte) {
	b.t.Helper()
	results, err := b.log.Append(b.t.Context(), []stream.Append{{Shard: b.source.Shard(shard), Batch: raw}}).Wait(b.t.Context())
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) config() flow.Config {
	return flow.Config{
		Name: "test", Stream: b.source.ID, Owner: "node-1", Limits: flow.Limits{Bytes: 1000, Age: time.Minute},
		Label: func(b *flow.Batch) (string, error) { return "label of " + b.ID, nil },
	}
}

func (b *bench) flow(c flow.Config, sink flow.Sink) *flow.Flow {
	b.t.Helper()
	f, err := flow.New(c, flow.Deps{
		Log: b.log, State: b.state, Clock: clock.Real(), Random: rand.New(rand.NewPCG(seed, 1)), Budget: flow.NewBudget(0),
		Logger: slog.New(slog.NewTextHandler(b.logged, nil)),
	}, sink)
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// start runs a flow; end stops it softly and returns what Run did.
func start(ctx context.Context, f *flow.Flow) (end func() error) {
	result := make(chan error, 1)
	go func() { result <- f.Run(ctx) }()
	return func() error {
		f.Stop()
		return <-result
	}
}

func (b *bench) status(f *flow.Flow) flow.Status {
	b.t.Helper()
	s, err := f.Status(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) place(at flow.Start) {
	b.t.Helper()
	if err := flow.Place(b.t.Context(), b.log, "test", b.source.ID, at); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) expect(got []string, want []string) {
	b.t.Helper()
	if err := flowtest.Once(got, want); err != nil {
		b.t.Fatalf("%v\n%s", err, b.logged)
	}
}

func TestMemorySinkKeepsTheContract(t *testing.T) {
	flowtest.Run(t, func(*testing.T) flowtest.Subject {
		s := &flowtest.Sink{}
		return flowtest.Subject{Sink: s, Effects: func(*testing.T) []string { return s.Values() }}
	})
}

func TestBatchesEndAtTheFirstLimit(t *testing.T) {
	for _, row := range []struct {
		name   string
		limits flow.Limits
		send   []int         // records of 100 bytes, one batch of the log each
		after  time.Duration // then wait
		want   []int         // records per batch
	}{
		{"bytes", flow.Limits{Bytes: 1000, Age: time.Minute}, []int{25}, 0, []int{10, 10}},
		{"the record that crosses the limit is taken", flow.Limits{Bytes: 950, Age: time.Minute}, []int{25}, 0, []int{10, 10}},
		{"records", flow.Limits{Bytes: 1 << 20, Records: 4, Age: time.Minute}, []int{3, 3, 3}, 0, []int{4, 4}},
		{"age", flow.Limits{Bytes: 1000, Age: time.Minute}, []int{25}, time.Minute, []int{10, 10, 5}},
		{"not before the age", flow.Limits{Bytes: 1000, Age: time.Minute}, []int{5}, time.Minute - 1, nil},
		{"no age waits for nothing", flow.Limits{Bytes: 1 << 20}, []int{5}, 0, []int{5}},
		{"one record larger than the limit", flow.Limits{Bytes: 10, Age: time.Minute}, []int{2}, 0, []int{1, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 1)
				c := b.config()
				c.Limits = row.limits
				sink := &flowtest.Sink{}
				end := start(t.Context(), b.flow(c, sink))
				synctest.Wait()
				for _, n := range row.send {
					b.send(0, n)
				}
				time.Sleep(row.after)
				synctest.Wait()
				var got []int
				for _, s := range sink.Batches() {
					got = append(got, len(s.Values))
				}
				if !slices.Equal(got, row.want) {
					t.Errorf("batches of %d records, want %d", got, row.want)
				}
				if err := end(); err != nil {
					t.Fatal(err)
				}
				b.expect(sink.Values(), b.sent)
			})
		})
	}
}

// endless is a log that grows by one record, and by one second, with each read.
type endless struct {
	stream.Log
	grow func()
}

func (e endless) Read(ctx context.Context, shard stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	defer e.grow()
	return e.Log.Read(ctx, shard, from, maxBytes)
}

func TestAgeEndsABatchThatNeverReachesTheEnd(t *testing.T) {
	for _, age := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, 1)
			log := b.log
			grow := func() {
				time.Sleep(time.Second)
				b.log = log
				b.send(0, 1)
			}
			b.send(0, 1)
			b.log = endless{log, grow}
			c := b.config()
			c.Limits = flow.Limits{Bytes: 1 << 20, Age: age}
			took := make(chan time.Duration, 100)
			began := time.Now()
			sink := &flowtest.Sink{Before: func(context.Context, int, *flow.Batch) error {
				took <- time.Since(began)
				return nil
			}}
			end := start(t.Context(), b.flow(c, sink))
			if d := <-took; d > age+5*time.Second {
				t.Errorf("age %s: first written after %s", age, d)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOneBatchTakesAllShardsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		sink := &flowtest.Sink{}
		f := b.flow(b.config(), sink)
		end := start(t.Context(), f)
		b.send(2, 2)
		b.send(0, 3)
		synctest.Wait()
		if s := b.status(f); s.LagRecords != 5 || s.Lag != 0 || s.Stage != flow.Running {
			t.Errorf("status %+v", s)
		}
		time.Sleep(30 * time.Second)
		if s := b.status(f); s.Lag != 30*time.Second {
			t.Errorf("lag is %s after 30 s", s.Lag)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		got := sink.Batches()
		if len(got) != 1 || len(got[0].Ranges) != 2 || got[0].Ranges[0].Shard.Index != 0 || got[0].Ranges[1].Shard.Index != 2 {
			t.Fatalf("batches %+v", got)
		}
		want := slices.Concat(b.sent[2:], b.sent[:2])
		if !slices.Equal(got[0].Values, want) {
			t.Errorf("values %q, want %q", got[0].Values, want)
		}
		if s := b.status(f); s.LagRecords != 0 || s.Lag != 0 || s.Records != 5 || s.Bytes != 500 || s.Batches != 1 {
			t.Errorf("status %+v", s)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		cursors, err := b.log.Committed(t.Context(), flow.CursorOwner("test"))
		if err != nil || len(cursors) != 2 || cursors[0].Next != 3 || cursors[1].Next != 2 {
			t.Errorf("cursors %+v, %v", cursors, err)
		}
	})
}

// deafLog fails to commit while it is deaf; if done is set, what it fails is done nevertheless.
type deafLog struct {
	stream.Log
	deaf, done atomic.Bool
}

func (d *deafLog) Commit(ctx context.Context, owner string, cursors []stream.Cursor) error {
	if d.deaf.Load() && !d.done.Load() {
		return errors.New("log is away")
	}
	if err := d.Log.Commit(ctx, owner, cursors); err != nil || !d.deaf.Load() {
		return err
	}
	return errors.New("log went away")
}

// TestLagOutlivesAFailedSession: while a flow fails and waits to try again, its lag is that of what it could not deliver.
func TestLagOutlivesAFailedSession(t *testing.T) {
	for _, done := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, 1)
			l := &deafLog{Log: b.log}
			l.deaf.Store(true)
			b.log = l
			f := b.flow(b.config(), &flowtest.Sink{})
			end := start(t.Context(), f)
			b.send(0, 1)
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if s := b.status(f); s.Lag != 10*time.Minute || s.Stage != flow.Retrying {
				t.Errorf("status %+v", s)
			}
			l.done.Store(done)
			time.Sleep(time.Minute)
			synctest.Wait()
			l.deaf.Store(false)
			time.Sleep(time.Minute)
			synctest.Wait()
			if s := b.status(f); s.Lag != 0 || s.LagRecords != 0 {
				t.Errorf("after delivery, status %+v", s)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestStartPositions(t *testing.T) {
	for _, row := range []struct {
		name  string
		start func(t0 time.Time) flow.Start
		from  int // first record delivered of 10 before, 5 s apart, and 5 after
	}{
		{"earliest", func(time.Time) flow.Start { return flow.Earliest() }, 0},
		{"latest", func(time.Time) flow.Start { return flow.Latest() }, 10},
		{"offsets", func(time.Time) flow.Start { return flow.At([]stream.Offset{7}) }, 7},
		{"offsets of fewer shards", func(time.Time) flow.Start { return flow.At(nil) }, 0},
		{"timestamp", func(t0 time.Time) flow.Start { return flow.From(t0.Add(15 * time.Second)) }, 3},
		{"timestamp in the future", func(t0 time.Time) flow.Start { return flow.From(t0.Add(time.Hour)) }, 10},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 1)
				t0 := time.Now()
				for range 10 {
					b.send(0, 1)
					time.Sleep(5 * time.Second)
				}
				b.place(row.start(t0))
				b.send(0, 5) // before the flow first runs
				sink := &flowtest.Sink{}
				end := start(t.Context(), b.flow(b.config(), sink))
				synctest.Wait()
				if err := end(); err != nil {
					t.Fatal(err)
				}
				b.expect(sink.Values(), b.sent[row.from:])
			})
		})
	}
}

func TestShardsAddedLaterAreReadFromTheirBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.place(flow.Latest())
		sink := &flowtest.Sink{}
		end := start(t.Context(), b.flow(b.config(), sink))
		synctest.Wait()
		shards := int32(3)
		if _, err := b.log.Alter(t.Context(), b.source.ID, stream.Change{Shards: &shards}); err != nil {
			t.Fatal(err)
		}
		b.send(2, 4)
		time.Sleep(flow.DefaultDiscover + time.Minute)
		synctest.Wait()
		b.expect(sink.Values(), b.sent)
		if err := end(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDeletedStreamEndsTheFlow(t *testing.T) {
	for failing, gathered := range map[bool]int64{false: 5, true: 10} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, 2)
			sink := &flowtest.Sink{}
			if failing {
				sink.Before = func(context.Context, int, *flow.Batch) error {
					if _, err := b.log.StreamByID(t.Context(), b.source.ID); err != nil {
						return nil // the destination works again when the stream is gone
					}
					return errors.New("destination is away")
				}
			}
			f := b.flow(b.config(), sink)
			result := make(chan error, 1)
			go func() { result <- f.Run(t.Context()) }()
			b.send(1, 25)
			synctest.Wait()
			if err := b.log.Delete(t.Context(), b.source.ID); err != nil {
				t.Fatal(err)
			}
			if err := <-result; !errors.Is(err, flow.ErrSourceGone) {
				t.Errorf("failing=%v: %v", failing, err)
			}
			if s := b.status(f); s.Stage != flow.Ended || s.Lost != gathered {
				t.Errorf("failing=%v: status %+v", failing, s)
			}
		})
	}
}

func TestRetriesBackOffAndKeepTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		var at []time.Time
		var ids []string
		sink := &flowtest.Sink{Before: func(_ context.Context, attempt int, batch *flow.Batch) error {
			at, ids = append(at, time.Now()), append(ids, batch.ID+batch.Label)
			if attempt < 10 {
				return errors.New("destination is away")
			}
			return nil
		}}
		f := b.flow(b.config(), sink)
		end := start(t.Context(), f)
		b.send(0, 12)
		synctest.Wait()
		if s := b.status(f); s.Stage != flow.Retrying || s.Retries != 1 || !strings.Contains(s.LastError, "destination is away") {
			t.Errorf("status %+v", s)
		}
		b.send(0, 7) // must not change what is being written
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for i := 1; i <= 10; i++ {
			limit := min(500*time.Millisecond<<(i-1), 30*time.Second)
			if d := at[i].Sub(at[i-1]); d < limit/2 || d > limit {
				t.Errorf("pause %d is %s, want %s to %s", i, d, limit/2, limit)
			}
			if ids[i] != ids[0] {
				t.Errorf("attempt %d writes %s, the first wrote %s", i, ids[i], ids[0])
			}
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		b.expect(sink.Values(), b.sent)
	})
}

func TestSkippedBatchIsCountedAndTheNextGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		sink := &flowtest.Sink{Before: func(_ context.Context, _ int, batch *flow.Batch) error {
			if batch.Ranges[0].From == 0 {
				return errors.New("poison")
			}
			return nil
		}}
		c := b.config()
		c.Failed = func(_ *flow.Batch, attempt int, _ error) flow.Verdict {
			if attempt == 3 {
				return flow.Skip
			}
			return flow.Retry
		}
		f := b.flow(c, sink)
		end := start(t.Context(), f)
		b.send(0, 25)
		time.Sleep(time.Hour)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		b.expect(sink.Values(), b.sent[10:])
		if s := b.status(f); s.Lost != 10 || s.Retries != 3 || s.Records != 15 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestStopWhileTheSinkFailsLeavesTheBatchForTheNextRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		away := errors.New("destination is away")
		sink := &flowtest.Sink{Before: func(context.Context, int, *flow.Batch) error { return away }}
		end := start(t.Context(), b.flow(b.config(), sink))
		b.send(0, 25)
		time.Sleep(time.Minute)
		if err := end(); !errors.Is(err, away) {
			t.Fatalf("stopped with %v", err)
		}
		sink.Before = nil
		end = start(t.Context(), b.flow(b.config(), sink))
		synctest.Wait()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		b.expect(sink.Values(), b.sent)
	})
}

func TestTransformMakesNoneOneOrSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		c := b.config()
		c.Transform = func(r *flow.Record, emit func(*flow.Record) error) error {
			original := string(r.Value)
			for r.Sub = range int(r.Offset) % 3 {
				r.Value = fmt.Appendf(nil, "%s.%d", original[:5], r.Sub)
				if err := emit(r); err != nil {
					return err
				}
			}
			return nil
		}
		sink := &flowtest.Sink{}
		end := start(t.Context(), b.flow(c, sink))
		b.send(0, 6)
		synctest.Wait()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if want := []string{"r0001.0", "r0002.0", "r0002.1", "r0004.0", "r0005.0", "r0005.1"}; !slices.Equal(sink.Values(), want) {
			t.Errorf("values %q, want %q", sink.Values(), want)
		}
	})
}

func TestRecordsThatCannotBeReadAreCountedAndLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.send(0, 3)
		var w batch.Builder
		w.Add(0, nil, []byte("whatever"))
		raw := slices.Clone(w.Finish(batch.NoProducer))
		raw[batch.HeaderSize] = 0x7f // the record's length
		batch.SetLogAppendTime(raw, 0)
		b.append(0, raw)
		b.send(0, 3)
		sink := &flowtest.Sink{}
		f := b.flow(b.config(), sink)
		end := start(t.Context(), f)
		synctest.Wait()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		b.expect(sink.Values(), b.sent)
		if s := b.status(f); s.Damaged == 0 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestRecordsWithoutTimestampCountAsArrivedWhenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		var err error
		if b.source, err = b.log.Create(t.Context(), stream.Spec{Name: "created", Shards: 1}); err != nil {
			t.Fatal(err)
		}
		var w batch.Builder
		w.Add(-1, nil, []byte("timeless"))
		b.append(0, w.Finish(batch.NoProducer))
		began := time.Now()
		var oldest time.Time
		c := b.config()
		c.Delivered = func(_ context.Context, batch *flow.Batch) { oldest = batch.Oldest }
		end := start(t.Context(), b.flow(c, &flowtest.Sink{}))
		time.Sleep(time.Minute)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if !oldest.Equal(began) {
			t.Errorf("oldest is %s, want %s", oldest, began)
		}
	})
}

func TestTrimmedRecordsAreCountedAsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		b.place(flow.Earliest())
		for range 5 {
			b.send(0, 2)
		}
		if _, err := b.log.Trim(t.Context(), b.source.Shard(0), 6); err != nil {
			t.Fatal(err)
		}
		sink := &flowtest.Sink{}
		f := b.flow(b.config(), sink)
		end := start(t.Context(), f)
		synctest.Wait()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		b.expect(sink.Values(), b.sent[6:])
		if s := b.status(f); s.Lost != 6 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestOnlyTheLeaseHolderWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		sink := &flowtest.Sink{}
		c := b.config()
		first := b.flow(c, sink)
		ctx, kill := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- first.Run(ctx) }()
		synctest.Wait()
		c.Owner = "node-2"
		second := b.flow(c, sink)
		end := start(t.Context(), second)
		b.send(0, 12)
		time.Sleep(time.Hour) // many lives of a lease
		if one, two := b.status(first), b.status(second); one.Batches != 2 || two.Batches != 0 || two.Stage != flow.Waiting {
			t.Errorf("status %+v and %+v", one, two)
		}
		kill()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("killed: %v", err)
		}
		b.send(0, 12)
		time.Sleep(time.Hour)
		if two := b.status(second); two.Batches != 2 {
			t.Errorf("status %+v", two)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		b.expect(sink.Values(), b.sent)
	})
}

// TestLateWorkerChangesNothing: a worker hangs in a write, loses its lease, another goes on; then the first comes back.
func TestLateWorkerChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		sink := &flowtest.Sink{}
		hang := make(chan struct{})
		sink.After = func(_ context.Context, attempt int, _ *flow.Batch) error {
			if attempt == 0 {
				<-hang
			}
			return nil
		}
		c := b.config()
		deaf := &deafState{Store: b.state, deaf: "node-1"}
		b.state = deaf
		first := b.flow(c, sink)
		endFirst := start(t.Context(), first)
		b.send(0, 25)
		synctest.Wait()
		deaf.now.Store(true) // node-1 cannot renew any more
		c.Owner = "node-2"
		second := b.flow(c, sink)
		endSecond := start(t.Context(), second)
		time.Sleep(time.Hour)
		close(hang)
		synctest.Wait()
		b.send(0, 25)
		time.Sleep(time.Hour)
		if err := errors.Join(endSecond(), endFirst()); err != nil {
			t.Fatal(err)
		}
		b.expect(sink.Values(), b.sent)
		if one, two := b.status(first), b.status(second); one.Batches != 0 || two.Batches == 0 {
			t.Errorf("status %+v and %+v", one, two)
		}
	})
}

// deafState is a store that one owner cannot reach with its leases.
type deafState struct {
	state.Store
	deaf string
	now  atomic.Bool
}

func (d *deafState) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (state.Lease, error) {
	if d.now.Load() && owner == d.deaf {
		return state.Lease{}, errors.New("store is away")
	}
	return d.Store.Acquire(ctx, name, owner, ttl)
}

func (d *deafState) Renew(ctx context.Context, l state.Lease, ttl time.Duration) (state.Lease, error) {
	if d.now.Load() && l.Owner == d.deaf {
		return state.Lease{}, errors.New("store is away")
	}
	return d.Store.Renew(ctx, l, ttl)
}

func TestRemoveForgetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		sink := &flowtest.Sink{}
		end := start(t.Context(), b.flow(b.config(), sink))
		b.send(0, 5)
		synctest.Wait()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := flow.Remove(t.Context(), b.log, b.state, "test"); err != nil {
				t.Fatal(err)
			}
		}
		cursors, err := b.log.Committed(t.Context(), flow.CursorOwner("test"))
		docs, err2 := b.state.List(t.Context(), flow.Kind, "")
		if len(cursors) != 0 || len(docs) != 0 || err != nil || err2 != nil {
			t.Errorf("left %v and %v, %v, %v", cursors, docs, err, err2)
		}
	})
}
