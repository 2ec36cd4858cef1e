package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

const (
	// metadataTopic is where Apache Kafka's controllers keep their log, which no client may create.
	metadataTopic = "__cluster_metadata"
	// mostCreated bounds the partitions of one CreateTopics (ReplicationControlManager.MAX_PARTITIONS_PER_BATCH). A topic may grow beyond.
	mostCreated = 10_000
)

// createTopics creates topics, each alone, and none if all together have too many partitions. v4 lets partitions and replicas default with -1, v5
// returns what was made, v6 knows of the quota on it, v7 returns its id.
func (s *Server) createTopics(ctx context.Context, c *Client, req *kmsg.CreateTopicsRequest) *kmsg.CreateTopicsResponse {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	again := repeated(req.Topics, func(t *kmsg.CreateTopicsRequestTopic) string { return t.Topic })
	told := map[string]bool{} // those that were in the request before
	excessive := s.countPartitions(req, again) > mostCreated
	for i := range req.Topics {
		t := &req.Topics[i]
		if told[t.Topic] {
			continue
		}
		told[t.Topic] = true
		result := kmsg.NewCreateTopicsResponseTopic()
		result.Topic = t.Topic
		var st *stream.Stream
		var err error
		switch {
		case again[t.Topic]:
			err = errTopicTwice
		case t.Topic == metadataTopic:
			err = refuse(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", metadataTopic)
		case excessive:
			err = refuse(kerr.PolicyViolation, "Excessively large number of partitions per request.")
		default:
			st, err = s.createTopic(ctx, c, t, req.Version, req.ValidateOnly)
		}
		result.ErrorCode, result.ErrorMessage = code(err), errorMessage(err)
		if err == nil {
			result.TopicID, result.NumPartitions, result.ReplicationFactor = st.ID, st.Shards, 1
			result.Configs = s.createdConfigs(st)
		}
		resp.Topics = append(resp.Topics, result)
	}
	return resp
}

// countPartitions adds up what the topics of a request that is not wrong about them would have.
func (s *Server) countPartitions(req *kmsg.CreateTopicsRequest, again map[string]bool) int64 {
	n := int64(0)
	for i := range req.Topics {
		switch t := &req.Topics[i]; {
		case again[t.Topic] || t.Topic == metadataTopic:
		case len(t.ReplicaAssignment) > 0:
			n += int64(len(t.ReplicaAssignment))
		case t.NumPartitions == -1:
			n += int64(s.cfg.DefaultPartitions)
		default:
			n += int64(max(0, t.NumPartitions))
		}
	}
	return n
}

func (s *Server) createTopic(ctx context.Context, c *Client, t *kmsg.CreateTopicsRequestTopic, version int16, validateOnly bool) (*stream.Stream, error) {
	if err := s.checkNewTopic(ctx, t.Topic); err != nil {
		return nil, err
	}
	s.defaulting.RLock() // what nobody has set is the broker's until the topic is there
	defer s.defaulting.RUnlock()
	spec, err := s.topicSpec(t)
	switch {
	case err != nil:
		return nil, err
	case validateOnly:
		id, err := stream.NewID(nil) // Kafka's answer has one too, which nothing will have
		return &stream.Stream{ID: id, Name: spec.Name, Shards: spec.Shards, Config: spec.Config, Labels: spec.Labels}, err
	}
	if err = c.mutate(spec.Shards, version >= 6); err != nil {
		return nil, err
	}
	st, err := s.log.Create(ctx, spec)
	switch {
	case errors.Is(err, stream.ErrExists): // since it was looked for
		return nil, errTopicExists(t.Topic)
	case err != nil:
		return nil, err
	}
	s.logger.Info("topic created", "topic", st.Name, "partitions", st.Shards, "peer", c.Addr, "client", c.ID)
	if t.ReplicationFactor > 1 {
		s.logger.Info("topic has one replica", "topic", st.Name, "asked", t.ReplicationFactor, "reason", "there is one node, and any replication factor is accepted")
	}
	return st, nil
}

// checkNewTopic refuses a name that cannot be a topic's or that a stream has, the node's own included. It comes before everything else that may
// be wrong: tools take TOPIC_ALREADY_EXISTS for success, whatever they have asked for.
func (s *Server) checkNewTopic(ctx context.Context, name string) error {
	if err := checkTopicName(name); err != nil {
		return err
	}
	switch _, err := s.cfg.Log.Stream(ctx, stream.Name(name)); {
	case err == nil:
		return errTopicExists(name)
	case !errors.Is(err, stream.ErrNotFound):
		return err
	}
	return nil
}

func errTopicExists(name string) error {
	return refuse(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
}

// topicSpec checks what is asked for under a name that is free.
func (s *Server) topicSpec(t *kmsg.CreateTopicsRequestTopic) (stream.Spec, error) {
	spec := stream.Spec{Name: stream.Name(t.Topic), Shards: t.NumPartitions}
	if len(t.ReplicaAssignment) > 0 {
		if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
			return spec, refuse(kerr.InvalidRequest, "A manual partition assignment was specified, but %s was not set to -1.", map[bool]string{true: "replication factor", false: "number of partitions"}[t.ReplicationFactor != -1])
		}
		spec.Shards = int32(len(t.ReplicaAssignment))
		if err := s.checkAssignment(t.ReplicaAssignment); err != nil {
			return spec, err
		}
	} else if err := s.checkReplicas(t.ReplicationFactor); err != nil {
		return spec, err
	}
	if spec.Shards == -1 {
		spec.Shards = s.cfg.DefaultPartitions
	}
	if spec.Shards <= 0 {
		return spec, refuse(kerr.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	if spec.Shards > s.cfg.MaxPartitions {
		return spec, refuse(kerr.InvalidPartitions, "Number of partitions must be from 1 to %d, not %d.", s.cfg.MaxPartitions, spec.Shards)
	}
	settings := make([]setting, 0, len(t.Configs))
	for _, config := range t.Configs {
		if config.Value == nil {
			return spec, refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", config.Name)
		}
		settings = append(settings, setting{config.Name, config.Value})
	}
	var err error
	if spec.Config, spec.Labels, err = s.configure(s.defaults.Load().config, nil, settings); err == nil {
		internalTopic(&spec)
		err = s.checkTierChange(nil, &spec.Config, spec.Labels)
	}
	return spec, err
}

func (s *Server) checkReplicas(factor int16) error {
	if factor == -1 || factor == 1 || factor > 1 && s.cfg.AcceptAnyRF {
		return nil
	}
	if factor <= 0 {
		return refuse(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	}
	return refuse(kerr.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): there is 1 broker.", factor)
}

// checkAssignment checks that partitions 0..n-1 are assigned, each to this broker.
func (s *Server) checkAssignment(all []kmsg.CreateTopicsRequestTopicReplicaAssignment) error {
	seen := make([]bool, len(all))
	for i := range all {
		a := &all[i]
		if a.Partition < 0 || int(a.Partition) >= len(all) || seen[a.Partition] {
			return refuse(kerr.InvalidReplicaAssignment, "partitions must be numbered from 0, each once: %d", a.Partition)
		}
		seen[a.Partition] = true
		if err := s.checkBrokers(a.Replicas); err != nil {
			return err
		}
	}
	return nil
}

// checkBrokers checks that a partition is assigned to this broker and to no other.
func (s *Server) checkBrokers(replicas []int32) error {
	if len(replicas) != 1 || replicas[0] != s.cfg.NodeID {
		return refuse(kerr.InvalidReplicaAssignment, "replicas can only be on broker %d: %v", s.cfg.NodeID, replicas)
	}
	return nil
}

func (s *Server) createdConfigs(st *stream.Stream) []kmsg.CreateTopicsResponseTopicConfig {
	configs := make([]kmsg.CreateTopicsResponseTopicConfig, 0, len(topicSettings))
	synonyms := s.defaults.Load().synonyms
	for i := range topicSettings {
		value, set := s.topicValue(&topicSettings[i], st)
		row := kmsg.NewCreateTopicsResponseTopicConfig()
		row.Name, row.Value, row.Source = topicSettings[i].Key, &value, int8(kmsg.ConfigSourceDynamicTopicConfig)
		if !set {
			row.Source = int8(sourceOf(synonyms[topicSettings[i].Broker]))
		}
		configs = append(configs, row)
	}
	return configs
}
