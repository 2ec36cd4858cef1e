package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// initProducerID gives an idempotent producer its id. A transactional one is refused with UNSUPPORTED_VERSION, which clients do not retry and
// show as it is; an authorization error, the other that ends a producer at once, would send its user looking for ACLs.
//
// v3 brings the producer's present id and epoch: without a transactional id a new id serves as well as the next epoch (KIP-360).
func (s *Server) initProducerID(ctx context.Context, c *Client, req *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil {
		s.logger.Warn("transactional producer refused", "transactional_id", *req.TransactionalID, "peer", c.Addr, "client", c.ID,
			"reason", "transactions are not supported")
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		if *req.TransactionalID == "" {
			resp.ErrorCode = kerr.InvalidRequest.Code
		}
		return resp
	}
	if (req.ProducerID < 0) != (req.ProducerEpoch < 0) {
		resp.ErrorCode = kerr.InvalidRequest.Code // an id without its epoch, or an epoch of no id
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
