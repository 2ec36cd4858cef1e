package kafka

import (
	"context"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// authorizeOffsetCommitGroup answers each partition, as the response has no error but theirs.
func authorizeOffsetCommitGroup(_ context.Context, c *Client, req *kmsg.OffsetCommitRequest) kmsg.Response {
	if c.require(acl.Read, acl.Group, req.Group) {
		return nil
	}
	resp := kmsg.NewPtrOffsetCommitResponse()
	for i := range req.Topics {
		resp.Topics = append(resp.Topics, deniedCommit(&req.Topics[i], errGroupDenied))
	}
	return resp
}

func authorizeOffsetCommit(ctx context.Context, c *Client, req *kmsg.OffsetCommitRequest) func(*kmsg.OffsetCommitResponse) {
	left, denied := split(req.Topics, func(t *kmsg.OffsetCommitRequestTopic) bool {
		name := c.server.nameOf(ctx, t.Topic, t.TopicID)
		return name == "" || c.require(acl.Read, acl.Topic, name)
	})
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.OffsetCommitResponse) {
		for i := range denied {
			resp.Topics = append(resp.Topics, deniedCommit(&denied[i], errTopicDenied))
		}
	}
}

func deniedCommit(asked *kmsg.OffsetCommitRequestTopic, err error) kmsg.OffsetCommitResponseTopic {
	t := kmsg.NewOffsetCommitResponseTopic()
	t.Topic, t.TopicID = asked.Topic, asked.TopicID
	for _, partition := range asked.Partitions {
		p := kmsg.NewOffsetCommitResponseTopicPartition()
		p.Partition, p.ErrorCode = partition.Partition, code(err)
		t.Partitions = append(t.Partitions, p)
	}
	return t
}

// authorizeOffsetFetch is about groups, and their topics: of all of a group's offsets those are told whose topics the client may describe.
func authorizeOffsetFetch(ctx context.Context, c *Client, req *kmsg.OffsetFetchRequest) func(*kmsg.OffsetFetchResponse) {
	if req.Version < 8 {
		return authorizeOffsetFetchOne(c, req)
	}
	left, denied := split(req.Groups, func(g *kmsg.OffsetFetchRequestGroup) bool { return c.require(acl.Describe, acl.Group, g.Group) })
	req.Groups = left
	deniedTopics := make([][]kmsg.OffsetFetchRequestGroupTopic, len(left))
	for i := range left {
		if left[i].Topics != nil {
			left[i].Topics, deniedTopics[i] = split(left[i].Topics, func(t *kmsg.OffsetFetchRequestGroupTopic) bool {
				name := c.server.nameOf(ctx, t.Topic, t.TopicID)
				return name == "" || c.require(acl.Describe, acl.Topic, name)
			})
		}
	}
	return func(resp *kmsg.OffsetFetchResponse) {
		for i := range resp.Groups {
			c.hideOffsets(&resp.Groups[i], left[i].Topics == nil, deniedTopics[i])
		}
		for i := range denied {
			g := kmsg.NewOffsetFetchResponseGroup()
			g.Group, g.ErrorCode = denied[i].Group, code(errGroupDenied)
			resp.Groups = append(resp.Groups, g)
		}
	}
}

// hideOffsets leaves out topics that the client may not describe where it asked for all, and tells those that it asked for.
func (c *Client) hideOffsets(g *kmsg.OffsetFetchResponseGroup, all bool, denied []kmsg.OffsetFetchRequestGroupTopic) {
	if all {
		g.Topics, _ = split(g.Topics, func(t *kmsg.OffsetFetchResponseGroupTopic) bool { return c.may(acl.Describe, acl.Topic, t.Topic) })
	}
	if g.ErrorCode != 0 {
		return
	}
	for i := range denied {
		t := kmsg.NewOffsetFetchResponseGroupTopic()
		t.Topic, t.TopicID = denied[i].Topic, denied[i].TopicID
		for _, partition := range denied[i].Partitions {
			p := noOffset(partition)
			p.ErrorCode = code(errTopicDenied)
			t.Partitions = append(t.Partitions, p)
		}
		g.Topics = append(g.Topics, t)
	}
}

// authorizeOffsetFetchOne is authorizeOffsetFetch of versions that ask for one group. Before v2 there is no error but the partitions'.
func authorizeOffsetFetchOne(c *Client, req *kmsg.OffsetFetchRequest) func(*kmsg.OffsetFetchResponse) {
	all, err := req.Topics == nil && req.Version >= 2, errTopicDenied
	var denied []kmsg.OffsetFetchRequestTopic
	if !c.require(acl.Describe, acl.Group, req.Group) {
		err = errGroupDenied
		req.Topics, denied = []kmsg.OffsetFetchRequestTopic{}, req.Topics
	} else if !all {
		req.Topics, denied = split(req.Topics, func(t *kmsg.OffsetFetchRequestTopic) bool { return c.require(acl.Describe, acl.Topic, t.Topic) })
	}
	return func(resp *kmsg.OffsetFetchResponse) {
		if all {
			resp.Topics, _ = split(resp.Topics, func(t *kmsg.OffsetFetchResponseTopic) bool { return c.may(acl.Describe, acl.Topic, t.Topic) })
		}
		if err == errGroupDenied {
			if resp.ErrorCode = code(err); req.Version >= 2 {
				return
			}
		}
		if resp.ErrorCode != 0 && req.Version >= 2 {
			return
		}
		for i := range denied {
			t := kmsg.NewOffsetFetchResponseTopic()
			t.Topic = denied[i].Topic
			for _, partition := range denied[i].Partitions {
				p := kmsg.NewOffsetFetchResponseTopicPartition()
				p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = partition, -1, -1, new(string), code(err)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

// authorizeFindCoordinator wants DESCRIBE on groups and transactional ids. The coordinators of share groups' state are the brokers' to find.
func authorizeFindCoordinator(_ context.Context, c *Client, req *kmsg.FindCoordinatorRequest) func(*kmsg.FindCoordinatorResponse) {
	refusal := func(key string) error {
		switch {
		case req.CoordinatorType == groupCoordinator && !c.require(acl.Describe, acl.Group, key):
			return errGroupDenied
		case req.CoordinatorType == transactionCoordinator && !c.require(acl.Describe, acl.TransactionalID, key):
			return errTransactionalDenied
		case req.CoordinatorType == shareCoordinator && !c.requireCluster(acl.ClusterAction):
			return errClusterDenied
		}
		return nil
	}
	if req.Version < 4 {
		err := refusal(req.CoordinatorKey)
		if err == nil {
			return nil
		}
		return func(resp *kmsg.FindCoordinatorResponse) {
			resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = code(err), errorMessage(err), -1, "", -1
		}
	}
	var denied []kmsg.FindCoordinatorResponseCoordinator
	req.CoordinatorKeys, _ = split(req.CoordinatorKeys, func(key *string) bool {
		err := refusal(*key)
		if err != nil {
			d := kmsg.NewFindCoordinatorResponseCoordinator()
			d.Key, d.NodeID, d.Port, d.ErrorCode, d.ErrorMessage = *key, -1, -1, code(err), errorMessage(err)
			denied = append(denied, d)
		}
		return err == nil
	})
	return func(resp *kmsg.FindCoordinatorResponse) { resp.Coordinators = append(resp.Coordinators, denied...) }
}

func authorizeDescribeGroups(_ context.Context, c *Client, req *kmsg.DescribeGroupsRequest) func(*kmsg.DescribeGroupsResponse) {
	left, denied := split(req.Groups, func(id *string) bool { return c.require(acl.Describe, acl.Group, *id) })
	req.Groups = left
	return func(resp *kmsg.DescribeGroupsResponse) {
		for _, id := range denied {
			g := kmsg.NewDescribeGroupsResponseGroup()
			g.Group, g.ErrorCode, g.AuthorizedOperations = id, code(errGroupDenied), notAsked
			if req.Version >= 6 {
				g.ErrorMessage = errorMessage(errGroupDenied)
			}
			resp.Groups = append(resp.Groups, g)
		}
	}
}

// authorizeListGroups tells all groups to who may describe the cluster, and others those that they may describe.
func authorizeListGroups(_ context.Context, c *Client, _ *kmsg.ListGroupsRequest) func(*kmsg.ListGroupsResponse) {
	if c.mayCluster(acl.Describe) {
		return nil
	}
	return func(resp *kmsg.ListGroupsResponse) {
		resp.Groups, _ = split(resp.Groups, func(g *kmsg.ListGroupsResponseGroup) bool { return c.may(acl.Describe, acl.Group, g.Group) })
	}
}

func authorizeDeleteGroups(_ context.Context, c *Client, req *kmsg.DeleteGroupsRequest) func(*kmsg.DeleteGroupsResponse) {
	left, denied := split(req.Groups, func(id *string) bool { return c.require(acl.Delete, acl.Group, *id) })
	req.Groups = left
	return func(resp *kmsg.DeleteGroupsResponse) {
		for _, id := range denied {
			g := kmsg.NewDeleteGroupsResponseGroup()
			g.Group, g.ErrorCode = id, code(errGroupDenied)
			resp.Groups = append(resp.Groups, g)
		}
	}
}

func authorizeOffsetDelete(_ context.Context, c *Client, req *kmsg.OffsetDeleteRequest) func(*kmsg.OffsetDeleteResponse) {
	left, denied := split(req.Topics, func(t *kmsg.OffsetDeleteRequestTopic) bool { return c.require(acl.Read, acl.Topic, t.Topic) })
	req.Topics = left
	return func(resp *kmsg.OffsetDeleteResponse) {
		if resp.ErrorCode != 0 {
			return
		}
		for i := range denied {
			t := kmsg.NewOffsetDeleteResponseTopic()
			t.Topic = denied[i].Topic
			for _, asked := range denied[i].Partitions {
				p := kmsg.NewOffsetDeleteResponseTopicPartition()
				p.Partition, p.ErrorCode = asked.Partition, code(errTopicDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

// authorizeSubscription wants that a member may describe all that it subscribes to by name.
func authorizeSubscription(_ context.Context, c *Client, req *kmsg.ConsumerGroupHeartbeatRequest) kmsg.Response {
	return c.refuseSubscription(req, req.SubscribedTopicNames)
}

func (c *Client) refuseSubscription(req kmsg.Request, topics []string) kmsg.Response {
	for _, name := range topics {
		if !c.require(acl.Describe, acl.Topic, name) {
			return failed(req, errTopicDenied)
		}
	}
	return nil
}

// errDescribedTopics answers for a group that reads topics which are not the client's to know.
var errDescribedTopics = refuse(kerr.TopicAuthorizationFailed, "The group has described topic(s) that the client is not authorized to describe.")

func authorizeConsumerGroupDescribe(_ context.Context, c *Client, req *kmsg.ConsumerGroupDescribeRequest) func(*kmsg.ConsumerGroupDescribeResponse) {
	left, denied := split(req.Groups, func(id *string) bool { return c.require(acl.Describe, acl.Group, *id) })
	req.Groups = left
	return func(resp *kmsg.ConsumerGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if err := c.describe(g.Group, &g.AuthorizedOperations, consumerTopics(g.Members)); err != nil {
				g.ErrorCode, g.ErrorMessage, g.Members = code(err), errorMessage(err), nil
			}
		}
		for _, id := range denied {
			g := kmsg.NewConsumerGroupDescribeResponseGroup()
			g.Group, g.ErrorCode, g.ErrorMessage, g.AuthorizedOperations = id, code(errGroupDenied), errorMessage(errGroupDenied), notAsked
			resp.Groups = append(resp.Groups, g)
		}
	}
}

// describe puts into the description of a group what the client may do with it, unless that was not asked. An error says that the client may not know of
// one of the topics that members name or have.
func (c *Client) describe(group string, operations *int32, topics iter.Seq[string]) error {
	if *operations != notAsked {
		*operations = c.operations(acl.Group, group)
	}
	for name := range topics {
		if !c.may(acl.Describe, acl.Topic, name) {
			return errDescribedTopics
		}
	}
	return nil
}

// consumerTopics are the topics that members name, are assigned, or are to be.
func consumerTopics(members []kmsg.ConsumerGroupDescribeResponseGroupMember) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range members {
			m := &members[i]
			for _, name := range m.SubscribedTopics {
				if !yield(name) {
					return
				}
			}
			for _, t := range slices.Concat(m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions) {
				if !yield(t.Topic) {
					return
				}
			}
		}
	}
}
