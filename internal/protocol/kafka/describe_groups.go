package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupOperations are what DescribeGroups v3 says the client may do with a group, as bits by ACL operation: read 3, delete 6, describe 8,
// describe configs 10 and alter configs 11. Without an authorizer that is everything.
const groupOperations int32 = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// describeGroups tells groups with their members. A group that does not exist is Dead; v6 says that it was not found.
func (s *Server) describeGroups(_ context.Context, _ *Client, req *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		g := s.describeGroup(id, req.Version)
		g.AuthorizedOperations = math.MinInt32 // not asked for
		if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
			g.AuthorizedOperations = groupOperations
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
			g.ErrorCode = kerr.GroupIDNotFound.Code
			g.ErrorMessage = optional(fmt.Sprintf("Group %s not found.", id))
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
