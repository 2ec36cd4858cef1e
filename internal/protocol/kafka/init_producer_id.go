package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/txn"
)

// initProducerID gives a producer its id. One with a transactional id becomes the id's only producer: it waits until the transaction that its
// predecessor left open is aborted, where Apache Kafka tells it to come back (CONCURRENT_TRANSACTIONS).
//
// v3 brings the producer's present id and epoch (KIP-360): without a transactional id a new id serves as well as the next epoch. v4: PRODUCER_FENCED.
func (s *Server) initProducerID(ctx context.Context, _ *Client, req *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if (req.ProducerID == -1) != (req.ProducerEpoch == -1) {
		resp.ErrorCode = kerr.InvalidRequest.Code // an id without its epoch, or an epoch of no id
		return resp
	}
	if req.TransactionalID != nil {
		var known *txn.Producer
		if req.ProducerID != -1 {
			known = &txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
		}
		p, err := s.txns.Init(ctx, *req.TransactionalID, time.Duration(req.TransactionTimeoutMillis)*time.Millisecond, known)
		resp.ProducerID, resp.ProducerEpoch, resp.ErrorCode = p.ID, p.Epoch, s.txnCode(err, req.Version, 4)
		return resp
	}
	id, err := s.log.NewProducerID(ctx)
	if err != nil {
		resp.ErrorCode = code(err)
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return resp
}
