package txn

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// Batch is a transactional batch that a client wants to append.
type Batch struct {
	Producer
	Shard    stream.Shard
	Sequence int32 // of its first record
}

// Hold keeps a transaction from ending until Release.
type Hold struct {
	e      *entry
	shared bool
}

// Release lets the transaction end. The batches must have been handed to the log before, in whose order a marker then comes behind them.
func (h Hold) Release() {
	if h.e != nil {
		h.e.unlock(h.shared)
	}
}

// Write says whether batches belong to the open transaction of transactional id id, with one error, or nil, for each: INVALID_PRODUCER_ID_MAPPING,
// PRODUCER_FENCED, TRANSACTION_ABORTABLE for a shard that is not in the transaction. joins takes such shards in (Produce v12, KIP-890), which
// needs nothing on the disk: after a restart the log says the same; POLICY_VIOLATION if they are too many, OUT_OF_ORDER_SEQUENCE_NUMBER for a batch
// that cannot be the first of its producer in such a shard. The caller appends what is allowed and calls Release, in any case.
func (c *Coordinator) Write(id string, batches []Batch, joins bool) (Hold, []error) {
	e, _ := c.lock(id, true, false)
	if e == nil {
		why := kerr.InvalidProducerIDMapping
		if id == "" {
			why = kerr.InvalidRequest
		}
		errs := make([]error, len(batches))
		for i := range errs {
			errs[i] = why
		}
		return Hold{}, errs
	}
	errs, missing := e.txn.judge(batches)
	if !joins || len(missing) == 0 {
		return Hold{e, true}, errs
	}
	e.mu.RUnlock()
	if e, _ = c.lock(id, false, false); e == nil {
		return c.Write(id, batches, joins) // expired meanwhile
	}
	errs, missing = e.txn.judge(batches)
	shards := make([]stream.Shard, 0, len(missing))
	for _, at := range missing {
		if errs[at] = c.begins(batches[:at], batches[at]); errs[at] == nil {
			shards = append(shards, batches[at].Shard)
		}
	}
	if len(shards) == 0 {
		return Hold{e, false}, errs
	}
	next := e.txn.clone()
	next.Join(c.Clock.Now(), shards)
	if err := c.makeRoom(e, &next); err != nil {
		for _, at := range missing {
			if errs[at] == nil {
				errs[at] = err
			}
		}
		return Hold{e, false}, errs
	}
	before := e.txn
	e.txn = next
	c.settle(e, before)
	return Hold{e, false}, errs
}

// begins says whether a batch may take its shard into the transaction. One whose sequence is not 0 is not the first: where the log knows nothing of its
// producer, those before it are lost, and to take it would leave a gap that nobody notices. (Where the log knows the producer, it sees that itself; clients
// before KIP-890 keep their sequences from transaction to transaction, for longer than the log may remember.)
func (c *Coordinator) begins(before []Batch, b Batch) error {
	if b.Sequence == 0 || slices.ContainsFunc(before, func(other Batch) bool { return other.Shard == b.Shard }) {
		return nil
	}
	producers, err := c.Log.Producers(context.Background(), b.Shard)
	if err == nil && !slices.ContainsFunc(producers, func(p stream.Producer) bool { return p.ID == b.ID }) {
		return kerr.OutOfOrderSequenceNumber
	}
	return nil // what is wrong with the log, the log says
}

// judge returns one error, or nil, for each batch, and the places of those whose shard only is not in the transaction.
func (t *Txn) judge(batches []Batch) (errs []error, missing []int) {
	errs = make([]error, len(batches))
	for i, b := range batches {
		if errs[i] = t.Has(b.Producer, b.Shard); errs[i] == kerr.TransactionAbortable {
			missing = append(missing, i)
		}
	}
	return errs, missing
}
