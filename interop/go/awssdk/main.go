// Command awssdk judges with the AWS SDK for Go v2: JSON over HTTP/1.1, event streams for SubscribeToShard.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/interop/go/judge"
)

// scenario is one run against one stream.
type scenario struct {
	client *kinesis.Client
	stream *string
	arn    *string
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx) // region, credentials and endpoint from the environment, as users have it
	if err != nil {
		panic(err)
	}
	s := &scenario{client: kinesis.NewFromConfig(cfg), stream: aws.String(judge.Prefix + "stream")}
	for _, capability := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"put", s.put},
		{"read", s.read},
		{"subscribe", s.subscribe},
		{"errors", s.refusals},
		{"streams", s.streams},
	} {
		judge.Run(capability.name, func() (string, error) { return capability.run(ctx) })
	}
	judge.None("firehose", "judged by boto3 and the CLI")
	if judge.In == "" {
		return
	}
	judge.Run("from-kafka", func() (string, error) {
		got, err := s.readAll(ctx, judge.In, types.ShardIteratorTypeTrimHorizon, nil)
		if err != nil {
			return "", err
		}
		return judge.Crossed(got)
	})
	if err := s.putAll(ctx, judge.Out, judge.CrossRecords()); err != nil {
		panic(err)
	}
}

func (s *scenario) putAll(ctx context.Context, stream string, records []judge.Record) error {
	var entries []types.PutRecordsRequestEntry
	for _, r := range records {
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &r.Key, Data: []byte(r.Value)})
	}
	answer, err := s.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &stream, Records: entries})
	if err != nil {
		return err
	}
	return judge.Expect(aws.ToInt32(answer.FailedRecordCount), 0, "failed records")
}

func (s *scenario) put(ctx context.Context) (string, error) {
	if _, err := s.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: s.stream, ShardCount: aws.Int32(2)}); err != nil {
		return "", err
	}
	waiter := kinesis.NewStreamExistsWaiter(s.client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond })
	if err := waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: s.stream}, 30*time.Second); err != nil {
		return "", err
	}
	records := judge.Labelled("sdk")
	one, err := s.client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: s.stream, PartitionKey: &records[0].Key, Data: []byte(records[0].Value),
	})
	if err != nil {
		return "", err
	}
	if aws.ToString(one.SequenceNumber) == "" || aws.ToString(one.ShardId) == "" {
		return "", errors.New("no sequence number or shard id")
	}
	return "", s.putAll(ctx, *s.stream, records[1:])
}

func (s *scenario) shards(ctx context.Context, stream string) ([]types.Shard, error) {
	answer, err := s.client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		return nil, err
	}
	return answer.Shards, nil
}

func (s *scenario) readAll(ctx context.Context, stream string, kind types.ShardIteratorType, from *time.Time) ([]judge.Record, error) {
	shards, err := s.shards(ctx, stream)
	if err != nil {
		return nil, err
	}
	var got []judge.Record
	for _, shard := range shards {
		it, err := s.client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: &stream, ShardId: shard.ShardId, ShardIteratorType: kind, Timestamp: from,
		})
		if err != nil {
			return nil, err
		}
		for next := it.ShardIterator; next != nil; {
			page, err := s.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				return nil, err
			}
			for _, r := range page.Records {
				got = append(got, judge.Record{Key: *r.PartitionKey, Value: string(r.Data)})
			}
			if next = page.NextShardIterator; len(page.Records) == 0 && *page.MillisBehindLatest == 0 {
				break
			}
		}
	}
	return got, nil
}

func (s *scenario) read(ctx context.Context) (string, error) {
	got, err := s.readAll(ctx, *s.stream, types.ShardIteratorTypeTrimHorizon, nil)
	if err == nil {
		err = judge.InOrder(got, "sdk")
	}
	if err != nil {
		return "", err
	}
	select { // apart in time from what was put before
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
	}
	now := time.Now()
	late := judge.Record{Key: "late", Value: "late"}
	if err := s.putAll(ctx, *s.stream, []judge.Record{late}); err != nil {
		return "", err
	}
	if got, err = s.readAll(ctx, *s.stream, types.ShardIteratorTypeAtTimestamp, &now); err != nil {
		return "", err
	}
	return "", judge.Expect(slices.Equal(got, []judge.Record{late}), true, fmt.Sprintf("only the late record from that time, not %d", len(got)))
}

func (s *scenario) subscribe(ctx context.Context) (string, error) {
	summary, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: s.stream})
	if err != nil {
		return "", err
	}
	s.arn = summary.StreamDescriptionSummary.StreamARN
	consumer, err := s.client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: s.arn, ConsumerName: aws.String("judge"),
	})
	if err != nil {
		return "", err
	}
	arn := consumer.Consumer.ConsumerARN
	for status := consumer.Consumer.ConsumerStatus; status != types.ConsumerStatusActive && ctx.Err() == nil; {
		d, err := s.client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: arn})
		if err != nil {
			return "", err
		}
		status = d.ConsumerDescription.ConsumerStatus
	}
	shards, err := s.shards(ctx, *s.stream)
	if err != nil {
		return "", err
	}
	count := 0
	for _, shard := range shards {
		n, err := s.follow(ctx, arn, shard.ShardId)
		if err != nil {
			return "", err
		}
		count += n
	}
	if _, err := s.client.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: arn}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d records", count), judge.Expect(count, judge.Count+1, "records")
}

// follow reads one shard from its start to its tip over a subscription.
func (s *scenario) follow(ctx context.Context, consumer, shard *string) (count int, err error) {
	sub, err := s.client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer, ShardId: shard, StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		return 0, err
	}
	stream := sub.GetStream()
	for event := range stream.Events() {
		if e, ok := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
			count += len(e.Value.Records)
			if aws.ToInt64(e.Value.MillisBehindLatest) == 0 {
				break
			}
		}
	}
	err = stream.Err()
	// Close breaks the SDK's reader off, and may return that as the reader's error (read of a closed connection): it says nothing of the server.
	_ = stream.Close()
	return count, err
}

func (s *scenario) refusals(ctx context.Context) (string, error) {
	absent := judge.Prefix + "absent"
	_, err := s.client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: &absent})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) {
		return "", fmt.Errorf("an absent stream: %w", err)
	}
	want := "Stream " + absent + " under account " + strings.Split(*s.arn, ":")[4] + " not found."
	if err := judge.Expect(missing.ErrorMessage(), want, "error text"); err != nil {
		return "", err
	}
	_, err = s.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: s.stream, ShardCount: aws.Int32(1)})
	var inUse *types.ResourceInUseException
	if !errors.As(err, &inUse) {
		return "", fmt.Errorf("a second creation: %w", err)
	}
	_, err = s.client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: s.stream, PartitionKey: aws.String(strings.Repeat("k", 257)), Data: []byte("x")})
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		return "", fmt.Errorf("a key of 257 characters: %w", err)
	}
	return "", judge.Expect(refused.ErrorCode(), "ValidationException", "error code")
}

func (s *scenario) streams(ctx context.Context) (string, error) {
	if _, err := s.client.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: s.stream, Tags: map[string]string{"team": "a"}}); err != nil {
		return "", err
	}
	tags, err := s.client.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: s.stream})
	if err == nil {
		err = judge.Expect(len(tags.Tags), 1, "tags")
	}
	if err != nil {
		return "", err
	}
	if _, err := s.client.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{
		StreamName: s.stream, RetentionPeriodHours: aws.Int32(48),
	}); err != nil {
		return "", err
	}
	d, err := s.client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: s.stream})
	if err == nil {
		err = judge.Expect(aws.ToInt32(d.StreamDescription.RetentionPeriodHours), 48, "retention")
	}
	if err != nil {
		return "", err
	}
	if _, err := s.client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: s.stream}); err != nil {
		return "", err
	}
	waiter := kinesis.NewStreamNotExistsWaiter(s.client, func(o *kinesis.StreamNotExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond })
	return "", waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: s.stream}, 30*time.Second)
}
