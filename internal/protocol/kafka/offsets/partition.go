package offsets

import (
	"math"
	"strconv"
	"unicode/utf16"

	"github.com/freshet/freshet/internal/stream"
)

const (
	// Topic is the topic's name, and Partitions how many it is made with (offsets.topic.num.partitions).
	Topic      = "__consumer_offsets"
	Partitions = 50

	owner           = "kafka-offsets"            // the value of stream.LabelInternal
	labelPartitions = "kafka.offsets.partitions" // over how many groups are spread: those that there were first
)

// Labels are what a stream that is to be the topic has beside its configs.
func Labels(partitions int32) map[string]string {
	return map[string]string{stream.LabelInternal: owner, labelPartitions: strconv.Itoa(int(partitions))}
}

// Is says whether a stream is the topic: the one stream of the node's own that Kafka clients see.
func Is(st *stream.Stream) bool { return st.Labels[stream.LabelInternal] == owner }

// spread returns over how many of the topic's partitions groups are spread. Partitions that were added later stay empty, as in Kafka until its brokers
// start again.
func spread(st *stream.Stream) int32 {
	n, err := strconv.ParseInt(st.Labels[labelPartitions], 10, 32)
	if err != nil || n < 1 || int32(n) > st.Shards {
		return st.Shards
	}
	return int32(n)
}

// Partition returns the partition of a group's records: Java's String.hashCode, without its sign, modulo their number (GroupCoordinator.partitionFor).
func Partition(group string, partitions int32) int32 {
	var hash int32
	for _, unit := range utf16.Encode([]rune(group)) {
		hash = 31*hash + int32(unit)
	}
	if hash == math.MinInt32 {
		hash = 0
	}
	return max(hash, -hash) % partitions
}
