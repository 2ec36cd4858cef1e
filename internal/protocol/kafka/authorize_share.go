package kafka

import (
	"context"
	"iter"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

func authorizeShareSubscription(_ context.Context, c *Client, req *kmsg.ShareGroupHeartbeatRequest) kmsg.Response {
	return c.refuseSubscription(req, req.SubscribedTopicNames)
}

func authorizeShareGroupDescribe(_ context.Context, c *Client, req *kmsg.ShareGroupDescribeRequest) func(*kmsg.ShareGroupDescribeResponse) {
	left, denied := split(req.GroupIDs, func(id *string) bool { return c.require(acl.Describe, acl.Group, *id) })
	req.GroupIDs = left
	return func(resp *kmsg.ShareGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if err := c.describe(g.GroupID, &g.AuthorizedOperations, shareTopics(g.Members)); err != nil {
				g.ErrorCode, g.ErrorMessage, g.Members = code(err), errorMessage(err), nil
			}
		}
		for _, id := range denied {
			g := kmsg.NewShareGroupDescribeResponseGroup()
			g.GroupID, g.ErrorCode, g.ErrorMessage, g.AuthorizedOperations = id, code(errGroupDenied), errorMessage(errGroupDenied), notAsked
			resp.Groups = append(resp.Groups, g)
		}
	}
}

// shareTopics are the topics that members name or are assigned.
func shareTopics(members []kmsg.ShareGroupDescribeResponseGroupMember) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range members {
			for _, name := range members[i].SubscribedTopicNames {
				if !yield(name) {
					return
				}
			}
			for _, t := range members[i].Assignment.TopicPartitions {
				if !yield(t.Topic) {
					return
				}
			}
		}
	}
}

// readsTopic says whether the client may read the topic of an id; of one that is not there the handler says so.
func (c *Client) readsTopic(ctx context.Context, id [16]byte) bool {
	name := c.server.nameOf(ctx, "", id)
	return name == "" || c.require(acl.Read, acl.Topic, name)
}

func authorizeShareAcknowledge(ctx context.Context, c *Client, req *kmsg.ShareAcknowledgeRequest) func(*kmsg.ShareAcknowledgeResponse) {
	left, denied := split(req.Topics, func(t *kmsg.ShareAcknowledgeRequestTopic) bool { return c.readsTopic(ctx, t.TopicID) })
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.ShareAcknowledgeResponse) {
		if resp.ErrorCode != 0 {
			return
		}
		for i := range denied {
			t := kmsg.NewShareAcknowledgeResponseTopic()
			t.TopicID = denied[i].TopicID
			for _, asked := range denied[i].Partitions {
				p := kmsg.NewShareAcknowledgeResponseTopicPartition()
				p.Partition, p.ErrorCode = asked.Partition, code(errTopicDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

// authorizeDescribeShareGroupOffsets is about groups and their topics; of a group that is asked for whole, topics that the client may not describe
// are left out.
func authorizeDescribeShareGroupOffsets(_ context.Context, c *Client, req *kmsg.DescribeShareGroupOffsetsRequest) func(*kmsg.DescribeShareGroupOffsetsResponse) {
	left, denied := split(req.Groups, func(g *kmsg.DescribeShareGroupOffsetsRequestGroup) bool {
		return c.require(acl.Describe, acl.Group, g.GroupID)
	})
	req.Groups = left
	hidden := map[string][]kmsg.DescribeShareGroupOffsetsRequestGroupTopic{}
	for i := range left {
		if left[i].Topics != nil {
			left[i].Topics, hidden[left[i].GroupID] = split(left[i].Topics, func(t *kmsg.DescribeShareGroupOffsetsRequestGroupTopic) bool {
				return c.require(acl.Describe, acl.Topic, t.Topic)
			})
		}
	}
	return func(resp *kmsg.DescribeShareGroupOffsetsResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			g.Topics, _ = split(g.Topics, func(t *kmsg.DescribeShareGroupOffsetsResponseGroupTopic) bool {
				return c.may(acl.Describe, acl.Topic, t.Topic)
			})
			if g.ErrorCode == 0 {
				g.Topics = append(g.Topics, deniedShareOffsets(hidden[g.GroupID])...)
			}
		}
		for i := range denied {
			g := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
			g.GroupID, g.ErrorCode, g.ErrorMessage = denied[i].GroupID, code(errGroupDenied), errorMessage(errGroupDenied)
			resp.Groups = append(resp.Groups, g)
		}
	}
}

func deniedShareOffsets(topics []kmsg.DescribeShareGroupOffsetsRequestGroupTopic) []kmsg.DescribeShareGroupOffsetsResponseGroupTopic {
	var all []kmsg.DescribeShareGroupOffsetsResponseGroupTopic
	for i := range topics {
		t := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
		t.Topic = topics[i].Topic
		for _, partition := range topics[i].Partitions {
			p := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
			p.Partition, p.StartOffset, p.ErrorCode, p.ErrorMessage = partition, -1, code(errTopicDenied), errorMessage(errTopicDenied)
			t.Partitions = append(t.Partitions, p)
		}
		all = append(all, t)
	}
	return all
}

func authorizeAlterShareGroupOffsets(_ context.Context, c *Client, req *kmsg.AlterShareGroupOffsetsRequest) func(*kmsg.AlterShareGroupOffsetsResponse) {
	left, denied := split(req.Topics, func(t *kmsg.AlterShareGroupOffsetsRequestTopic) bool { return c.require(acl.Read, acl.Topic, t.Topic) })
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.AlterShareGroupOffsetsResponse) {
		if resp.ErrorCode != 0 {
			return
		}
		for i := range denied {
			t := kmsg.NewAlterShareGroupOffsetsResponseTopic()
			t.Topic = denied[i].Topic
			for _, asked := range denied[i].Partitions {
				p := kmsg.NewAlterShareGroupOffsetsResponseTopicPartition()
				p.Partition, p.ErrorCode, p.ErrorMessage = asked.Partition, code(errTopicDenied), errorMessage(errTopicDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

func authorizeDeleteShareGroupOffsets(_ context.Context, c *Client, req *kmsg.DeleteShareGroupOffsetsRequest) func(*kmsg.DeleteShareGroupOffsetsResponse) {
	left, denied := split(req.Topics, func(t *kmsg.DeleteShareGroupOffsetsRequestTopic) bool { return c.require(acl.Read, acl.Topic, t.Topic) })
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.DeleteShareGroupOffsetsResponse) {
		if resp.ErrorCode != 0 {
			return
		}
		for i := range denied {
			t := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
			t.Topic, t.ErrorCode, t.ErrorMessage = denied[i].Topic, code(errTopicDenied), errorMessage(errTopicDenied)
			resp.Topics = append(resp.Topics, t)
		}
	}
}
