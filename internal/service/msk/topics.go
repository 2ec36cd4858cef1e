package msk

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

// topic is the document of what Kafka does not keep of a topic that was made here, under the cluster's key and the topic's name.
type topic struct {
	ID                [16]byte // of the topic it is about; another of the name is none of its business
	Name              string
	ReplicationFactor int32 // as asked for: there is one replica
}

func topicKey(c *cluster, name string) string { return c.key() + "/" + name }

// topicMetadata asks the cluster about topics, all of them if names is nil.
func (s *Service) topicMetadata(ctx context.Context, c *cluster, names []string) ([]kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	req.AllowAutoTopicCreation = false
	for _, name := range names {
		asked := kmsg.NewMetadataRequestTopic()
		asked.Topic = &name
		req.Topics = append(req.Topics, asked)
	}
	resp, err := s.plane.Request(ctx, c.Namespace, req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.MetadataResponse).Topics, nil
}

// findTopic returns a cluster of the caller and a topic of it.
func (s *Service) findTopic(ctx context.Context, call *aws.Call, arn, name string) (*cluster, *kmsg.MetadataResponseTopic, error) {
	c, _, err := s.findCluster(ctx, call, arn)
	if err != nil {
		return nil, nil, err
	}
	found, err := s.topicMetadata(ctx, c, []string{name})
	if err != nil {
		return nil, nil, err
	}
	if len(found) != 1 {
		return nil, nil, fmt.Errorf("%d topics are called %q", len(found), name)
	}
	return c, &found[0], topicFault(found[0].ErrorCode, nil, "topicName")
}

// topicFault turns an error of Kafka about a topic into one of the API. member is what of the request is wrong if the error does not say.
func topicFault(code int16, message *string, member string) error {
	err := kerr.TypedErrorForCode(code)
	if err == nil {
		return nil
	}
	text := value(message, err.Description)
	switch err {
	case kerr.TopicAlreadyExists:
		return fault(api.ErrTopicExists, "topicName", "%s", text)
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID:
		return notFound("topicName", "The topic does not exist.")
	case kerr.InvalidTopicException:
		return badRequest("topicName", "%s", text)
	case kerr.InvalidPartitions, kerr.PolicyViolation: // the policy is about how many there are
		return badRequest("partitionCount", "%s", text)
	case kerr.InvalidReplicationFactor:
		return badRequest("replicationFactor", "%s", text)
	case kerr.InvalidConfig, kerr.InvalidRequest:
		return badRequest(member, "%s", text)
	}
	return fault(api.ErrKafkaRequest, "", "%s", text)
}

// maxConfigsBytes is the longest configs member that is looked at.
const maxConfigsBytes = 64 << 10

// readConfigs reads the configs of a request: the base64 form of a JSON object.
func readConfigs(text string) (map[string]string, error) {
	const member = "configs"
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) > maxConfigsBytes {
		return nil, badRequest(member, "The topic configurations must be a JSON object of up to %d bytes in base64.", maxConfigsBytes)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, badRequest(member, "The topic configurations must be a JSON object in base64.")
	}
	configs := make(map[string]string, len(values))
	for key, value := range values {
		var text string
		switch first := string(value[:1]); {
		case json.Unmarshal(value, &text) == nil && first == `"`:
			configs[key] = text
		case strings.Contains(`{["n`, first):
			return nil, badRequest(member, "The value of the topic configuration %.200q must be a text, a number or a boolean.", key)
		default:
			configs[key] = string(value) // numbers and booleans, as they are written
		}
	}
	return configs, nil
}

func (s *Service) createTopic(ctx context.Context, call *aws.Call, in *api.CreateTopicRequest) (*api.CreateTopicResponse, error) {
	configs, err := readConfigs(value(in.Configs, "e30="))
	if err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	c, _, err := s.findCluster(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	if most := c.brokers(); *in.ReplicationFactor > most {
		return nil, badRequest("replicationFactor", "The replication factor must be from 1 to the number of brokers, %d.", most)
	}
	id, err := s.makeTopic(ctx, c, in, configs)
	if err != nil {
		return nil, err
	}
	if err := s.noteTopic(ctx, c, &topic{id, *in.TopicName, *in.ReplicationFactor}); err != nil {
		return nil, err
	}
	return &api.CreateTopicResponse{TopicArn: topicARN(call, c, *in.TopicName), TopicName: in.TopicName, Status: new(api.TopicStateCreating)}, nil
}

// brokers returns how many brokers the cluster shows.
func (c *cluster) brokers() int32 {
	if c.Provisioned == nil {
		return maxBootstrap
	}
	return *c.Provisioned.NumberOfBrokerNodes
}

func topicARN(call *aws.Call, c *cluster, name string) *string {
	return new(makeARN(call, topicType, c.Name, c.ID, name))
}

func (s *Service) makeTopic(ctx context.Context, c *cluster, in *api.CreateTopicRequest, configs map[string]string) (id [16]byte, err error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	asked := kmsg.NewCreateTopicsRequestTopic()
	asked.Topic, asked.NumPartitions, asked.ReplicationFactor = *in.TopicName, *in.PartitionCount, 1 // there is one replica, whatever is shown
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = key, new(configs[key])
		asked.Configs = append(asked.Configs, config)
	}
	req.Topics = append(req.Topics, asked)
	resp, err := s.plane.Request(ctx, c.Namespace, req)
	if err != nil {
		return id, err
	}
	made := &resp.(*kmsg.CreateTopicsResponse).Topics[0]
	return made.TopicID, topicFault(made.ErrorCode, made.ErrorMessage, "configs")
}

// noteTopic stores what Kafka does not keep of a new topic, and forgets what is stored of topics that clients have deleted.
func (s *Service) noteTopic(ctx context.Context, c *cluster, t *topic) error {
	noted, err := s.topics.list(ctx, topicKey(c, ""))
	if err != nil {
		return err
	}
	present, err := s.topicMetadata(ctx, c, nil)
	if err != nil {
		return err
	}
	lives := make(map[[16]byte]bool, len(present))
	for i := range present {
		lives[present[i].TopicID] = true
	}
	put, err := s.topics.put(topicKey(c, t.Name), t, state.Any)
	if err != nil {
		return err
	}
	changes := []state.Change{put}
	for _, old := range noted {
		if !lives[old.ID] && old.Name != t.Name {
			changes = append(changes, s.topics.remove(topicKey(c, old.Name)))
		}
	}
	_, err = s.state.Apply(ctx, changes...)
	return stored(err)
}

// replication returns the replication factor that a topic was asked to have.
func (s *Service) replication(ctx context.Context, c *cluster, t *kmsg.MetadataResponseTopic) (int32, error) {
	noted, _, err := s.topics.get(ctx, topicKey(c, *t.Topic))
	switch {
	case errors.Is(err, state.ErrNotFound), err == nil && noted.ID != t.TopicID:
		return 1, nil
	case err != nil:
		return 0, err
	}
	return noted.ReplicationFactor, nil
}

func (s *Service) describeTopic(ctx context.Context, call *aws.Call, in *api.DescribeTopicRequest) (*api.DescribeTopicResponse, error) {
	c, t, err := s.findTopic(ctx, call, *in.ClusterArn, *in.TopicName)
	if err != nil {
		return nil, err
	}
	factor, err := s.replication(ctx, c, t)
	if err != nil {
		return nil, err
	}
	configs, err := s.topicConfigs(ctx, c, *in.TopicName)
	if err != nil {
		return nil, err
	}
	return &api.DescribeTopicResponse{
		TopicArn: topicARN(call, c, *in.TopicName), TopicName: in.TopicName, ReplicationFactor: &factor, PartitionCount: new(int32(len(t.Partitions))),
		Configs: &configs, Status: new(api.TopicStateActive),
	}, nil
}

// topicConfigs returns the configs that somebody has set for a topic, in the form of readConfigs.
func (s *Service) topicConfigs(ctx context.Context, c *cluster, name string) (string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 4
	asked := kmsg.NewDescribeConfigsRequestResource()
	asked.ResourceType, asked.ResourceName = kmsg.ConfigResourceTypeTopic, name
	req.Resources = append(req.Resources, asked)
	resp, err := s.plane.Request(ctx, c.Namespace, req)
	if err != nil {
		return "", err
	}
	found := &resp.(*kmsg.DescribeConfigsResponse).Resources[0]
	if err := topicFault(found.ErrorCode, found.ErrorMessage, "topicName"); err != nil {
		return "", err
	}
	set := map[string]string{}
	for i := range found.Configs {
		if config := &found.Configs[i]; config.Source == kmsg.ConfigSourceDynamicTopicConfig && config.Value != nil {
			set[config.Name] = *config.Value
		}
	}
	raw, err := json.Marshal(set)
	return base64.StdEncoding.EncodeToString(raw), err
}

func (s *Service) listTopics(ctx context.Context, call *aws.Call, in *api.ListTopicsRequest) (*api.ListTopicsResponse, error) {
	c, _, err := s.findCluster(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	all, err := s.topicMetadata(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t kmsg.MetadataResponseTopic) bool {
		return !strings.HasPrefix(*t.Topic, value(in.TopicNameFilter, ""))
	})
	slices.SortFunc(all, func(a, b kmsg.MetadataResponseTopic) int { return strings.Compare(*a.Topic, *b.Topic) })
	some, next, err := page(all, func(t *kmsg.MetadataResponseTopic) string { return *t.Topic }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListTopicsResponse{Topics: []api.TopicInfo{}, NextToken: next}
	for i := range some {
		t := &some[i]
		factor, err := s.replication(ctx, c, t)
		if err != nil {
			return nil, err
		}
		out.Topics = append(out.Topics, api.TopicInfo{
			TopicArn: topicARN(call, c, *t.Topic), TopicName: t.Topic, ReplicationFactor: &factor, PartitionCount: new(int32(len(t.Partitions))),
			OutOfSyncReplicaCount: new(int32(0)),
		})
	}
	return out, nil
}

func (s *Service) describeTopicPartitions(
	ctx context.Context, call *aws.Call, in *api.DescribeTopicPartitionsRequest,
) (*api.DescribeTopicPartitionsResponse, error) {
	_, t, err := s.findTopic(ctx, call, *in.ClusterArn, *in.TopicName)
	if err != nil {
		return nil, err
	}
	all := make([]api.TopicPartitionInfo, 0, len(t.Partitions))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		all = append(all, api.TopicPartitionInfo{Partition: &p.Partition, Leader: &p.Leader, Replicas: present(p.Replicas), Isr: present(p.ISR)})
	}
	slices.SortFunc(all, func(a, b api.TopicPartitionInfo) int { return int(*a.Partition - *b.Partition) })
	some, next, err := page(all, func(p *api.TopicPartitionInfo) string { return fmt.Sprintf("%09d", *p.Partition) }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.DescribeTopicPartitionsResponse{Partitions: some, NextToken: next}, nil
}

// updateTopic sets configs, leaving others as they are, or adds partitions.
func (s *Service) updateTopic(ctx context.Context, call *aws.Call, in *api.UpdateTopicRequest) (*api.UpdateTopicResponse, error) {
	if (in.Configs == nil) == (in.PartitionCount == nil) {
		return nil, badRequest("", "Specify either configs or partitionCount.")
	}
	s.change.Lock()
	defer s.change.Unlock()
	c, t, err := s.findTopic(ctx, call, *in.ClusterArn, *in.TopicName)
	if err != nil {
		return nil, err
	}
	if in.PartitionCount != nil {
		err = s.addPartitions(ctx, c, t, *in.PartitionCount)
	} else {
		err = s.setConfigs(ctx, c, *in.TopicName, *in.Configs)
	}
	if err != nil {
		return nil, err
	}
	return &api.UpdateTopicResponse{TopicArn: topicARN(call, c, *in.TopicName), TopicName: in.TopicName, Status: new(api.TopicStateUpdating)}, nil
}

func (s *Service) addPartitions(ctx context.Context, c *cluster, t *kmsg.MetadataResponseTopic, count int32) error {
	if have := int32(len(t.Partitions)); count <= have {
		return badRequest("partitionCount", "The partition count must be greater than the current one, %d.", have)
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version = 3
	asked := kmsg.NewCreatePartitionsRequestTopic()
	asked.Topic, asked.Count = *t.Topic, count
	req.Topics = append(req.Topics, asked)
	resp, err := s.plane.Request(ctx, c.Namespace, req)
	if err != nil {
		return err
	}
	done := &resp.(*kmsg.CreatePartitionsResponse).Topics[0]
	return topicFault(done.ErrorCode, done.ErrorMessage, "partitionCount")
}

func (s *Service) setConfigs(ctx context.Context, c *cluster, name, text string) error {
	configs, err := readConfigs(text)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	asked := kmsg.NewIncrementalAlterConfigsRequestResource()
	asked.ResourceType, asked.ResourceName = kmsg.ConfigResourceTypeTopic, name
	for _, key := range slices.Sorted(maps.Keys(configs)) {
		config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		config.Name, config.Op, config.Value = key, kmsg.IncrementalAlterConfigOpSet, new(configs[key])
		asked.Configs = append(asked.Configs, config)
	}
	req.Resources = append(req.Resources, asked)
	resp, err := s.plane.Request(ctx, c.Namespace, req)
	if err != nil {
		return err
	}
	done := &resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	return topicFault(done.ErrorCode, done.ErrorMessage, "configs")
}

func (s *Service) deleteTopic(ctx context.Context, call *aws.Call, in *api.DeleteTopicRequest) (*api.DeleteTopicResponse, error) {
	s.change.Lock()
	defer s.change.Unlock()
	c, _, err := s.findTopic(ctx, call, *in.ClusterArn, *in.TopicName)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	asked := kmsg.NewDeleteTopicsRequestTopic()
	asked.Topic = in.TopicName
	req.Topics = append(req.Topics, asked)
	resp, err := s.plane.Request(ctx, c.Namespace, req)
	if err != nil {
		return nil, err
	}
	done := &resp.(*kmsg.DeleteTopicsResponse).Topics[0]
	if err := topicFault(done.ErrorCode, done.ErrorMessage, "topicName"); err != nil {
		return nil, err
	}
	if _, err := s.state.Apply(ctx, s.topics.remove(topicKey(c, *in.TopicName))); err != nil {
		return nil, stored(err)
	}
	return &api.DeleteTopicResponse{TopicArn: topicARN(call, c, *in.TopicName), TopicName: in.TopicName, Status: new(api.TopicStateDeleting)}, nil
}
