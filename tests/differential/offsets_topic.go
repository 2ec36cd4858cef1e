package main

import "github.com/twmb/franz-go/pkg/kmsg"

const offsetsTopicName = "__consumer_offsets"

// offsetsTopic asks for what is known of the topic of committed offsets, and for what nobody may do to it.
func offsetsTopic(p *pair) error {
	p.each("metadata", sameInEach(func() kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(offsetsTopicName)}}
		return req
	}))
	p.each("described", sameInEach(func() kmsg.Request {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics, req.ResponsePartitionLimit = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: offsetsTopicName}}, 100
		return req
	}))
	p.each("configs", sameInEach(func() kmsg.Request {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: offsetsTopicName}}
		return req
	}))
	p.each("produce", func(s *side, v int16) kmsg.Request {
		return producing(s, v, offsetsTopicName, 0, -1, batchOf(1, anyone))
	})
	p.each("records removed", sameInEach(func() kmsg.Request {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 5000
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: offsetsTopicName, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 0}}}}
		return req
	}))
	p.each("made", sameInEach(func() kmsg.Request { return creating(false, topic{name: offsetsTopicName, partitions: 1, replicas: 1}) }))
	return nil
}

// sameInEach is same for each.
func sameInEach(build func() kmsg.Request) func(*side, int16) kmsg.Request {
	return func(*side, int16) kmsg.Request { return build() }
}
