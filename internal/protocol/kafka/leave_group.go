package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
)

// leaveGroup removes members. Until v2 the one that asks; since v3 several, static ones also by instance id alone, as an administrator does.
func (s *Server) leaveGroup(ctx context.Context, _ *Client, req *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	var leaving []group.Leave
	if req.Version < 3 {
		leaving = []group.Leave{{Member: req.MemberID}}
	}
	for _, m := range req.Members {
		leaving = append(leaving, group.Leave{Member: m.MemberID, Instance: value(m.InstanceID), Reason: value(m.Reason)})
	}
	errs, err := s.groups.Leave(ctx, req.Group, leaving)
	if hungUp(ctx, err) {
		return nil
	}
	resp := kmsg.NewPtrLeaveGroupResponse()
	resp.ErrorCode = s.groupCode(err)
	if err != nil {
		return resp
	}
	if req.Version < 3 {
		resp.ErrorCode = s.groupCode(errs[0])
		return resp
	}
	for i, m := range req.Members {
		left := kmsg.NewLeaveGroupResponseMember()
		left.MemberID, left.InstanceID, left.ErrorCode = m.MemberID, m.InstanceID, s.groupCode(errs[i])
		resp.Members = append(resp.Members, left)
	}
	return resp
}
