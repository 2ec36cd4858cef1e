package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/stream"
)

// shareFromStart lets share groups begin at the start, and assigns each change at once.
func shareFromStart(c *kafka.Config) {
	c.Shares.Defaults.Reset.Earliest, c.Shares.Defaults.AssignEvery = true, -1
}

// shareMember speaks for one member of the share group g in a version.
type shareMember struct {
	*raw
	version int16
	name    string
	epoch   int32
	topic   *stream.Stream
}

func (n *node) shareMember(t *testing.T, version int16, name string, topic *stream.Stream) *shareMember {
	t.Helper()
	m := &shareMember{raw: n.raw(t), version: version, name: name, topic: topic}
	if got := m.beat("g", 0, "t"); got.ErrorCode != 0 || got.MemberEpoch < 1 || len(got.Assignment.TopicPartitions) != 1 {
		t.Fatalf("joined: %+v", got)
	}
	return m
}

func (m *shareMember) beat(group string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatResponse {
	m.t.Helper()
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = group, m.name, epoch, topics
	return ask[*kmsg.ShareGroupHeartbeatResponse](m.raw, 1, req)
}

type shareAcks = kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch

// fetch asks for records of partition 0, if change does not say otherwise, and returns the answer's partitions as text.
func (m *shareMember) fetch(change func(*kmsg.ShareFetchRequest), acks ...shareAcks) string {
	m.t.Helper()
	req := kmsg.NewPtrShareFetchRequest()
	group := "g"
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &group, &m.name, m.epoch
	req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = 1, 1<<20, 500, 500
	topic := kmsg.NewShareFetchRequestTopic()
	topic.TopicID = m.topic.ID
	topic.Partitions = []kmsg.ShareFetchRequestTopicPartition{{AcknowledgementBatches: acks}}
	req.Topics = append(req.Topics, topic)
	if change != nil {
		change(req)
	}
	resp := ask[*kmsg.ShareFetchResponse](m.raw, m.version, req)
	if resp.ErrorCode != 0 {
		return kerr.TypedErrorForCode(resp.ErrorCode).Message
	}
	m.epoch++
	got := []string{fmt.Sprint(resp.AcquisitionLockTimeoutMillis)}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			for _, code := range []int16{p.ErrorCode, p.AcknowledgeErrorCode} {
				if code != 0 {
					got = append(got, kerr.TypedErrorForCode(code).Message)
				}
			}
			for _, a := range p.AcquiredRecords {
				got = append(got, fmt.Sprintf("%d:%d-%d*%d", p.Partition, a.FirstOffset, a.LastOffset, a.DeliveryCount))
			}
			if (len(p.Records) == 0) != (len(p.AcquiredRecords) == 0) {
				m.t.Errorf("%d bytes for %v", len(p.Records), p.AcquiredRecords)
			}
		}
	}
	return strings.Join(got, " ")
}

func (m *shareMember) acknowledge(change func(*kmsg.ShareAcknowledgeRequest), first, last int64, kinds ...int8) string {
	m.t.Helper()
	req := kmsg.NewPtrShareAcknowledgeRequest()
	group := "g"
	req.GroupID, req.MemberID, req.ShareSessionEpoch = &group, &m.name, m.epoch
	topic := kmsg.NewShareAcknowledgeRequestTopic()
	topic.TopicID = m.topic.ID
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	b := kmsg.NewShareAcknowledgeRequestTopicPartitionAcknowledgementBatch()
	b.FirstOffset, b.LastOffset, b.AcknowledgeTypes = first, last, kinds
	p.AcknowledgementBatches = append(p.AcknowledgementBatches, b)
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	if change != nil {
		change(req)
	}
	resp := ask[*kmsg.ShareAcknowledgeResponse](m.raw, m.version, req)
	if resp.ErrorCode != 0 {
		return kerr.TypedErrorForCode(resp.ErrorCode).Message
	}
	m.epoch++
	var got []string
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if got = append(got, "ok"); p.ErrorCode != 0 {
				got[len(got)-1] = kerr.TypedErrorForCode(p.ErrorCode).Message
			}
		}
	}
	return strings.Join(got, " ")
}

func (m *shareMember) expect(what, got, want string) {
	m.t.Helper()
	if got != want {
		m.t.Errorf("v%d: %s: %q, want %q", m.version, what, got, want)
	}
}

// TestShareGroupLifeInEveryVersion walks members through their lives. The answers are those that Apache Kafka 4.3.1 gives to the same requests.
func TestShareGroupLifeInEveryVersion(t *testing.T) {
	for v := int16(1); v <= 2; v++ {
		n := start(t, shareFromStart)
		topic := n.create(t, "t", 2, nil)
		for range 3 {
			n.put(t, topic, 0, 100)
		}
		a := n.shareMember(t, v, "AAAAAAAAAAAAAAAAAAAAAA", topic)
		a.expect("an acknowledgement opens no session", a.acknowledge(nil, 0, 0, 1), "INVALID_SHARE_SESSION_EPOCH")
		a.expect("all", a.fetch(nil), "30000 0:0-2*1")
		a.expect("behind the last", a.acknowledge(nil, 2, 9, 1), "INVALID_REQUEST")
		a.expect("backwards", a.acknowledge(nil, 2, 1, 1), "INVALID_REQUEST")
		a.expect("too many kinds", a.acknowledge(nil, 0, 1, 1, 1, 1), "INVALID_REQUEST")
		a.expect("a renewal without a word", a.acknowledge(nil, 0, 0, 4), "INVALID_REQUEST")
		a.expect("of each", a.acknowledge(nil, 0, 1, 1, 2), "ok")
		a.expect("of another topic", a.acknowledge(func(r *kmsg.ShareAcknowledgeRequest) { r.Topics[0].TopicID = [16]byte{1} }, 0, 0, 1), "UNKNOWN_TOPIC_ID")
		a.expect("of another partition", a.acknowledge(func(r *kmsg.ShareAcknowledgeRequest) { r.Topics[0].Partitions[0].Partition = 7 }, 0, 0, 1), "UNKNOWN_TOPIC_OR_PARTITION")
		a.expect("of nothing", a.acknowledge(func(r *kmsg.ShareAcknowledgeRequest) { r.Topics[0].Partitions[0].AcknowledgementBatches = nil }, 0, 0, 1), "")

		b := n.shareMember(t, v, "BBBBBBBBBBBBBBBBBBBBBB", topic)
		b.expect("what was released", b.fetch(nil), "30000 0:1-1*2")
		b.expect("of another's", b.fetch(nil, shareAcks{FirstOffset: 2, LastOffset: 2, AcknowledgeTypes: []int8{1}}), "30000 INVALID_RECORD_STATE")
		b.expect("done", b.fetch(nil, shareAcks{FirstOffset: 1, LastOffset: 1, AcknowledgeTypes: []int8{1}}), "30000")
		b.expect("another topic", b.fetch(func(r *kmsg.ShareFetchRequest) { r.Topics[0].TopicID = [16]byte{1} }), "30000 UNKNOWN_TOPIC_ID")
		b.expect("another partition", b.fetch(func(r *kmsg.ShareFetchRequest) { r.Topics[0].Partitions[0].Partition = 7 }), "30000 UNKNOWN_TOPIC_OR_PARTITION")
		b.expect("nobody", b.fetch(func(r *kmsg.ShareFetchRequest) { r.MemberID = nil }), "INVALID_REQUEST")
		b.expect("of no group", b.fetch(func(r *kmsg.ShareFetchRequest) { r.GroupID = nil }), "INVALID_REQUEST")
		b.expect("of another group", b.fetch(func(r *kmsg.ShareFetchRequest) { r.GroupID = kmsg.StringPtr("x") }), "GROUP_ID_NOT_FOUND")
		b.expect("an id too long", b.fetch(func(r *kmsg.ShareFetchRequest) { r.MemberID = kmsg.StringPtr(strings.Repeat("x", 37)) }), "INVALID_REQUEST")
		b.expect("not its turn", b.fetch(func(r *kmsg.ShareFetchRequest) { r.ShareSessionEpoch = 99 }), "INVALID_SHARE_SESSION_EPOCH")
		if v >= 2 {
			renew := func(r *kmsg.ShareFetchRequest) {
				r.IsRenewAck, r.MinBytes, r.MaxBytes, r.MaxRecords, r.BatchSize = true, 0, 0, 0, 0
			}
			a.expect("a renewal", a.fetch(renew, shareAcks{FirstOffset: 2, LastOffset: 2, AcknowledgeTypes: []int8{4}}), "30000")
			a.expect("a renewal that fetches", a.fetch(func(r *kmsg.ShareFetchRequest) { r.IsRenewAck = true }), "INVALID_REQUEST")
			a.expect("a renewal alone", a.acknowledge(func(r *kmsg.ShareAcknowledgeRequest) { r.IsRenewAck = true }, 2, 2, 4), "ok")
			a.expect("no such mode", a.fetch(func(r *kmsg.ShareFetchRequest) { r.ShareAcquireMode = 2 }), "INVALID_REQUEST")
		}
		a.expect("the end of a session", a.fetch(func(r *kmsg.ShareFetchRequest) { r.ShareSessionEpoch, r.Topics = -1, nil }), "30000")
		b.expect("what it had is for others", b.fetch(nil), "30000 0:2-2*2")
		if got := a.beat("g", -1); got.ErrorCode != 0 || got.MemberEpoch != -1 {
			t.Errorf("left: %+v", got)
		}
		if got := a.beat("g", -1); got.ErrorCode != kerr.UnknownMemberID.Code {
			t.Errorf("left again: %+v", got)
		}
	}
}

func TestShareHeartbeatRefuses(t *testing.T) {
	n := start(t, noDelay)
	topic := n.create(t, "t", 1, nil)
	m := n.shareMember(t, 1, "m", topic)
	req := joinRequest("classic", "")
	ask[*kmsg.JoinGroupResponse](m.raw, 3, req)
	for name, c := range map[string]struct {
		change func(*kmsg.ShareGroupHeartbeatRequest)
		want   *kerr.Error
	}{
		"no member":         {func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberID = "" }, kerr.InvalidRequest},
		"no group":          {func(r *kmsg.ShareGroupHeartbeatRequest) { r.GroupID = "" }, kerr.InvalidRequest},
		"a rack of nothing": {func(r *kmsg.ShareGroupHeartbeatRequest) { r.RackID = new(string) }, kerr.InvalidRequest},
		"no topics":         {func(r *kmsg.ShareGroupHeartbeatRequest) { r.SubscribedTopicNames = nil }, kerr.InvalidRequest},
		"an epoch":          {func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberEpoch = -2 }, kerr.InvalidRequest},
		"not there":         {func(r *kmsg.ShareGroupHeartbeatRequest) { r.GroupID, r.MemberEpoch = "x", 1 }, kerr.GroupIDNotFound},
		"another kind":      {func(r *kmsg.ShareGroupHeartbeatRequest) { r.GroupID = "classic" }, kerr.GroupIDNotFound},
		"an id too long":    {func(r *kmsg.ShareGroupHeartbeatRequest) { r.GroupID = strings.Repeat("g", 501) }, kerr.InvalidGroupID},
		"a later epoch":     {func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberEpoch = 9 }, kerr.FencedMemberEpoch},
		"a stranger":        {func(r *kmsg.ShareGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "x", 1 }, kerr.UnknownMemberID},
	} {
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.GroupID, req.MemberID, req.SubscribedTopicNames = "g", "m", []string{"t"}
		c.change(req)
		if got := ask[*kmsg.ShareGroupHeartbeatResponse](m.raw, 1, req); got.ErrorCode != c.want.Code || got.ErrorMessage == nil {
			t.Errorf("%s: %+v, want %v", name, got, c.want)
		}
	}
	// Nor may the group be taken for another kind.
	if got := ask[*kmsg.JoinGroupResponse](m.raw, 3, joinRequest("g", "")); got.ErrorCode != kerr.InconsistentGroupProtocol.Code {
		t.Errorf("classic join: %+v", got)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.Generation = "g", -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1, LeaderEpoch: -1}}}}
	if got := ask[*kmsg.OffsetCommitResponse](m.raw, 9, commit); got.Topics[0].Partitions[0].ErrorCode != kerr.GroupIDNotFound.Code {
		t.Errorf("commit: %+v", got)
	}
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{"g"}
	if got := ask[*kmsg.DescribeGroupsResponse](m.raw, 6, describe).Groups[0]; got.State != "Dead" || got.ErrorMessage == nil || !strings.Contains(*got.ErrorMessage, "not a classic") {
		t.Errorf("describe: %+v", got)
	}
}

func TestShareGroupAdministration(t *testing.T) {
	n := start(t, shareFromStart)
	topic := n.create(t, "t", 2, nil)
	n.create(t, "other", 1, nil)
	for range 5 {
		n.put(t, topic, 0, 100)
	}
	m := n.shareMember(t, 2, "m", topic)
	m.fetch(nil)
	m.acknowledge(nil, 0, 3, 1, 1, 2, 1)
	list := func(types ...string) string {
		req := kmsg.NewPtrListGroupsRequest()
		req.TypesFilter = types
		var got []string
		for _, g := range ask[*kmsg.ListGroupsResponse](m.raw, 5, req).Groups {
			got = append(got, g.Group+"/"+g.ProtocolType+"/"+g.GroupState+"/"+g.GroupType)
		}
		return strings.Join(got, " ")
	}
	offsets := func(topics ...string) string {
		req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
		g := kmsg.DescribeShareGroupOffsetsRequestGroup{GroupID: "g"}
		for _, name := range topics {
			g.Topics = append(g.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: name, Partitions: []int32{0, 1}})
		}
		req.Groups = append(req.Groups, g)
		var got []string
		for _, t := range ask[*kmsg.DescribeShareGroupOffsetsResponse](m.raw, 1, req).Groups[0].Topics {
			for _, p := range t.Partitions {
				got = append(got, fmt.Sprintf("%s-%d@%d+%d!%d", t.Topic, p.Partition, p.StartOffset, p.Lag, p.ErrorCode))
			}
		}
		return strings.Join(got, " ")
	}
	alter := func(topic string, partition int32, at int64) string {
		req := kmsg.NewPtrAlterShareGroupOffsetsRequest()
		req.GroupID = "g"
		req.Topics = []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{Partition: partition, StartOffset: at}}}}
		resp := ask[*kmsg.AlterShareGroupOffsetsResponse](m.raw, 0, req)
		if resp.ErrorCode != 0 {
			return kerr.TypedErrorForCode(resp.ErrorCode).Message
		}
		return fmt.Sprint(resp.Topics[0].Partitions[0].ErrorCode)
	}
	group := "g"
	forget := func(topics ...string) string {
		req := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
		req.GroupID = group
		for _, name := range topics {
			req.Topics = append(req.Topics, kmsg.DeleteShareGroupOffsetsRequestTopic{Topic: name})
		}
		resp := ask[*kmsg.DeleteShareGroupOffsetsResponse](m.raw, 0, req)
		if resp.ErrorCode != 0 {
			return kerr.TypedErrorForCode(resp.ErrorCode).Message
		}
		var codes []int16
		for _, t := range resp.Topics {
			codes = append(codes, t.ErrorCode)
		}
		return fmt.Sprint(codes)
	}
	remove := func() int16 {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{"g"}
		return ask[*kmsg.DeleteGroupsResponse](m.raw, 2, req).Groups[0].ErrorCode
	}
	m.expect("list", list(), "g/share/Stable/share")
	m.expect("list of a kind", list("Share"), "g/share/Stable/share")
	m.expect("list of another", list("classic"), "")
	m.expect("all offsets", offsets(), "t-0@2+2!0 t-1@-1+-1!0")
	m.expect("some offsets", offsets("nope", "other"), "nope-0@-1+-1!0 nope-1@-1+-1!0 other-0@-1+-1!0 other-1@-1+-1!0")
	m.expect("while there are members", fmt.Sprint(alter("t", 0, 1), " ", forget("t"), " ", remove()), "NON_EMPTY_GROUP NON_EMPTY_GROUP 68")

	describe := kmsg.NewPtrShareGroupDescribeRequest()
	describe.GroupIDs, describe.IncludeAuthorizedOperations = []string{"g", "nope"}, true
	resp := ask[*kmsg.ShareGroupDescribeResponse](m.raw, 1, describe)
	g := resp.Groups[0]
	if g.GroupState != "Stable" || g.Assignor != "simple" || g.GroupEpoch != 1 || g.AssignmentEpoch != 1 || g.AuthorizedOperations == 0 || len(g.Members) != 1 {
		t.Errorf("described: %+v", g)
	}
	if m := g.Members[0]; m.MemberID != "m" || m.ClientID != "raw" || m.ClientHost != "/127.0.0.1" || !slices.Equal(m.SubscribedTopicNames, []string{"t"}) ||
		len(m.Assignment.TopicPartitions) != 1 || m.Assignment.TopicPartitions[0].Topic != "t" || len(m.Assignment.TopicPartitions[0].Partitions) != 2 {
		t.Errorf("described: %+v", m)
	}
	if resp.Groups[1].ErrorCode != kerr.GroupIDNotFound.Code {
		t.Errorf("described: %+v", resp.Groups[1])
	}

	m.beat("g", -1)
	m.expect("list", list(), "g/share/Empty/share")
	m.expect("altered", alter("t", 0, 1)+alter("t", 7, 1)+alter("nope", 0, 1)+alter("t", 0, -3), "03342")
	m.expect("offsets", offsets(), "t-0@1+4!0 t-1@-1+-1!0")
	m.expect("forgotten", forget("nope", "other", "t"), "[3 3 0]")
	m.expect("offsets", offsets(), "")
	if code := remove(); code != 0 {
		t.Errorf("deleted: %d", code)
	}
	if code := remove(); code != kerr.GroupIDNotFound.Code {
		t.Errorf("deleted again: %d", code)
	}
	m.expect("nothing that could be altered makes no group", alter("nope", 0, 2)+alter("t", 7, 2)+list(), "33")
	m.expect("nothing of it can be forgotten", forget("t"), "GROUP_ID_NOT_FOUND")
	m.expect("a group of no members begins with an offset", alter("t", 0, 2), "0")
	m.expect("list", list(), "g/share/Empty/share")
	group = ""
	m.expect("forgotten of no group", forget("t"), "INVALID_GROUP_ID")
}

// A member whose connection is lost gives its records up.
func TestShareConnectionLost(t *testing.T) {
	n := start(t, shareFromStart)
	topic := n.create(t, "t", 1, nil)
	n.put(t, topic, 0, 100)
	a := n.shareMember(t, 2, "a", topic)
	a.expect("all", a.fetch(nil), "30000 0:0-0*1")
	b := n.shareMember(t, 2, "b", topic)
	b.expect("nothing", b.fetch(nil), "30000")
	a.conn.Close()
	b.expect("all", b.fetch(func(r *kmsg.ShareFetchRequest) { r.MaxWaitMillis = 20_000 }), "30000 0:0-0*2")
}

// TestShareConsumers lets franz-go's share consumers take 3,000 records, of which they release and reject some.
func TestShareConsumers(t *testing.T) {
	n := start(t, shareFromStart)
	n.create(t, "queue", 3, nil)
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	producer := n.client(t, kgo.DefaultProduceTopic("queue"))
	const records = 3000
	for i := range records {
		producer.Produce(ctx, &kgo.Record{Value: fmt.Appendf(nil, "%d", i)}, nil)
	}
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	seen := make(chan *kgo.Record, records)
	for i := range 3 {
		cl := n.client(t, kgo.ShareGroup("g"), kgo.ConsumeTopics("queue"), kgo.ShareMaxRecords(100), kgo.ClientID(fmt.Sprint("c", i)))
		go func() {
			for ctx.Err() == nil {
				fetches := cl.PollFetches(ctx)
				fetches.EachRecord(func(r *kgo.Record) {
					switch {
					case len(r.Value) == 1 && r.DeliveryCount() < 3:
						r.Ack(kgo.AckRelease)
						return
					case len(r.Value) == 2:
						r.Ack(kgo.AckReject)
					}
					seen <- r
				})
			}
		}()
	}
	got := map[string]int32{}
	for len(got) < records {
		select {
		case r := <-seen:
			if got[string(r.Value)] > 0 {
				t.Errorf("%s came twice", r.Value)
			}
			got[string(r.Value)] = r.DeliveryCount()
		case <-ctx.Done():
			t.Fatalf("%d of %d records", len(got), records)
		}
	}
	for value, deliveries := range got {
		want := int32(1)
		if len(value) == 1 {
			want = 3
		}
		if deliveries != want {
			t.Errorf("%s: delivery %d, want %d", value, deliveries, want)
		}
	}
	stop()
}
