package main

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sharers is the share group of a version.
func sharers(v int16) string { return fmt.Sprint("sharers ", v) }

func shareBeat(group, member string, epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatRequest {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = group, member, epoch, topics
	return req
}

// takeShares makes member one of the group and waits until it is told of partitions: Kafka assigns them some time after it has joined.
func (p *pair) takeShares(group, member string) error {
	for _, s := range p.sides() {
		epoch, topics := int32(0), []string{"shared"}
		deadline := time.Now().Add(6 * patience) // Kafka makes the topic of share groups first, with 50 partitions
		for assigned := false; !assigned; time.Sleep(50 * time.Millisecond) {
			a := s.ask(1, shareBeat(group, member, epoch, topics...))
			r, ok := a.response.(*kmsg.ShareGroupHeartbeatResponse)
			if !ok || time.Now().After(deadline) {
				return fmt.Errorf("%s assigns %s nothing: %s", s.name, member, a.failed)
			}
			if r.ErrorCode == 0 {
				epoch, topics = r.MemberEpoch, nil
				assigned = r.Assignment != nil && len(r.Assignment.TopicPartitions) > 0
			}
		}
	}
	return nil
}

// said is an acknowledgement of records.
type said struct {
	first, last int64
	kinds       []int8
}

// turn returns the epoch of the member's session that comes next, and counts it.
func turn(s *side, member string) int32 {
	epoch := recall[int32](s, member)
	s.seen[member] = epoch + 1
	return epoch
}

func shareFetch(s *side, v int16, member string, change func(*kmsg.ShareFetchRequest), acks ...said) *kmsg.ShareFetchRequest {
	req := kmsg.NewPtrShareFetchRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = kmsg.StringPtr(sharers(v)), &member, turn(s, member)
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = 500, 1, 1<<20, 100, 100
	part := kmsg.NewShareFetchRequestTopicPartition()
	for _, a := range acks {
		part.AcknowledgementBatches = append(part.AcknowledgementBatches,
			kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch{FirstOffset: a.first, LastOffset: a.last, AcknowledgeTypes: a.kinds})
	}
	req.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: s.topicID("shared"), Partitions: []kmsg.ShareFetchRequestTopicPartition{part}}}
	if change != nil {
		change(req)
	}
	return req
}

func shareAck(s *side, v int16, member string, change func(*kmsg.ShareAcknowledgeRequest), acks ...said) *kmsg.ShareAcknowledgeRequest {
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.GroupID, req.MemberID, req.ShareSessionEpoch = kmsg.StringPtr(sharers(v)), &member, turn(s, member)
	part := kmsg.NewShareAcknowledgeRequestTopicPartition()
	for _, a := range acks {
		part.AcknowledgementBatches = append(part.AcknowledgementBatches,
			kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch{FirstOffset: a.first, LastOffset: a.last, AcknowledgeTypes: a.kinds})
	}
	req.Topics = []kmsg.ShareAcknowledgeRequestTopic{{TopicID: s.topicID("shared"), Partitions: []kmsg.ShareAcknowledgeRequestTopicPartition{part}}}
	if change != nil {
		change(req)
	}
	return req
}

// queues lets members of a share group take records and say what became of them, in every version.
func queues(p *pair) error {
	if len(p.versions(kmsg.NewPtrShareFetchRequest())) == 0 {
		return nil
	}
	if err := p.create(topic{name: "shared", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	p.fill("shared", 4) // offsets 0..9
	p.shareFaults()
	for _, v := range p.versions(kmsg.NewPtrShareFetchRequest()) {
		p.newestOf("begin at the start", same(func() kmsg.Request {
			return altering(kmsg.ConfigResourceTypeGroupConfig, sharers(v), false, []setting{
				{kmsg.IncrementalAlterConfigOpSet, "share.auto.offset.reset", kmsg.StringPtr("earliest")},
			})
		}))
		p.newestOf("coordinator", same(func() kmsg.Request {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKeys = []string{sharers(v)}
			return req
		}))
		a, b := fmt.Sprintf("a%021d", v), fmt.Sprintf("b%021d", v)
		for _, member := range []string{a, b} {
			if err := p.takeShares(sharers(v), member); err != nil {
				return err
			}
		}
		p.lifeOfShares(v, a, b)
		p.shareOffsets(v, a, b)
	}
	return nil
}

// shareFaults are heartbeats that no member sends.
func (p *pair) shareFaults() {
	for step, build := range map[string]func() *kmsg.ShareGroupHeartbeatRequest{
		"a group that is not there": func() *kmsg.ShareGroupHeartbeatRequest { return shareBeat("never", "nobody", 3) },
		"leave of a group that is not there": func() *kmsg.ShareGroupHeartbeatRequest {
			return shareBeat("never", "nobody", -1)
		},
		"no member": func() *kmsg.ShareGroupHeartbeatRequest { return shareBeat("never", "", 0, "shared") },
		"no topics": func() *kmsg.ShareGroupHeartbeatRequest { return shareBeat("never", "nobody", 0) },
		"an epoch":  func() *kmsg.ShareGroupHeartbeatRequest { return shareBeat("never", "nobody", -2) },
		"no group": func() *kmsg.ShareGroupHeartbeatRequest {
			return shareBeat("", "nobody", 0, "shared")
		},
	} {
		p.newestOf(step, same(func() kmsg.Request { return build() }))
	}
}

func (p *pair) lifeOfShares(v int16, a, b string) {
	fetch := func(step, member string, change func(*kmsg.ShareFetchRequest), acks ...said) {
		p.ask(step, v, func(s *side) kmsg.Request { return shareFetch(s, v, member, change, acks...) })
	}
	say := func(step, member string, change func(*kmsg.ShareAcknowledgeRequest), acks ...said) {
		p.ask(step, v, func(s *side) kmsg.Request { return shareAck(s, v, member, change, acks...) })
	}
	back := func(member string) { // what is refused counts no turn
		for _, s := range p.sides() {
			s.seen[member] = recall[int32](s, member) - 1
		}
	}
	say("an acknowledgement that would open a session", a, nil, said{0, 0, []int8{1}})
	back(a)
	fetch("a session that begins with acknowledgements", a, nil, said{0, 0, []int8{1}})
	back(a)
	fetch("all", a, nil)
	fetch("nothing is left", b, nil)
	fetch("not its turn", a, func(r *kmsg.ShareFetchRequest) { r.ShareSessionEpoch = 77 })
	back(a)
	say("behind the last", a, nil, said{100, 101, []int8{1}})
	say("beyond the last", a, nil, said{0, 100, []int8{1}})
	say("backwards", a, nil, said{2, 1, []int8{1}})
	say("too many kinds", a, nil, said{0, 1, []int8{1, 1, 1}})
	say("an unknown kind", a, nil, said{0, 1, []int8{9}})
	say("twice", a, nil, said{0, 1, []int8{1}}, said{1, 2, []int8{1}})
	say("nothing", a, nil)
	say("another's", b, nil, said{0, 0, []int8{1}})
	say("a renewal that is not announced", a, nil, said{0, 0, []int8{4}})
	say("one of each", a, nil, said{0, 3, []int8{1, 2, 3, 0}})
	fetch("what was released", b, nil)
	fetch("of what it has, and of what it has not", b, nil, said{1, 1, []int8{1}}, said{5, 5, []int8{1}})
	fetch("no member", b, func(r *kmsg.ShareFetchRequest) { r.MemberID = nil })
	back(b)
	if v >= 2 {
		say("a renewal", a, func(r *kmsg.ShareAcknowledgeRequest) { r.IsRenewAck = true }, said{4, 4, []int8{4}})
		fetch("a renewal that fetches", a, func(r *kmsg.ShareFetchRequest) { r.IsRenewAck = true }, said{4, 4, []int8{4}})
		back(a)
	}
	last := func(r *kmsg.ShareAcknowledgeRequest) { r.ShareSessionEpoch = -1 }
	say("the end of a session", a, last, said{4, 4, []int8{1}})
	fetch("what was not seen", b, func(r *kmsg.ShareFetchRequest) { r.Topics[0].Partitions[0].AcknowledgementBatches = nil })
	say("after the end", a, nil, said{4, 4, []int8{1}})
}

// shareOffsets is what kafka-share-groups asks.
func (p *pair) shareOffsets(v int16, members ...string) {
	describe := func(step string, topics ...string) {
		p.each(step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
			g := kmsg.DescribeShareGroupOffsetsRequestGroup{GroupID: sharers(v)}
			for _, name := range topics {
				g.Topics = append(g.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: name, Partitions: []int32{0}})
			}
			req.Groups = append(req.Groups, g)
			return req
		})
	}
	alter := func(step, topic string, partition int32) {
		p.newestOf(step, same(func() kmsg.Request {
			req := kmsg.NewPtrAlterShareGroupOffsetsRequest()
			req.GroupID = sharers(v)
			req.Topics = []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{Partition: partition, StartOffset: 3}}}}
			return req
		}))
	}
	forget := func(step string, topics ...string) {
		p.newestOf(step, same(func() kmsg.Request {
			req := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
			req.GroupID = sharers(v)
			for _, name := range topics {
				req.Topics = append(req.Topics, kmsg.DeleteShareGroupOffsetsRequestTopic{Topic: name})
			}
			return req
		}))
	}
	describe("offsets")
	describe("offsets of topics", "shared", "nope")
	alter("altered while there are members", "shared", 0)
	forget("forgotten while there are members", "shared")
	for _, member := range members {
		p.newestOf("leave", same(func() kmsg.Request { return shareBeat(sharers(v), member, -1) }))
		p.newestOf("leave again", same(func() kmsg.Request { return shareBeat(sharers(v), member, -1) }))
	}
	alter("altered", "shared", 0)
	alter("altered, no such partition", "shared", 7)
	alter("altered, no such topic", "nope", 0)
	describe("offsets that were altered")
	forget("forgotten", "shared", "nope")
	forget("forgotten again", "shared")
	describe("offsets that were forgotten")
	p.newestOf("deleted", same(func() kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{sharers(v)}
		return req
	}))
	describe("offsets of a group that is not there", "shared")
	alter("altered nothing of a group that is not there", "nope", 0)
	forget("forgotten of a group that is not there", "shared")
	p.newestOf("forgotten of no group", same(func() kmsg.Request { return kmsg.NewPtrDeleteShareGroupOffsetsRequest() }))
}
