package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// lastOfEach leaves of the batches that a request has for one partition the last, in the place of the first, as Apache Kafka does, which takes a request
// apart into a map: the others are neither appended nor answered. A topic that is there twice is answered once.
func lastOfEach(req *kmsg.ProduceRequest) {
	if len(req.Topics) > 1 {
		req.Topics = mergeTopics(req.Topics)
	}
	for i := range req.Topics {
		if t := &req.Topics[i]; partitionTwice(t.Partitions) {
			t.Partitions = lastPartitions(t.Partitions)
		}
	}
}

// mergeTopics puts the partitions of topics that are there twice together.
func mergeTopics(topics []kmsg.ProduceRequestTopic) []kmsg.ProduceRequestTopic {
	type key struct {
		name string
		id   [16]byte
	}
	at := make(map[key]int, len(topics))
	once := topics[:0]
	for i := range topics {
		t := topics[i]
		k := key{t.Topic, t.TopicID}
		if first, ok := at[k]; ok {
			once[first].Partitions = append(once[first].Partitions, t.Partitions...)
			continue
		}
		at[k] = len(once)
		once = append(once, t)
	}
	return once
}

// partitionTwice says whether a partition is there twice. Almost none ever is, and each request is looked at.
func partitionTwice(parts []kmsg.ProduceRequestTopicPartition) bool {
	var room [64]int32
	all := room[:0]
	ascending := true
	for i := range parts {
		ascending = ascending && (i == 0 || parts[i-1].Partition < parts[i].Partition)
		all = append(all, parts[i].Partition)
	}
	if ascending {
		return false
	}
	slices.Sort(all)
	return len(slices.Compact(all)) < len(parts)
}

func lastPartitions(parts []kmsg.ProduceRequestTopicPartition) []kmsg.ProduceRequestTopicPartition {
	at := map[int32]int{}
	var once []kmsg.ProduceRequestTopicPartition
	for _, p := range parts {
		if first, ok := at[p.Partition]; ok {
			once[first] = p
			continue
		}
		at[p.Partition] = len(once)
		once = append(once, p)
	}
	return once
}
