package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// transactions are the part of a workload in which two producers write transactions to a stream of their own. Each end is one call of Transact:
// markers in all shards that were written to, a cursor and a document with the end's number, which the markers have as coordinator epoch.
type transactions struct {
	stream *stream.Stream
	shards int32
	sends  []*unit
	ends   []*end
	writer [2]writer
	trims  map[stream.Shard]history
}

type writer struct {
	epoch    int16
	sequence map[stream.Shard]int32
	within   map[stream.Shard]bool // shards with a part of the open transaction
}

// end is one end of a transaction.
type end struct {
	step
	shards []stream.Shard
	commit bool
}

// producerOf returns the id of writer i.
func producerOf(i int) int64 { return int64(20 + i) }

func (w *workload) beginTransactions() {
	s, err := w.engine.Create(context.Background(), stream.Spec{Name: "transactions", Shards: 3})
	must(w.t, err)
	w.tx = transactions{stream: s, shards: s.Shards, trims: map[stream.Shard]history{}}
	for i := range w.tx.writer {
		w.tx.writer[i] = writer{sequence: map[stream.Shard]int32{}, within: map[stream.Shard]bool{}}
	}
}

func (w *workload) operateTransactions() {
	switch n := w.random.IntN(10); {
	case n < 5:
		w.sendWithin(w.random.IntN(2))
	case n < 9:
		w.endTransaction(w.random.IntN(2))
	default:
		w.trimTransactions()
	}
}

// sendWithin appends to one to three shards within the writer's transaction.
func (w *workload) sendWithin(i int) {
	p, u := &w.tx.writer[i], &unit{}
	for _, k := range w.random.Perm(int(w.tx.shards))[:1+w.random.IntN(int(w.tx.shards))] {
		shard := w.tx.stream.Shard(int32(k))
		w.lastID++
		value := make([]byte, 8+w.random.IntN(1500))
		binary.BigEndian.PutUint64(value, w.lastID)
		var b batch.Builder
		b.Add(epoch.UnixMilli(), nil, value)
		one := slices.Clone(b.Finish(batch.Producer{ID: producerOf(i), Epoch: p.epoch, Sequence: p.sequence[shard]}))
		one[22] |= 1 << 4
		batch.SetMaxTimestamp(one, epoch.UnixMilli())
		p.sequence[shard]++
		p.within[shard] = true
		u.entries = append(u.entries, sent{shard: shard, ids: []uint64{w.lastID}, batch: one})
	}
	u.asked = w.tick()
	w.tx.sends = append(w.tx.sends, u)
	u.ticket = w.engine.Append(context.Background(), u.appends())
	w.pending = append(w.pending, u)
}

// endTransaction ends what the writer has open, under its own epoch or the next.
func (w *workload) endTransaction(i int) {
	p := &w.tx.writer[i]
	if len(p.within) == 0 {
		return
	}
	if w.random.IntN(2) == 0 {
		p.epoch++
		clear(p.sequence)
	}
	e := &end{commit: w.random.IntN(2) == 0, step: step{value: strconv.Itoa(len(w.tx.ends) + 1)}}
	m := batch.Marker{ProducerID: producerOf(i), Epoch: p.epoch, Commit: e.commit, CoordinatorEpoch: int32(len(w.tx.ends) + 1), Time: epoch}
	var entries []stream.Append
	for k := range w.tx.shards {
		if shard := w.tx.stream.Shard(k); p.within[shard] {
			e.shards = append(e.shards, shard)
			entries = append(entries, stream.Append{Shard: shard, Batch: batch.AppendMarker(nil, m)})
		}
	}
	clear(p.within)
	w.tx.ends = append(w.tx.ends, e)
	e.asked = w.tick()
	cursors := []stream.OwnedCursors{{Owner: "transactions", Cursors: []stream.Cursor{{Shard: w.tx.stream.Shard(0), Next: stream.Offset(m.CoordinatorEpoch)}}}}
	document := []state.Change{{Key: state.Key{Kind: "transactions", ID: "last"}, If: state.Any, Value: []byte(e.value)}}
	_, _, err := w.engine.Transact(context.Background(), entries, cursors, document)
	must(w.t, err)
	e.acked = w.tick()
}

func (w *workload) trimTransactions() {
	shard := w.tx.stream.Shard(int32(w.random.IntN(int(w.tx.shards))))
	b, err := w.engine.Bounds(context.Background(), shard)
	must(w.t, err)
	to := b.Start + stream.Offset(w.random.Int64N(int64(b.End-b.Start)/2+1))
	s := &step{asked: w.tick(), value: fmt.Sprint(to)}
	w.tx.trims[shard] = append(w.tx.trims[shard], s)
	_, err = w.engine.Trim(context.Background(), shard, to)
	must(w.t, err)
	s.acked = w.tick()
}

// verifyTransactions checks what a cut has left of transactions: each end wholly or not at all, in order, and what the engine says of open and aborted
// ones is what can be read.
func (w *workload) verifyTransactions(e *Engine, c cut) {
	ctx := context.Background()
	if _, err := e.StreamByID(ctx, w.tx.stream.ID); err != nil {
		if len(w.tx.sends) > 0 && w.tx.sends[0].asked < c.at {
			w.t.Errorf("the stream of transactions is gone")
		}
		return
	}
	last := 0
	if d, err := e.State().Get(ctx, state.Key{Kind: "transactions", ID: "last"}); err == nil {
		last, _ = strconv.Atoi(string(d.Value))
	}
	cursors, err := e.Committed(ctx, "transactions")
	must(w.t, err)
	if last == 0 && len(cursors) > 0 || last > 0 && (len(cursors) != 1 || cursors[0].Next != stream.Offset(last)) {
		w.t.Errorf("the document says that %d transactions have ended, the cursor %v", last, cursors)
	}
	for i, d := range w.tx.ends {
		if i >= last && d.acked != 0 && d.acked < c.at || i < last && d.asked >= c.at {
			w.t.Errorf("%d transactions have ended; number %d was asked for at %d, acknowledged at %d", last, i+1, d.asked, d.acked)
		}
	}
	for k := range w.tx.shards {
		shard := w.tx.stream.Shard(k)
		read := readTransactions(w, e, shard)
		w.verifySent(c, shard, &read)
		for i, d := range w.tx.ends {
			commit, there := read.markers[int32(i+1)]
			mayBeTrimmed := read.bounds.Start > 0
			if want := i < last && slices.Contains(d.shards, shard); there && (!want || commit != d.commit) || !there && want && !mayBeTrimmed {
				w.t.Errorf("%d transactions have ended; the marker of number %d in %v is there: %v", last, i+1, shard, there)
			}
		}
		read.compare(w, e, shard)
	}
}

// verifySent checks that acknowledged records of transactions are where they were.
func (w *workload) verifySent(c cut, shard stream.Shard, read *transactionsRead) {
	for _, u := range w.tx.sends {
		for _, s := range u.entries {
			if s.shard != shard || u.acked == 0 || u.acked >= c.at || s.base < read.bounds.Start {
				continue
			}
			if read.ids[s.ids[0]] != s.base {
				w.t.Errorf("record %d, acknowledged at offset %d of %v, is at %d", s.ids[0], s.base, shard, read.ids[s.ids[0]])
			}
		}
	}
}

// transactionsRead is what the batches of a shard say of its transactions.
type transactionsRead struct {
	bounds  stream.Bounds
	ids     map[uint64]stream.Offset
	markers map[int32]bool // commit, by coordinator epoch
	open    map[int64]stream.Offset
	aborted []stream.Aborted
	// unsure are the producers whose first marker has not come yet: part of their transaction may have been trimmed.
	sure map[int64]bool
	may  []stream.Aborted // aborted ones of producers that were not sure; First is what was seen of them, or the marker's
}

func readTransactions(w *workload, e *Engine, shard stream.Shard) transactionsRead {
	ctx := context.Background()
	b, err := e.Bounds(ctx, shard)
	must(w.t, err)
	r := transactionsRead{bounds: b, ids: map[uint64]stream.Offset{}, markers: map[int32]bool{}, open: map[int64]stream.Offset{}, sure: map[int64]bool{}}
	for from := b.Start; from < b.End; {
		chunk, err := e.Read(ctx, shard, from, 3000)
		if err != nil || len(chunk.Batches) == 0 {
			w.t.Errorf("read %v from %d: %v", shard, from, err)
			return r
		}
		for _, one := range chunk.Batches {
			r.take(w, one)
			h, _ := batch.Parse(one)
			from = stream.Offset(h.LastOffset()) + 1
		}
		chunk.Release()
	}
	return r
}

func (r *transactionsRead) take(w *workload, one []byte) {
	h, err := batch.Verify(one)
	must(w.t, err)
	at := stream.Offset(h.BaseOffset)
	first, open := r.open[h.ProducerID]
	if !h.Attributes.Control() {
		must(w.t, batch.Records(one, 0, func(rec *batch.Record) bool {
			r.ids[binary.BigEndian.Uint64(rec.Value)] = stream.Offset(rec.Offset)
			return true
		}))
		if !open {
			r.open[h.ProducerID] = at
		}
		return
	}
	m, err := batch.ParseMarker(one)
	must(w.t, err)
	r.markers[m.CoordinatorEpoch] = m.Commit
	sure := r.sure[m.ProducerID] || r.bounds.Start == 0
	a := stream.Aborted{ProducerID: m.ProducerID, First: first, Last: at}
	switch {
	case m.Commit:
	case sure && open:
		r.aborted = append(r.aborted, a)
	case !sure:
		if !open {
			a.First = at
		}
		r.may = append(r.may, a)
	}
	delete(r.open, m.ProducerID)
	r.sure[m.ProducerID] = true
}

// compare checks what the engine says against what was read.
func (r *transactionsRead) compare(w *workload, e *Engine, shard stream.Shard) {
	ctx := context.Background()
	aborted, err := e.Aborted(ctx, shard, 0, r.bounds.End)
	must(w.t, err)
	for _, a := range r.may { // some of its records may have been trimmed, or all of them
		i := slices.IndexFunc(aborted, func(o stream.Aborted) bool {
			return o.Last == a.Last && o.ProducerID == a.ProducerID && o.First <= a.First
		})
		if i >= 0 {
			aborted = slices.Delete(aborted, i, i+1)
		} else if a.First < a.Last {
			w.t.Errorf("%v: transaction %+v is not among the aborted %v", shard, a, aborted)
		}
	}
	slices.SortFunc(r.aborted, func(a, b stream.Aborted) int { return int(a.First - b.First) })
	if !slices.Equal(aborted, r.aborted) {
		w.t.Errorf("%v: aborted are %v, the batches say %v", shard, aborted, r.aborted)
	}
	stable, exact := r.bounds.End, true
	for producer, first := range r.open {
		if first < stable {
			stable, exact = first, r.sure[producer] || r.bounds.Start == 0
		}
	}
	got := r.bounds.LastStable
	if exact && r.bounds.Start == 0 && got != stable || got > stable || got < r.bounds.Start {
		w.t.Errorf("%v: last stable offset %d, the batches say %d of %+v", shard, got, stable, r.bounds)
	}
	producers, err := e.Producers(ctx, shard)
	must(w.t, err)
	for _, p := range producers {
		first, open := r.open[p.ID]
		if sure := r.sure[p.ID] || r.bounds.Start == 0; sure && (open != (p.TransactionFirst >= 0) || open && first != p.TransactionFirst) || open && p.TransactionFirst > first {
			w.t.Errorf("%v: %+v, the batches say that its transaction is open: %v, from %d", shard, p, open, first)
		}
	}
}

// endAllTransactions aborts what a cut has left open, after which all is stable.
func (w *workload) endAllTransactions(e *Engine) {
	ctx := context.Background()
	var entries []stream.Append
	for k := range w.tx.shards {
		producers, err := e.Producers(ctx, w.tx.stream.Shard(k))
		if errors.Is(err, stream.ErrNotFound) {
			return
		}
		must(w.t, err)
		for _, p := range producers {
			if p.TransactionFirst >= 0 {
				m := batch.Marker{ProducerID: p.ID, Epoch: p.Epoch + 1, CoordinatorEpoch: 1 << 20, Time: epoch}
				entries = append(entries, stream.Append{Shard: w.tx.stream.Shard(k), Batch: batch.AppendMarker(nil, m)})
			}
		}
	}
	_, _, err := e.Transact(ctx, entries, nil, nil)
	must(w.t, err)
	w.compareTransactions(e, true)
}

// compareTransactions compares what the engine says with the batches; ended says that no transaction can be open.
func (w *workload) compareTransactions(e *Engine, ended bool) {
	for k := range w.tx.shards {
		shard := w.tx.stream.Shard(k)
		if _, err := e.Bounds(context.Background(), shard); err != nil {
			return
		}
		read := readTransactions(w, e, shard)
		read.compare(w, e, shard)
		if ended && read.bounds.LastStable != read.bounds.End {
			w.t.Errorf("%v: all transactions have ended, but %+v", shard, read.bounds)
		}
	}
}
