package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// describeGroups tells groups with their members. A group that does not exist, or is none of the classic kind, is Dead;
// v6 says that it was not found.
func (s *Server) describeGroups(_ context.Context, c *Client, req *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		g := s.describeGroup(id, req.Version)
		g.AuthorizedOperations = math.MinInt32 // not asked for
		if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
			g.AuthorizedOperations = c.operations(acl.Group, id)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func (s *Server) describeGroup(id string, version int16) kmsg.DescribeGroupsResponseGroup {
	g := kmsg.NewDescribeGroupsResponseGroup()
	g.Group = id
	d, err := s.groups.Describe(id)
	if errors.Is(err, kerr.GroupIDNotFound) {
		g.State = "Dead"
		if version >= 6 {
			g.ErrorCode, g.ErrorMessage = s.groupError(err)
			if s.shares.Exists(id) {
				g.ErrorMessage = optional(fmt.Sprintf("Group %s is not a classic group.", id))
			}
		}
		return g
	}
	if err != nil {
		g.ErrorCode = s.groupCode(err)
		return g
	}
	g.State, g.ProtocolType, g.Protocol = string(d.State), d.ProtocolType, d.Protocol
	for _, m := range d.Members {
		gm := kmsg.NewDescribeGroupsResponseGroupMember()
		gm.MemberID, gm.InstanceID, gm.ClientID, gm.ClientHost = m.ID, optional(m.Instance), m.Client, m.Host
		gm.ProtocolMetadata, gm.MemberAssignment = m.Metadata, m.Assignment
		g.Members = append(g.Members, gm)
	}
	return g
}
