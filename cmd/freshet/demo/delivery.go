package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
)

// deliver makes the delivery stream that writes a stream to files, unless it is there: gzip, a line for each event, a directory for each hour.
func (d *demo) deliver(ctx context.Context, stream string) error {
	role := aws.String("arn:aws:iam::" + d.at.Account + ":role/demo")
	_, err := d.firehose.CreateDeliveryStream(ctx, &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String(stream + "-files"), DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource,
		KinesisStreamSourceConfiguration: &types.KinesisStreamSourceConfiguration{
			KinesisStreamARN: aws.String("arn:aws:kinesis:" + region + ":" + d.at.Account + ":stream/" + stream), RoleARN: role,
		},
		ExtendedS3DestinationConfiguration: &types.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::" + bucket), RoleARN: role, CompressionFormat: types.CompressionFormatGzip,
			Prefix:            aws.String(stream + "/"),
			ErrorOutputPrefix: aws.String("errors/" + stream + "/!{firehose:error-output-type}/"),
			BufferingHints:    &types.BufferingHints{IntervalInSeconds: aws.Int32(int32(d.cfg.Deliver / time.Second)), SizeInMBs: aws.Int32(16)},
			ProcessingConfiguration: &types.ProcessingConfiguration{Enabled: aws.Bool(true), Processors: []types.Processor{{
				Type: types.ProcessorTypeAppendDelimiterToRecord, Parameters: []types.ProcessorParameter{{
					ParameterName: types.ProcessorParameterNameDelimiter, ParameterValue: aws.String("\\n"),
				}},
			}}},
		},
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create delivery stream of %s: %w", stream, err)
	}
	return nil
}

// files counts delivered files, and looks only into directories that have changed.
type files struct {
	known map[string]counted
}

type counted struct {
	changed time.Time
	files   int
	dirs    []string
}

// count returns the number of files under root.
func (f *files) count(root string) int {
	info, err := os.Stat(root)
	if err != nil || !info.IsDir() {
		return 0 // nothing delivered yet
	}
	if f.known == nil {
		f.known = map[string]counted{}
	}
	c, ok := f.known[root]
	// A directory that changed this very moment may change again with the same time.
	if !ok || !c.changed.Equal(info.ModTime()) || time.Since(info.ModTime()) < 5*time.Second {
		entries, err := os.ReadDir(root)
		if err != nil {
			return 0
		}
		c = counted{changed: info.ModTime()}
		for _, e := range entries {
			if e.IsDir() {
				c.dirs = append(c.dirs, filepath.Join(root, e.Name()))
			} else {
				c.files++
			}
		}
		f.known[root] = c
	}
	n := c.files
	for _, dir := range c.dirs {
		n += f.count(dir)
	}
	return n
}
