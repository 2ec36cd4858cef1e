package producers

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// A producer has one transaction open in a shard at most: from its first transactional batch behind the last marker to its next marker. Which
// batches and markers are taken is what Kafka's ProducerAppendInfo takes.

// checkTransaction judges whether a batch may be where its producer, nil if it is unknown, has a transaction open or not.
func (t *Table) checkTransaction(h *batch.Header, p *producer) error {
	open := p != nil && p.first != none
	switch transactional := h.Attributes.Transactional(); {
	case open && !transactional:
		return fmt.Errorf("%w: producer %d has one open since offset %d, the batch belongs to none", stream.ErrTransaction, p.id, p.first)
	case transactional && !open && t.opened >= t.limit:
		return fmt.Errorf("%w: %d producers have an open transaction in the shard", stream.ErrTooMany, t.opened)
	}
	return nil
}

// CheckMarker judges the marker of a producer's transaction, open or not: stream.ErrFenced if the producer has a newer epoch, stream.ErrCoordinator if
// the coordinator of its last marker had.
func (t *Table) CheckMarker(m *batch.Marker) error {
	p := t.producers[m.ProducerID]
	switch {
	case p == nil:
		return nil
	case m.Epoch < p.epoch:
		return fmt.Errorf("%w: producer %d has epoch %d, the marker %d", stream.ErrFenced, p.id, p.epoch, m.Epoch)
	case m.CoordinatorEpoch < p.coordinator:
		return fmt.Errorf("%w: producer %d had a marker of coordinator epoch %d, this one has %d", stream.ErrCoordinator, p.id, p.coordinator, m.CoordinatorEpoch)
	}
	return nil
}

// End remembers a marker that CheckMarker has taken, as Record does a batch. It returns the first offset of the transaction that it has ended; open
// is false if there was none. From now on older epochs of the producer are refused.
func (t *Table) End(m *batch.Marker, at int64) (first stream.Offset, open bool) {
	p := t.heard(m.ProducerID, m.Epoch, at)
	p.coordinator = m.CoordinatorEpoch
	first, open = p.first, p.first != none
	if open {
		p.first = none
		t.opened--
		p.unlink()
		p.link(&t.ring)
	}
	t.forgetBeyondLimit()
	return first, open
}

// begin opens a transaction. Those open have begun before it.
func (t *Table) begin(p *producer, first stream.Offset) {
	p.first = first
	t.opened++
	p.unlink()
	p.link(&t.open)
}

// Open calls visit with the open transactions, that which began first first.
func (t *Table) Open(visit func(producer int64, first stream.Offset)) {
	for p := t.open.next; p != &t.open; p = p.next {
		visit(p.id, p.first)
	}
}

// Producers returns what is remembered, ordered by id.
func (t *Table) Producers() []stream.Producer {
	all := make([]stream.Producer, 0, len(t.producers))
	for _, p := range t.producers {
		last := int32(none)
		if p.kept > 0 {
			last = p.batches[p.kept-1].Last
		}
		all = append(all, stream.Producer{
			ID: p.id, Epoch: p.epoch, LastSequence: last, LastTimestamp: time.UnixMilli(p.at), CoordinatorEpoch: p.coordinator, TransactionFirst: p.first,
		})
	}
	slices.SortFunc(all, func(a, b stream.Producer) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
