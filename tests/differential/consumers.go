package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const everyMember = "consumer.assignment.interval.ms" // 0: a newcomer is assigned at once

// configured sets a group's configs so that both sides assign at once and tell the same intervals.
func (p *pair) configured(group string) {
	p.newestOf("configs", func(*side) kmsg.Request {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		set := func(name, value string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
			return kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Value: &value}
		}
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: group,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{set(everyMember, "0"), set("consumer.heartbeat.interval.ms", "5000")},
		}}
		return req
	})
}

// consumerBeat is a heartbeat of KIP-848; with epoch 0 it joins.
func consumerBeat(group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 60_000, []string{"consumed"}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return req
}

// owning is consumerBeat of a member that still reads some partitions of the topic.
func owning(s *side, group, member string, epoch int32, partitions ...int32) *kmsg.ConsumerGroupHeartbeatRequest {
	req := consumerBeat(group, member, epoch)
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if len(partitions) > 0 {
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: recall[[16]byte](s, "consumed"), Partitions: partitions})
	}
	return req
}

func describingConsumers(groups ...string) *kmsg.ConsumerGroupDescribeRequest {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups, req.IncludeAuthorizedOperations = groups, true
	return req
}

// beats sends a heartbeat in version 1 to both sides.
func (p *pair) beats(step string, build func(s *side) *kmsg.ConsumerGroupHeartbeatRequest) [2]kmsg.Response {
	return p.ask(step, 1, func(s *side) kmsg.Request { return build(s) })
}

func (p *pair) consumedTopic() error {
	if err := p.create(topic{name: "consumed", partitions: 4, replicas: 1}); err != nil {
		return err
	}
	return p.topicID("consumed")
}

// topicID remembers a topic's id under its name.
func (p *pair) topicID(name string) error {
	resp := p.newestOf("metadata", func(*side) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
		return req
	})
	return remember(p, name, resp, func(r *kmsg.MetadataResponse) [16]byte { return r.Topics[0].TopicID })
}

// consumers walks members of KIP-848 through joining, sharing, committing and leaving.
func consumers(p *pair) error {
	if err := p.consumedTopic(); err != nil {
		return err
	}
	for _, v := range p.versions(kmsg.NewPtrConsumerGroupHeartbeatRequest()) {
		group := fmt.Sprint("consumers-v", v)
		p.configured(group)
		name := "m"
		if v == 0 {
			name = ""
		}
		resp := p.ask("join", v, same(func() kmsg.Request { return consumerBeat(group, name, 0) }))
		if err := remember(p, "consumer", resp, func(r *kmsg.ConsumerGroupHeartbeatResponse) string { return *r.MemberID }); err != nil {
			return err
		}
		member := func(s *side) string { return recall[string](s, "consumer") }
		p.ask("heartbeat", v, func(s *side) kmsg.Request { return consumerBeat(group, member(s), 2) })
		p.ask("described", v, same(func() kmsg.Request { return describingConsumers(group, "none", "") }))
		p.committed(group, "consumed", member, 2)
		p.ask("leave", v, func(s *side) kmsg.Request { return consumerBeat(group, member(s), -1) })
		p.ask("described when empty", v, same(func() kmsg.Request { return describingConsumers(group) }))
	}
	p.shared()
	p.statics()
	return nil
}

// committed commits and fetches by member epochs.
func (p *pair) committed(group, topic string, member func(*side) string, epoch int32) {
	for _, v := range []int16{8, 9, 10} {
		for _, by := range []int32{epoch, epoch + 1, epoch - 1, -1} {
			p.ask(fmt.Sprintf("commit by epoch %d", by), v, func(s *side) kmsg.Request {
				req := committing(s, v, group, topic, 0, 7, "")
				req.MemberID, req.Generation = member(s), by
				return req
			})
		}
	}
	for _, by := range []int32{epoch, epoch + 1, -1} {
		p.ask(fmt.Sprintf("fetch by epoch %d", by), 9, func(s *side) kmsg.Request {
			req := kmsg.NewPtrOffsetFetchRequest()
			g := kmsg.NewOffsetFetchRequestGroup()
			id := member(s)
			g.Group, g.MemberID, g.MemberEpoch = group, &id, by
			g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{0, 1}}}
			req.Groups = []kmsg.OffsetFetchRequestGroup{g}
			return req
		})
	}
}

// shared leads two members to their shares.
func (p *pair) shared() {
	const g = "consumers-shared"
	p.configured(g)
	describe := func(step string) {
		p.ask(step, 1, same(func() kmsg.Request { return describingConsumers(g) }))
		p.newestOf(step+" as classic", same(func() kmsg.Request { return describing(g) }))
		p.newestOf(step+" in a list", same(func() kmsg.Request {
			req := kmsg.NewPtrListGroupsRequest()
			req.TypesFilter, req.StatesFilter = []string{"consumer"}, []string{"Stable", "reconciling", "Assigning"}
			return req
		}))
	}
	plain := func(member string, epoch int32) func(*side) *kmsg.ConsumerGroupHeartbeatRequest {
		return func(*side) *kmsg.ConsumerGroupHeartbeatRequest { return consumerBeat(g, member, epoch) }
	}
	p.beats("first joins", plain("m1", 0))
	p.beats("second joins", plain("m2", 0))
	describe("waiting")
	p.beats("second waits", plain("m2", 3))
	p.beats("first is asked to give up", plain("m1", 2))
	describe("revoking")
	p.beats("first still reads", func(s *side) *kmsg.ConsumerGroupHeartbeatRequest { return owning(s, g, "m1", 2, 0, 1, 2, 3) })
	p.beats("second still waits", plain("m2", 3))
	p.beats("behind, with too much", func(s *side) *kmsg.ConsumerGroupHeartbeatRequest { return owning(s, g, "m2", 0, 0) })
	p.beats("ahead", plain("m2", 4))
	p.beats("nobody", plain("nobody", 2))
	p.beats("first leaves", plain("m1", -1))
	describe("assigning")
	p.beats("second has all", plain("m2", 3))
	p.beats("second again, all said", func(s *side) *kmsg.ConsumerGroupHeartbeatRequest {
		req := owning(s, g, "m2", 4, 0, 1, 2, 3)
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 60_000, []string{"consumed"}
		return req
	})
	p.beats("joins again", plain("m2", 0))
	p.beats("range is asked for", func(*side) *kmsg.ConsumerGroupHeartbeatRequest {
		req := consumerBeat(g, "m2", 4)
		req.ServerAssignor = kmsg.StringPtr("range")
		return req
	})
	p.beats("another topic", func(s *side) *kmsg.ConsumerGroupHeartbeatRequest {
		req := owning(s, g, "m2", 4, 0, 1, 2, 3)
		req.SubscribedTopicNames = []string{"absent"}
		return req
	})
	describe("unsubscribed")
	p.beats("gave up", func(s *side) *kmsg.ConsumerGroupHeartbeatRequest { return owning(s, g, "m2", 4) })
	p.newestOf("deleted while it lives", same(func() kmsg.Request { return deleting(g) }))
	p.newestOf("offsets deleted", same(func() kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = g
		for _, name := range []string{"absent", "consumed"} {
			req.Topics = append(req.Topics, kmsg.OffsetDeleteRequestTopic{Topic: name, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}})
		}
		return req
	}))
	p.beats("last leaves", plain("m2", -1))
	p.newestOf("deleted", same(func() kmsg.Request { return deleting(g) }))
}

// statics lets a static member leave for now and come back, and others try to take its place.
func (p *pair) statics() {
	const g = "consumers-static"
	p.configured(g)
	static := func(member string, epoch int32) func(*side) *kmsg.ConsumerGroupHeartbeatRequest {
		return func(*side) *kmsg.ConsumerGroupHeartbeatRequest {
			req := consumerBeat(g, member, epoch)
			req.InstanceID = kmsg.StringPtr("i")
			return req
		}
	}
	p.beats("static joins", static("s1", 0))
	p.beats("its place is taken", static("s2", 0))
	p.beats("fenced", static("s2", 2))
	p.beats("leaves for now", static("s1", -2))
	p.ask("away", 1, same(func() kmsg.Request { return describingConsumers(g) }))
	p.beats("comes back", static("s3", 0))
	p.beats("the old one", static("s1", 2))
	p.beats("the old one leaves", static("s1", -1))
	p.beats("unknown instance", func(*side) *kmsg.ConsumerGroupHeartbeatRequest {
		req := consumerBeat(g, "s3", 2)
		req.InstanceID = kmsg.StringPtr("other")
		return req
	})
	p.beats("leaves for good", static("s3", -1))
}

// consumerFaults sends heartbeats that no member sends.
func consumerFaults(p *pair) error {
	p.configured("consumers-faulty")
	str := kmsg.StringPtr
	for name, change := range map[string]func(*kmsg.ConsumerGroupHeartbeatRequest){
		"no member":             func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = "" },
		"no group":              func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" },
		"empty instance":        func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = str("") },
		"empty rack":            func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = str("") },
		"away without instance": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -2 },
		"epoch -3":              func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 },
		"no rebalance timeout":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 },
		"nothing owned":         func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil },
		"something owned": func(r *kmsg.ConsumerGroupHeartbeatRequest) {
			r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{Partitions: []int32{1}}}
		},
		"no subscription":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil },
		"unknown assignor": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = str("sticky") },
		"no such group":    func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 1 },
		"leaves no group":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -1 },
	} {
		p.each(name, func(*side, int16) kmsg.Request {
			req := consumerBeat("consumers-faulty", "m", 0)
			change(req)
			return req
		})
	}
	p.beats("bad pattern", func(*side) *kmsg.ConsumerGroupHeartbeatRequest {
		req := consumerBeat("consumers-faulty", "m", 0)
		req.SubscribedTopicRegex = str("a(")
		return req
	})
	return nil
}

// migration joins members of both protocols to one group, in either order.
func migration(p *pair) error {
	if err := p.topicID("consumed"); err != nil {
		return err
	}
	const g = "migrating"
	p.configured(g)
	describe := func(step string) {
		p.newestOf(step, same(func() kmsg.Request { return describingConsumers(g) }))
		p.newestOf(step+" as classic", same(func() kmsg.Request { return describing(g) }))
	}
	join := func(step string, member string) error {
		resp := p.ask(step, 9, func(s *side) kmsg.Request { return consumedJoin(g, recall[string](s, member)) })
		pick := func(r *kmsg.JoinGroupResponse) string { return r.MemberID }
		if err := remember(p, member, resp, pick); err != nil {
			return err
		}
		return remember(p, "generation", resp, func(r *kmsg.JoinGroupResponse) int32 { return r.Generation })
	}
	sync := func(step string) {
		p.ask(step, 5, func(s *side) kmsg.Request {
			req := syncing(s, g, recall[int32](s, "generation"))
			req.MemberID = recall[string](s, "k")
			given := kmsg.NewConsumerMemberAssignment()
			given.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "consumed", Partitions: []int32{0, 1, 2, 3}}}
			req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: req.MemberID, MemberAssignment: given.AppendTo(nil)}}
			return req
		})
	}
	heartbeat := func(step string) {
		p.newestOf(step, func(s *side) kmsg.Request { return beating(g, recall[string](s, "k"), recall[int32](s, "generation")) })
	}
	for _, step := range []string{"classic asks for an id", "classic joins"} {
		if err := join(step, "k"); err != nil {
			return err
		}
	}
	sync("classic is assigned")
	p.beats("unknown to a classic group", func(*side) *kmsg.ConsumerGroupHeartbeatRequest { return consumerBeat(g, "m", 1) })
	p.beats("consumer joins", func(*side) *kmsg.ConsumerGroupHeartbeatRequest { return consumerBeat(g, "m", 0) })
	describe("upgraded")
	heartbeat("classic is asked to join again")
	if err := join("classic joins again", "k"); err != nil {
		return err
	}
	sync("classic is assigned its share")
	heartbeat("classic stays")
	p.beats("consumer has its share", func(*side) *kmsg.ConsumerGroupHeartbeatRequest { return consumerBeat(g, "m", 2) })
	describe("mixed")
	p.beats("consumer leaves", func(*side) *kmsg.ConsumerGroupHeartbeatRequest { return consumerBeat(g, "m", -1) })
	describe("downgraded")
	heartbeat("classic is asked to rebalance")
	if err := join("classic joins its own again", "k"); err != nil {
		return err
	}
	sync("classic is assigned all")
	describe("classic again")
	p.newestOf("classic leaves", func(s *side) kmsg.Request { return leaving(g, recall[string](s, "k"), 5) })
	p.beats("consumer joins the empty group", func(*side) *kmsg.ConsumerGroupHeartbeatRequest { return consumerBeat(g, "m", 0) })
	p.beats("consumer leaves it", func(*side) *kmsg.ConsumerGroupHeartbeatRequest { return consumerBeat(g, "m", -1) })
	return nil
}

// consumedJoin is a JoinGroup request for the topic that consumers share.
func consumedJoin(group, member string) *kmsg.JoinGroupRequest {
	req := joining(group, member, "")
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{"consumed"}
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: meta.AppendTo(nil)}}
	return req
}

func deleting(group string) *kmsg.DeleteGroupsRequest {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{group}
	return req
}
