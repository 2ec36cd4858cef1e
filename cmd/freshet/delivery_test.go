package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/klauspost/compress/gzip"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRecordsLandAsObjectsOnce produces through Kafka, delivers through Firehose, and kills the node in between.
func TestRecordsLandAsObjectsOnce(t *testing.T) {
	data := t.TempDir()
	node := startChild(t, data)
	createStream(t, node.kinesisClient(), "events", 2)
	createDelivery(t, node, "landing", "events")
	const perRound, rounds = 500, 4
	var want []string
	for round := range rounds {
		if round > 0 {
			node = startChild(t, data)
		}
		producer := node.kafkaClient(t)
		for i := range perRound {
			value := fmt.Sprintf("event %d", round*perRound+i)
			want = append(want, value)
			producer.Produce(t.Context(), &kgo.Record{Topic: "events", Partition: int32(i % 2), Value: []byte(value)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("%s: %v", value, err)
				}
			})
		}
		if err := producer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round < rounds-1 {
			time.Sleep(700 * time.Millisecond) // deliveries begin after a second: the kill hits before, within and after them
			node.kill(t)
		}
	}
	deadline := time.Now().Add(patience)
	for {
		seen := delivered(t, node.Objects)
		missing := 0
		for _, value := range want {
			if seen[value] == 0 {
				missing++
			} else if seen[value] > 1 {
				t.Fatalf("%q was delivered %d times", value, seen[value])
			}
		}
		if missing == 0 && len(seen) == len(want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records are missing, %d others are there\n%s", missing, len(want), len(seen)+missing-len(want), node.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func createDelivery(t *testing.T, node *child, name, source string) {
	t.Helper()
	client := firehose.New(firehose.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(node.AWS), Credentials: credentials.NewStaticCredentialsProvider("any", "thing", ""),
	})
	role := aws.String("arn:aws:iam::" + node.Account + ":role/delivery")
	_, err := client.CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: &name, DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource,
		KinesisStreamSourceConfiguration: &types.KinesisStreamSourceConfiguration{
			KinesisStreamARN: aws.String("arn:aws:kinesis:eu-west-1:" + node.Account + ":stream/" + source), RoleARN: role,
		},
		ExtendedS3DestinationConfiguration: &types.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::lake"), RoleARN: role, Prefix: aws.String("events/"), CompressionFormat: types.CompressionFormatGzip,
			BufferingHints: &types.BufferingHints{IntervalInSeconds: aws.Int32(1), SizeInMBs: aws.Int32(1)},
			ProcessingConfiguration: &types.ProcessingConfiguration{Enabled: aws.Bool(true), Processors: []types.Processor{{
				Type: types.ProcessorTypeAppendDelimiterToRecord, Parameters: []types.ProcessorParameter{{
					ParameterName: types.ProcessorParameterNameDelimiter, ParameterValue: aws.String("\\n"),
				}},
			}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// delivered counts the lines of all gzip objects.
func delivered(t *testing.T, root string) map[string]int {
	t.Helper()
	seen := map[string]int{}
	err := filepath.WalkDir(filepath.Join(root, "lake"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		packed, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		var text strings.Builder
		if _, err := r.WriteTo(&text); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for line := range strings.Lines(text.String()) {
			seen[strings.TrimSuffix(line, "\n")]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// ignoreMissing lets the walk begin before the first object.
func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
