package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
)

// heartbeat keeps a member's session alive and tells it of a rebalance. v3: static members.
func (s *Server) heartbeat(ctx context.Context, _ *Client, req *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	err := s.groups.Heartbeat(ctx, req.Group, group.Heartbeat{
		Member: req.MemberID, Instance: value(req.InstanceID), Generation: req.Generation,
	})
	if hungUp(ctx, err) {
		return nil
	}
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = s.groupCode(err)
	return resp
}
