package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka"
)

// setShare sets a config of the group g.
func (m *shareMember) setShare(key, value string) {
	m.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, "g"
	r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: key, Value: &value}}
	req.Resources = append(req.Resources, r)
	if got := ask[*kmsg.IncrementalAlterConfigsResponse](m.raw, 1, req).Resources[0]; got.ErrorCode != 0 {
		m.t.Fatalf("%s=%s: %v", key, value, kerr.ErrorForCode(got.ErrorCode))
	}
}

// Each config of a share group has an effect from when it is set.
func TestShareGroupConfigs(t *testing.T) {
	n := start(t)
	topic := n.create(t, "t", 4, nil)
	for p := range int32(4) {
		for range 3 {
			n.put(t, topic, p, 100)
		}
	}
	m := n.shareMember(t, 2, "m", topic)
	on := func(p int32) func(*kmsg.ShareFetchRequest) {
		return func(r *kmsg.ShareFetchRequest) { r.Topics[0].Partitions[0].Partition = p }
	}
	m.expect("at the end", m.fetch(nil), "30000")
	m.setShare("share.auto.offset.reset", "earliest")
	m.setShare("share.record.lock.duration.ms", "45000")
	m.expect("at the start, for longer", m.fetch(on(1)), "45000 1:0-2*1")
	m.setShare("share.auto.offset.reset", "by_duration:PT1H")
	m.expect("an hour ago", m.fetch(on(2)), "45000 2:0-2*1")
	m.setShare("share.renew.acknowledge.enable", "FALSE")
	renew := func(r *kmsg.ShareAcknowledgeRequest) {
		r.IsRenewAck, r.Topics[0].Partitions[0].Partition = true, 1
	}
	m.expect("a renewal", m.acknowledge(renew, 0, 0, 4), "INVALID_REQUEST")
	m.setShare("share.delivery.count.limit", "2")
	release := func(r *kmsg.ShareAcknowledgeRequest) { r.Topics[0].Partitions[0].Partition = 1 }
	m.expect("released", m.acknowledge(release, 0, 0, 2), "ok")
	m.expect("for the last time", m.fetch(nil), "45000 1:0-0*2")
	m.expect("released", m.acknowledge(release, 0, 0, 2), "ok")
	m.expect("that was it", m.fetch(nil), "45000")
	m.setShare("share.partition.max.record.locks", "100")
	for range 200 {
		n.put(t, topic, 3, 10)
	}
	m.expect("as many as may be", m.fetch(on(3)), "45000 3:0-99*1")
	m.setShare("share.heartbeat.interval.ms", "7000")
	if got := m.beat("g", 1); got.HeartbeatIntervalMillis != 7000 {
		t.Errorf("heartbeat every %d ms", got.HeartbeatIntervalMillis)
	}

	describe := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeBroker, "1", []string{"group.share.max.size"}
	describe.Resources = append(describe.Resources, r)
	got := ask[*kmsg.DescribeConfigsResponse](m.raw, 4, describe).Resources[0]
	if len(got.Configs) != 1 || *got.Configs[0].Value != "200" || !got.Configs[0].ReadOnly {
		t.Errorf("broker's: %+v", got)
	}
}

// A share group is assigned once in share.assignment.interval.ms, the broker's or its own; who waits for that is told to come then.
func TestShareGroupsAreAssignedOnceInAnInterval(t *testing.T) {
	t.Parallel()
	v := clock.NewVirtual(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	n := start(t, func(c *kafka.Config) { c.Clock = v })
	m := &shareMember{raw: n.raw(t), name: "a", topic: n.create(t, "t", 4, nil)}
	want := func(what string, epoch, partitions, again int32, got *kmsg.ShareGroupHeartbeatResponse) {
		t.Helper()
		held := int32(-1) // it is not told
		if got.Assignment != nil {
			held = 0
			for _, topic := range got.Assignment.TopicPartitions {
				held += int32(len(topic.Partitions))
			}
		}
		if got.ErrorCode != 0 || got.MemberEpoch != epoch || held != partitions || got.HeartbeatIntervalMillis != again {
			t.Errorf("%s: %+v with %d partitions, want epoch %d, %d partitions, the next in %d ms", what, got, held, epoch, partitions, again)
		}
	}
	beat := func(name string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatResponse {
		t.Helper()
		m.name = name
		return m.beat("g", epoch, topics...)
	}
	want("the first is assigned at once", 1, 4, 5000, beat("a", 0, "t"))
	v.Advance(400 * time.Millisecond)
	want("the second has to wait", 1, 0, 601, beat("b", 0, "t"))
	want("the first, too", 1, -1, 601, beat("a", 1))
	v.Advance(601 * time.Millisecond)
	want("then it has its part", 2, 2, 5000, beat("b", 1))
	want("and so has the first", 2, 2, 5000, beat("a", 1))

	m.setShare("share.assignment.interval.ms", "3000")
	want("one more", 2, 0, 3001, beat("c", 0, "t"))
	m.setShare("share.assignment.interval.ms", "0")
	want("no interval, no wait", 3, 1, 5000, beat("c", 2))
}

// A member that has had more than its quota is told what became of its acknowledgements, and given nothing for a while.
func TestShareConsumersAreThrottled(t *testing.T) {
	t.Parallel()
	n, v, book := limited(t, func(c *kafka.Config, _ *clock.Virtual) { shareFromStart(c) })
	topic := n.create(t, "t", 1, nil)
	n.put(t, topic, 0, 2000)
	n.put(t, topic, 0, 100)
	a, b := n.shareMember(t, 2, "a", topic), n.shareMember(t, 2, "b", topic)
	limit(t, book, everyUser, quota.ConsumerBytes, 100)
	sleepers := v.Waiting()
	one := func(r *kmsg.ShareFetchRequest) { r.MaxRecords, r.ShareAcquireMode = 1, 1 }
	a.expect("more than ten seconds' worth", a.fetch(one), "30000 0:0-0*1")
	b.expect("by another connection", b.fetch(nil), "30000")
	eventually(t, "both are muted", func() bool { return v.Waiting() == sleepers+2 })
	v.Advance(25 * time.Second)
	b.expect("after the time", b.fetch(nil), "30000 0:1-1*1")
}
