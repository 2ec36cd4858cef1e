package kafka_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
)

// streamsRequest is a heartbeat of an application that reads topic t, regroups it, and keeps a state.
func streamsRequest(id, member string, epoch int32) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = id, member, epoch
	if epoch != 0 {
		return req
	}
	req.RebalanceTimeoutMillis, req.EndpointInformationEpoch, req.ProcessID = 60_000, -1, kmsg.StringPtr("p")
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	req.UserEndpoint = &kmsg.StreamsGroupHeartbeatRequestUserEndpoint{Host: "here", Port: 99}
	req.ClientTags = []kmsg.StreamsGroupHeartbeatRequestClientTag{{Key: "zone", Value: "a"}}
	req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{
		{SubtopologyID: "0", SourceTopics: []string{"t"}, RepartitionSinkTopics: []string{"rep"}},
		{
			SubtopologyID: "1", RepartitionSourceTopics: []kmsg.TopicInfo{{Topic: "rep"}},
			StateChangelogTopics: []kmsg.TopicInfo{{Topic: "log", Configs: []kmsg.TopicInfoConfig{{Key: "cleanup.policy", Value: "compact"}}}},
			CopartitionGroups:    []kmsg.StreamsGroupHeartbeatRequestTopologySubtopologyCopartitionGroup{{RepartitionSourceTopics: []int16{0}}},
		},
	}}
	return req
}

// TestStreamsGroupLife walks a member of KIP-1071 through its life: the topics that its application needs are there with the first answer.
func TestStreamsGroupLife(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *kafka.Config) { c.Groups = group.Config{StreamsDelay: -1} })
	n.create(t, "t", 3, nil)
	r := n.raw(t)
	beat := ask[*kmsg.StreamsGroupHeartbeatResponse](r, 0, streamsRequest("g", "m", 0))
	if code(t, "join", beat.ErrorCode, nil); beat.MemberID != "m" || beat.MemberEpoch != 3 || len(beat.Status) != 0 || len(beat.ActiveTasks) != 2 ||
		len(beat.ActiveTasks[0].Partitions) != 3 || beat.StandbyTasks == nil || beat.WarmupTasks == nil || beat.HeartbeatIntervalMillis != 1000 {
		t.Fatalf("%+v", beat)
	}
	if e := beat.PartitionsByUserEndpoint; len(e) != 1 || e[0].UserEndpoint.Host != "here" || e[0].UserEndpoint.Port != 99 || len(e[0].ActivePartitions) != 2 {
		t.Fatalf("%+v", e)
	}
	next := streamsRequest("g", "m", 3)
	next.EndpointInformationEpoch = beat.EndpointInformationEpoch
	next.ActiveTasks, next.StandbyTasks, next.WarmupTasks = beat.ActiveTasks, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	again := ask[*kmsg.StreamsGroupHeartbeatResponse](r, 0, next)
	if code(t, "heartbeat", again.ErrorCode, nil); again.ActiveTasks != nil || again.PartitionsByUserEndpoint != nil || again.Status == nil {
		t.Fatalf("%+v", again)
	}
	streamsDescribed(t, r)
	list := kmsg.NewPtrListGroupsRequest()
	list.TypesFilter = []string{"Streams"}
	if groups := ask[*kmsg.ListGroupsResponse](r, 5, list).Groups; len(groups) != 1 || groups[0].GroupType != "streams" || groups[0].ProtocolType != "streams" {
		t.Fatalf("%+v", groups)
	}
	code(t, "leave", ask[*kmsg.StreamsGroupHeartbeatResponse](r, 0, streamsRequest("g", "m", -1)).ErrorCode, nil)
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g"}
	code(t, "delete", ask[*kmsg.DeleteGroupsResponse](r, 2, del).Groups[0].ErrorCode, nil)
}

func streamsDescribed(t *testing.T, r *raw) {
	t.Helper()
	req := kmsg.NewPtrStreamsGroupDescribeRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{"g", "none"}, true
	groups := ask[*kmsg.StreamsGroupDescribeResponse](r, 0, req).Groups
	g := groups[0]
	if code(t, "describe", g.ErrorCode, nil); g.State != "Stable" || g.Epoch != 3 || g.AssignmentEpoch != 3 || len(g.Members) != 1 ||
		g.AuthorizedOperations == -2147483648 || len(g.Topology.Subtopologies) != 2 {
		t.Fatalf("%+v", g)
	}
	if s := g.Topology.Subtopologies[1]; s.RepartitionSourceTopics[0].NumPartitions != 3 || s.StateChangelogTopics[0].NumPartitions != 3 ||
		s.StateChangelogTopics[0].Configs[0].Value != "compact" {
		t.Fatalf("%+v", s)
	}
	if m := g.Members[0]; m.MemberID != "m" || m.MemberEpoch != 3 || m.ProcessID != "p" || m.UserEndpoint.Host != "here" || m.ClientTags[0].Value != "a" ||
		m.ClientID != "raw" || len(m.Assignment.ActiveTasks) != 2 || len(m.TargetAssignment.ActiveTasks) != 2 || m.IsClassic {
		t.Fatalf("%+v", m)
	}
	code(t, "describe none", groups[1].ErrorCode, kerr.GroupIDNotFound)
}

// TestStreamsHeartbeatsThatNoMemberSends are refused in the words of Apache Kafka 4.3.1.
func TestStreamsHeartbeatsThatNoMemberSends(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 3, nil)
	r := n.raw(t)
	for _, row := range []struct {
		want   string
		change func(*kmsg.StreamsGroupHeartbeatRequest)
	}{
		{"GroupId can't be empty.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.Group = "" }},
		{"MemberId can't be empty.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.MemberID = "" }},
		{"Static membership is not yet supported.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.InstanceID = kmsg.StringPtr("i") }},
		{"RackId can't be empty.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.RackID = kmsg.StringPtr("") }},
		{"TaskOffsets are not supported yet.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.TaskOffsets = []kmsg.TaskOffset{} }},
		{"TaskEndOffsets are not supported yet.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.TaskEndOffsets = []kmsg.TaskOffset{} }},
		{"WarmupTasks are not supported yet.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.WarmupTasks = []kmsg.TaskIDs{{}} }},
		{"InstanceId can't be null.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.MemberEpoch = -2 }},
		{"MemberEpoch is -3, but must be greater than or equal to -2.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.MemberEpoch = -3 }},
		{"Topology can only be provided when (re-)joining.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.MemberEpoch = 5 }},
		{"If one task-type is non-null, all must be non-null.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.MemberEpoch, q.Topology, q.StandbyTasks = 5, nil, nil }},
		{"RebalanceTimeoutMs must be provided in first request.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.RebalanceTimeoutMillis = -1 }},
		{"ActiveTasks must be empty when (re-)joining.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.ActiveTasks = []kmsg.TaskIDs{{}} }},
		{"StandbyTasks must be empty when (re-)joining.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.StandbyTasks = nil }},
		{"WarmupTasks must be empty when (re-)joining.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.WarmupTasks = nil }},
		{"Topology must be non-null when (re-)joining.", func(q *kmsg.StreamsGroupHeartbeatRequest) { q.Topology = nil }},
		{"Regular expressions for source topics are not supported yet.", func(q *kmsg.StreamsGroupHeartbeatRequest) {
			q.Topology.Subtopologies[0].SourceTopicRegex = []string{"t.*"}
		}},
		{"Subtopology 1 has no repartition source topic 7.", func(q *kmsg.StreamsGroupHeartbeatRequest) {
			q.Topology.Subtopologies[1].CopartitionGroups[0].RepartitionSourceTopics[0] = 7
		}},
		{"Subtopology 1 has no source topic -1.", func(q *kmsg.StreamsGroupHeartbeatRequest) {
			q.Topology.Subtopologies[1].CopartitionGroups[0].SourceTopics = []int16{-1}
		}},
		{"Topic names not a name are not valid topic names.", func(q *kmsg.StreamsGroupHeartbeatRequest) {
			q.Topology.Subtopologies[0].SourceTopics = []string{"not a name"}
		}},
		{"Use of Kafka internal topics __transaction_state in a Kafka Streams topology is prohibited.", func(q *kmsg.StreamsGroupHeartbeatRequest) {
			q.Topology.Subtopologies[0].SourceTopics = []string{"__transaction_state"}
		}},
	} {
		req := streamsRequest("g", "m", 0)
		row.change(req)
		beat := ask[*kmsg.StreamsGroupHeartbeatResponse](r, 0, req)
		if beat.ErrorCode != kerr.InvalidRequest.Code && beat.ErrorCode != kerr.StreamsInvalidTopology.Code || beat.ErrorMessage == nil || *beat.ErrorMessage != row.want {
			t.Errorf("%+v instead of %s", beat, row.want)
		}
	}
}

// TestTopicsOfApplicationsAreCreatedByRight: who may not create them is told so, and so is who asks for what cannot be.
func TestTopicsOfApplicationsAreCreatedByRight(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{})
	n := startGuarded(t, with)
	reset(t, book, onCluster(acl.Create))
	n.create(t, "t", 3, nil)
	rights := []right{onGroup(acl.Read), onTopic("t", acl.Describe), onTopic("rep", acl.Describe), onTopic("log", acl.Describe), onTopic("rep", acl.Create)}
	reset(t, book, rights...)
	r := n.raw(t)
	r.login(t)
	missing := func(req *kmsg.StreamsGroupHeartbeatRequest) string {
		beat := ask[*kmsg.StreamsGroupHeartbeatResponse](r, 0, req)
		code(t, "heartbeat", beat.ErrorCode, nil)
		for _, s := range beat.Status {
			if s.StatusCode == 3 {
				return s.StatusDetail
			}
		}
		return ""
	}
	if told := missing(streamsRequest("g", "m", 0)); told != "Internal topics are missing: log, rep; Unauthorized to CREATE on topics log." {
		t.Errorf("told %q", told)
	}
	reset(t, book, append(rights, onTopic("log", acl.Create))...)
	if told := missing(streamsRequest("g", "m", 1)); told != "" {
		t.Errorf("told %q", told)
	}
	wrong := streamsRequest("h", "m", 0)
	wrong.Topology.Subtopologies[1].StateChangelogTopics[0] = kmsg.TopicInfo{Topic: "log2", Configs: []kmsg.TopicInfoConfig{{Key: "nonsense", Value: "1"}}}
	other := func(op acl.Operation) right { return right{op: op, kind: acl.Group, name: "h"} }
	reset(t, book, append(rights, other(acl.Read), onCluster(acl.Create), onTopic("log2", acl.Describe))...)
	if told := missing(wrong); !strings.HasSuffix(told, "; Creation failed: log2 (Unknown topic config name: nonsense).") {
		t.Errorf("told %q", told)
	}
	describe := kmsg.NewPtrStreamsGroupDescribeRequest()
	describe.Groups = []string{"h"}
	reset(t, book, other(acl.Describe), onTopic("t", acl.Describe))
	g := ask[*kmsg.StreamsGroupDescribeResponse](r, 0, describe).Groups[0]
	if code(t, "describe", g.ErrorCode, kerr.TopicAuthorizationFailed); g.Topology != nil || g.Members != nil {
		t.Errorf("%+v", g)
	}
}
