package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A crossing is what shows that both protocols stand on one log: before a client runs, crossKeys times crossPerKey records are written to its stream
// IN through the other protocol, and the client checks that it reads them all, per key in order; the client writes the same records to its stream
// OUT, and they are read back here through the other protocol. Keys are k0, k1...; values are "k0:0", "k0:1"...
const (
	crossKeys   = 5
	crossPerKey = 8
	crossShards = 3
)

type crossing struct {
	bench  *bench
	client client
	in     string
	out    string
}

func (b *bench) newCrossing(c client) *crossing {
	return &crossing{bench: b, client: c, in: b.prefix(c) + "in", out: b.prefix(c) + "out"}
}

// keyed is one record of a crossing.
type keyed struct{ key, value string }

func crossRecords() []keyed {
	var all []keyed
	for i := range crossPerKey {
		for k := range crossKeys {
			key := "k" + strconv.Itoa(k)
			all = append(all, keyed{key, key + ":" + strconv.Itoa(i)})
		}
	}
	return all
}

func (c *crossing) kinesis() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(c.bench.target.endpoint),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
}

func (c *crossing) kafka(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(c.bench.target.kafka))...)
}

// seed makes both streams through the protocol that the client does not speak, and fills IN.
func (c *crossing) seed(ctx context.Context) error {
	switch {
	case !c.bench.crosses() || !c.client.protocol.crosses():
		return nil
	case c.client.protocol == kafkaProtocol:
		return c.seedKinesis(ctx)
	default:
		return c.seedKafka(ctx)
	}
}

func (c *crossing) seedKinesis(ctx context.Context) error {
	client := c.kinesis()
	for _, name := range []string{c.in, c.out} {
		if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(crossShards)}); err != nil {
			return err
		}
		waiter := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
		if err := waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &name}, time.Minute); err != nil {
			return err
		}
	}
	var entries []types.PutRecordsRequestEntry
	for _, r := range crossRecords() {
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &r.key, Data: []byte(r.value)})
	}
	answer, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &c.in, Records: entries})
	if err != nil {
		return err
	}
	if n := aws.ToInt32(answer.FailedRecordCount); n != 0 {
		return fmt.Errorf("%d records refused", n)
	}
	return nil
}

func (c *crossing) seedKafka(ctx context.Context) error {
	client, err := c.kafka()
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopics(ctx, crossShards, 1, nil, c.in, c.out)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		return err
	}
	var records []*kgo.Record
	for _, r := range crossRecords() {
		records = append(records, &kgo.Record{Topic: c.in, Key: []byte(r.key), Value: []byte(r.value)})
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// verify reads OUT through the other protocol.
func (c *crossing) verify(ctx context.Context) finding {
	name, read := "to-kinesis", c.readKinesis
	if c.client.protocol == awsProtocol {
		name, read = "to-kafka", c.readKafka
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	got, err := read(ctx)
	if err == nil {
		err = inOrder(got)
	}
	if err != nil {
		return finding{name, fail, err.Error()}
	}
	return finding{name, ok, fmt.Sprintf("%d records, per key in order", len(got))}
}

// inOrder checks that every record of a crossing is there once, those of a key in the order they were written.
func inOrder(got []keyed) error {
	next := map[string]int{}
	for _, r := range got {
		want := r.key + ":" + strconv.Itoa(next[r.key])
		if r.value != want {
			return fmt.Errorf("key %s has %q where %q was due", r.key, r.value, want)
		}
		next[r.key]++
	}
	if len(got) != crossKeys*crossPerKey {
		return fmt.Errorf("%d records instead of %d", len(got), crossKeys*crossPerKey)
	}
	return nil
}

func (c *crossing) readKinesis(ctx context.Context) ([]keyed, error) {
	client := c.kinesis()
	shards, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &c.out})
	if err != nil {
		return nil, err
	}
	var got []keyed
	for _, s := range shards.Shards {
		iterator, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: &c.out, ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			return nil, err
		}
		// An answer may be empty before the tip: MillisBehindLatest says where it is.
		for next, empty := iterator.ShardIterator, false; !empty && next != nil; {
			page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				return nil, err
			}
			for _, r := range page.Records {
				got = append(got, keyed{aws.ToString(r.PartitionKey), string(r.Data)})
			}
			next, empty = page.NextShardIterator, len(page.Records) == 0 && aws.ToInt64(page.MillisBehindLatest) == 0
		}
	}
	return got, nil
}

func (c *crossing) readKafka(ctx context.Context) ([]keyed, error) {
	client, err := c.kafka(kgo.ConsumeTopics(c.out), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var got []keyed
	for len(got) < crossKeys*crossPerKey {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return got, fmt.Errorf("%d records instead of %d", len(got), crossKeys*crossPerKey)
		}
		var failed error
		fetches.EachError(func(_ string, _ int32, err error) { failed = errors.Join(failed, err) })
		if failed != nil {
			return got, failed
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, keyed{strings.Clone(string(r.Key)), string(r.Value)}) })
	}
	return got, nil
}
