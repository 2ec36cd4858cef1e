package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// subscribeRate is how many records per second are put while subscribed: each on its own, so that delivery and not load is measured.
const subscribeRate = 200

// subscribe measures the time from before PutRecord to the arrival of the record's event.
func (t *kinesisTurn) subscribe() error {
	const stream = "subscribe"
	if err := t.create(stream); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	client := t.client()
	consumer, err := registered(ctx, client, stream)
	if err != nil {
		return err
	}
	var (
		mu     sync.Mutex
		times  []time.Duration
		broken error
		work   sync.WaitGroup
	)
	for shard := range kinesisShards {
		// A client for each: streams of one client share a decoder that is not safe for it (aws/smithy-go#714).
		answer, err := t.client().SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
			ConsumerARN: consumer, ShardId: aws.String(fmt.Sprintf("shardId-%012d", shard)),
			StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
		})
		if err != nil {
			return err
		}
		events := answer.GetStream()
		work.Go(func() {
			for event := range events.Events() {
				e, ok := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
				if !ok {
					continue
				}
				now := time.Now()
				mu.Lock()
				for _, r := range e.Value.Records {
					times = append(times, now.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(r.Data)))))
				}
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			broken = errors.Join(broken, events.Err())
		})
		defer events.Close()
	}
	sent, err := t.putPaced(ctx, client, stream)
	if err == nil {
		err = delivered(sent, func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(times)
		})
	}
	cancel()
	work.Wait()
	if err != nil {
		return fmt.Errorf("%d put, %d delivered: %w", sent, len(times), errors.Join(err, broken))
	}
	t.row("SubscribeToShard, p50", quantile(times, 50), "ms")
	t.row("SubscribeToShard, p99", quantile(times, 99), "ms")
	return nil
}

func (t *kinesisTurn) client() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + t.server.address),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
	})
}

// delivered waits until all records have arrived, as long as any server takes to send the last ones.
func delivered(sent int, arrived func() int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Second); arrived() < sent; <-tick.C {
		if time.Now().After(end) {
			return errors.New("not all records were delivered")
		}
	}
	return nil
}

// putPaced puts records that carry the time of their sending. A slow server delays the ticks, it does not pile them up.
func (t *kinesisTurn) putPaced(ctx context.Context, client *kinesis.Client, stream string) (sent int, err error) {
	tick := time.NewTicker(time.Second / subscribeRate)
	defer tick.Stop()
	for end := time.Now().Add(time.Duration(t.options.seconds) * time.Second); time.Now().Before(end); sent++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sent, context.Cause(ctx)
		}
		data := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
		if _, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: &stream, PartitionKey: aws.String(randomKey()), Data: data,
		}); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// registered makes a consumer and waits until it can subscribe.
func registered(ctx context.Context, client *kinesis.Client, stream string) (arn *string, err error) {
	d, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
	if err != nil {
		return nil, err
	}
	c, err := client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: d.StreamDescriptionSummary.StreamARN, ConsumerName: aws.String("bench"),
	})
	if err != nil {
		return nil, err
	}
	for status := c.Consumer.ConsumerStatus; status != types.ConsumerStatusActive; {
		d, err := client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: c.Consumer.ConsumerARN})
		if err != nil {
			return nil, err
		}
		status = d.ConsumerDescription.ConsumerStatus
	}
	return c.Consumer.ConsumerARN, nil
}
