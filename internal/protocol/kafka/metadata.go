package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/stream"
)

// metadata describes the cluster, which is one broker, and topics: those asked for, or all of them. Topics that do not exist are created if
// client and server want it. v10 brings topic ids, v12 asking by id.
func (s *Server) metadata(ctx context.Context, c *Client, req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID, broker.Host, broker.Port = s.cfg.NodeID, c.listener.host, c.listener.port
	resp.Brokers = []kmsg.MetadataResponseBroker{broker}
	resp.ClusterID = &s.clusterID
	resp.ControllerID = s.cfg.NodeID
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = c.describedOperations(acl.Cluster, acl.ClusterName)
	}
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		all, err := s.log.Streams(ctx)
		if err != nil {
			resp.ErrorCode = code(err) // only v13 can say it; older clients see no topics, and ask again
			return resp
		}
		resp.Topics = make([]kmsg.MetadataResponseTopic, 0, len(all))
		for _, st := range all {
			if c.may(acl.Describe, acl.Topic, string(st.Name)) {
				resp.Topics = append(resp.Topics, s.describeTopic(ctx, c, st, req))
			}
		}
		return resp
	}
	resp.Topics = make([]kmsg.MetadataResponseTopic, 0, len(req.Topics))
	told := make(map[topicKey]bool, len(req.Topics))
	for i := range req.Topics {
		which := topicKey{value(req.Topics[i].Topic), req.Topics[i].TopicID}
		if told[which] {
			continue // asked for more than once, told once
		}
		told[which] = true
		resp.Topics = append(resp.Topics, s.metadataTopic(ctx, c, req, &req.Topics[i]))
	}
	return resp
}

func (s *Server) metadataTopic(ctx context.Context, c *Client, req *kmsg.MetadataRequest, asked *kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	if name := s.nameOf(ctx, value(asked.Topic), asked.TopicID); s.authorizer != nil && name != "" && !c.require(acl.Describe, acl.Topic, name) {
		return deniedMetadata(asked, req.Version)
	}
	st, err := s.findOrCreate(ctx, c, asked, req)
	if err != nil {
		t := kmsg.NewMetadataResponseTopic()
		t.ErrorCode, t.Topic, t.TopicID = code(err), asked.Topic, asked.TopicID
		t.IsInternal = internalName(value(asked.Topic))
		if t.Topic == nil && req.Version < 12 {
			t.Topic = kmsg.StringPtr("")
		}
		if asked.Topic != nil && req.IncludeTopicAuthorizedOperations { // a client may do to a topic what it may do to its name
			t.AuthorizedOperations = c.operations(acl.Topic, *asked.Topic)
		}
		return t
	}
	return s.describeTopic(ctx, c, st, req)
}

// findOrCreate finds a topic by its id if it has one, else by name. v10 and v11 have the field of an id, and take none.
func (s *Server) findOrCreate(ctx context.Context, c *Client, asked *kmsg.MetadataRequestTopic, req *kmsg.MetadataRequest) (*stream.Stream, error) {
	byID := !stream.ID(asked.TopicID).IsZero()
	switch {
	case req.Version < 12 && (byID || asked.Topic == nil):
		return nil, refuse(kerr.InvalidRequest, "Metadata v%d asks for topics by name", req.Version)
	case byID || asked.Topic == nil:
		return s.topicByID(ctx, asked.TopicID)
	}
	if err := checkTopicName(*asked.Topic); err != nil {
		return nil, err
	}
	name, create := stream.Name(*asked.Topic), *asked.Topic != metadataTopic && (req.Version < 4 || req.AllowAutoTopicCreation)
	st, err := s.log.Stream(ctx, name)
	if !errors.Is(err, stream.ErrNotFound) || !create || !s.cfg.AutoCreateTopics {
		return st, err
	}
	if !c.createsTopic(*asked.Topic) {
		return nil, errTopicDenied
	}
	if err = c.mutate(s.cfg.DefaultPartitions, false); err != nil {
		return nil, err
	}
	if name == offsets.Topic {
		return s.offsetsTopic(ctx)
	}
	s.defaulting.RLock()
	defer s.defaulting.RUnlock()
	st, err = s.log.Create(ctx, stream.Spec{Name: name, Shards: s.cfg.DefaultPartitions, Config: s.defaults.Load().config})
	if errors.Is(err, stream.ErrExists) { // another client was quicker
		return s.log.Stream(ctx, name)
	}
	if err == nil {
		s.logger.Info("topic created", "topic", name, "partitions", st.Shards, "peer", c.Addr, "client", c.ID, "reason", "asked for in Metadata")
	}
	return st, err
}

func (s *Server) describeTopic(ctx context.Context, c *Client, st *stream.Stream, req *kmsg.MetadataRequest) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	name := string(st.Name)
	t.Topic, t.TopicID, t.IsInternal = &name, st.ID, internalName(name)
	if req.IncludeTopicAuthorizedOperations {
		t.AuthorizedOperations = c.operations(acl.Topic, name)
	}
	self := []int32{s.cfg.NodeID}
	t.Partitions = make([]kmsg.MetadataResponseTopicPartition, st.Shards)
	for i := range t.Partitions {
		p := &t.Partitions[i]
		p.Partition, p.Leader, p.Replicas, p.ISR = int32(i), s.cfg.NodeID, self, self
		p.LeaderEpoch = s.leaderEpoch(ctx, st.Shard(int32(i)))
	}
	return t
}

// leaderEpoch returns a partition's epoch, or -1 if it cannot be told: then a client does not compare epochs.
func (s *Server) leaderEpoch(ctx context.Context, address stream.Shard) int32 {
	bounds, err := s.log.Bounds(ctx, address)
	if err != nil {
		return -1
	}
	return bounds.Epoch
}
