package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// shareType is what ListGroups v5 calls share groups, and what stands for a protocol's type.
const shareType = "share"

// listGroups lists groups, also those that are only committed offsets. v4: of some states. v5: of some types.
func (s *Server) listGroups(_ context.Context, _ *Client, req *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	resp := kmsg.NewPtrListGroupsResponse()
	for _, l := range s.groups.List() {
		if !wanted(req.StatesFilter, string(l.State)) || !wanted(req.TypesFilter, l.Type) {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = l.ID, l.ProtocolType, string(l.State), l.Type
		resp.Groups = append(resp.Groups, g)
	}
	for _, l := range s.shares.List() {
		if !wanted(req.StatesFilter, l.State) || !wanted(req.TypesFilter, shareType) {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = l.ID, shareType, l.State, shareType
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

// wanted says whether a filter lets v pass; an empty one lets everything.
func wanted(filter []string, v string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, v) })
}
