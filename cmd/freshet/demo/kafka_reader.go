package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaGroup reads the machine stream.
const kafkaGroup = "freshet-demo"

// recordLag is what a Kafka consumer has not read yet.
type recordLag struct {
	mu     sync.Mutex
	behind map[int32]int64 // records, by partition
}

func (l *recordLag) set(partition int32, records int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.behind == nil {
		l.behind = map[int32]int64{}
	}
	l.behind[partition] = records
}

// String is the cell of the table: records behind, over all partitions.
func (l *recordLag) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sum int64
	for _, n := range l.behind {
		sum += n
	}
	return fmt.Sprintf("%d records", sum)
}

// readByKafka reads the machine stream as a consumer group, until ctx ends. What it has read is committed as it goes, and when it stops.
func (d *demo) readByKafka(ctx context.Context) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(d.at.Kafka), kgo.ClientID("freshet-demo-reader"), kgo.ConsumerGroup(kafkaGroup), kgo.ConsumeTopics(machineStream),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second), // after a kill the group waits for its lost member no longer
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
	)
	if err != nil {
		return fmt.Errorf("kafka consumer: %w", err)
	}
	defer client.Close() // commits what is marked, and leaves the group
	started := time.Now()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		fetches.EachError(func(topic string, partition int32, err error) {
			d.logger.Warn("fetch", "topic", topic, "partition", partition, "error", err)
		})
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				d.machine.got(r.Value, started)
			}
			if n := len(p.Records); n > 0 {
				client.MarkCommitRecords(p.Records...)
				d.kafkaLag.set(p.Partition, max(0, p.HighWatermark-p.Records[n-1].Offset-1))
			}
		})
	}
}
