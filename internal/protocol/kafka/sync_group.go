package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
)

// syncGroup answers with the member's assignment when the leader has brought it. v3: static members. v5: protocol type and name are
// there, and compared with the group's.
func (s *Server) syncGroup(ctx context.Context, _ *Client, req *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	if req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil) {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.ErrorCode = kerr.InconsistentGroupProtocol.Code
		return resp
	}
	in := group.Sync{
		Member: req.MemberID, Instance: value(req.InstanceID), Generation: req.Generation,
		ProtocolType: value(req.ProtocolType), Protocol: value(req.Protocol),
	}
	if len(req.GroupAssignment) > 0 {
		in.Assignments = make(map[string][]byte, len(req.GroupAssignment))
	}
	for _, a := range req.GroupAssignment {
		in.Assignments[a.MemberID] = a.MemberAssignment
	}
	synced, err := s.groups.Sync(ctx, req.Group, in)
	if hungUp(ctx, err) {
		return nil
	}
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode = s.groupCode(err)
	if err == nil {
		resp.ProtocolType, resp.Protocol = &synced.ProtocolType, &synced.Protocol
	}
	resp.MemberAssignment = synced.Assignment
	return resp
}
