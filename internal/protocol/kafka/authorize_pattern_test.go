package kafka_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// TestPatternsFindVisibleTopics has a member subscribe to all topics, of which it may describe some.
func TestPatternsFindVisibleTopics(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	n := start(t, with)
	reset(t, book, onCluster(acl.Create))
	seen, hidden := [16]byte(n.create(t, "seen", 1, nil).ID), [16]byte(n.create(t, "hidden", 1, nil).ID)
	r := n.raw(t)
	member, epoch := "AAAAAAAAAAAAAAAAAAAAAA", int32(0)
	beat := func() (topics [][16]byte) {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = "g", member, epoch, 10_000
		req.SubscribedTopicRegex, req.Topics = kmsg.StringPtr(".*"), []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](r, 1, req)
		if resp.ErrorCode != 0 || resp.Assignment == nil {
			t.Fatalf("%+v", resp)
		}
		epoch = resp.MemberEpoch
		for _, topic := range resp.Assignment.Topics {
			topics = append(topics, topic.TopicID)
		}
		return topics
	}
	reset(t, book, onGroup(acl.Read), onTopic("seen", acl.Read))
	if got := beat(); !slices.Equal(got, [][16]byte{seen}) {
		t.Errorf("assigned %x, want %x", got, seen)
	}
	reset(t, book, onGroup(acl.Read), onTopic("seen", acl.Read), onTopic("hidden", acl.Describe))
	if got := beat(); len(got) != 2 || !slices.Contains(got, hidden) {
		t.Errorf("assigned %x, of which it may describe both", got)
	}
}
