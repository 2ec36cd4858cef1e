package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteGroups removes groups without members, with their offsets and those that are staged in transactions. A group that is named more than once is deleted and told once.
func (s *Server) deleteGroups(ctx context.Context, _ *Client, req *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	told := map[string]bool{}
	for _, id := range req.Groups {
		if told[id] {
			continue
		}
		told[id] = true
		g := kmsg.NewDeleteGroupsResponseGroup()
		err := s.groups.Delete(ctx, id)
		if s.isShareGroup(err, id) {
			err = s.shares.Delete(ctx, id)
		} else if err == nil {
			err = s.txns.DropOffsets(ctx, id, nil)
		}
		g.Group, g.ErrorCode = id, s.groupCode(err)
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
