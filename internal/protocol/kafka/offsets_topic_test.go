package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/stream"
)

const offsetsTopic = "__consumer_offsets"

// saying is what the topic of committed offsets says, read up to its ends as they were when it was asked for: "topic/partition:offset" of each commit
// of a group, "-" of each that was removed, "members N" of the group itself.
func (n *node) saying(t testing.TB, group string) []string {
	t.Helper()
	adm := kadm.NewClient(n.client(t))
	ends, err := adm.ListEndOffsets(t.Context(), offsetsTopic)
	if err != nil || ends.Error() != nil {
		t.Fatal(err, ends.Error())
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl := n.client(t, kgo.ConsumeTopics(offsetsTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var said []string
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("up to %v: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if s := tell(t, group, r); s != "" {
				said = append(said, s)
			}
		})
	}
	return said
}

// tell says what a record is about, "" if it is not about the group.
func tell(t testing.TB, group string, r *kgo.Record) string {
	t.Helper()
	switch {
	case !strings.HasPrefix(string(r.Key[2:]), fmt.Sprintf("\x00%c%s", len(group), group)):
		return ""
	case r.Key[1] == 2 && r.Value != nil:
		var v kmsg.GroupMetadataValue
		if err := v.ReadFrom(r.Value); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("members %d", len(v.Members))
	case r.Key[1] == 1 && r.Value != nil:
		var k kmsg.OffsetCommitKey
		var v kmsg.OffsetCommitValue
		if err := errors.Join(k.ReadFrom(r.Key), v.ReadFrom(r.Value)); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s/%d:%d", k.Topic, k.Partition, v.Offset)
	case r.Value == nil:
		return "-"
	}
	return fmt.Sprintf("key %d", r.Key[1])
}

func (n *node) commitOffset(t testing.TB, group, topic string, at int64) {
	t.Helper()
	var o kadm.Offsets
	o.AddOffset(topic, 0, at, -1)
	if err := kadm.NewClient(n.client(t)).CommitAllOffsets(t.Context(), group, o); err != nil {
		t.Fatal(err)
	}
}

func expectSaid(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: the topic says %q, want %q", when, got, want)
	}
}

func TestCommittedOffsetsAreReadAsATopic(t *testing.T) {
	t.Parallel()
	n := start(t, noDelay)
	n.create(t, "t", 1, nil)
	n.commitOffset(t, "g", "t", 1)
	n.commitOffset(t, "g", "t", 2)
	expectSaid(t, "read for the first time", n.saying(t, "g"), "t/0:2")
	n.commitOffset(t, "g", "t", 3)
	n.commitOffset(t, "g", "t", 4)
	expectSaid(t, "then", n.saying(t, "g"), "t/0:2", "t/0:3", "t/0:4")

	cl := n.client(t)
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	member := n.client(t, kgo.ConsumerGroup("members"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	member.PollFetches(t.Context())
	if err := member.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectSaid(t, "a group with a member", n.saying(t, "members"), "members 1", "t/0:1")
	member.LeaveGroup()
	expectSaid(t, "who has left", n.saying(t, "members"), "members 1", "t/0:1", "members 0")
	if _, err := kadm.NewClient(cl).DeleteGroups(t.Context(), "members", "g"); err != nil {
		t.Fatal(err)
	}
	expectSaid(t, "deleted", n.saying(t, "members"), "members 1", "t/0:1", "members 0", "-", "-")
}

func TestOffsetsOfTransactionsAreSaidWhenTheyCommit(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	n.commitOffset(t, "g", "t", 1)
	expectSaid(t, "before", n.saying(t, "g"), "t/0:1")
	for i, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		cl := n.client(t, kgo.TransactionalID("id"))
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		id, epoch, err := cl.ProducerID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = "id", id, epoch, "g", -1
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Offset = int64(10 + i)
		req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}
		if code := ask[*kmsg.TxnOffsetCommitResponse](n.raw(t), 5, req).Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
		expectSaid(t, "staged", n.saying(t, "g"), "t/0:1")
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
		cl.Close()
	}
	expectSaid(t, "committed", n.saying(t, "g"), "t/0:1", "t/0:11")
}

// TestWhoOnlyWaitsReadsTheTopicToo: a session that polls without any news has the topic follow on, for more than the day after which it does not for nobody.
func TestWhoOnlyWaitsReadsTheTopicToo(t *testing.T) {
	t.Parallel()
	v := clock.NewVirtual(time.UnixMilli(1_700_000_000_000))
	n := start(t, func(c *kafka.Config) {
		c.Clock = v
		c.Limits.IdleTimeout, c.Limits.StallTimeout = -1, 1000*time.Hour // the clock goes further in one step than a connection may be quiet
	})
	n.create(t, "t", 1, nil)
	n.commitOffset(t, "g", "t", 1)
	st, err := n.log.Stream(t.Context(), offsetsTopic)
	if err != nil {
		t.Fatal(err)
	}
	partition := offsets.Partition("g", 50)
	r, session, next := n.raw(t), int32(0), int64(0)
	poll := func(epoch int32) int {
		req := kmsg.NewPtrFetchRequest()
		req.SessionID, req.SessionEpoch, req.MaxBytes = session, epoch, 1<<20
		if epoch == 0 || next > 0 {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, next, 1<<20, -1
			req.Topics = []kmsg.FetchRequestTopic{{TopicID: st.ID, Partitions: []kmsg.FetchRequestTopicPartition{p}}}
			next = 0
		}
		resp := ask[*kmsg.FetchResponse](r, 13, req)
		if session = resp.SessionID; resp.ErrorCode != 0 || len(resp.Topics) > 0 && resp.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("poll %d: %+v", epoch, resp)
		}
		if len(resp.Topics) == 0 {
			return 0
		}
		return len(resp.Topics[0].Partitions[0].RecordBatches)
	}
	if poll(0) == 0 {
		t.Fatal("the offset is not there")
	}
	next = 1
	poll(1)
	for i := range int32(3) {
		v.Advance(20 * time.Hour)
		poll(2 + i)
	}
	n.commitOffset(t, "g", "t", 2)
	epoch := int32(5)
	eventually(t, "the commit is read", func() bool { epoch++; return poll(epoch-1) > 0 })
}

func TestOffsetsTopicIsTheNodes(t *testing.T) {
	t.Parallel()
	n := start(t)
	adm := kadm.NewClient(n.client(t))
	n.create(t, "t", 1, nil)
	if listed, err := adm.ListTopicsWithInternal(t.Context()); err != nil || listed.Has(offsetsTopic) {
		t.Fatalf("before there is a group: %v, %v", listed.Names(), err)
	}
	n.commitOffset(t, "g", "t", 1)
	adm = kadm.NewClient(n.client(t)) // the other one remembers
	listed, err := adm.ListTopicsWithInternal(t.Context())
	if err != nil || !listed[offsetsTopic].IsInternal || len(listed[offsetsTopic].Partitions) != 50 {
		t.Fatalf("listed: %+v, %v", listed[offsetsTopic], err)
	}
	for _, key := range []string{"cleanup.policy=compact", "compression.type=producer", "segment.bytes=104857600"} {
		n.expectConfig(t, adm, key)
	}
	cl := n.client(t, kgo.ClientID("__admin_client"))
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: offsetsTopic, Key: []byte("k"), Value: []byte("v")}).FirstErr(); !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("produced to: %v", err)
	}
	var o kadm.Offsets
	o.AddOffset(offsetsTopic, 0, 0, -1)
	if deleted, err := adm.DeleteRecords(t.Context(), o); err != nil || !errors.Is(deleted[offsetsTopic][0].Err, kerr.InvalidTopicException) {
		t.Errorf("records deleted: %+v, %v", deleted, err)
	}
	if made, err := adm.CreateTopic(t.Context(), 1, 1, nil, offsetsTopic); !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("made: %+v, %v", made, err)
	}
	expectSaid(t, "read", n.saying(t, "g"), "t/0:1")
	if _, err := adm.DeleteTopic(t.Context(), offsetsTopic); err != nil {
		t.Errorf("deleted: %v", err)
	}
	n.commitOffset(t, "g", "t", 2) // which asks for the coordinator
	expectSaid(t, "made again", n.saying(t, "g"), "t/0:2")
}

func (n *node) expectConfig(t *testing.T, adm *kadm.Client, want string) {
	t.Helper()
	configs, err := adm.DescribeTopicConfigs(t.Context(), offsetsTopic)
	if err != nil || len(configs) != 1 {
		t.Fatal(configs, err)
	}
	for _, c := range configs[0].Configs {
		if c.Value != nil && c.Key+"="+*c.Value == want && c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			return
		}
	}
	t.Errorf("configs are not %s: %+v", want, configs[0].Configs)
}

// TestPatternsDoNotFindTheOffsetsTopic: nor do those who read it by its name stay without it.
func TestPatternsDoNotFindTheOffsetsTopic(t *testing.T) {
	t.Parallel()
	n := start(t)
	named := n.create(t, "t", 1, nil)
	n.commitOffset(t, "g", "t", 1)
	own, err := n.log.Stream(t.Context(), offsetsTopic)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		group, pattern string
		names          []string
		want           stream.ID
	}{{"by-pattern", ".*", nil, named.ID}, {"by-name", "", []string{offsetsTopic}, own.ID}} {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.RebalanceTimeoutMillis = row.group, "m", 10_000
		req.SubscribedTopicNames, req.Topics = row.names, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if row.pattern != "" {
			req.SubscribedTopicRegex = &row.pattern
		}
		resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](n.raw(t), 1, req)
		if resp.ErrorCode != 0 || resp.Assignment == nil || len(resp.Assignment.Topics) != 1 || resp.Assignment.Topics[0].TopicID != row.want {
			t.Errorf("%s: %+v, assigned %+v", row.group, resp, resp.Assignment)
		}
	}
}

func TestShareGroupsStageNoOffsets(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	beat := kmsg.NewPtrShareGroupHeartbeatRequest()
	beat.GroupID, beat.MemberID, beat.SubscribedTopicNames = "shared", "AAAAAAAAAAAAAAAAAAAAAA", []string{"t"}
	r := n.raw(t)
	if resp := ask[*kmsg.ShareGroupHeartbeatResponse](r, 1, beat); resp.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
	}
	id := "id"
	begin := kmsg.NewPtrInitProducerIDRequest()
	begin.TransactionalID, begin.TransactionTimeoutMillis = &id, 60_000
	p := ask[*kmsg.InitProducerIDResponse](r, 5, begin)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group, req.Generation = id, p.ProducerID, p.ProducerEpoch, "shared", -1
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Offset: 3}}}}
	if code := ask[*kmsg.TxnOffsetCommitResponse](r, 5, req).Topics[0].Partitions[0].ErrorCode; code != kerr.GroupIDNotFound.Code {
		t.Errorf("staged for a share group: %v", kerr.ErrorForCode(code))
	}
}
