package kinesis

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
)

// newClient serves a rig behind a front door and returns AWS's own client of it.
func newClient(t *testing.T) (*rig, *sdk.Client) {
	t.Helper()
	r := newRig(t)
	door, err := aws.New(aws.Config{Services: []aws.Service{r.API()}, Clock: r.clock, Random: seeded()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	return r, sdk.New(sdk.Options{
		BaseEndpoint: &server.URL, Region: "eu-west-1", RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

func TestSDKPutAndGet(t *testing.T) {
	ctx := t.Context()
	_, client := newClient(t)
	if _, err := client.CreateStream(ctx, &sdk.CreateStreamInput{StreamName: new("s"), ShardCount: new(int32(2))}); err != nil {
		t.Fatal(err)
	}
	if err := sdk.NewStreamExistsWaiter(client).Wait(ctx, &sdk.DescribeStreamInput{StreamName: new("s")}, time.Second); err != nil {
		t.Fatal(err)
	}
	in := &sdk.PutRecordsInput{StreamName: new("s")}
	want := map[string]bool{}
	for i := range 20 {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(fmt.Sprintf("data %d", i)), PartitionKey: new(fmt.Sprintf("ключ \"%d\"", i))})
		want[fmt.Sprintf("ключ \"%d\"=data %d", i, i)] = true
	}
	put, err := client.PutRecords(ctx, in)
	if err != nil || *put.FailedRecordCount != 0 || len(put.Records) != 20 {
		t.Fatalf("%+v, %v", put, err)
	}
	shards, err := client.ListShards(ctx, &sdk.ListShardsInput{StreamName: new("s")})
	if err != nil {
		t.Fatal(err)
	}
	for _, sh := range shards.Shards {
		it, err := client.GetShardIterator(ctx, &sdk.GetShardIteratorInput{StreamName: new("s"), ShardId: sh.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			t.Fatal(err)
		}
		out, err := client.GetRecords(ctx, &sdk.GetRecordsInput{ShardIterator: it.ShardIterator})
		if err != nil || *out.MillisBehindLatest != 0 || out.NextShardIterator == nil {
			t.Fatalf("%+v, %v", out, err)
		}
		for _, record := range out.Records {
			key := *record.PartitionKey + "=" + string(record.Data)
			if !want[key] || !record.ApproximateArrivalTimestamp.Equal(rigStart) {
				t.Errorf("unexpected record %s of %s", key, record.ApproximateArrivalTimestamp)
			}
			delete(want, key)
		}
	}
	if len(want) != 0 {
		t.Errorf("not read: %v", want)
	}
}

func TestSDKErrors(t *testing.T) {
	ctx := t.Context()
	_, client := newClient(t)
	_, err := client.DescribeStreamSummary(ctx, &sdk.DescribeStreamSummaryInput{StreamName: new("none")})
	if missing, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok || *missing.Message != "Stream none under account 000000000000 not found." {
		t.Errorf("got %v", err)
	}
	_, err = client.SplitShard(ctx, &sdk.SplitShardInput{StreamName: new("none"), ShardToSplit: new("0"), NewStartingHashKey: new("1")})
	if err == nil || !strings.Contains(err.Error(), "UnknownOperationException") || !strings.Contains(err.Error(), "SplitShard") {
		t.Errorf("an operation that is not served is answered %v", err)
	}
	_, err = client.PutRecord(ctx, &sdk.PutRecordInput{StreamName: new("s s"), Data: []byte("x"), PartitionKey: new(strings.Repeat("k", 257))})
	if err == nil || !strings.Contains(err.Error(), "2 validation errors detected") {
		t.Errorf("got %v", err)
	}
}

// A subscription over the wire: the ARNs carry the region of the request, and the stream of events its end.
func TestSDKSubscribe(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, client := newClient(t)
	if _, err := client.CreateStream(ctx, &sdk.CreateStreamInput{StreamName: new("s"), ShardCount: new(int32(1))}); err != nil {
		t.Fatal(err)
	}
	described, err := client.DescribeStreamSummary(ctx, &sdk.DescribeStreamSummaryInput{StreamName: new("s")})
	if err != nil {
		t.Fatal(err)
	}
	if arn := *described.StreamDescriptionSummary.StreamARN; arn != "arn:aws:kinesis:eu-west-1:000000000000:stream/s" {
		t.Errorf("the ARN is %s", arn)
	}
	registered, err := client.RegisterStreamConsumer(ctx, &sdk.RegisterStreamConsumerInput{StreamARN: described.StreamDescriptionSummary.StreamARN, ConsumerName: new("app")})
	if err != nil {
		t.Fatal(err)
	}
	subscription, err := client.SubscribeToShard(ctx, &sdk.SubscribeToShardInput{
		ConsumerARN: registered.Consumer.ConsumerARN, ShardId: new("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
	})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *types.SubscribeToShardEvent {
		t.Helper()
		select {
		case event := <-subscription.GetStream().Events():
			if event, ok := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
				return &event.Value
			}
			t.Fatalf("got %T, %v", event, subscription.GetStream().Err())
		case <-ctx.Done():
			t.Fatal("no event")
		}
		return nil
	}
	if event := next(); len(event.Records) != 0 || event.ContinuationSequenceNumber == nil {
		t.Errorf("first event is %+v", event)
	}
	put, err := client.PutRecord(ctx, &sdk.PutRecordInput{StreamName: new("s"), Data: []byte("x"), PartitionKey: new("k")})
	if err != nil {
		t.Fatal(err)
	}
	if event := next(); len(event.Records) != 1 || *event.Records[0].SequenceNumber != *put.SequenceNumber || string(event.Records[0].Data) != "x" {
		t.Errorf("event is %+v", event)
	}
	must(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("s"), EnforceConsumerDeletion: new(true)})
	if event, more := <-subscription.GetStream().Events(); more {
		t.Errorf("then comes %+v", event)
	}
	if _, ok := errors.AsType[*types.ResourceNotFoundException](subscription.GetStream().Err()); !ok {
		t.Errorf("it ended with %v", subscription.GetStream().Err())
	}
}
