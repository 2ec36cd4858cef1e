package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

func authorizeListOffsets(_ context.Context, c *Client, req *kmsg.ListOffsetsRequest) func(*kmsg.ListOffsetsResponse) {
	left, denied := split(req.Topics, func(t *kmsg.ListOffsetsRequestTopic) bool { return c.require(acl.Describe, acl.Topic, t.Topic) })
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.ListOffsetsResponse) {
		for i := range denied {
			t := kmsg.NewListOffsetsResponseTopic()
			t.Topic = denied[i].Topic
			for _, asked := range denied[i].Partitions {
				p := kmsg.NewListOffsetsResponseTopicPartition()
				p.Partition, p.ErrorCode = asked.Partition, code(errTopicDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

func authorizeDeleteRecords(_ context.Context, c *Client, req *kmsg.DeleteRecordsRequest) func(*kmsg.DeleteRecordsResponse) {
	left, denied := split(req.Topics, func(t *kmsg.DeleteRecordsRequestTopic) bool { return c.require(acl.Delete, acl.Topic, t.Topic) })
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.DeleteRecordsResponse) {
		for i := range denied {
			t := kmsg.NewDeleteRecordsResponseTopic()
			t.Topic = denied[i].Topic
			for _, asked := range denied[i].Partitions {
				p := kmsg.NewDeleteRecordsResponseTopicPartition()
				p.Partition, p.LowWatermark, p.ErrorCode = asked.Partition, -1, code(errTopicDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

// authorizeOffsetForLeaderEpoch lets brokers ask about every topic.
func authorizeOffsetForLeaderEpoch(_ context.Context, c *Client, req *kmsg.OffsetForLeaderEpochRequest) func(*kmsg.OffsetForLeaderEpochResponse) {
	if c.mayCluster(acl.ClusterAction) {
		return nil
	}
	left, denied := split(req.Topics, func(t *kmsg.OffsetForLeaderEpochRequestTopic) bool {
		return c.require(acl.Describe, acl.Topic, t.Topic)
	})
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.OffsetForLeaderEpochResponse) {
		for i := range denied {
			t := kmsg.NewOffsetForLeaderEpochResponseTopic()
			t.Topic = denied[i].Topic
			for _, asked := range denied[i].Partitions {
				p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				p.Partition, p.LeaderEpoch, p.EndOffset, p.ErrorCode = asked.Partition, -1, -1, code(errTopicDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

// authorizeCreateTopics wants the right to create every topic, or that one. Who may not describe the configs of what was made is not told them.
func authorizeCreateTopics(_ context.Context, c *Client, req *kmsg.CreateTopicsRequest) func(*kmsg.CreateTopicsResponse) {
	left, denied := req.Topics, []kmsg.CreateTopicsRequestTopic(nil)
	if !c.mayCluster(acl.Create) {
		left, denied = split(req.Topics, func(t *kmsg.CreateTopicsRequestTopic) bool { return c.require(acl.Create, acl.Topic, t.Topic) })
	}
	req.Topics = left
	return func(resp *kmsg.CreateTopicsResponse) {
		for i := range resp.Topics {
			t := &resp.Topics[i]
			if t.ErrorCode == 0 && !c.may(acl.DescribeConfigs, acl.Topic, t.Topic) {
				t.NumPartitions, t.ReplicationFactor, t.Configs, t.ConfigErrorCode = -1, -1, nil, code(errTopicDenied)
			}
		}
		told := map[string]bool{}
		for i := range denied {
			if name := denied[i].Topic; !told[name] {
				told[name] = true
				t := kmsg.NewCreateTopicsResponseTopic()
				t.Topic, t.ErrorCode, t.ErrorMessage = name, code(errTopicDenied), kmsg.StringPtr("Authorization failed.")
				resp.Topics = append(resp.Topics, t)
			}
		}
	}
}

// authorizeDeleteTopics hides what the client may not describe: whether there is a topic of a name, and the name of one that it gives the id of.
// Who may DELETE the cluster may delete every topic.
func authorizeDeleteTopics(ctx context.Context, c *Client, req *kmsg.DeleteTopicsRequest) func(*kmsg.DeleteTopicsResponse) {
	if c.mayCluster(acl.Delete) {
		return nil
	}
	var denied []kmsg.DeleteTopicsResponseTopic
	deny := func(name *string, id [16]byte) {
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID, t.ErrorCode, t.ErrorMessage = name, id, code(errTopicDenied), errorMessage(errTopicDenied)
		denied = append(denied, t)
	}
	req.TopicNames, _ = split(req.TopicNames, func(name *string) bool {
		ok := c.deletable(ctx, *name)
		if !ok {
			deny(name, [16]byte{})
		}
		return ok
	})
	req.Topics, _ = split(req.Topics, func(t *kmsg.DeleteTopicsRequestTopic) bool {
		byID := t.Topic == nil
		name := c.server.nameOf(ctx, value(t.Topic), t.TopicID)
		switch {
		case name == "" || !byID && t.TopicID != [16]byte{}: // the handler says what is wrong
			return true
		case byID && !c.require(acl.Delete, acl.Topic, name):
			if !c.may(acl.Describe, acl.Topic, name) {
				deny(nil, t.TopicID)
			} else {
				deny(&name, t.TopicID)
			}
			return false
		case !byID && !c.deletable(ctx, name):
			deny(t.Topic, [16]byte{})
			return false
		}
		return true
	})
	if len(denied) == 0 {
		return nil
	}
	return func(resp *kmsg.DeleteTopicsResponse) { resp.Topics = append(resp.Topics, denied...) }
}

// deletable says whether the handler may be asked to delete the topic of a name: who may only describe it is told if there is none.
func (c *Client) deletable(ctx context.Context, name string) bool {
	if c.may(acl.Delete, acl.Topic, name) {
		return true
	}
	if c.may(acl.Describe, acl.Topic, name) {
		if _, err := c.server.topic(ctx, name); err != nil {
			return true
		}
	}
	return c.require(acl.Delete, acl.Topic, name)
}

func authorizeCreatePartitions(_ context.Context, c *Client, req *kmsg.CreatePartitionsRequest) func(*kmsg.CreatePartitionsResponse) {
	left, denied := split(req.Topics, func(t *kmsg.CreatePartitionsRequestTopic) bool { return c.require(acl.Alter, acl.Topic, t.Topic) })
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.CreatePartitionsResponse) {
		told := map[string]bool{}
		for i := range denied {
			if name := denied[i].Topic; !told[name] {
				told[name] = true
				t := kmsg.NewCreatePartitionsResponseTopic()
				t.Topic, t.ErrorCode = name, code(errTopicDenied)
				resp.Topics = append(resp.Topics, t)
			}
		}
	}
}

func authorizeDescribeProducers(_ context.Context, c *Client, req *kmsg.DescribeProducersRequest) func(*kmsg.DescribeProducersResponse) {
	left, denied := split(req.Topics, func(t *kmsg.DescribeProducersRequestTopic) bool { return c.require(acl.Read, acl.Topic, t.Topic) })
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.DescribeProducersResponse) {
		for i := range denied {
			t := kmsg.NewDescribeProducersResponseTopic()
			t.Topic = denied[i].Topic
			for _, partition := range denied[i].Partitions {
				p := kmsg.NewDescribeProducersResponseTopicPartition()
				p.Partition, p.ErrorCode, p.ErrorMessage = partition, code(errTopicDenied), errorMessage(errTopicDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

// requireConfigs says with which error the client may not do op to the configs of a resource.
func (c *Client) requireConfigs(op acl.Operation, kind kmsg.ConfigResourceType, name string) error {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		if !c.require(op, acl.Topic, name) {
			return errTopicDenied
		}
	case kmsg.ConfigResourceTypeGroupConfig:
		if !c.require(op, acl.Group, name) {
			return errGroupDenied
		}
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics:
		if !c.requireCluster(op) {
			return errClusterDenied
		}
	} // the handler refuses other kinds
	return nil
}

func authorizeDescribeConfigs(_ context.Context, c *Client, req *kmsg.DescribeConfigsRequest) func(*kmsg.DescribeConfigsResponse) {
	var denied []kmsg.DescribeConfigsResponseResource
	req.Resources, _ = split(req.Resources, func(asked *kmsg.DescribeConfigsRequestResource) bool {
		err := c.requireConfigs(acl.DescribeConfigs, asked.ResourceType, asked.ResourceName)
		if err != nil {
			r := kmsg.NewDescribeConfigsResponseResource()
			r.ResourceType, r.ResourceName, r.ErrorCode, r.ErrorMessage = asked.ResourceType, asked.ResourceName, code(err), errorMessage(err)
			denied = append(denied, r)
		}
		return err == nil
	})
	return func(resp *kmsg.DescribeConfigsResponse) { resp.Resources = append(resp.Resources, denied...) }
}

func authorizeAlterConfigs(_ context.Context, c *Client, req *kmsg.AlterConfigsRequest) func(*kmsg.AlterConfigsResponse) {
	var denied []kmsg.AlterConfigsResponseResource
	req.Resources, _ = split(req.Resources, func(asked *kmsg.AlterConfigsRequestResource) bool {
		err := c.requireConfigs(acl.AlterConfigs, asked.ResourceType, asked.ResourceName)
		if err != nil {
			r := kmsg.NewAlterConfigsResponseResource()
			r.ResourceType, r.ResourceName, r.ErrorCode, r.ErrorMessage = asked.ResourceType, asked.ResourceName, code(err), errorMessage(err)
			denied = append(denied, r)
		}
		return err == nil
	})
	return func(resp *kmsg.AlterConfigsResponse) { resp.Resources = append(resp.Resources, denied...) }
}

func authorizeIncrementalAlterConfigs(_ context.Context, c *Client, req *kmsg.IncrementalAlterConfigsRequest) func(*kmsg.IncrementalAlterConfigsResponse) {
	var denied []kmsg.IncrementalAlterConfigsResponseResource
	req.Resources, _ = split(req.Resources, func(asked *kmsg.IncrementalAlterConfigsRequestResource) bool {
		err := c.requireConfigs(acl.AlterConfigs, asked.ResourceType, asked.ResourceName)
		if err != nil {
			r := kmsg.NewIncrementalAlterConfigsResponseResource()
			r.ResourceType, r.ResourceName, r.ErrorCode, r.ErrorMessage = asked.ResourceType, asked.ResourceName, code(err), errorMessage(err)
			denied = append(denied, r)
		}
		return err == nil
	})
	return func(resp *kmsg.IncrementalAlterConfigsResponse) { resp.Resources = append(resp.Resources, denied...) }
}

// createsTopic says whether the client may have a topic created by asking for it.
func (c *Client) createsTopic(name string) bool {
	return c.mayCluster(acl.Create) || c.require(acl.Create, acl.Topic, name)
}

// deniedMetadata is what Metadata tells of a topic that is not the client's to know: as much as it has said itself.
func deniedMetadata(asked *kmsg.MetadataRequestTopic, version int16) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.ErrorCode, t.Topic = kerr.TopicAuthorizationFailed.Code, asked.Topic
	if t.Topic == nil {
		t.TopicID = asked.TopicID
	}
	if t.Topic == nil && version < 12 {
		t.Topic = kmsg.StringPtr("")
	}
	return t
}
