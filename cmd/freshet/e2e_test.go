package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/clock/clocktest"
)

const (
	patience      = 30 * time.Second
	waitForStream = 30 * time.Second
)

func TestRecordsCrossProtocolsAndRestarts(t *testing.T) {
	data := t.TempDir()
	node := startChild(t, data)
	createStream(t, node.kinesisClient(), "orders", 2)
	const perWriter = 50
	producer := node.kafkaClient(t)
	for i := range perWriter {
		record := &kgo.Record{Topic: "orders", Partition: int32(i % 2), Key: []byte("k"), Value: fmt.Appendf(nil, "kafka %d", i)}
		if err := producer.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	streams := node.kinesisClient()
	for i := range perWriter {
		_, err := streams.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String("orders"), PartitionKey: aws.String(fmt.Sprint("key ", i)), Data: fmt.Appendf(nil, "kinesis %d", i),
		}, once)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, restart := range []func(*testing.T){func(*testing.T) {}, node.stop, nil} {
		if restart == nil {
			node.kill(t)
		} else {
			restart(t)
		}
		if node.command.ProcessState != nil {
			node = startChild(t, data)
		}
		checkBothSee(t, node, "orders", 2, 2*perWriter)
	}
	checkPages(t, node)
}

// checkBothSee reads a stream through both protocols and compares.
func checkBothSee(t *testing.T, node *child, name string, shards, want int) {
	t.Helper()
	var throughKafka, throughKinesis []string
	for _, r := range kafkaRecords(t, node, name, want) {
		throughKafka = append(throughKafka, fmt.Sprintf("%d %s=%s", r.Partition, r.Key, r.Value))
	}
	for shard := range shards {
		for _, r := range kinesisRecords(t, node.kinesisClient(), name, shard) {
			throughKinesis = append(throughKinesis, fmt.Sprintf("%d %s=%s", shard, *r.PartitionKey, r.Data))
		}
	}
	if len(throughKafka) != want || strings.Join(throughKafka, "\n") != strings.Join(throughKinesis, "\n") {
		t.Fatalf("want %d records; Kafka sees\n%s\nKinesis sees\n%s", want, strings.Join(throughKafka, "\n"), strings.Join(throughKinesis, "\n"))
	}
}

func checkPages(t *testing.T, node *child) {
	t.Helper()
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok", "/metrics": `freshet_kafka_requests_total{api="Fetch",status="ok"}`,
	} {
		r, err := http.Get(node.AWS + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, without %q:\n%s", path, r.Status, err, want, body)
		}
	}
}

// acknowledged is what clients were promised, by place: "topic/partition/offset" or "kinesis/sequence number".
type acknowledged struct {
	mu     sync.Mutex
	values map[string]string
}

func (a *acknowledged) add(place, value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.values[place] = value
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.values)
}

func TestAcknowledgedRecordsSurviveKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	data := t.TempDir()
	acked := &acknowledged{values: map[string]string{}}
	node := startChild(t, data)
	createStream(t, node.kinesisClient(), "s", 3)
	for round := range 4 {
		if round > 0 {
			node = startChild(t, data)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range 2 {
			writers.Go(func() { produceUntil(ctx, t, node, acked, fmt.Sprintf("round %d writer %d", round, w)) })
			writers.Go(func() { putUntil(ctx, node, acked, fmt.Sprintf("round %d putter %d", round, w)) })
		}
		enough := acked.count() + 500 + random.IntN(30_000) // the kill must hit the load anywhere
		clocktest.Eventually(t, fmt.Sprintf("%d records are acknowledged", enough), func() bool { return acked.count() >= enough })
		node.kill(t)
		cancel()
		writers.Wait()
	}
	checkAcknowledged(t, startChild(t, data), acked)
}

// produceUntil produces through Kafka and notes what is acknowledged.
func produceUntil(ctx context.Context, t *testing.T, node *child, acked *acknowledged, name string) {
	client := node.kafkaClient(t)
	for i := 0; ctx.Err() == nil; i++ {
		value := fmt.Sprintf("%s record %d", name, i)
		client.Produce(ctx, &kgo.Record{Topic: "s", Partition: int32(i % 3), Value: []byte(value)}, func(r *kgo.Record, err error) {
			if err == nil {
				acked.add(fmt.Sprintf("s/%d/%d", r.Partition, r.Offset), value)
			}
		})
		if i%50 == 49 {
			_ = client.Flush(ctx) // what fails is not acknowledged
		}
	}
}

// putUntil puts through Kinesis and notes what is acknowledged.
func putUntil(ctx context.Context, node *child, acked *acknowledged, name string) {
	client := node.kinesisClient()
	for i := 0; ctx.Err() == nil; i++ {
		var entries []types.PutRecordsRequestEntry
		for k := range 10 {
			value := fmt.Sprintf("%s record %d", name, i*10+k)
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &value, Data: []byte(value)})
		}
		out, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: entries}, once)
		if err != nil {
			continue // the node is dead: ctx ends soon
		}
		for k, r := range out.Records {
			if r.ErrorCode == nil {
				acked.add("kinesis/"+*r.SequenceNumber, string(entries[k].Data))
			}
		}
	}
}

func checkAcknowledged(t *testing.T, node *child, acked *acknowledged) {
	t.Helper()
	found, seen := map[string]string{}, map[string]int{}
	total := 0
	for shard := range 3 {
		for _, r := range kinesisRecords(t, node.kinesisClient(), "s", shard) {
			found["kinesis/"+*r.SequenceNumber] = string(r.Data)
			seen[string(r.Data)]++
			total++
		}
	}
	for _, r := range kafkaRecords(t, node, "s", total) {
		found[fmt.Sprintf("s/%d/%d", r.Partition, r.Offset)] = string(r.Value)
	}
	lost := 0
	for place, value := range acked.values {
		if found[place] != value || seen[value] != 1 {
			if lost++; lost < 10 {
				t.Errorf("acknowledged at %s: %q; found %q there, %d times in all", place, value, found[place], seen[value])
			}
		}
	}
	t.Logf("%d records acknowledged, %d found, %d lost or repeated", len(acked.values), total, lost)
}
