package kafka

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
)

// consumerGroupHeartbeat is all that a member of a consumer group of KIP-848 does: joining, following the assignment, and leaving. v0: the server makes
// up the id of a new member. v1: the client does, and may subscribe to a regular expression.
func (s *Server) consumerGroupHeartbeat(ctx context.Context, c *Client, req *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	err := checkHeartbeat(req)
	var done group.ConsumerBeaten
	if err == nil && s.shares.Exists(req.Group) {
		err = refuse(kerr.GroupIDNotFound, "Group %s is not a consumer group.", req.Group)
	}
	if err == nil {
		done, err = s.groups.ConsumerBeat(ctx, req.Group, consumerBeat(c, req))
	}
	if hungUp(ctx, err) {
		return nil
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = s.groupError(err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &done.Member, done.Epoch, int32(done.Interval.Milliseconds()) //nolint:gosec // bounded by its config
	if done.Assigned {
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{Topics: []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}}
		for _, id := range sortedTopics(done.Assignment) {
			t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			t.TopicID, t.Partitions = id, done.Assignment[id]
			resp.Assignment.Topics = append(resp.Assignment.Topics, t)
		}
	}
	return resp
}

func consumerBeat(c *Client, req *kmsg.ConsumerGroupHeartbeatRequest) group.ConsumerBeat {
	b := group.ConsumerBeat{
		Member: req.MemberID, Instance: value(req.InstanceID), Epoch: req.MemberEpoch, Client: c.ID, Host: "/" + c.Host(), Rack: req.RackID,
		Topics: req.SubscribedTopicNames, Pattern: req.SubscribedTopicRegex, Assignor: req.ServerAssignor,
	}
	if a := c.server.authorizer; a != nil && !c.trusted {
		who := c.refreshGrants().subject
		b.Visible = func(topic string) bool { return a.Authorize(who, acl.Describe, acl.Topic, topic) }
	}
	if req.RebalanceTimeoutMillis > 0 {
		b.Rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	if req.Topics != nil {
		b.Owned = make([]group.Partitions, 0, len(req.Topics))
	}
	for _, t := range req.Topics {
		b.Owned = append(b.Owned, group.Partitions{Topic: t.TopicID, Indexes: t.Partitions})
	}
	return b
}

// checkHeartbeat refuses what no member sends, whatever the group is: in the words of Apache Kafka.
func checkHeartbeat(req *kmsg.ConsumerGroupHeartbeatRequest) error {
	const leaves, leavesForNow = -1, -2
	empty := func(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }
	invalid := func(reason string) error { return refuse(kerr.InvalidRequest, "%s", reason) }
	needsID := req.Version >= 1 || req.MemberEpoch > 0 || req.MemberEpoch == leaves
	switch {
	case needsID && empty(&req.MemberID):
		return invalid("MemberId can't be empty.")
	case empty(&req.Group):
		return invalid("GroupId can't be empty.")
	case empty(req.InstanceID):
		return invalid("InstanceId can't be empty.")
	case empty(req.RackID):
		return invalid("RackId can't be empty.")
	case req.MemberEpoch == leavesForNow && req.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	case req.MemberEpoch < leavesForNow:
		return invalid("MemberEpoch is invalid.")
	case req.MemberEpoch != 0:
	case req.RebalanceTimeoutMillis == -1:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case req.Topics == nil || len(req.Topics) > 0:
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil:
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	}
	if name := req.ServerAssignor; name != nil && !slices.Contains(assignor.Names(), *name) {
		return refuse(kerr.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.", *name, strings.Join(assignor.Names(), ", "))
	}
	return nil
}
