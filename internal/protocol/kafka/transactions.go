package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Transactor makes transaction markers, cursors and documents durable and readable as one, or does nothing; see engine.Engine, which is one.
type Transactor interface {
	Transact(ctx context.Context, entries []stream.Append, cursors []stream.OwnedCursors, changes []state.Change) ([]stream.Appended, []int64, error)
}

// transactionLog is the log as the transaction coordinator needs it.
type transactionLog struct {
	stream.Log
	Transactor
}

// The first versions of Produce and TxnOffsetCommit whose clients know TRANSACTION_ABORTABLE, and of those that take a partition or group into
// the transaction by naming it (KIP-890).
const (
	abortableProduce = 11
	joiningProduce   = 12
	abortableCommit  = 4
	joiningCommit    = 5
)

// The first version of EndTxn whose answer has the next epoch (KIP-890).
const bumpingEndTxn = 5

// txnCode returns the code of an error of the transaction coordinator. fenced is the first version of the request whose clients know PRODUCER_FENCED;
// before, they were told INVALID_PRODUCER_EPOCH (KIP-588). What is no client's fault is logged, and the client asks again.
func (s *Server) txnCode(err error, version, fenced int16) int16 {
	var known *kerr.Error
	switch {
	case err == nil:
		return 0
	case errors.Is(err, kerr.ProducerFenced) && version < fenced:
		return kerr.InvalidProducerEpoch.Code
	case errors.As(err, &known):
		return known.Code
	}
	s.logger.Error("transaction coordinator", "error", err)
	return kerr.CoordinatorNotAvailable.Code
}

// writeError is why a transactional batch, or an offset, is not part of a transaction, in the form that its request has for it: a producer that
// writes hears of INVALID_PRODUCER_EPOCH, and old ones of INVALID_TXN_STATE.
func writeError(err error, abortable bool) *kerr.Error {
	var known *kerr.Error
	if !errors.As(err, &known) {
		return nil
	}
	switch {
	case known == kerr.ProducerFenced:
		return kerr.InvalidProducerEpoch
	case known == kerr.TransactionAbortable && !abortable:
		return kerr.InvalidTxnState
	}
	return known
}

// holdTransaction keeps the transaction that transactional batches of a request belong to from ending until they are in the log. It takes out of entries
// those that do not belong to it, with the error in their part of the answer.
func (s *Server) holdTransaction(a *produced, id string, entries []stream.Append) ([]stream.Append, txn.Hold) {
	var batches []txn.Batch
	var parts []*producedPart
	for t := range a.topics {
		for i := range a.topics[t].parts {
			p := &a.topics[t].parts[i]
			if p.entry < 0 {
				continue
			}
			h, err := batch.Parse(entries[p.entry].Batch)
			if err == nil && h.Attributes.Transactional() {
				parts = append(parts, p)
				batches = append(batches, txn.Batch{
					Producer: txn.Producer{ID: h.ProducerID, Epoch: h.ProducerEpoch}, Shard: entries[p.entry].Shard, Sequence: h.BaseSequence,
				})
			}
		}
	}
	if len(batches) == 0 {
		return entries, txn.Hold{}
	}
	hold, errs := s.txns.Write(id, batches, a.version >= joiningProduce)
	refused := false
	for i, err := range errs {
		if err != nil {
			why := writeError(err, a.version >= abortableProduce)
			parts[i].result.Err, refused = refuse(why, "%s", why.Description), true
			entries[parts[i].entry].Batch = nil
		}
	}
	if refused {
		entries = a.withoutRefused(entries)
	}
	return entries, hold
}

// withoutRefused takes the entries without a batch out.
func (a *produced) withoutRefused(entries []stream.Append) []stream.Append {
	var left []stream.Append
	for t := range a.topics {
		for i := range a.topics[t].parts {
			p := &a.topics[t].parts[i]
			switch {
			case p.entry < 0:
			case entries[p.entry].Batch == nil:
				p.entry = -1
			default:
				left = append(left, entries[p.entry])
				p.entry = len(left) - 1
			}
		}
	}
	return left
}
