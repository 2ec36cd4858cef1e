package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteGroups removes groups without members, and their offsets.
func (s *Server) deleteGroups(ctx context.Context, _ *Client, req *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	for _, id := range req.Groups {
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group, g.ErrorCode = id, s.groupCode(s.groups.Delete(ctx, id))
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
