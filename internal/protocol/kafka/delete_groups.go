package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteGroups removes groups without members, and their offsets. A group that is named more than once is deleted and told once.
func (s *Server) deleteGroups(ctx context.Context, _ *Client, req *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	told := map[string]bool{}
	for _, id := range req.Groups {
		if told[id] {
			continue
		}
		told[id] = true
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group, g.ErrorCode = id, s.groupCode(s.groups.Delete(ctx, id))
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
