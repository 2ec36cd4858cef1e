package streamtest

import (
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

var transactionCases = []testCase{
	{"an open transaction holds the last stable offset until its marker", func(h *harness) {
		h.needTransact()
		s := h.create("s", 2)
		p := h.producer()
		h.putValues(s.Shard(0), "before")
		h.equal("base", h.put(s.Shard(0), Transactional(p.at(0), h.now(), "a", "b")).Base, 1)
		h.putValues(s.Shard(0), "between")
		h.put(s.Shard(0), Transactional(p.at(2), h.now(), "c"))
		h.stable(s.Shard(0), 1, 5)
		h.stable(s.Shard(1), 0, 0)
		h.equal("marker", h.end(s.Shard(0), p, true).Base, 5)
		h.stable(s.Shard(0), 6, 6)
		h.aborted(s.Shard(0), 0, 6)
	}},
	{"an aborted transaction is found from every range that it reaches into", func(h *harness) {
		h.needTransact()
		s := h.create("s", 2)
		p := h.producer()
		h.putValues(s.Shard(0), "0")
		h.put(s.Shard(0), Transactional(p.at(0), h.now(), "1", "2"))
		h.putValues(s.Shard(0), "3")
		h.aborted(s.Shard(0), 0, 4)
		h.end(s.Shard(0), p, false)
		h.putValues(s.Shard(0), "5")
		a := stream.Aborted{ProducerID: p.ID, First: 1, Last: 4}
		for _, row := range []struct {
			from, to stream.Offset
			found    bool
		}{{0, 6, true}, {0, 1, false}, {0, 2, true}, {2, 3, true}, {4, 5, true}, {5, 6, false}, {1, 1, false}} {
			if row.found {
				h.aborted(s.Shard(0), row.from, row.to, a)
			} else {
				h.aborted(s.Shard(0), row.from, row.to)
			}
		}
		h.aborted(s.Shard(1), 0, 6)
	}},
	{"transactions of several producers end in any order", func(h *harness) {
		h.needTransact()
		s := h.create("s", 1)
		var p []producerID
		for i := range 4 {
			p = append(p, h.producer())
			h.equal("base", h.put(s.Shard(0), Transactional(p[i].at(0), h.now(), "x")).Base, i)
		}
		h.end(s.Shard(0), p[2], false) // at 4
		h.stable(s.Shard(0), 0, 5)
		h.end(s.Shard(0), p[0], false) // at 5
		h.stable(s.Shard(0), 1, 6)
		h.end(s.Shard(0), p[1], true)
		h.stable(s.Shard(0), 3, 7)
		h.put(s.Shard(0), Transactional(p[0].at(1), h.now(), "x")) // 7
		h.end(s.Shard(0), p[3], false)                             // at 8
		h.stable(s.Shard(0), 7, 9)
		h.end(s.Shard(0), p[0], false) // at 9
		h.stable(s.Shard(0), 10, 10)
		ended := func(i int, first, last stream.Offset) stream.Aborted {
			return stream.Aborted{ProducerID: p[i].ID, First: first, Last: last}
		}
		h.aborted(s.Shard(0), 0, 10, ended(0, 0, 5), ended(2, 2, 4), ended(3, 3, 8), ended(0, 7, 9))
		h.aborted(s.Shard(0), 6, 7, ended(3, 3, 8))
	}},
	{"a marker without a transaction takes an offset, and nothing else", func(h *harness) {
		h.needTransact()
		s := h.create("s", 1)
		p := h.producer()
		h.equal("base", h.end(s.Shard(0), p, false).Base, 0)
		h.put(s.Shard(0), produced(p.at(0), h.now(), "outside"))
		h.equal("base", h.end(s.Shard(0), p, false).Base, 2)
		h.stable(s.Shard(0), 3, 3)
		h.aborted(s.Shard(0), 0, 3)
	}},
	{"control batches are not appended as others are", func(h *harness) {
		s := h.create("s", 1)
		p := h.producer()
		h.is(h.offer(s.Shard(0), p.marker(h.now(), true)), stream.ErrInvalid)
		h.equal("end", h.bounds(s.Shard(0)).End, 0)
	}},
	{"a marker of a newer epoch fences its producer", func(h *harness) {
		h.needTransact()
		s := h.create("s", 1)
		p := h.producer()
		old := p
		h.put(s.Shard(0), Transactional(p.at(0), h.now(), "a"))
		p.Epoch++
		h.end(s.Shard(0), p, false)
		h.is(h.offer(s.Shard(0), Transactional(old.at(1), h.now(), "late")), stream.ErrFenced)
		h.is(h.offer(s.Shard(0), produced(old.at(1), h.now(), "late")), stream.ErrFenced)
		h.is(h.tryEnd(s.Shard(0), old, true), stream.ErrFenced)
		h.stable(s.Shard(0), 2, 2)
		h.put(s.Shard(0), Transactional(p.at(0), h.now(), "b"))
		h.stable(s.Shard(0), 2, 3)
	}},
	{"a batch outside of its producer's transaction is refused", func(h *harness) {
		h.needTransact()
		s := h.create("s", 2)
		p := h.producer()
		h.put(s.Shard(0), produced(p.at(0), h.now(), "outside"))
		h.put(s.Shard(0), Transactional(p.at(1), h.now(), "within"))
		h.is(h.offer(s.Shard(0), produced(p.at(2), h.now(), "outside")), stream.ErrTransaction)
		h.put(s.Shard(1), produced(p.at(0), h.now(), "another shard"))
		h.putValues(s.Shard(0), "no producer")
		h.end(s.Shard(0), p, true)
		h.put(s.Shard(0), produced(p.at(2), h.now(), "outside"))
		h.equal("end", h.bounds(s.Shard(0)).End, 5)
	}},
	{"a repeat within a transaction is a duplicate, also behind its marker", func(h *harness) {
		h.needTransact()
		s := h.create("s", 1)
		p := h.producer()
		b := Transactional(p.at(0), h.now(), "a")
		h.put(s.Shard(0), b)
		if r := h.put(s.Shard(0), b); !r.Duplicate || r.Base != 0 {
			h.Fatalf("repeat within: %+v", r)
		}
		h.end(s.Shard(0), p, true)
		if r := h.put(s.Shard(0), b); !r.Duplicate || r.Base != 0 {
			h.Fatalf("repeat behind: %+v", r)
		}
		h.stable(s.Shard(0), 2, 2)
	}},
	{"the start may pass open and aborted transactions", func(h *harness) {
		h.needTransact()
		s := h.create("s", 1)
		p, q := h.producer(), h.producer()
		h.put(s.Shard(0), Transactional(p.at(0), h.now(), "0", "1"))
		h.put(s.Shard(0), Transactional(q.at(0), h.now(), "2", "3"))
		h.trim(s.Shard(0), 1)
		h.stable(s.Shard(0), 1, 4)
		h.trim(s.Shard(0), 3)
		h.stable(s.Shard(0), 3, 4)
		h.trim(s.Shard(0), 4)
		h.stable(s.Shard(0), 4, 4)
		h.putValues(s.Shard(0), "4")
		h.stable(s.Shard(0), 4, 5)
		h.end(s.Shard(0), p, false) // at 5
		h.stable(s.Shard(0), 4, 6)
		h.end(s.Shard(0), q, false) // at 6
		h.stable(s.Shard(0), 7, 7)
		h.aborted(s.Shard(0), 0, 7, stream.Aborted{ProducerID: p.ID, First: 0, Last: 5}, stream.Aborted{ProducerID: q.ID, First: 2, Last: 6})
		h.trim(s.Shard(0), 6)
		h.aborted(s.Shard(0), 0, 7, stream.Aborted{ProducerID: q.ID, First: 2, Last: 6})
		h.trim(s.Shard(0), 7)
		h.aborted(s.Shard(0), 0, 7)
	}},
	{"a marker is reported to who watches", func(h *harness) {
		h.needTransact()
		s := h.create("s", 2)
		p := h.producer()
		h.put(s.Shard(0), Transactional(p.at(0), h.now(), "x"))
		w := h.watch(s.Shard(0), s.Shard(1))
		h.end(s.Shard(0), p, true)
		h.takes(w, s.Shard(0))
	}},
	{"markers and cursors are stored together or not at all", func(h *harness) {
		h.needTransact()
		s := h.create("s", 2)
		p := h.producer()
		for i := range s.Shards {
			h.put(s.Shard(i), Transactional(p.at(0), h.now(), "x"))
		}
		marker := p.marker(h.now(), true)
		both := []stream.Append{{Shard: s.Shard(0), Batch: marker}, {Shard: s.Shard(1), Batch: marker}}
		cursor := func(shard, next int64) stream.Cursor {
			return stream.Cursor{Shard: s.Shard(int32(shard)), Next: stream.Offset(next), Epoch: -1, Committed: time.UnixMilli(5)}
		}
		for _, row := range []struct {
			entries []stream.Append
			cursors []stream.OwnedCursors
			err     error
		}{
			{append(both[:1:1], stream.Append{Shard: s.Shard(2), Batch: marker}), []stream.OwnedCursors{{Owner: "a", Cursors: []stream.Cursor{cursor(0, 1)}}}, stream.ErrNotFound},
			{both, []stream.OwnedCursors{{Owner: "a", Cursors: []stream.Cursor{cursor(0, 1)}}, {Owner: "b", Cursors: []stream.Cursor{cursor(2, 1)}}}, stream.ErrNotFound},
		} {
			_, err := h.options.Transact(h.log, row.entries, row.cursors)
			h.is(err, row.err)
			h.stable(s.Shard(0), 0, 1)
			h.stable(s.Shard(1), 0, 1)
			h.committed("a")
		}
		_, err := h.options.Transact(h.log, both, []stream.OwnedCursors{
			{Owner: "a", Cursors: []stream.Cursor{cursor(0, 1), cursor(1, 2)}}, {Owner: "b", Cursors: []stream.Cursor{cursor(1, 3)}},
		})
		h.must(err)
		h.stable(s.Shard(0), 2, 2)
		h.stable(s.Shard(1), 2, 2)
		h.committed("a", cursor(0, 1), cursor(1, 2))
		h.committed("b", cursor(1, 3))
	}},
	{"what is known of producers can be asked for", func(h *harness) {
		h.needTransact()
		s := h.create("s", 1)
		p, q, r := h.producer(), h.producer(), h.producer()
		h.put(s.Shard(0), Transactional(q.at(0), h.now(), "x", "y"))
		h.put(s.Shard(0), produced(p.at(7), h.now(), "x"))
		r.Epoch = 4
		h.put(s.Shard(0), Transactional(r.at(0), h.now(), "x"))
		r.Epoch++
		h.endAs(s.Shard(0), r, false, 6)
		all, err := h.log.Producers(h.Context(), s.Shard(0))
		h.must(err)
		for i := range all {
			if h.clock != nil {
				h.equal("last timestamp", all[i].LastTimestamp.UnixMilli(), h.now().UnixMilli())
			}
			all[i].LastTimestamp = time.Time{}
		}
		h.equal("producers", all, []stream.Producer{
			{ID: p.ID, LastSequence: 7, CoordinatorEpoch: -1, TransactionFirst: -1},
			{ID: q.ID, LastSequence: 1, CoordinatorEpoch: -1, TransactionFirst: 0},
			{ID: r.ID, Epoch: 5, LastSequence: -1, CoordinatorEpoch: 6, TransactionFirst: -1},
		})
		_, err = h.log.Producers(h.Context(), s.Shard(1))
		h.is(err, stream.ErrNotFound)
		_, err = h.log.Aborted(h.Context(), s.Shard(1), 0, 1)
		h.is(err, stream.ErrNotFound)
	}},
	{"a stream with an open transaction can be deleted", func(h *harness) {
		h.needTransact()
		s := h.create("s", 1)
		p := h.producer()
		h.put(s.Shard(0), Transactional(p.at(0), h.now(), "x"))
		h.must(h.log.Delete(h.Context(), s.ID))
		h.is(h.tryEnd(s.Shard(0), p, true), stream.ErrNotFound)
		again := h.create("s", 1)
		h.stable(again.Shard(0), 0, 0)
	}},
	{"transactions outlive a clean restart", func(h *harness) {
		if h.options.Reopen == nil {
			h.Skip("the suite cannot reopen the log")
		}
		h.transactionsOutlive(func() { h.log = h.options.Reopen(h, h.log) })
	}},
	{"transactions outlive a crash", func(h *harness) {
		if h.options.Crash == nil {
			h.Skip("the suite cannot crash the log")
		}
		h.transactionsOutlive(func() { h.log = h.options.Crash(h, h.log) })
	}},
}

// transactionsOutlive restarts the log between all that happens to transactions.
func (h *harness) transactionsOutlive(restart func()) {
	h.Helper()
	h.needTransact()
	s := h.create("s", 1)
	p, q := h.producer(), h.producer()
	shard := s.Shard(0)
	steps := []struct {
		do      func()
		stable  stream.Offset
		end     stream.Offset
		aborted []stream.Aborted
	}{
		{func() { h.putValues(shard, "0") }, 1, 1, nil},
		{func() { h.put(shard, Transactional(p.at(0), h.now(), "1")) }, 1, 2, nil},
		{func() { h.put(shard, Transactional(q.at(0), h.now(), "2")) }, 1, 3, nil},
		{func() { h.end(shard, p, false) }, 2, 4, []stream.Aborted{{ProducerID: p.ID, First: 1, Last: 3}}},
		{func() { h.put(shard, Transactional(p.at(1), h.now(), "4")) }, 2, 5, []stream.Aborted{{ProducerID: p.ID, First: 1, Last: 3}}},
		{func() { h.end(shard, q, true) }, 4, 6, []stream.Aborted{{ProducerID: p.ID, First: 1, Last: 3}}},
		{func() { p.Epoch++; h.end(shard, p, false) }, 7, 7, []stream.Aborted{{ProducerID: p.ID, First: 1, Last: 3}, {ProducerID: p.ID, First: 4, Last: 6}}},
		{func() { h.trim(shard, 4) }, 7, 7, []stream.Aborted{{ProducerID: p.ID, First: 4, Last: 6}}},
	}
	for i, step := range steps {
		step.do()
		before, err := h.log.Producers(h.Context(), shard)
		h.must(err)
		restart()
		h.stable(shard, step.stable, step.end)
		h.aborted(shard, 0, step.end, step.aborted...)
		after, err := h.log.Producers(h.Context(), shard)
		h.must(err)
		h.equal(fmt.Sprintf("producers after step %d", i), after, before)
	}
	old := p
	old.Epoch--
	h.is(h.offer(shard, Transactional(old.at(2), h.now(), "late")), stream.ErrFenced)
}

// needTransact skips the case for a log that the suite cannot end transactions in.
func (h *harness) needTransact() {
	if h.options.Transact == nil {
		h.Skip("the suite cannot end transactions")
	}
}

// Transactional makes an uncompressed batch of a producer's transaction, of records without keys and with one timestamp.
func Transactional(p batch.Producer, at time.Time, values ...string) []byte {
	b := produced(p, at, values...)
	b[22] |= 1 << 4
	batch.SetMaxTimestamp(b, at.UnixMilli()) // and with it the checksum
	return b
}

// marker makes the marker of the producer's transaction.
func (p producerID) marker(at time.Time, commit bool) []byte {
	return batch.AppendMarker(nil, batch.Marker{ProducerID: p.ID, Epoch: p.Epoch, Commit: commit, Time: at})
}

// end ends the producer's transaction in a shard.
func (h *harness) end(shard stream.Shard, p producerID, commit bool) stream.Appended {
	h.Helper()
	return h.endAs(shard, p, commit, 0)
}

// endAs is end by a coordinator of some epoch.
func (h *harness) endAs(shard stream.Shard, p producerID, commit bool, coordinator int32) stream.Appended {
	h.Helper()
	m := batch.AppendMarker(nil, batch.Marker{ProducerID: p.ID, Epoch: p.Epoch, Commit: commit, CoordinatorEpoch: coordinator, Time: h.now()})
	results, err := h.options.Transact(h.log, []stream.Append{{Shard: shard, Batch: m}}, nil)
	h.must(err)
	return results[0]
}

// tryEnd is end that may be refused.
func (h *harness) tryEnd(shard stream.Shard, p producerID, commit bool) error {
	_, err := h.options.Transact(h.log, []stream.Append{{Shard: shard, Batch: p.marker(h.now(), commit)}}, nil)
	return err
}

func (h *harness) trim(shard stream.Shard, before stream.Offset) {
	h.Helper()
	_, err := h.log.Trim(h.Context(), shard, before)
	h.must(err)
}

// stable checks last stable offset and end of a shard.
func (h *harness) stable(shard stream.Shard, stable, end stream.Offset) {
	h.Helper()
	b := h.bounds(shard)
	h.equal("last stable offset and end", [2]stream.Offset{b.LastStable, b.End}, [2]stream.Offset{stable, end})
}

// aborted checks what Aborted says of a range.
func (h *harness) aborted(shard stream.Shard, from, to stream.Offset, want ...stream.Aborted) {
	h.Helper()
	got, err := h.log.Aborted(h.Context(), shard, from, to)
	h.must(err)
	h.equal(fmt.Sprintf("aborted between %d and %d", from, to), got, want)
}
