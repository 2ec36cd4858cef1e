package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/klauspost/compress/gzip"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/internal/clock/clocktest"
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
		before := len(objects(t, node.Objects))
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
		if round == rounds-1 {
			break
		}
		if round > 0 { // the first kill hits before any delivery, the others one under way: its object is there, its cursor perhaps not
			clocktest.Eventually(t, "an object of this round is delivered", func() bool { return len(objects(t, node.Objects)) > before })
		}
		node.kill(t)
	}
	missing, others := len(want), 0
	defer func() {
		if t.Failed() {
			t.Logf("%d of %d records are missing, %d others are there\n%s", missing, len(want), others, node.log)
		}
	}()
	clocktest.Eventually(t, "everything is delivered", func() bool {
		seen := delivered(t, node.Objects)
		missing = 0
		for _, value := range want {
			if seen[value] == 0 {
				missing++
			} else if seen[value] > 1 {
				t.Fatalf("%q was delivered %d times", value, seen[value])
			}
		}
		others = len(seen) + missing - len(want)
		return missing == 0 && others == 0
	})
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
	for _, path := range objects(t, root) {
		packed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var text strings.Builder
		if _, err := r.WriteTo(&text); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for line := range strings.Lines(text.String()) {
			seen[strings.TrimSuffix(line, "\n")]++
		}
	}
	return seen
}

// objects returns the paths of the delivered objects.
func objects(t *testing.T, root string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(filepath.Join(root, "lake"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return ignoreMissing(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// ignoreMissing lets the walk begin before the first object.
func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
