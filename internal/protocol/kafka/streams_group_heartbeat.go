package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
)

// streamsGroupHeartbeat is all that a member of a streams group of KIP-1071 does: joining, following the assignment, and leaving. Topics of the application
// that are missing are created.
func (s *Server) streamsGroupHeartbeat(ctx context.Context, c *Client, req *kmsg.StreamsGroupHeartbeatRequest) *kmsg.StreamsGroupHeartbeatResponse {
	resp := kmsg.NewPtrStreamsGroupHeartbeatResponse()
	err := checkStreamsHeartbeat(req)
	var b group.StreamsBeat
	if err == nil {
		b, err = streamsBeat(c, req)
	}
	if err == nil && s.shares.Exists(req.Group) {
		err = refuse(kerr.GroupIDNotFound, "Group %s is not a streams group.", req.Group)
	}
	var done group.StreamsBeaten
	if err == nil {
		done, err = s.beatAndCreate(ctx, c, req.Group, b)
	}
	if hungUp(ctx, err) {
		return nil
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = s.groupError(err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = done.Member, done.Epoch, int32(done.Interval.Milliseconds()) //nolint:gosec // bounded by its config
	resp.EndpointInformationEpoch = done.EndpointsEpoch
	resp.Status = []kmsg.StreamsGroupHeartbeatResponseStatus{}
	for _, st := range done.Status {
		status := kmsg.NewStreamsGroupHeartbeatResponseStatus()
		status.StatusCode, status.StatusDetail = st.Code, st.Detail
		resp.Status = append(resp.Status, status)
	}
	if done.Assigned {
		resp.ActiveTasks, resp.StandbyTasks, resp.WarmupTasks = taskIDs(done.Assignment.Active), taskIDs(done.Assignment.Standby), []kmsg.TaskIDs{}
	}
	if done.EndpointsTold {
		resp.PartitionsByUserEndpoint = userEndpoints(done.Endpoints)
	}
	return resp
}

// beatAndCreate takes a heartbeat, and another one behind it if topics that the application needed have been created, so that the member need not wait for
// what is there.
func (s *Server) beatAndCreate(ctx context.Context, c *Client, id string, b group.StreamsBeat) (group.StreamsBeaten, error) {
	done, err := s.groups.StreamsBeat(ctx, id, b)
	if err != nil || len(done.Missing) == 0 {
		return done, err
	}
	if wrong := s.createInternal(ctx, c, done.Missing); wrong != "" {
		for i := range done.Status {
			if done.Status[i].Code == int8(topology.MissingInternal) {
				done.Status[i].Detail += wrong
			}
		}
		return done, nil
	}
	again, err := s.groups.StreamsBeat(ctx, id, group.StreamsBeat{
		Member: done.Member, Epoch: done.Epoch, Endpoints: b.Endpoints, Client: b.Client, Host: b.Host, Owned: b.Owned,
	})
	if err != nil {
		return again, err
	}
	if !again.Assigned {
		again.Assigned, again.Assignment = done.Assigned, done.Assignment
	}
	return again, nil
}

// createInternal creates topics of an application for the client that runs it, and returns what to tell it of those that could not be created.
func (s *Server) createInternal(ctx context.Context, c *Client, missing []topology.Topic) string {
	var denied, failed []string
	for i := range missing {
		t := &missing[i]
		if !c.mayCluster(acl.Create) && !c.may(acl.Create, acl.Topic, t.Name) {
			denied = append(denied, t.Name)
			continue
		}
		if err := s.createInternalTopic(ctx, c, t); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			why := value(errorMessage(err))
			if why == "" {
				why = kerr.TypedErrorForCode(code(err)).Description
			}
			failed = append(failed, t.Name+" ("+why+")")
		}
	}
	told := ""
	if len(denied) > 0 {
		told = "; Unauthorized to CREATE on topics " + strings.Join(denied, ", ") + "."
	}
	if len(failed) > 0 {
		told += "; Creation failed: " + strings.Join(failed, ", ") + "."
	}
	return told
}

func (s *Server) createInternalTopic(ctx context.Context, c *Client, t *topology.Topic) error {
	req := kmsg.NewCreateTopicsRequestTopic()
	req.Topic, req.NumPartitions, req.ReplicationFactor = t.Name, t.Partitions, t.Replication
	if t.Replication == 0 {
		req.ReplicationFactor = -1
	}
	for _, config := range t.Configs {
		set := kmsg.NewCreateTopicsRequestTopicConfig()
		set.Name, set.Value = config.Key, &config.Value
		req.Configs = append(req.Configs, set)
	}
	const strict = 6 // the first version whose clients are told of the quota on new partitions
	_, err := s.createTopic(ctx, c, &req, strict, false)
	return err
}

// checkStreamsHeartbeat refuses what no member sends, or none whom Apache Kafka 4.3 serves: in its words.
func checkStreamsHeartbeat(req *kmsg.StreamsGroupHeartbeatRequest) error {
	const joins, leavesForNow = 0, -2
	empty := func(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }
	invalid := func(reason string) error { return refuse(kerr.InvalidRequest, "%s", reason) }
	switch {
	case empty(&req.MemberID):
		return invalid("MemberId can't be empty.")
	case empty(&req.Group):
		return invalid("GroupId can't be empty.")
	case req.InstanceID != nil:
		return invalid("Static membership is not yet supported.")
	case req.TaskOffsets != nil:
		return invalid("TaskOffsets are not supported yet.")
	case req.TaskEndOffsets != nil:
		return invalid("TaskEndOffsets are not supported yet.")
	case len(req.WarmupTasks) > 0:
		return invalid("WarmupTasks are not supported yet.")
	case empty(req.RackID):
		return invalid("RackId can't be empty.")
	case req.MemberEpoch == leavesForNow:
		return invalid("InstanceId can't be null.")
	case req.MemberEpoch < leavesForNow:
		return refuse(kerr.InvalidRequest, "MemberEpoch is %d, but must be greater than or equal to -2.", req.MemberEpoch)
	case req.MemberEpoch != joins && req.Topology != nil:
		return invalid("Topology can only be provided when (re-)joining.")
	case req.MemberEpoch != joins:
		told := []bool{req.ActiveTasks != nil, req.StandbyTasks != nil, req.WarmupTasks != nil}
		if slices.Contains(told, true) && slices.Contains(told, false) {
			return invalid("If one task-type is non-null, all must be non-null.")
		}
	case req.RebalanceTimeoutMillis == -1:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case req.ActiveTasks == nil || len(req.ActiveTasks) > 0:
		return invalid("ActiveTasks must be empty when (re-)joining.")
	case req.StandbyTasks == nil || len(req.StandbyTasks) > 0:
		return invalid("StandbyTasks must be empty when (re-)joining.")
	case req.WarmupTasks == nil:
		return invalid("WarmupTasks must be empty when (re-)joining.")
	case req.Topology == nil:
		return invalid("Topology must be non-null when (re-)joining.")
	}
	return nil
}

// streamsBeat reads a heartbeat. STREAMS_INVALID_TOPOLOGY; INVALID_REQUEST for a topology with regular expressions.
func streamsBeat(c *Client, req *kmsg.StreamsGroupHeartbeatRequest) (group.StreamsBeat, error) {
	b := group.StreamsBeat{
		Member: req.MemberID, Epoch: req.MemberEpoch, Endpoints: req.EndpointInformationEpoch, Client: c.ID, Host: "/" + c.Host(), Rack: req.RackID,
		Process: req.ProcessID, Shutdown: req.ShutdownApplication,
	}
	if req.RebalanceTimeoutMillis > 0 {
		b.Rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	if e := req.UserEndpoint; e != nil {
		b.Endpoint = &group.Endpoint{Host: e.Host, Port: e.Port}
	}
	if req.ClientTags != nil {
		b.Tags = make([]group.Tag, 0, len(req.ClientTags))
	}
	for _, t := range req.ClientTags {
		b.Tags = append(b.Tags, group.Tag{Key: t.Key, Value: t.Value})
	}
	if req.ActiveTasks != nil && req.MemberEpoch != 0 {
		b.Owned = &tasks.Assignment{Active: taskSet(req.ActiveTasks), Standby: taskSet(req.StandbyTasks)}
	}
	if req.Topology == nil {
		return b, nil
	}
	t, err := streamsTopology(req.Topology)
	b.Topology = t
	return b, err
}

func streamsTopology(from *kmsg.StreamsGroupHeartbeatRequestTopology) (*topology.Topology, error) {
	t := &topology.Topology{Epoch: from.Epoch}
	for i := range from.Subtopologies {
		f := &from.Subtopologies[i]
		if len(f.SourceTopicRegex) > 0 {
			return nil, refuse(kerr.InvalidRequest, "Regular expressions for source topics are not supported yet.")
		}
		s := topology.Subtopology{
			ID: f.SubtopologyID, Sources: slices.Clone(f.SourceTopics), Sinks: slices.Clone(f.RepartitionSinkTopics),
			RepartitionSources: ownTopics(f.RepartitionSourceTopics), Changelogs: ownTopics(f.StateChangelogTopics),
		}
		for _, g := range f.CopartitionGroups {
			var names []string
			for _, at := range g.SourceTopics {
				if at < 0 || int(at) >= len(f.SourceTopics) {
					return nil, refuse(kerr.StreamsInvalidTopology, "Subtopology %s has no source topic %d.", s.ID, at)
				}
				names = append(names, f.SourceTopics[at])
			}
			for _, at := range g.RepartitionSourceTopics {
				if at < 0 || int(at) >= len(f.RepartitionSourceTopics) {
					return nil, refuse(kerr.StreamsInvalidTopology, "Subtopology %s has no repartition source topic %d.", s.ID, at)
				}
				names = append(names, f.RepartitionSourceTopics[at].Topic)
			}
			s.Copartitioned = append(s.Copartitioned, names)
		}
		t.Subtopologies = append(t.Subtopologies, s)
	}
	t.Normalize()
	return t, t.Validate(func(name string) bool { return checkTopicName(name) == nil }, internalName)
}

func ownTopics(all []kmsg.TopicInfo) []topology.Topic {
	var own []topology.Topic
	for _, f := range all {
		t := topology.Topic{Name: f.Topic, Partitions: f.NumPartitions, Replication: f.ReplicationFactor}
		for _, c := range f.Configs {
			t.Configs = append(t.Configs, topology.Config{Key: c.Key, Value: c.Value})
		}
		own = append(own, t)
	}
	return own
}

func taskSet(all []kmsg.TaskIDs) tasks.Set {
	s := tasks.Set{}
	for _, t := range all {
		s[t.SubtopologyID] = append(s[t.SubtopologyID], t.Partitions...)
	}
	for sub, partitions := range s {
		slices.Sort(partitions)
		s[sub] = slices.Compact(partitions)
	}
	return s
}

// taskIDs tells tasks; of none it makes an empty list, not null.
func taskIDs(s tasks.Set) []kmsg.TaskIDs {
	all := []kmsg.TaskIDs{}
	for sub, partitions := range s {
		t := kmsg.NewTaskIDs()
		t.SubtopologyID, t.Partitions = sub, partitions
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b kmsg.TaskIDs) int { return strings.Compare(a.SubtopologyID, b.SubtopologyID) })
	return all
}

func userEndpoints(from []group.EndpointTasks) []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint {
	all := []kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint{}
	for _, f := range from {
		e := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpoint()
		e.UserEndpoint.Host, e.UserEndpoint.Port = f.Endpoint.Host, f.Endpoint.Port
		for _, p := range f.Active {
			t := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpointActivePartition()
			t.Topic, t.Partitions = p.Topic, p.Partitions
			e.ActivePartitions = append(e.ActivePartitions, t)
		}
		for _, p := range f.Standby {
			t := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpointStandbyPartition()
			t.Topic, t.Partitions = p.Topic, p.Partitions
			e.StandbyPartitions = append(e.StandbyPartitions, t)
		}
		all = append(all, e)
	}
	return all
}
