package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// TestCompactedTopicIsReadAsATable: a client that reads a compacted topic to its end, from wherever, has the last value of each key.
func TestCompactedTopicIsReadAsATable(t *testing.T) {
	t.Parallel()
	n := start(t)
	compact, segment, least := "compact", "1", "0"
	n.create(t, "table", 1, map[string]*string{"cleanup.policy": &compact, "segment.ms": &segment, "min.cleanable.dirty.ratio": &least})
	c := n.client(t)
	began := time.Now().Add(-time.Hour)
	want := map[string]string{}
	for i := range 100 {
		r := &kgo.Record{Topic: "table", Key: fmt.Append(nil, "k", i%7), Value: fmt.Append(nil, i), Timestamp: began.Add(time.Duration(i) * time.Second)}
		want[string(r.Key)] = string(r.Value)
		if i%10 == 9 {
			r.Value = nil
			delete(want, string(r.Key))
		}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.log.Compact(); err != nil {
		t.Fatal(err)
	}
	for from := range int64(100) {
		reader := n.client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"table": {0: kgo.NewOffset().At(from)}}))
		table, records := map[string]string{}, 0
		for last := int64(-1); last < 99; {
			fetches := reader.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				records++
				if last = r.Offset; r.Value == nil {
					delete(table, string(r.Key))
				} else {
					table[string(r.Key)] = string(r.Value)
				}
			})
		}
		reader.Close()
		if records > 8 || from <= 90 && fmt.Sprint(table) != fmt.Sprint(want) {
			t.Errorf("from %d: %d records make %v, want %v", from, records, table, want)
		}
	}
}

// TestKinesisStreamsAreNotCompacted: a record of a stream that was made through Kinesis goes by its age only.
func TestKinesisStreamsAreNotCompacted(t *testing.T) {
	t.Parallel()
	n := start(t)
	if _, err := n.log.Create(t.Context(), stream.Spec{Name: "orders", Shards: 1, Labels: map[string]string{stream.LabelKinesis: "{}"}}); err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]int16{"compact": kerr.InvalidConfig.Code, "compact,delete": kerr.InvalidConfig.Code, "delete": 0} {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "orders",
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "cleanup.policy", Value: &policy}},
		}}
		if got := ask[*kmsg.IncrementalAlterConfigsResponse](n.raw(t), 1, req).Resources[0].ErrorCode; got != want {
			t.Errorf("cleanup.policy=%s: error %d, want %d", policy, got, want)
		}
	}
}
