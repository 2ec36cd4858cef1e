package compaction

import (
	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// Transactions follows the transactions of a shard while its batches are gone through, up to where all of them have ended: what belongs to an aborted
// one goes, and a marker may once nothing of its transaction was met before it (Kafka's CleanedTransactionMetadata).
type Transactions struct {
	aborted []stream.Aborted   // that begin behind what was gone through
	aborts  map[int64]struct{} // producers of which a transaction is open that will be aborted
	met     map[int64]struct{} // producers of which a batch of the open transaction was met
}

// NewTransactions returns what follows a shard's transactions, given those of them that were aborted, by First.
func NewTransactions(aborted []stream.Aborted) *Transactions {
	return &Transactions{aborted: aborted, aborts: map[int64]struct{}{}, met: map[int64]struct{}{}}
}

// begin opens the transactions that will be aborted and that begin before the end of a batch.
func (t *Transactions) begin(h *batch.Header) {
	for len(t.aborted) > 0 && int64(t.aborted[0].First) <= h.LastOffset() {
		t.aborts[t.aborted[0].ProducerID] = struct{}{}
		t.aborted = t.aborted[1:]
	}
}

// Data says whether the next batch, which is no marker, is aborted.
func (t *Transactions) Data(h *batch.Header) (aborted bool) {
	if !h.Attributes.Transactional() {
		return false
	}
	t.begin(h)
	t.met[h.ProducerID] = struct{}{}
	_, aborted = t.aborts[h.ProducerID]
	return aborted
}

// Marker ends a transaction with the next batch, and says whether nothing of it is left.
func (t *Transactions) Marker(h *batch.Header) (empty bool) {
	t.begin(h)
	_, met := t.met[h.ProducerID]
	delete(t.met, h.ProducerID)
	delete(t.aborts, h.ProducerID)
	return !met
}

// Pass says what stays of the batches of a shard, which it is told of in order (Kafka's Cleaner.cleanInto).
type Pass struct {
	transactions *Transactions
	now          int64
	filter       batch.Filter
}

// NewPass returns a pass at a time, in milliseconds since 1970, over a shard with these transactions. last says where a key is written last, in the part of
// the shard that was not compacted yet; keys are valid only during the call.
func NewPass(c *stream.Compaction, now int64, t *Transactions, last func(key []byte) (at stream.Offset, written bool)) *Pass {
	return &Pass{transactions: t, now: now, filter: batch.Filter{
		Horizon: max(Horizon(c, now), now+1), // another pass at the same time removes nothing that this one has met first
		Keep: func(offset int64, key []byte, tombstone bool, horizon int64) bool {
			if key == nil || tombstone && horizon != 0 && horizon <= now {
				return false
			}
			at, written := last(key)
			return !written || int64(at) <= offset
		},
	}}
}

// Keep returns what stays of the next batch, nil if nothing does; b itself if it stays as it is, else in memory of dst, which it overwrites.
func (p *Pass) Keep(dst, b []byte) ([]byte, error) {
	h, err := batch.Parse(b)
	if err != nil {
		return nil, err
	}
	if !h.Attributes.Control() {
		if p.transactions.Data(&h) {
			return nil, nil
		}
		return p.filter.Apply(dst, b)
	}
	empty, horizon := p.transactions.Marker(&h), h.DeleteHorizon()
	switch {
	case h.Records == 0 || empty && horizon != 0 && horizon <= p.now:
		return nil, nil
	case empty && horizon == 0:
		return p.filter.Mark(dst, b)
	}
	return b, nil
}

// Keys calls visit with the keys by which a batch counts, and their offsets: none of a marker or of what was aborted. Keys are valid only during the call.
func Keys(t *Transactions, b []byte, visit func(offset int64, key []byte)) error {
	h, err := batch.Parse(b)
	switch {
	case err != nil:
		return err
	case h.Attributes.Control():
		t.Marker(&h)
		return nil
	case t.Data(&h):
		return nil
	}
	return batch.Keys(b, 0, func(offset int64, key []byte) {
		if key != nil {
			visit(offset, key)
		}
	})
}
