// Package producers is the memory by which a shard's log tells an idempotent producer's batch from its repeat (KIP-98). Table holds, per
// producer id, the epoch and the last batches; Check judges a batch, Record remembers one that was taken.
//
// A Table is pure: it reads no clock, does no I/O and takes no lock. Its owner, the writer of the shard, guards it and calls Record in log
// order right after Check, before the batch is durable, so that batches in flight are judged too. CheckMarker and End are the same for the
// markers that end transactions (transaction.go). It refuses to know which transactions were aborted, and what a transaction does elsewhere.
package producers

import (
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// Remembered is how many batches of a producer are told from their repeats: as many as a producer may have in flight on a connection.
const Remembered = 5

// DefaultExpiration is how long a silent producer is remembered, as Kafka's producer.id.expiration.ms.
const DefaultExpiration = 24 * time.Hour

// DefaultMaxProducers bounds the producers that one table remembers; beyond it the longest silent one is forgotten. Those with an open transaction
// are not: no more than as many may have one.
const DefaultMaxProducers = 20_000

// sequences is how many sequence numbers there are: after 2^31-1 comes 0.
const sequences = 1 << 31

// Batch is what is remembered of a batch.
type Batch struct {
	First, Last int32         // sequences of its first and last record
	Base        stream.Offset // offset of its first record
	At          int64         // when the log took it, milliseconds since 1970
}

// producer is the state of one producer id, and an element of one of two rings: that which orders producers by their last sign of life, or that
// of those with an open transaction, by its first offset.
type producer struct {
	id          int64
	epoch       int16
	kept        uint8 // batches[:kept] are remembered, oldest first
	coordinator int32 // epoch of the coordinator that ended its last transaction, -1 = none
	accepted    int64 // how many sequences this epoch has used, all of them directly before the next one; at most sequences
	at          int64 // last sign of life
	first       stream.Offset
	batches     [Remembered]Batch
	prev, next  *producer
}

// none is the first offset of no transaction, and the epoch of no coordinator.
const none = -1

// Table is the producers of one shard.
type Table struct {
	limit     int
	producers map[int64]*producer
	ring      producer // sentinel: ring.next is the longest silent
	open      producer // sentinel: open.next has the transaction that began first
	opened    int      // in the ring of open
}

// New returns a table of at most limit producers, 0 = DefaultMaxProducers.
func New(limit int) *Table {
	if limit <= 0 {
		limit = DefaultMaxProducers
	}
	t := &Table{limit: limit, producers: map[int64]*producer{}}
	t.ring.prev, t.ring.next = &t.ring, &t.ring
	t.open.prev, t.open.next = &t.open, &t.open
	return t
}

// Len returns how many producers are remembered.
func (t *Table) Len() int { return len(t.producers) }

// Check judges a batch by its header: taken if err is nil and duplicate false; a repeat of the remembered batch if duplicate is true.
// A batch without producer id is always taken, and so is any sequence of an unknown producer: its state may have expired (KIP-360).
//
// The errors: stream.ErrFenced for an older epoch than the known one; stream.ErrOutOfOrder if the batch does not begin with the sequence
// after the last one, or a new epoch does not begin with 0; stream.ErrStale for sequences that were taken too long ago to tell where;
// stream.ErrTransaction for a batch outside of the transaction that its producer has open; stream.ErrTooMany for one that would begin one too many.
func (t *Table) Check(h *batch.Header) (remembered Batch, duplicate bool, err error) {
	if h.ProducerID < 0 {
		return Batch{}, false, nil
	}
	p := t.producers[h.ProducerID]
	if p == nil {
		return Batch{}, false, t.checkTransaction(h, p)
	}
	if h.ProducerEpoch < p.epoch {
		return Batch{}, false, fmt.Errorf("%w: producer %d has epoch %d, the batch %d", stream.ErrFenced, p.id, p.epoch, h.ProducerEpoch)
	}
	if h.ProducerEpoch > p.epoch {
		if h.BaseSequence != 0 {
			return Batch{}, false, fmt.Errorf("%w: producer %d begins epoch %d with sequence %d", stream.ErrOutOfOrder, p.id, h.ProducerEpoch, h.BaseSequence)
		}
		return Batch{}, false, t.checkTransaction(h, p)
	}
	for _, b := range p.batches[:p.kept] {
		if b.First == h.BaseSequence && b.Last == h.LastSequence() {
			return b, true, nil
		}
	}
	if err := p.checkSequence(h); err != nil {
		return Batch{}, false, err
	}
	return Batch{}, false, t.checkTransaction(h, p)
}

func (p *producer) checkSequence(h *batch.Header) error {
	want := p.nextSequence()
	if h.BaseSequence == want {
		return nil
	}
	behind := forward(h.BaseSequence, want)
	taken := behind <= p.accepted && int64(h.LastOffsetDelta) < behind
	overlaps := p.kept > 0 && forward(p.batches[0].First, h.LastSequence()) < forward(p.batches[0].First, want)
	if taken && !overlaps {
		return fmt.Errorf("%w: producer %d sent sequence %d again, the next is %d", stream.ErrStale, p.id, h.BaseSequence, want)
	}
	return fmt.Errorf("%w: producer %d sent sequence %d, the next is %d", stream.ErrOutOfOrder, p.id, h.BaseSequence, want)
}

func (p *producer) nextSequence() int32 {
	if p.kept == 0 {
		return 0
	}
	return int32((int64(p.batches[p.kept-1].Last) + 1) % sequences)
}

// forward returns how many steps lead from sequence a to b, across the wrap if need be.
func forward(a, b int32) int64 { return (int64(b) - int64(a) + sequences) % sequences }

// Record remembers a batch that Check has taken and the log has put at h.BaseOffset, at (milliseconds since 1970 by the log's clock). Recovery
// calls it for each stored batch in log order. A batch without producer id changes nothing. It reports whether the batch has begun a transaction.
func (t *Table) Record(h *batch.Header, at int64) (began bool) {
	if h.ProducerID < 0 {
		return false
	}
	p := t.heard(h.ProducerID, h.ProducerEpoch, at)
	p.remember(Batch{First: h.BaseSequence, Last: h.LastSequence(), Base: stream.Offset(h.BaseOffset), At: at})
	if began = p.first == none && h.Attributes.Transactional(); began {
		t.begin(p, stream.Offset(h.BaseOffset))
	}
	t.forgetBeyondLimit()
	return began
}

// heard returns the producer, new if need be, with the epoch of its sign of life.
func (t *Table) heard(id int64, epoch int16, at int64) *producer {
	p := t.producers[id]
	switch {
	case p == nil:
		p = &producer{id: id, epoch: epoch, coordinator: none, first: none}
		t.producers[id] = p
		p.link(&t.ring)
	case p.first == none:
		p.unlink()
		p.link(&t.ring)
	}
	p.at = at
	if epoch != p.epoch {
		p.epoch, p.kept, p.accepted = epoch, 0, 0
	}
	return p
}

// forgetBeyondLimit forgets the longest silent producers while there are too many.
func (t *Table) forgetBeyondLimit() {
	for len(t.producers) > t.limit && t.ring.next != &t.ring {
		t.forget(t.ring.next)
	}
}

func (p *producer) remember(b Batch) {
	if p.kept == Remembered {
		copy(p.batches[:], p.batches[1:])
		p.kept--
	}
	p.batches[p.kept] = b
	p.kept++
	p.accepted = min(p.accepted+forward(b.First, b.Last)+1, sequences)
}

// Expire forgets the producers whose last sign of life is at before or earlier (milliseconds since 1970), and returns how many. Those with an open
// transaction are not among them.
func (t *Table) Expire(before int64) int {
	n := 0
	for p := t.ring.next; p != &t.ring; {
		next := p.next
		// The clock may have gone backwards between two signs of life, so the ring's order does not end the search.
		if p.at <= before {
			t.forget(p)
			n++
		}
		p = next
	}
	return n
}

func (t *Table) forget(p *producer) {
	p.unlink()
	delete(t.producers, p.id)
}

func (p *producer) unlink() {
	p.prev.next, p.next.prev = p.next, p.prev
}

// link makes p the one heard of last.
func (p *producer) link(ring *producer) {
	p.prev, p.next = ring.prev, ring
	ring.prev.next, ring.prev = p, p
}
