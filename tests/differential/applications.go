package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The topics of an application of Kafka Streams. Its own are there before it begins: how soon a server makes them is its own affair.
const (
	linesTopic, regroupedTopic, countsTopic = "application-lines", "application-regrouped", "application-counts"
	oddTopic                                = "application-odd" // with other partitions than the others
)

func applicationTopics(p *pair) error {
	for _, name := range []string{linesTopic, regroupedTopic, countsTopic} {
		if err := p.create(topic{name: name, partitions: 4, replicas: 1}); err != nil {
			return err
		}
	}
	return p.create(topic{name: oddTopic, partitions: 3, replicas: 1})
}

// immediate sets the configs of streams groups so that both sides assign at once and tell the same intervals.
func (p *pair) immediate(groups ...string) {
	for _, group := range groups {
		p.newestOf("configs", same(func() kmsg.Request {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
			for _, set := range [][2]string{{"streams.initial.rebalance.delay.ms", "0"}, {"streams.assignment.interval.ms", "0"}, {"streams.heartbeat.interval.ms", "5000"}} {
				r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: set[0], Value: &set[1]})
			}
			req.Resources = append(req.Resources, r)
			return req
		}))
	}
}

// streamsBeat is a heartbeat of KIP-1071; with epoch 0 it joins, with the application's topology.
func streamsBeat(group, member string, epoch int32) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	if epoch != 0 {
		return req
	}
	process := "process of " + member
	req.RebalanceTimeoutMillis, req.ProcessID = 60_000, &process
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	req.ClientTags = []kmsg.StreamsGroupHeartbeatRequestClientTag{{Key: "zone", Value: "a"}}
	req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Epoch: 3, Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{
		{SubtopologyID: "0", SourceTopics: []string{linesTopic}, RepartitionSinkTopics: []string{regroupedTopic}},
		{
			SubtopologyID: "1", RepartitionSourceTopics: []kmsg.TopicInfo{{Topic: regroupedTopic}},
			StateChangelogTopics: []kmsg.TopicInfo{{Topic: countsTopic, Configs: []kmsg.TopicInfoConfig{{Key: "cleanup.policy", Value: "compact"}}}},
		},
	}}
	return req
}

// working is streamsBeat of a member that has active tasks of both subtopologies.
func working(group, member string, epoch int32, partitions ...int32) *kmsg.StreamsGroupHeartbeatRequest {
	req := streamsBeat(group, member, epoch)
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	for _, subtopology := range []string{"0", "1"} {
		if len(partitions) > 0 {
			req.ActiveTasks = append(req.ActiveTasks, kmsg.TaskIDs{SubtopologyID: subtopology, Partitions: partitions})
		}
	}
	return req
}

func (p *pair) streamsBeats(step string, req func() *kmsg.StreamsGroupHeartbeatRequest) {
	p.ask(step, 0, same(func() kmsg.Request { return req() }))
}

func (p *pair) describeStreams(step string, groups ...string) {
	p.ask(step, 0, same(func() kmsg.Request {
		req := kmsg.NewPtrStreamsGroupDescribeRequest()
		req.Groups, req.IncludeAuthorizedOperations = groups, true
		return req
	}))
	p.newestOf(step+" in a list", same(func() kmsg.Request {
		req := kmsg.NewPtrListGroupsRequest()
		req.TypesFilter = []string{"streams"}
		return req
	}))
}

// applications walks members of a streams group through joining, sharing, committing and leaving.
func applications(p *pair) error {
	if err := applicationTopics(p); err != nil {
		return err
	}
	const g = "application"
	p.immediate(g)
	beat := func(step, member string, epoch int32) {
		p.streamsBeats(step, func() *kmsg.StreamsGroupHeartbeatRequest { return streamsBeat(g, member, epoch) })
	}
	works := func(step, member string, epoch int32, partitions ...int32) {
		p.streamsBeats(step, func() *kmsg.StreamsGroupHeartbeatRequest { return working(g, member, epoch, partitions...) })
	}
	beat("first joins", "m1", 0)
	p.describeStreams("described", g, "none", "")
	works("first works", "m1", 2, 0, 1, 2, 3)
	beat("second joins", "m2", 0)
	p.describeStreams("described before anybody gives anything up", g)
	beat("first is to give up", "m1", 2)
	works("first still has it", "m1", 2, 0, 1, 2, 3)
	p.describeStreams("described while the first gives up", g)
	works("first gave up", "m1", 2, 0, 1)
	beat("second gets it", "m2", 3)
	works("second works", "m2", 3, 2, 3)
	p.describeStreams("described when settled", g)
	p.committed(g, linesTopic, func(*side) string { return "m1" }, 3)
	for _, epoch := range []int32{9, 1, -3} {
		beat(fmt.Sprintf("heartbeat by epoch %d", epoch), "m2", epoch)
	}
	beat("heartbeat of a stranger", "m9", 3)
	p.newestOf("a classic member", func(*side) kmsg.Request { return consumedJoin(g, "") })
	p.ask("a consumer", 1, same(func() kmsg.Request { return consumerBeat(g, "c", 0) }))
	p.newestOf("deleted", same(func() kmsg.Request { return deleting(g) }))
	p.streamsBeats("shutdown", func() *kmsg.StreamsGroupHeartbeatRequest {
		req := streamsBeat(g, "m1", 3)
		req.ShutdownApplication = true
		return req
	})
	beat("told of the shutdown", "m2", 3)
	beat("first leaves", "m1", -1)
	beat("first leaves again", "m1", -1)
	beat("second leaves", "m2", -1)
	p.describeStreams("described when empty", g)
	p.streamsBeats("another topology", func() *kmsg.StreamsGroupHeartbeatRequest {
		req := streamsBeat(g, "m3", 0)
		req.Topology.Epoch = 4
		return req
	})
	p.streamsBeats("an older topology", func() *kmsg.StreamsGroupHeartbeatRequest {
		req := streamsBeat(g, "m3", 0)
		req.Topology.Epoch = 2
		return req
	})
	p.describeStreams("described with an older topology", g)
	beat("third leaves", "m3", -1)
	p.newestOf("deleted when empty", same(func() kmsg.Request { return deleting(g) }))
	p.describeStreams("described when deleted", g)
	return nil
}

// strangeApplications make of a heartbeat that joins one that no application sends, or none that can run.
var strangeApplications = map[string]func(*kmsg.StreamsGroupHeartbeatRequest){
	"no group":              func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Group = "" },
	"no member":             func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberID = "" },
	"static":                func(r *kmsg.StreamsGroupHeartbeatRequest) { r.InstanceID = kmsg.StringPtr("i") },
	"empty rack":            func(r *kmsg.StreamsGroupHeartbeatRequest) { r.RackID = kmsg.StringPtr("") },
	"no topology":           func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology = nil },
	"no active tasks":       func(r *kmsg.StreamsGroupHeartbeatRequest) { r.ActiveTasks = nil },
	"no standby tasks":      func(r *kmsg.StreamsGroupHeartbeatRequest) { r.StandbyTasks = nil },
	"no warm-up tasks":      func(r *kmsg.StreamsGroupHeartbeatRequest) { r.WarmupTasks = nil },
	"active tasks":          func(r *kmsg.StreamsGroupHeartbeatRequest) { r.ActiveTasks = []kmsg.TaskIDs{{SubtopologyID: "0"}} },
	"warm-up tasks":         func(r *kmsg.StreamsGroupHeartbeatRequest) { r.WarmupTasks = []kmsg.TaskIDs{{SubtopologyID: "0"}} },
	"task offsets":          func(r *kmsg.StreamsGroupHeartbeatRequest) { r.TaskOffsets = []kmsg.TaskOffset{} },
	"task end offsets":      func(r *kmsg.StreamsGroupHeartbeatRequest) { r.TaskEndOffsets = []kmsg.TaskOffset{} },
	"no rebalance timeout":  func(r *kmsg.StreamsGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 },
	"a topology later":      func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = 5 },
	"a topology at the end": func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -1 },
	"epoch -2":              func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -2 },
	"epoch -3":              func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -3 },
	"regular expressions": func(r *kmsg.StreamsGroupHeartbeatRequest) {
		r.Topology.Subtopologies[0].SourceTopicRegex = []string{"a.*"}
	},
	"nothing to do":         func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology.Subtopologies = nil },
	"a subtopology of none": func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology.Subtopologies[0].SourceTopics = nil },
	"missing sources": func(r *kmsg.StreamsGroupHeartbeatRequest) {
		r.Topology.Subtopologies[0].SourceTopics = []string{"x2", "x1"}
	},
	"an odd changelog": func(r *kmsg.StreamsGroupHeartbeatRequest) {
		r.Topology.Subtopologies[1].StateChangelogTopics[0].Topic = oddTopic
	},
	"a topic without a name": func(r *kmsg.StreamsGroupHeartbeatRequest) {
		r.Topology.Subtopologies[1].StateChangelogTopics[0].Topic = "a b"
	},
	"a reserved topic": func(r *kmsg.StreamsGroupHeartbeatRequest) {
		r.Topology.Subtopologies[0].SourceTopics = []string{"__consumer_offsets"}
	},
	"nobody regroups": func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology.Subtopologies[0].RepartitionSinkTopics = nil },
	"a loop": func(r *kmsg.StreamsGroupHeartbeatRequest) {
		r.Topology.Subtopologies[0].SourceTopics = nil
		r.Topology.Subtopologies[0].RepartitionSourceTopics = []kmsg.TopicInfo{{Topic: "x3"}}
		r.Topology.Subtopologies[1].RepartitionSinkTopics = []string{"x3"}
	},
	"not copartitioned": func(r *kmsg.StreamsGroupHeartbeatRequest) {
		s := &r.Topology.Subtopologies[0]
		s.SourceTopics = append(s.SourceTopics, oddTopic)
		s.CopartitionGroups = []kmsg.StreamsGroupHeartbeatRequestTopologySubtopologyCopartitionGroup{{SourceTopics: []int16{0, 1}}}
	},
}

// applicationFaults sends strange heartbeats.
func applicationFaults(p *pair) error {
	for _, step := range slices.Sorted(maps.Keys(strangeApplications)) {
		group := "application: " + step
		p.immediate(group)
		p.streamsBeats(step, func() *kmsg.StreamsGroupHeartbeatRequest {
			req := streamsBeat(group, "m", 0)
			strangeApplications[step](req)
			return req
		})
		p.ask(step+", described", 0, same(func() kmsg.Request {
			req := kmsg.NewPtrStreamsGroupDescribeRequest()
			req.Groups = []string{group}
			return req
		}))
	}
	p.streamsBeats("a group that is not there", func() *kmsg.StreamsGroupHeartbeatRequest { return streamsBeat("no application", "m", 4) })
	p.streamsBeats("leaving one that is not there", func() *kmsg.StreamsGroupHeartbeatRequest { return streamsBeat("no application", "m", -1) })
	p.streamsBeats("only active tasks", func() *kmsg.StreamsGroupHeartbeatRequest {
		req := streamsBeat("no application", "m", 4)
		req.ActiveTasks = []kmsg.TaskIDs{}
		return req
	})
	return nil
}
