package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/streamtest"
	"github.com/freshet/freshet/internal/vfs"
)

// within makes a batch of a producer's transaction.
func within(producer int64, sequence int32) []byte {
	return streamtest.Transactional(batch.Producer{ID: producer, Sequence: sequence}, epoch, "within")
}

func markerOf(producer int64, commit bool) []byte {
	return batch.AppendMarker(nil, batch.Marker{ProducerID: producer, Commit: commit, Time: epoch})
}

// abortedIn appends a batch of a new producer's transaction, and aborts it.
func abortedIn(t *testing.T, e *Engine, shard stream.Shard, producer int64) {
	t.Helper()
	testAppend(t, e, shard, within(producer, 0))
	_, _, err := e.Transact(context.Background(), []stream.Append{{Shard: shard, Batch: markerOf(producer, false)}}, nil, nil)
	must(t, err)
}

// TestAbortedWhereverTheyLie: in the file that is written, in finished ones, and in one written anew, across a transaction that reaches from a file
// into another, and also when the start has passed a part of it.
func TestAbortedWhereverTheyLie(t *testing.T) {
	ctx := context.Background()
	c := tiny(vfs.NewMem())
	e := mustOpen(t, c)
	drop, err := e.Create(ctx, stream.Spec{Name: "drop", Shards: 1})
	must(t, err)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	shard := s.Shard(0)
	var want []stream.Aborted
	long := testAppend(t, e, shard, within(500, 0)).Base
	for i := range int64(12) {
		first := testAppend(t, e, shard, within(i, 0)).Base
		for range 10 {
			testAppend(t, e, drop.Shard(0), batchOf(5*kib))
		}
		r, _, err := e.Transact(ctx, []stream.Append{{Shard: shard, Batch: markerOf(i, i%3 == 0)}}, nil, nil)
		must(t, err)
		if i%3 != 0 {
			want = append(want, stream.Aborted{ProducerID: i, First: first, Last: r[0].Base})
		}
	}
	r, _, err := e.Transact(ctx, []stream.Append{{Shard: shard, Batch: markerOf(500, false)}}, nil, nil)
	must(t, err)
	want = slices.Insert(want, 0, stream.Aborted{ProducerID: 500, First: long, Last: r[0].Base})
	check := func(what string) {
		t.Helper()
		for from := range r[0].Base + 1 {
			for to := from; to < r[0].Base+2; to++ {
				got, err := e.Aborted(ctx, shard, from, to)
				must(t, err)
				expect := slices.DeleteFunc(slices.Clone(want), func(a stream.Aborted) bool { return a.Last < from || a.First >= to })
				if !slices.Equal(got, expect) {
					t.Fatalf("%s: between %d and %d %v are aborted, want %v", what, from, to, got, expect)
				}
			}
		}
	}
	if n := e.Stats(false).Files; n < 5 {
		t.Fatalf("all lies in %d files", n)
	}
	check("as written")
	must(t, e.Close())
	e = mustOpen(t, c)
	check("opened again")
	must(t, e.Delete(ctx, drop.ID))
	clocktest.Eventually(t, "files are written anew", func() bool { return e.Stats(false).Rewrites > 0 && e.Stats(false).Files < 3 })
	check("written anew")
	must(t, e.Close())
	e = mustOpen(t, c)
	closing(t, e)
	check("written anew and opened again")
	start := want[2].Last
	_, err = e.Trim(ctx, shard, start)
	must(t, err)
	got, err := e.Aborted(ctx, shard, 0, r[0].Base+1)
	must(t, err)
	if want = slices.DeleteFunc(want, func(a stream.Aborted) bool { return a.Last < start }); !slices.Equal(got, want) {
		t.Errorf("behind the start %v are aborted, want %v", got, want)
	}
}

// TestTransactOfManyShards: one group ends the transactions of 10,000 shards, and every reader sees all of it or nothing.
func TestTransactOfManyShards(t *testing.T) {
	const shards = 10_000
	ctx := context.Background()
	c := tiny(vfs.NewMem())
	e := mustOpen(t, c)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: shards})
	must(t, err)
	data, markers := make([]stream.Append, shards), make([]stream.Append, shards)
	for i := range int32(shards) {
		data[i] = stream.Append{Shard: s.Shard(i), Batch: within(1, 0)}
		markers[i] = stream.Append{Shard: s.Shard(i), Batch: markerOf(1, i%2 == 0)}
	}
	results, err := e.Append(ctx, data).Wait(ctx)
	must(t, err)
	must(t, firstError(results))
	groups := e.Stats(false).Groups
	done := make(chan error, 1)
	go func() {
		_, _, err := e.Transact(ctx, markers, []stream.OwnedCursors{{Owner: "o", Cursors: []stream.Cursor{{Shard: s.Shard(0), Next: 1}}}}, nil)
		done <- err
	}()
	for ended := false; !ended; {
		b, err := e.Bounds(ctx, s.Shard(shards-1))
		must(t, err)
		if ended = b.LastStable == b.End; !ended {
			continue
		}
		if cursors, err := e.Committed(ctx, "o"); err != nil || len(cursors) != 1 {
			t.Errorf("a marker is seen without the cursor: %v, %v", cursors, err)
		}
		for i := range int32(shards) {
			if b, err := e.Bounds(ctx, s.Shard(i)); err != nil || b.LastStable != 2 {
				t.Fatalf("shard %d: %+v, %v", i, b, err)
			}
		}
	}
	must(t, <-done)
	if n := e.Stats(false).Groups - groups; n != 1 {
		t.Errorf("%d groups for one transaction", n)
	}
	must(t, e.Close())
	e = mustOpen(t, c)
	closing(t, e)
	for i := range int32(shards) {
		aborted, err := e.Aborted(ctx, s.Shard(i), 0, 2)
		if b, _ := e.Bounds(ctx, s.Shard(i)); err != nil || b.LastStable != 2 || len(aborted) != int(i%2) {
			t.Fatalf("shard %d after a restart: %+v, aborted %v, %v", i, b, aborted, err)
		}
	}
}

// TestTransactRefusesWholly: of markers, cursors and documents nothing is left behind when one is refused.
func TestTransactRefusesWholly(t *testing.T) {
	ctx := context.Background()
	e := mustOpen(t, tiny(vfs.NewMem()))
	closing(t, e)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 2, Config: stream.Config{MaxBatchBytes: batch.MarkerSize - 1}})
	must(t, err)
	wide, err := e.Create(ctx, stream.Spec{Name: "wide", Shards: 1})
	must(t, err)
	testAppend(t, e, wide.Shard(0), within(1, 0))
	good := stream.Append{Shard: wide.Shard(0), Batch: markerOf(1, true)}
	leaderChange := slices.Clone(good.Batch)
	leaderChange[22] = 0x20 // control, but no marker
	batch.SetMaxTimestamp(leaderChange, 0)
	cursors := []stream.OwnedCursors{{Owner: "o", Cursors: []stream.Cursor{{Shard: s.Shard(0), Next: 1}}}}
	document := []state.Change{{Key: state.Key{Kind: "k", ID: "d"}, If: state.Absent, Value: []byte("v")}}
	var fault *batch.Error
	for name, row := range map[string]struct {
		entry   stream.Append
		cursors []stream.OwnedCursors
		changes []state.Change
		is      func(error) bool
	}{
		"another marker of the producer": {good, cursors, document, is(stream.ErrInvalid)},
		"another control batch":          {stream.Append{Shard: s.Shard(0), Batch: leaderChange}, cursors, document, func(err error) bool { return errors.As(err, &fault) }},
		"negative coordinator epoch": {
			stream.Append{Shard: s.Shard(0), Batch: batch.AppendMarker(nil, batch.Marker{ProducerID: 1, CoordinatorEpoch: -1, Time: epoch})}, cursors, document, is(stream.ErrInvalid),
		},
		"unknown shard of a marker": {stream.Append{Shard: s.Shard(2), Batch: good.Batch}, cursors, document, is(stream.ErrNotFound)},
		"cursors without owner":     {stream.Append{Shard: s.Shard(0), Batch: good.Batch}, []stream.OwnedCursors{{}}, document, is(stream.ErrInvalid)},
		"unknown shard of a cursor": {
			stream.Append{Shard: s.Shard(0), Batch: good.Batch}, append(cursors[:1:1], stream.OwnedCursors{Owner: "p", Cursors: []stream.Cursor{{Shard: s.Shard(2)}}}), document, is(stream.ErrNotFound),
		},
		"document at another version": {
			stream.Append{Shard: s.Shard(0), Batch: good.Batch}, cursors, []state.Change{{Key: document[0].Key, If: 3}}, is(state.ErrConflict),
		},
	} {
		if _, _, err := e.Transact(ctx, []stream.Append{good, row.entry}, row.cursors, row.changes); !row.is(err) {
			t.Errorf("%s: %v", name, err)
		}
		b, err := e.Bounds(ctx, wide.Shard(0))
		must(t, err)
		owned, err := e.Committed(ctx, "o")
		must(t, err)
		if _, err := e.State().Get(ctx, document[0].Key); b.LastStable != 0 || b.End != 1 || len(owned) != 0 || !errors.Is(err, state.ErrNotFound) {
			t.Errorf("%s has left something behind: %+v, %v, %v", name, b, owned, err)
		}
	}
	if _, _, err := e.Transact(ctx, []stream.Append{good, {Shard: s.Shard(0), Batch: good.Batch}}, cursors, document); err != nil {
		t.Errorf("a marker is larger than what the stream takes of others: %v", err)
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// TestTransactOnAFullDisk: what ends transactions has no place that is kept for it: it is refused, and nothing of it is seen. Retention, trimming and
// deletion do not wait for it, and when they have made space it is taken.
func TestTransactOnAFullDisk(t *testing.T) {
	ctx := t.Context()
	disk := vfs.NewMem()
	c := tiny(disk)
	e := mustOpen(t, c)
	closing(t, e)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	drop, err := e.Create(ctx, stream.Spec{Name: "drop", Shards: 1})
	must(t, err)
	testAppend(t, e, s.Shard(0), within(1, 0))
	testAppend(t, e, s.Shard(0), within(2, 0))
	for range 20 {
		testAppend(t, e, drop.Shard(0), batchOf(3*kib))
	}
	disk.SetLimit(400 * kib)
	fillUp(t, e, drop.Shard(0), batchOf(1))
	end := func() error {
		entries := []stream.Append{{Shard: s.Shard(0), Batch: markerOf(2, false)}}
		_, _, err := e.Transact(ctx, entries, []stream.OwnedCursors{{Owner: "o", Cursors: []stream.Cursor{{Shard: s.Shard(0), Next: 1}}}}, nil)
		return err
	}
	if err := returns(t, "the end of a transaction is answered", end); !errors.Is(err, stream.ErrFull) {
		t.Fatalf("the end of a transaction on a full disk: %v", err)
	}
	cursors, err := e.Committed(ctx, "o")
	must(t, err)
	if b, err := e.Bounds(ctx, s.Shard(0)); err != nil || b.LastStable != 0 || b.End != 2 || len(cursors) > 0 {
		t.Errorf("what was refused is seen: %+v, %v, %v", b, cursors, err)
	}
	if err := returns(t, "trimming is answered", func() error { _, err := e.Trim(ctx, s.Shard(0), 1); return err }); err != nil {
		t.Fatal(err)
	}
	if b, err := e.Bounds(ctx, s.Shard(0)); err != nil || b.Start != 1 || b.LastStable != 1 {
		t.Errorf("trimmed into a transaction: %+v, %v", b, err)
	}
	if err := returns(t, "deletion is answered", func() error { return e.Delete(ctx, drop.ID) }); err != nil {
		t.Fatal(err)
	}
	now := c.Clock.(*clock.Virtual)
	clocktest.Eventually(t, "the transaction can end", func() bool {
		now.Advance(time.Second)
		return end() == nil
	})
	if b, err := e.Bounds(ctx, s.Shard(0)); err != nil || b.LastStable != 1 || b.End != 3 {
		t.Errorf("when there is space: %+v, %v", b, err)
	}
}
