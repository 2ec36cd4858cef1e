package kafka

import (
	"context"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// authorizeTopology wants that a member may describe all topics of the application.
func authorizeTopology(_ context.Context, c *Client, req *kmsg.StreamsGroupHeartbeatRequest) kmsg.Response {
	if req.Topology == nil {
		return nil
	}
	for i := range req.Topology.Subtopologies {
		t := &req.Topology.Subtopologies[i]
		for name := range topologyTopics(t.SourceTopics, t.RepartitionSinkTopics, t.RepartitionSourceTopics, t.StateChangelogTopics) {
			if !c.require(acl.Describe, acl.Topic, name) {
				return failed(req, errTopicDenied)
			}
		}
	}
	return nil
}

// topologyTopics are the topics of a subtopology.
func topologyTopics(sources, sinks []string, own ...[]kmsg.TopicInfo) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range slices.Concat(sources, sinks) {
			if !yield(name) {
				return
			}
		}
		for _, t := range slices.Concat(own...) {
			if !yield(t.Topic) {
				return
			}
		}
	}
}

// errUsedTopics answers for an application whose topics are not the client's to know.
var errUsedTopics = refuse(kerr.TopicAuthorizationFailed, "The described group uses topics that the client is not authorized to describe.")

func authorizeStreamsGroupDescribe(_ context.Context, c *Client, req *kmsg.StreamsGroupDescribeRequest) func(*kmsg.StreamsGroupDescribeResponse) {
	left, denied := split(req.Groups, func(id *string) bool { return c.require(acl.Describe, acl.Group, *id) })
	req.Groups = left
	return func(resp *kmsg.StreamsGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if c.describe(g.Group, &g.AuthorizedOperations, describedTopics(g.Topology)) != nil {
				g.ErrorCode, g.ErrorMessage, g.Members, g.Topology = code(errUsedTopics), errorMessage(errUsedTopics), nil, nil
			}
		}
		for _, id := range denied {
			g := kmsg.NewStreamsGroupDescribeResponseGroup()
			g.Group, g.ErrorCode, g.ErrorMessage, g.AuthorizedOperations = id, code(errGroupDenied), errorMessage(errGroupDenied), notAsked
			resp.Groups = append(resp.Groups, g)
		}
	}
}

func describedTopics(t *kmsg.StreamsGroupDescribeResponseGroupTopology) iter.Seq[string] {
	return func(yield func(string) bool) {
		if t == nil {
			return
		}
		for i := range t.Subtopologies {
			s := &t.Subtopologies[i]
			for name := range topologyTopics(s.SourceTopics, s.RepartitionSinkTopics, s.RepartitionSourceTopics, s.StateChangelogTopics) {
				if !yield(name) {
					return
				}
			}
		}
	}
}
