package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/txn"
)

// endTxn commits or aborts a transaction: when it answers, all of it is readable, or none. v2: PRODUCER_FENCED. v4: TRANSACTION_ABORTABLE. v5: the
// producer's next epoch, which each transaction of such clients has (KIP-890).
func (s *Server) endTxn(ctx context.Context, _ *Client, req *kmsg.EndTxnRequest) *kmsg.EndTxnResponse {
	resp := kmsg.NewPtrEndTxnResponse()
	p, err := s.txns.EndTxn(ctx, req.TransactionalID, txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}, req.Commit, req.Version >= bumpingEndTxn)
	resp.ProducerID, resp.ProducerEpoch, resp.ErrorCode = p.ID, p.Epoch, s.txnCode(err, req.Version, 2)
	return resp
}
