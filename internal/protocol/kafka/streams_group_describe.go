package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
)

// streamsGroupDescribe tells streams groups of KIP-1071 with what their application does and their members.
func (s *Server) streamsGroupDescribe(_ context.Context, c *Client, req *kmsg.StreamsGroupDescribeRequest) *kmsg.StreamsGroupDescribeResponse {
	resp := kmsg.NewPtrStreamsGroupDescribeResponse()
	for _, id := range req.Groups {
		g := kmsg.NewStreamsGroupDescribeResponseGroup()
		g.Group, g.AuthorizedOperations = id, notAsked
		d, err := s.groups.DescribeStreams(id)
		if err != nil {
			g.ErrorCode, g.ErrorMessage = s.groupError(err)
			resp.Groups = append(resp.Groups, g)
			continue
		}
		g.State, g.Epoch, g.AssignmentEpoch, g.Topology = string(d.State), d.Epoch, d.AssignmentEpoch, describedTopology(&d.Topology)
		for i := range d.Members {
			g.Members = append(g.Members, describedStreamer(&d.Members[i]))
		}
		if req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = c.operations(acl.Group, id)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func describedTopology(t *topology.Topology) *kmsg.StreamsGroupDescribeResponseGroupTopology {
	all := &kmsg.StreamsGroupDescribeResponseGroupTopology{Epoch: t.Epoch, Subtopologies: []kmsg.StreamsGroupDescribeResponseGroupTopologySubtopology{}}
	for i := range t.Subtopologies {
		f := &t.Subtopologies[i]
		s := kmsg.NewStreamsGroupDescribeResponseGroupTopologySubtopology()
		s.SubtopologyID, s.SourceTopics, s.RepartitionSinkTopics = f.ID, f.Sources, f.Sinks
		s.StateChangelogTopics, s.RepartitionSourceTopics = topicInfos(f.Changelogs), topicInfos(f.RepartitionSources)
		all.Subtopologies = append(all.Subtopologies, s)
	}
	return all
}

func topicInfos(all []topology.Topic) []kmsg.TopicInfo {
	var infos []kmsg.TopicInfo
	for _, t := range all {
		info := kmsg.NewTopicInfo()
		info.Topic, info.NumPartitions, info.ReplicationFactor = t.Name, t.Partitions, t.Replication
		for _, c := range t.Configs {
			set := kmsg.NewTopicInfoConfig()
			set.Key, set.Value = c.Key, c.Value
			info.Configs = append(info.Configs, set)
		}
		infos = append(infos, info)
	}
	return infos
}

func describedStreamer(m *group.DescribedStreamer) kmsg.StreamsGroupDescribeResponseGroupMember {
	gm := kmsg.NewStreamsGroupDescribeResponseGroupMember()
	gm.MemberID, gm.MemberEpoch, gm.RackID, gm.ClientID, gm.ClientHost = m.ID, m.Epoch, optional(m.Rack), m.Client, m.Host
	gm.TopologyEpoch, gm.ProcessID = m.TopologyEpoch, m.Process
	if e := m.Endpoint; e != nil {
		gm.UserEndpoint = &kmsg.StreamsGroupDescribeResponseGroupMemberUserEndpoint{Host: e.Host, Port: e.Port}
	}
	for _, t := range m.Tags {
		tag := kmsg.NewStreamsGroupDescribeResponseGroupMemberClientTag()
		tag.Key, tag.Value = t.Key, t.Value
		gm.ClientTags = append(gm.ClientTags, tag)
	}
	gm.Assignment, gm.TargetAssignment = streamsAssignment(m.Assigned), streamsAssignment(m.Target)
	return gm
}

func streamsAssignment(a tasks.Assignment) kmsg.StreamsAssignment {
	return kmsg.StreamsAssignment{ActiveTasks: taskIDs(a.Active), StandbyTasks: taskIDs(a.Standby), WarmupTasks: []kmsg.TaskIDs{}}
}
