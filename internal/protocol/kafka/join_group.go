package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
)

// joinGroup answers when the group's next generation begins. v4: the first join is sent back for a member id (KIP-394). v5: static members
// (KIP-345). v9: a static leader can be told not to assign (KIP-814).
func (s *Server) joinGroup(ctx context.Context, c *Client, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	j := group.Join{
		Member: req.MemberID, Instance: value(req.InstanceID), NeedsID: req.Version >= 4, SkipsAssignment: req.Version >= 9,
		Client: c.ID, Host: "/" + c.Host(), Connection: c.Addr.String(),
		Session:   time.Duration(req.SessionTimeoutMillis) * time.Millisecond,
		Rebalance: time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond,

		ProtocolType: req.ProtocolType, Reason: value(req.Reason),
	}
	for _, p := range req.Protocols {
		j.Protocols = append(j.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	joined, err := group.Joined{Member: req.MemberID, Generation: -1}, error(kerr.InconsistentGroupProtocol)
	if !s.shares.Exists(req.Group) {
		joined, err = s.groups.Join(ctx, req.Group, j)
	}
	if hungUp(ctx, err) {
		return nil
	}
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode = s.groupCode(err)
	resp.MemberID, resp.Generation, resp.LeaderID = joined.Member, joined.Generation, joined.Leader
	resp.SkipAssignment = joined.SkipAssignment
	if err == nil {
		resp.ProtocolType = &joined.ProtocolType
	}
	if err == nil || req.Version < 7 {
		resp.Protocol = &joined.Protocol
	}
	for _, f := range joined.Members {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.InstanceID, m.ProtocolMetadata = f.Member, optional(f.Instance), f.Metadata
		resp.Members = append(resp.Members, m)
	}
	return resp
}

// hungUp says that the client is gone, or the server stops: nobody waits for an answer.
func hungUp(ctx context.Context, err error) bool { return err != nil && ctx.Err() != nil }

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// optional is the inverse of value: nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
