package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// classicType is what ListGroups v5 calls the groups served here.
const classicType = "classic"

// listGroups lists groups, also those that are only committed offsets. v4: of some states. v5: of some types.
func (s *Server) listGroups(_ context.Context, _ *Client, req *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	resp := kmsg.NewPtrListGroupsResponse()
	for _, l := range s.groups.List() {
		if !wanted(req.StatesFilter, string(l.State)) || !wanted(req.TypesFilter, classicType) {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = l.ID, l.ProtocolType, string(l.State), classicType
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

// wanted says whether a filter lets v pass; an empty one lets everything.
func wanted(filter []string, v string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, v) })
}
