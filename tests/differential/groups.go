package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// joining is a JoinGroup request of a consumer.
func joining(group, member, instance string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = group, member, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 5_000
	if instance != "" {
		req.InstanceID = kmsg.StringPtr(instance)
	}
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{"grouped"}
	req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: meta.AppendTo(nil)}, {Name: "sticky", Metadata: []byte{1}}}
	return req
}

// join makes a member of a new group, going the way by MEMBER_ID_REQUIRED where the version has it, and remembers it as "member".
func (p *pair) join(group, instance string, v int16) error {
	resp := p.ask("join", v, same(func() kmsg.Request { return joining(group, "", instance) }))
	pick := func(r *kmsg.JoinGroupResponse) string { return r.MemberID }
	if err := remember(p, "member", resp, pick); err != nil {
		return err
	}
	if v >= 4 && instance == "" {
		resp = p.ask("join with the id", v, func(s *side) kmsg.Request { return joining(group, recall[string](s, "member"), instance) })
	}
	if err := remember(p, "member", resp, pick); err != nil {
		return err
	}
	return remember(p, "generation", resp, func(r *kmsg.JoinGroupResponse) int32 { return r.Generation })
}

func syncing(s *side, group string, generation int32) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, recall[string](s, "member"), generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: req.MemberID, MemberAssignment: []byte("assigned")}}
	return req
}

func beating(group, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	return req
}

func leaving(group, member string, v int16) *kmsg.LeaveGroupRequest {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = group, member
	if v >= 3 {
		req.Members = []kmsg.LeaveGroupRequestMember{{MemberID: member}}
	}
	return req
}

func describing(groups ...string) *kmsg.DescribeGroupsRequest {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = groups, true
	return req
}

// upTo is the version of a request that goes with version v of another: the same, or its newest.
func (p *pair) upTo(v int16, req kmsg.Request) int16 {
	all := p.versions(req)
	return max(all[0], min(v, all[len(all)-1]))
}

// groups walks a member through its life in every version of JoinGroup, and of the other requests as far as they have it.
func groups(p *pair) error {
	if err := p.create(topic{name: "grouped", partitions: 2, replicas: 1}); err != nil {
		return err
	}
	for _, v := range p.versions(kmsg.NewPtrJoinGroupRequest()) {
		for _, instance := range []string{"", "static"} {
			if instance != "" && v < 5 {
				continue
			}
			group := fmt.Sprintf("group-v%d%s", v, instance)
			if err := p.join(group, instance, v); err != nil {
				return err
			}
			p.lifeOf(group, v)
		}
	}
	p.each("unknown group described", func(*side, int16) kmsg.Request { return describing("never-was", "") })
	return nil
}

func (p *pair) lifeOf(group string, v int16) {
	ask := func(step string, build func(s *side, v int16) kmsg.Request) {
		version := p.upTo(v, build(p.kafka, 0))
		p.ask(step, version, func(s *side) kmsg.Request { return build(s, version) })
	}
	generation := func(s *side) int32 { return recall[int32](s, "generation") }
	member := func(s *side) string { return recall[string](s, "member") }
	describe := func(*side, int16) kmsg.Request { return describing(group) }
	ask("described while joining", describe)
	ask("sync of a wrong generation", func(s *side, _ int16) kmsg.Request { return syncing(s, group, generation(s)+1) })
	ask("sync", func(s *side, _ int16) kmsg.Request { return syncing(s, group, generation(s)) })
	ask("sync again", func(s *side, _ int16) kmsg.Request { return syncing(s, group, generation(s)) })
	ask("heartbeat", func(s *side, _ int16) kmsg.Request { return beating(group, member(s), generation(s)) })
	ask("heartbeat of a wrong generation", func(s *side, _ int16) kmsg.Request { return beating(group, member(s), generation(s)+1) })
	ask("heartbeat of nobody", func(s *side, _ int16) kmsg.Request { return beating(group, "nobody", generation(s)) })
	ask("described", describe)
	ask("deleted while it lives", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{group}
		return req
	})
	ask("another protocol", func(*side, int16) kmsg.Request {
		req := joining(group, "", "")
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "other", Metadata: []byte{1}}}
		return req
	})
	ask("another type", func(*side, int16) kmsg.Request {
		req := joining(group, "", "")
		req.ProtocolType = "connect"
		return req
	})
	ask("leave of nobody", func(_ *side, v int16) kmsg.Request { return leaving(group, "nobody", v) })
	ask("leave", func(s *side, v int16) kmsg.Request { return leaving(group, member(s), v) })
	ask("described when empty", describe)
	ask("deleted", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{group, "never-was"}
		return req
	})
	ask("described when deleted", describe)
}

func groupFaults(p *pair) error {
	for _, row := range []struct {
		step   string
		change func(*kmsg.JoinGroupRequest)
	}{
		{"no group", func(r *kmsg.JoinGroupRequest) { r.Group = "" }},
		{"session too short", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 }},
		{"session too long", func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 }},
		{"no protocols", func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }},
		{"no protocol type", func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }},
		{"an unknown member", func(r *kmsg.JoinGroupRequest) { r.MemberID = "nobody" }},
	} {
		p.each(row.step, func(*side, int16) kmsg.Request {
			req := joining("faulty", "", "")
			row.change(req)
			return req
		})
	}
	p.each("heartbeat to no group", func(*side, int16) kmsg.Request { return beating("never-was", "m", 1) })
	p.each("heartbeat to an empty name", func(*side, int16) kmsg.Request { return beating("", "m", 1) })
	p.each("leave no group", func(_ *side, v int16) kmsg.Request { return leaving("never-was", "m", v) })
	p.each("sync no group", func(s *side, _ int16) kmsg.Request { return syncing(s, "never-was", 1) })
	p.each("sync an empty name", func(s *side, _ int16) kmsg.Request { return syncing(s, "", 1) })
	for kind := range int8(4) {
		p.each(fmt.Sprint("coordinator of type ", kind), func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, "some", []string{"some", ""}
			return req
		})
	}
	p.each("all groups", func(*side, int16) kmsg.Request { return kmsg.NewPtrListGroupsRequest() })
	p.each("empty groups", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrListGroupsRequest()
		req.StatesFilter = []string{"Empty", "no such state"}
		return req
	})
	return nil
}

// committing is an OffsetCommit of one partition by nobody in particular.
func committing(s *side, v int16, group, topic string, partition int32, offset int64, note string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	if v >= 10 {
		if t.TopicID = s.topicID(topic); t.TopicID == [16]byte{} {
			t.TopicID = [16]byte{0xee}
		}
	}
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = partition, offset, -1, kmsg.StringPtr(note)
	t.Partitions = append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	return req
}

// asking is an OffsetFetch of partitions 0 and 1 of a topic; no topic asks for all.
func asking(s *side, v int16, group, topic string) *kmsg.OffsetFetchRequest {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	if topic != "" {
		req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0, 1}}}
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = topic, s.topicID(topic), []int32{0, 1}
		if v >= 10 && t.TopicID == [16]byte{} {
			t.TopicID = [16]byte{0xee}
		}
		g.Topics = append(g.Topics, t)
	}
	req.Groups = append(req.Groups, g)
	return req
}

func offsets(p *pair) error {
	if err := p.create(topic{name: "kept", partitions: 2, replicas: 1}); err != nil {
		return err
	}
	for _, row := range []struct {
		step, group, topic string
		partition          int32
		offset             int64
		note               string
	}{
		{"plain", "keeper", "kept", 0, 5, "a note"},
		{"moved back", "keeper", "kept", 0, 3, ""},
		{"beyond the end", "keeper", "kept", 1, 1 << 40, ""},
		{"negative", "keeper", "kept", 1, -1, ""},
		{"a long note", "keeper", "kept", 0, 5, string(make([]byte, 5000))},
		{"no such partition", "keeper", "kept", 9, 5, ""},
		{"no such topic", "keeper", "never-was", 0, 5, ""},
		{"no group", "", "kept", 0, 5, ""},
	} {
		p.each("commit, "+row.step, func(s *side, v int16) kmsg.Request {
			return committing(s, v, row.group, row.topic, row.partition, row.offset, row.note)
		})
	}
	p.each("commit of a member that is none", func(s *side, v int16) kmsg.Request {
		req := committing(s, v, "keeper", "kept", 0, 5, "")
		req.MemberID, req.Generation = "nobody", 4
		return req
	})
	for _, topic := range []string{"kept", "never-was", ""} {
		for _, group := range []string{"keeper", "never-was", ""} {
			for _, v := range p.versions(kmsg.NewPtrOffsetFetchRequest()) {
				if v >= 2 || topic != "" {
					p.ask(fmt.Sprintf("of %q in %q", topic, group), v, func(s *side) kmsg.Request { return asking(s, v, group, topic) })
				}
			}
		}
	}
	for _, row := range []struct {
		group, topic string
		partition    int32
	}{{"keeper", "kept", 0}, {"keeper", "kept", 7}, {"keeper", "never-was", 0}, {"never-was", "kept", 0}, {"", "kept", 0}} {
		p.each(fmt.Sprintf("deleted, %v", row), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetDeleteRequest()
			req.Group = row.group
			req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: row.topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: row.partition}}}}
			return req
		})
	}
	p.newestOf("after deleting", func(s *side) kmsg.Request { return asking(s, p.newest(kmsg.NewPtrOffsetFetchRequest()), "keeper", "") })
	return nil
}
