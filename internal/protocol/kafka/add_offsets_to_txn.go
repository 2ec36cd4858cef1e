package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/txn"
)

// addOffsetsToTxn takes a group into a transaction, whose offsets TxnOffsetCommit then stages. v2: PRODUCER_FENCED. v4: TRANSACTION_ABORTABLE. A
// group without a name is taken, as in Apache Kafka, and refused where its offsets come.
func (s *Server) addOffsetsToTxn(ctx context.Context, _ *Client, req *kmsg.AddOffsetsToTxnRequest) *kmsg.AddOffsetsToTxnResponse {
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	err := s.txns.AddGroup(ctx, req.TransactionalID, txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}, req.Group)
	resp.ErrorCode = s.txnCode(err, req.Version, 2)
	return resp
}
