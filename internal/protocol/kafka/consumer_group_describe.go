package kafka

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// consumerGroupDescribe tells groups of KIP-848 with their members. v1: which protocol a member speaks.
func (s *Server) consumerGroupDescribe(ctx context.Context, c *Client, req *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	for _, id := range req.Groups {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.AuthorizedOperations = id, notAsked
		d, topics, err := s.groups.DescribeConsumers(ctx, id)
		if hungUp(ctx, err) {
			return nil
		}
		if err != nil {
			g.ErrorCode, g.ErrorMessage = s.groupError(err)
			resp.Groups = append(resp.Groups, g)
			continue
		}
		g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName = string(d.State), d.Epoch, d.AssignmentEpoch, d.Assignor
		for _, m := range d.Members {
			g.Members = append(g.Members, describedConsumer(m, topics))
		}
		if req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = c.operations(acl.Group, id)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func describedConsumer(m group.DescribedConsumer, topics *group.Topics) kmsg.ConsumerGroupDescribeResponseGroupMember {
	gm := kmsg.NewConsumerGroupDescribeResponseGroupMember()
	gm.MemberID, gm.InstanceID, gm.RackID, gm.MemberEpoch = m.ID, optional(m.Instance), optional(m.Rack), m.Epoch
	gm.ClientID, gm.ClientHost = m.Client, m.Host
	gm.SubscribedTopics, gm.SubscribedTopicRegex = m.Topics, &m.Pattern
	gm.Assignment.TopicPartitions = describedAssignment(m.Assigned, topics)
	gm.TargetAssignment.TopicPartitions = describedAssignment(m.Target, topics)
	gm.MemberType = 1
	if m.Classic {
		gm.MemberType = 0
	}
	return gm
}

// describedAssignment tells an assignment, topics that are gone left out.
func describedAssignment(a assignor.Assignment, topics *group.Topics) []kmsg.AssignmentTopicPartition {
	var all []kmsg.AssignmentTopicPartition
	for _, id := range sortedTopics(a) {
		name := topics.Name(id)
		if name == "" {
			continue
		}
		t := kmsg.NewAssignmentTopicPartition()
		t.TopicID, t.Topic, t.Partitions = id, name, a[id]
		all = append(all, t)
	}
	return all
}

func sortedTopics(a assignor.Assignment) []stream.ID {
	return slices.SortedFunc(maps.Keys(a), func(x, y stream.ID) int { return bytes.Compare(x[:], y[:]) })
}
