package firehose

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
)

// defaultListLimit is the page of ListDeliveryStreams.
const defaultListLimit = 10

func (s *Service) describeDeliveryStream(ctx context.Context, call *aws.Call, in *api.DescribeDeliveryStreamInput) (*api.DescribeDeliveryStreamOutput, error) {
	d, err := s.find(ctx, call, *in.DeliveryStreamName)
	if err != nil {
		return nil, err
	}
	out := &api.DeliveryStreamDescription{
		DeliveryStreamName: &d.Name, DeliveryStreamARN: new(call.ARN("deliverystream/" + d.Name)), DeliveryStreamStatus: &d.Status,
		DeliveryStreamType: &d.Type, VersionId: new(d.versionID()), CreateTimestamp: new(time.UnixMilli(d.Created)),
		DeliveryStreamEncryptionConfiguration: &api.DeliveryStreamEncryptionConfiguration{Status: new(api.DeliveryStreamEncryptionStatusDisabled)},
		Source:                                describeSource(d), HasMoreDestinations: new(false), Destinations: []api.DestinationDescription{},
	}
	if d.Updated != 0 {
		out.LastUpdateTimestamp = new(time.UnixMilli(d.Updated))
	}
	if value(in.ExclusiveStartDestinationId, "") < destinationID {
		out.Destinations = append(out.Destinations, describeDestination(d))
	}
	return &api.DescribeDeliveryStreamOutput{DeliveryStreamDescription: out}, nil
}

func describeSource(d *delivery) *api.SourceDescription {
	if d.Kinesis != nil {
		return &api.SourceDescription{KinesisStreamSourceDescription: &api.KinesisStreamSourceDescription{
			KinesisStreamARN: &d.Kinesis.ARN, RoleARN: &d.Kinesis.RoleARN, DeliveryStartTimestamp: new(time.UnixMilli(d.Kinesis.Started)),
		}}
	}
	if d.Hint != nil {
		return &api.SourceDescription{DirectPutSourceDescription: &api.DirectPutSourceDescription{ThroughputHintInMBs: d.Hint}}
	}
	return nil
}

// describeDestination shows the destination in the older form and in the extended one, whichever it was given in.
func describeDestination(d *delivery) api.DestinationDescription {
	c := &d.Destination
	prefix := new(value(c.Prefix, "")) // shown when it was not given, unlike ErrorOutputPrefix
	return api.DestinationDescription{
		DestinationId: new(destinationID),
		S3DestinationDescription: &api.S3DestinationDescription{
			RoleARN: c.RoleARN, BucketARN: c.BucketARN, Prefix: prefix, ErrorOutputPrefix: c.ErrorOutputPrefix, BufferingHints: c.BufferingHints,
			CompressionFormat: c.CompressionFormat, EncryptionConfiguration: c.EncryptionConfiguration, CloudWatchLoggingOptions: c.CloudWatchLoggingOptions,
		},
		ExtendedS3DestinationDescription: &api.ExtendedS3DestinationDescription{
			RoleARN: c.RoleARN, BucketARN: c.BucketARN, Prefix: prefix, ErrorOutputPrefix: c.ErrorOutputPrefix, BufferingHints: c.BufferingHints,
			CompressionFormat: c.CompressionFormat, EncryptionConfiguration: c.EncryptionConfiguration, CloudWatchLoggingOptions: c.CloudWatchLoggingOptions,
			ProcessingConfiguration: c.ProcessingConfiguration, S3BackupMode: c.S3BackupMode, FileExtension: c.FileExtension, CustomTimeZone: c.CustomTimeZone,
			DataFormatConversionConfiguration: c.DataFormatConversionConfiguration, DynamicPartitioningConfiguration: c.DynamicPartitioningConfiguration,
		},
	}
}

func (s *Service) listDeliveryStreams(ctx context.Context, _ *aws.Call, in *api.ListDeliveryStreamsInput) (*api.ListDeliveryStreamsOutput, error) {
	all, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	limit, after := int(value(in.Limit, defaultListLimit)), value(in.ExclusiveStartDeliveryStreamName, "")
	out := &api.ListDeliveryStreamsOutput{DeliveryStreamNames: []string{}, HasMoreDeliveryStreams: new(false)}
	for _, d := range all {
		if d.Name <= after || in.DeliveryStreamType != nil && d.Type != *in.DeliveryStreamType {
			continue
		}
		if len(out.DeliveryStreamNames) == limit {
			*out.HasMoreDeliveryStreams = true
			break
		}
		out.DeliveryStreamNames = append(out.DeliveryStreamNames, d.Name)
	}
	return out, nil
}
