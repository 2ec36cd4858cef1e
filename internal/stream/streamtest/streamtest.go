// Package streamtest is the acceptance suite of stream.Log: every sentence of the contract's comments as a case, and a random run against a
// naive model. Log runs it; Options says what more an implementation lets the suite do.
//
// It refuses to test what one implementation promises beyond the contract, but for one thing: it knows the offset of each record, so it takes logs
// without gaps between batches only. Who reads logs is tested with gaps, by memlog's LeaveGaps.
package streamtest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
)

// patience is how long a case waits for a ticket or a watcher before it says that the log hangs.
const patience = 20 * time.Second

// Options are the handles that an implementation offers the suite. Cases that need a missing one are skipped.
type Options struct {
	// Clock returns the virtual clock that a log made by open runs on.
	Clock func(l stream.Log) *clock.Virtual
	// Retain applies retention at once, by the log's clock.
	Retain func(t testing.TB, l stream.Log)
	// Compact compacts what is due at once, by the log's clock.
	Compact func(t testing.TB, l stream.Log)
	// Reopen stops the log cleanly and opens it anew on what it has stored.
	Reopen func(t testing.TB, l stream.Log) stream.Log
	// Crash stops the log without warning and opens it anew on what was durable.
	Crash func(t testing.TB, l stream.Log) stream.Log
	// Transact appends transaction markers and stores cursors, all of it or nothing. Cases with markers are skipped without it.
	Transact func(l stream.Log, entries []stream.Append, cursors []stream.OwnedCursors) ([]stream.Appended, error)
	// Close stops the log for good: every later call answers stream.ErrClosed.
	Close func(t testing.TB, l stream.Log)
}

// Log runs the suite. open returns a new, empty log, and has it closed by t.Cleanup.
func Log(t *testing.T, open func(t *testing.T) stream.Log, options ...Options) {
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	for _, c := range [][]testCase{streamCases, appendCases, producerCases, readCases, timeCases, trimCases, watchCases, cursorCases, compactCases, restartCases, transactionCases, compactTransactionCases} {
		for _, c := range c {
			t.Run(c.name, func(t *testing.T) {
				c.run(newHarness(t, open(t), o))
			})
		}
	}
	t.Run("random operations agree with a model", func(t *testing.T) { againstModel(t, open, o) })
}

type testCase struct {
	name string
	run  func(h *harness)
}

// harness is what a case works with: a log and ways to use it that fail the test.
type harness struct {
	*testing.T
	log     stream.Log
	options Options
	clock   *clock.Virtual // nil if the log runs on another
}

func newHarness(t *testing.T, l stream.Log, o Options) *harness {
	h := &harness{T: t, log: l, options: o}
	if o.Clock != nil {
		h.clock = o.Clock(l)
	}
	return h
}

// needClock skips the case for a log that runs on no virtual clock.
func (h *harness) needClock() {
	if h.clock == nil {
		h.Skip("the log runs on no virtual clock")
	}
}

// now is the log's time if the suite knows it, or one that suits records whose time does not matter.
func (h *harness) now() time.Time {
	if h.clock != nil {
		return h.clock.Now()
	}
	return clock.Real().Now()
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) is(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("error %v, want %v", err, want)
	}
}

func (h *harness) equal(what string, got, want any) {
	h.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		h.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

// create makes a stream with default settings.
func (h *harness) create(name stream.Name, shards int32) *stream.Stream {
	h.Helper()
	return h.createWith(stream.Spec{Name: name, Shards: shards})
}

func (h *harness) createWith(spec stream.Spec) *stream.Stream {
	h.Helper()
	s, err := h.log.Create(h.Context(), spec)
	h.must(err)
	return s
}

// append appends and waits.
func (h *harness) append(entries ...stream.Append) []stream.Appended {
	h.Helper()
	return h.wait(h.log.Append(h.Context(), entries))
}

func (h *harness) wait(t *stream.Ticket) []stream.Appended {
	h.Helper()
	select {
	case <-t.Done():
	case <-time.Tick(patience):
		h.Fatalf("the ticket is not done after %s", patience)
	}
	return t.Results()
}

// put appends one batch that must be taken.
func (h *harness) put(shard stream.Shard, b []byte) stream.Appended {
	h.Helper()
	a := h.append(stream.Append{Shard: shard, Batch: b})[0]
	h.must(a.Err)
	return a
}

// putValues appends one batch of records with these values.
func (h *harness) putValues(shard stream.Shard, values ...string) stream.Appended {
	h.Helper()
	return h.put(shard, plain(h.now(), values...))
}

func (h *harness) bounds(shard stream.Shard) stream.Bounds {
	h.Helper()
	b, err := h.log.Bounds(h.Context(), shard)
	h.must(err)
	return b
}

// record is what the suite compares of a record.
type record struct {
	Offset    stream.Offset
	Timestamp int64
	Value     string
}

// readAll reads a shard from an offset to its end.
func (h *harness) readAll(shard stream.Shard, from stream.Offset) []record {
	h.Helper()
	var all []record
	for {
		c, err := h.log.Read(h.Context(), shard, from, 1<<20)
		h.must(err)
		if len(c.Batches) == 0 {
			h.equal("offset where reading ended", from, c.Bounds.End)
			c.Release()
			return all
		}
		records := h.records(c, from)
		all = append(all, records...)
		last, err := batch.Parse(c.Batches[len(c.Batches)-1])
		h.must(err)
		from = stream.Offset(last.LastOffset() + 1)
		c.Release()
	}
}

// records returns the chunk's records at from and later, after checking each batch.
func (h *harness) records(c stream.Chunk, from stream.Offset) []record {
	h.Helper()
	var all []record
	for _, b := range c.Batches {
		if _, err := batch.VerifyStored(b); err != nil {
			h.Fatalf("a batch that was read: %v", err)
		}
		h.must(batch.Records(b, 0, func(r *batch.Record) bool {
			if stream.Offset(r.Offset) >= from {
				all = append(all, record{stream.Offset(r.Offset), r.Timestamp, string(r.Value)})
			}
			return true
		}))
	}
	return all
}

func (h *harness) values(shard stream.Shard, from stream.Offset) []string {
	h.Helper()
	var values []string
	for _, r := range h.readAll(shard, from) {
		values = append(values, r.Value)
	}
	return values
}

// Batch makes an uncompressed batch of records without keys: one per value, all with one timestamp.
func Batch(at time.Time, values ...string) []byte { return plain(at, values...) }

// plain makes a batch of records with one timestamp.
func plain(at time.Time, values ...string) []byte {
	return produced(batch.NoProducer, at, values...)
}

// produced makes a batch of a producer.
func produced(p batch.Producer, at time.Time, values ...string) []byte {
	var b batch.Builder
	for _, v := range values {
		b.Add(at.UnixMilli(), nil, []byte(v))
	}
	return b.Finish(p)
}

// stamped makes a batch whose records have these timestamps in milliseconds, and the timestamps as values.
func stamped(timestamps ...int64) []byte {
	var b batch.Builder
	for _, ms := range timestamps {
		b.Add(ms, nil, fmt.Append(nil, ms))
	}
	return b.Finish(batch.NoProducer)
}
