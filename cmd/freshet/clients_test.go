package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaClient returns a franz-go client of the node.
func (c *child) kafkaClient(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// kinesisClient returns an AWS SDK client of the node, which repeats what fails. It must: the SDK closes a request's body as soon as the answer
// begins, and against a server this near that now and then makes net/http drop the connection below the answer.
func (c *child) kinesisClient() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(c.AWS), Credentials: credentials.NewStaticCredentialsProvider("any", "thing", ""),
	})
}

// once keeps the SDK from repeating a call: a repeated put is more records, not the same ones again.
func once(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }

// createStream makes a stream through Kinesis.
func createStream(t *testing.T, client *kinesis.Client, name string, shards int32) {
	t.Helper()
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	waiter := kinesis.NewStreamExistsWaiter(client)
	if err := waiter.Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: &name}, waitForStream); err != nil {
		t.Fatal(err)
	}
}

// kinesisRecords reads a shard from its beginning to its end.
func kinesisRecords(t *testing.T, client *kinesis.Client, name string, shard int) []types.Record {
	t.Helper()
	iterator, err := client.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: &name, ShardId: aws.String(fmt.Sprintf("shardId-%012d", shard)), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []types.Record
	for next := iterator.ShardIterator; ; {
		page, err := client.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Records...)
		if *page.MillisBehindLatest == 0 && len(page.Records) == 0 {
			return all
		}
		next = page.NextShardIterator
	}
}

// kafkaRecords reads n records of all partitions of a topic from the beginning, ordered by partition and offset.
func kafkaRecords(t *testing.T, c *child, topic string, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := c.kafkaClient(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(all), n, err)
		}
		all = append(all, fetches.Records()...)
	}
	slices.SortFunc(all, func(a, b *kgo.Record) int {
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(a.Offset - b.Offset)
	})
	return all
}
