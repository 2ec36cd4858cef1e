package committed_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/committed"
	"github.com/freshet/freshet/internal/stream/memlog"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

// countingLog counts how often it is asked for aborted transactions, and how far.
type countingLog struct {
	stream.Log
	asked int
	to    stream.Offset
}

func (l *countingLog) Aborted(ctx context.Context, shard stream.Shard, from, to stream.Offset) ([]stream.Aborted, error) {
	l.asked++
	l.to = max(l.to, to)
	return l.Log.Aborted(ctx, shard, from, to)
}

// TestAgainstModel: whatever of random transactions is read, from anywhere and in pieces of any size, is what was committed.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		log := memlog.New(clock.NewVirtual(time.UnixMilli(0)), nil)
		s, err := log.Create(ctx, stream.Spec{Name: "s", Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		shard := s.Shard(0)
		var want []string // of committed records, by offset; "" for others
		open, sequence := map[int64][]stream.Offset{}, map[int64]int32{}
		for i := range rapid.IntRange(1, 60).Draw(t, "operations") {
			id := rapid.Int64Range(0, 3).Draw(t, "producer")
			if rapid.Bool().Draw(t, "end") && i > 0 {
				commit := rapid.Bool().Draw(t, "commit")
				m := batch.AppendMarker(nil, batch.Marker{ProducerID: id, Commit: commit, Time: time.UnixMilli(0)})
				if _, err := log.Transact(ctx, []stream.Append{{Shard: shard, Batch: m}}, nil); err != nil {
					t.Fatal(err)
				}
				if !commit {
					for _, at := range open[id] {
						want[at] = ""
					}
				}
				delete(open, id)
				want = append(want, "")
				continue
			}
			value := fmt.Sprint(i)
			b := streamtest.Batch(time.UnixMilli(0), value)
			if id > 0 { // producer 0 writes outside of transactions
				b = streamtest.Transactional(batch.Producer{ID: id, Sequence: sequence[id]}, time.UnixMilli(0), value)
				sequence[id]++
				open[id] = append(open[id], stream.Offset(len(want)))
			}
			results, err := log.Append(ctx, []stream.Append{{Shard: shard, Batch: b}}).Wait(ctx)
			if err != nil || results[0].Err != nil {
				t.Fatal(err, results[0].Err)
			}
			want = append(want, value)
		}
		bounds, err := log.Bounds(ctx, shard)
		if err != nil {
			t.Fatal(err)
		}
		from := stream.Offset(rapid.IntRange(0, len(want)).Draw(t, "from"))
		step := rapid.IntRange(1, 400).Draw(t, "step")
		expect := slices.DeleteFunc(slices.Clone(want[min(from, bounds.LastStable):bounds.LastStable]), func(v string) bool { return v == "" })
		if got := readCommitted(t, log, shard, from, step); !slices.Equal(got, expect) {
			t.Fatalf("read %v from %d, want %v", got, from, expect)
		}
	})
}

// readCommitted reads from an offset to the last stable one, step bytes at a time.
func readCommitted(t *rapid.T, log stream.Log, shard stream.Shard, from stream.Offset, step int) (values []string) {
	ctx := context.Background()
	for {
		chunk, aborted, err := committed.Read(ctx, log, shard, from, step)
		if err != nil {
			t.Fatal(err)
		}
		stable := chunk.Bounds.LastStable
		if from >= stable {
			chunk.Release()
			return values
		}
		filter := committed.NewFilter(aborted)
		for _, b := range chunk.Batches {
			h, err := batch.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if stream.Offset(h.BaseOffset) >= stable {
				break
			}
			if from = stream.Offset(h.LastOffset()) + 1; filter.Skips(&h) {
				continue
			}
			if err := batch.Records(b, 0, func(r *batch.Record) bool {
				values = append(values, string(r.Value))
				return true
			}); err != nil {
				t.Fatal(err)
			}
		}
		chunk.Release()
	}
}

// TestReadAsksForNoMoreThanItReads: a log without transactions is not asked, another not beyond the batches, however much is behind them.
func TestReadAsksForNoMoreThanItReads(t *testing.T) {
	ctx := t.Context()
	inner := memlog.New(clock.NewVirtual(time.UnixMilli(0)), nil)
	log := &countingLog{Log: inner}
	s, err := log.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		t.Helper()
		if r, err := log.Append(ctx, []stream.Append{{Shard: s.Shard(0), Batch: b}}).Wait(ctx); err != nil || r[0].Err != nil {
			t.Fatal(err, r[0].Err)
		}
	}
	read := func() {
		t.Helper()
		chunk, _, err := committed.Read(ctx, log, s.Shard(0), 0, 250)
		if err != nil {
			t.Fatal(err)
		}
		chunk.Release()
	}
	put(streamtest.Batch(time.UnixMilli(0), "outside"))
	if read(); log.asked != 0 {
		t.Error("asked for transactions where there are none")
	}
	for i := range int32(20) {
		put(streamtest.Transactional(batch.Producer{ID: 1, Sequence: i}, time.UnixMilli(0), "within"))
	}
	marker := batch.AppendMarker(nil, batch.Marker{ProducerID: 1, Time: time.UnixMilli(0)})
	if _, err := inner.Transact(ctx, []stream.Append{{Shard: s.Shard(0), Batch: marker}}, nil); err != nil {
		t.Fatal(err)
	}
	if read(); log.asked != 1 || log.to > 3 {
		t.Errorf("asked %d times, up to %d", log.asked, log.to)
	}
}
