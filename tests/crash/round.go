package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/process"
)

const (
	partitions   = 4
	kafkaWriters = 3
	awsWriters   = 2
	keys         = 8
	maxBurst     = 40 // records that a writer has in flight at most
)

// Round is one topic, one Kinesis stream and one group with their clients, which go on through any number of crashes.
type Round struct {
	node   *process.Node
	seed   uint64
	topic  string
	stream string
	group  string

	kafka   *Ledger
	kinesis *Ledger

	mu      sync.Mutex
	commits map[int32]int64 // next offsets, acknowledged

	stop context.CancelFunc
	work sync.WaitGroup
}

// Marks is what was acknowledged at one moment.
type Marks struct {
	Kafka, Kinesis map[Place]string
	Commits        map[int32]int64
}

// StartRound makes the streams and sets the clients to work.
func StartRound(ctx context.Context, node *process.Node, seed uint64, number int) (*Round, error) {
	r := &Round{
		node: node, seed: seed, topic: fmt.Sprintf("orders-%d", number), stream: fmt.Sprintf("clicks-%d", number),
		group: fmt.Sprintf("readers-%d", number), kafka: NewLedger(), kinesis: NewLedger(), commits: map[int32]int64{},
	}
	client, err := r.kgo()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, r.topic); err != nil {
		return nil, fmt.Errorf("create topic: %w", err)
	}
	k := r.sdk()
	if _, err := k.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &r.stream, ShardCount: aws.Int32(partitions)}); err != nil {
		return nil, fmt.Errorf("create stream: %w", err)
	}
	waiter := kinesis.NewStreamExistsWaiter(k, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 20 * time.Millisecond })
	if err := waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &r.stream}, time.Minute); err != nil {
		return nil, err
	}
	ctx, r.stop = context.WithCancel(ctx)
	for i := range kafkaWriters {
		r.work.Go(func() { r.produce(ctx, "k"+strconv.Itoa(i)) })
	}
	for i := range awsWriters {
		r.work.Go(func() { r.putRecords(ctx, "a"+strconv.Itoa(i)) })
	}
	r.work.Go(func() { r.readAndCommit(ctx) })
	return r, nil
}

// Stop ends the clients and waits for them.
func (r *Round) Stop() {
	r.stop()
	r.work.Wait()
}

func (r *Round) kgo(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(r.node.Kafka), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20*time.Millisecond))...)
}

// sdk returns a client that retries as the SDK does. It must: the SDK closes a request's body as soon as the answer begins, and now and then that
// makes net/http drop the connection below the answer.
func (r *Round) sdk() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(r.node.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		HTTPClient:  &http.Client{Timeout: 10 * time.Second},
	})
}

// random returns a source of its own for each client, derived from the seed.
func (r *Round) random(writer string) *rand.Rand {
	var salt uint64
	for _, c := range writer {
		salt = salt*131 + uint64(c)
	}
	return rand.New(rand.NewPCG(r.seed, salt))
}

// produce writes bursts through an idempotent producer, which must get every record through every crash, once.
func (r *Round) produce(ctx context.Context, writer string) {
	client, err := r.kgo(kgo.DefaultProduceTopic(r.topic))
	if err != nil {
		r.kafka.Fail(err)
		return
	}
	defer client.Close()
	random, number := r.random(writer), 0
	for ctx.Err() == nil {
		var acked sync.WaitGroup
		for range 1 + random.IntN(maxBurst) {
			key := random.IntN(keys)
			text := value(writer, key, number)
			number++
			acked.Add(1)
			client.Produce(ctx, &kgo.Record{Key: []byte(strconv.Itoa(key)), Value: []byte(text)}, func(rec *kgo.Record, err error) {
				defer acked.Done()
				if err == nil {
					r.kafka.Acknowledge(Entry{Place{strconv.Itoa(int(rec.Partition)), strconv.FormatInt(rec.Offset, 10)}, text})
				} else if ctx.Err() == nil {
					r.kafka.Fail(fmt.Errorf("an idempotent producer gave up on %s: %w", text, err))
				}
			})
		}
		acked.Wait()
	}
}

// putRecords writes bursts through the AWS SDK, without its retries: a repeated PutRecords is more records, not the same ones again. What is not
// acknowledged may be there or not, so its values are never used again.
func (r *Round) putRecords(ctx context.Context, writer string) {
	client, random, number := r.sdk(), r.random(writer), 0
	once := func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }
	for ctx.Err() == nil {
		var entries []types.PutRecordsRequestEntry
		for range 1 + random.IntN(maxBurst) {
			key := random.IntN(keys)
			entries = append(entries, types.PutRecordsRequestEntry{
				PartitionKey: aws.String(strconv.Itoa(key)), Data: []byte(value(writer, key, number)),
			})
			number++
		}
		answer, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &r.stream, Records: entries}, once)
		if err != nil {
			pause(ctx, 10*time.Millisecond) // the server is down: give it time
			continue
		}
		for i, result := range answer.Records {
			if result.SequenceNumber != nil {
				r.kinesis.Acknowledge(Entry{Place{*result.ShardId, *result.SequenceNumber}, string(entries[i].Data)})
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// readAndCommit is a group member that commits what it has read, batch by batch.
func (r *Round) readAndCommit(ctx context.Context) {
	client, err := r.kgo(kgo.ConsumerGroup(r.group), kgo.ConsumeTopics(r.topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(200*time.Millisecond))
	if err != nil {
		r.kafka.Fail(err)
		return
	}
	defer client.CloseAllowingRebalance()
	for ctx.Err() == nil {
		records := client.PollRecords(ctx, 200).Records()
		if len(records) == 0 || client.CommitRecords(ctx, records...) != nil {
			continue // not acknowledged, so nothing is promised
		}
		r.mu.Lock()
		for _, rec := range records {
			r.commits[rec.Partition] = max(r.commits[rec.Partition], rec.Offset+1)
		}
		r.mu.Unlock()
	}
}

// Marks returns what is acknowledged by now.
func (r *Round) Marks() Marks {
	m := Marks{Kafka: r.kafka.Snapshot(), Kinesis: r.kinesis.Snapshot(), Commits: map[int32]int64{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, o := range r.commits {
		m.Commits[p] = o
	}
	return m
}

// Verify reads everything with fresh clients and compares it with what was acknowledged at the marks.
func (r *Round) Verify(ctx context.Context, m Marks) error {
	orders, err := r.readKafka(ctx, r.topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.topic, err)
	}
	clicks, err := r.readKinesis(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.stream, err)
	}
	// The same stream through the other protocol: the values are the same, the places have other names.
	crossed, err := r.readKafka(ctx, r.stream)
	if err != nil {
		return fmt.Errorf("read %s by Kafka: %w", r.stream, err)
	}
	commits, err := r.committed(ctx)
	if err != nil {
		return fmt.Errorf("fetch commits: %w", err)
	}
	return errors.Join(r.kafka.Err(), r.kinesis.Err(), Verify(m.Kafka, orders), Verify(m.Kinesis, clicks), subset(clicks, crossed),
		VerifyCommits(m.Commits, commits), r.verifyOffsetsTopic(ctx, commits))
}

// subset checks that what GetRecords returned is what a Kafka consumer, who read later, found too.
func subset(clicks, crossed []Entry) error {
	there := map[string]bool{}
	for _, e := range crossed {
		there[e.Value] = true
	}
	for _, e := range clicks {
		if !there[e.Value] {
			return fmt.Errorf("GetRecords has %s at %s, a Kafka consumer does not", e.Value, e.Place)
		}
	}
	return nil
}

func (r *Round) committed(ctx context.Context) (map[int32]int64, error) {
	client, err := r.kgo()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found, err := kadm.NewClient(client).FetchOffsets(ctx, r.group)
	if err != nil {
		return nil, err
	}
	commits := map[int32]int64{}
	found.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			commits[o.Partition] = o.At
		}
	})
	return commits, nil
}

// readKafka reads a topic from its start to where it ends now.
func (r *Round) readKafka(ctx context.Context, topic string) ([]Entry, error) {
	byPartition := make([][]Entry, partitions)
	err := r.read(ctx, topic, func(rec *kgo.Record) {
		place := Place{strconv.Itoa(int(rec.Partition)), strconv.FormatInt(rec.Offset, 10)}
		byPartition[rec.Partition] = append(byPartition[rec.Partition], Entry{place, string(rec.Value)})
	})
	var all []Entry
	for _, p := range byPartition {
		all = append(all, p...)
	}
	return all, err
}

// read calls visit with the records of a topic from its start to where it ends now, those of a partition in order.
func (r *Round) read(ctx context.Context, topic string, visit func(*kgo.Record)) error {
	client, err := r.kgo(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d partitions not read to their end: %w", len(left), context.Cause(ctx))
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			visit(rec)
			if end, ok := left[rec.Partition]; ok && rec.Offset >= end-1 {
				delete(left, rec.Partition)
			}
		})
	}
	return nil
}

// readKinesis reads all shards from the trim horizon to the tip.
func (r *Round) readKinesis(ctx context.Context) ([]Entry, error) {
	client := r.sdk()
	shards, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &r.stream})
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, s := range shards.Shards {
		it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: &r.stream, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			return nil, err
		}
		// The writers go on, so the tip is where an answer is empty, or the first answer that caught up.
		for next, behind := it.ShardIterator, true; next != nil && behind; {
			page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				return nil, err
			}
			for _, rec := range page.Records {
				all = append(all, Entry{Place{*s.ShardId, *rec.SequenceNumber}, string(rec.Data)})
			}
			next, behind = page.NextShardIterator, aws.ToInt64(page.MillisBehindLatest) > 0
		}
	}
	return all, nil
}

// Delete removes the round's streams, one through each protocol.
func (r *Round) Delete(ctx context.Context) error {
	client, err := r.kgo()
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).DeleteTopic(ctx, r.topic)
	_, err2 := r.sdk().DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: &r.stream})
	return errors.Join(err, err2)
}
