package firehose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/flow/flowtest"
	"github.com/freshet/freshet/internal/stream"
)

func TestLedgerIsComplete(t *testing.T) {
	s := &Service{}
	for _, wrong := range Ledger.Check(s.API()) {
		t.Error(wrong)
	}
}

func TestSinkKeepsTheContract(t *testing.T) {
	for _, compression := range []types.CompressionFormat{types.CompressionFormatUncompressed, types.CompressionFormatGzip} {
		t.Run(string(compression), func(t *testing.T) {
			flowtest.Run(t, func(t *testing.T) flowtest.Subject {
				r := world(t)
				service := &Service{objects: r.objects}
				l := &layout{stream: "s", version: 1, bucket: bucket, prefix: &prefix{}, zone: time.UTC, gzip: compression == types.CompressionFormatGzip}
				if l.gzip {
					l.extension = ".gz"
				}
				return flowtest.Subject{Sink: &sink{service, &meter{}}, Label: l.label, Effects: func(*testing.T) []string { return r.lines() }}
			})
		})
	}
}

func TestWhatIsNotServedIsRefusedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s3 := &types.S3DestinationConfiguration{BucketARN: awssdk.String("arn:aws:s3:::lake"), RoleARN: awssdk.String(role)}
		processor := func(kind types.ProcessorType, parameters ...types.ProcessorParameter) *types.ExtendedS3DestinationConfiguration {
			return destination(func(d *types.ExtendedS3DestinationConfiguration) {
				d.ProcessingConfiguration = &types.ProcessingConfiguration{Enabled: awssdk.Bool(true), Processors: []types.Processor{{Type: kind, Parameters: parameters}}}
			})
		}
		extended := func(change func(*types.ExtendedS3DestinationConfiguration)) *sdk.CreateDeliveryStreamInput {
			return &sdk.CreateDeliveryStreamInput{ExtendedS3DestinationConfiguration: destination(change)}
		}
		prefixes := func(prefix, failures string) *sdk.CreateDeliveryStreamInput {
			return extended(func(d *types.ExtendedS3DestinationConfiguration) { d.Prefix, d.ErrorOutputPrefix = &prefix, &failures })
		}
		for want, in := range map[string]*sdk.CreateDeliveryStreamInput{
			"InvalidArgumentException: Exactly one destination configuration is supported for a Firehose": {},
			"InvalidArgumentException: Exactly one destination configuration is supported for a Firehose*": {
				S3DestinationConfiguration: s3, ExtendedS3DestinationConfiguration: destination(nil),
			},
			"InvalidArgumentException: SplunkDestinationConfiguration*": {SplunkDestinationConfiguration: &types.SplunkDestinationConfiguration{
				HECEndpoint: awssdk.String("https://splunk"), HECEndpointType: types.HECEndpointTypeRaw, S3Configuration: s3,
			}},
			"InvalidArgumentException: DeliveryStreamEncryptionConfigurationInput*": {
				ExtendedS3DestinationConfiguration:         destination(nil),
				DeliveryStreamEncryptionConfigurationInput: &types.DeliveryStreamEncryptionConfigurationInput{KeyType: types.KeyTypeAwsOwnedCmk},
			},
			"InvalidArgumentException: DeliveryStreamType MSKAsSource is not served here: only DirectPut and KinesisStreamAsSource are.": {
				ExtendedS3DestinationConfiguration: destination(nil), DeliveryStreamType: types.DeliveryStreamTypeMSKAsSource,
			},
			"InvalidArgumentException: KinesisStreamSourceConfiguration must be given for a delivery stream of type KinesisStreamAsSource.": {
				ExtendedS3DestinationConfiguration: destination(nil), DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource,
			},
			"InvalidArgumentException: KinesisSourceStreamConfig is only applicable for KinesisStreamAsSource stream type.": {
				ExtendedS3DestinationConfiguration: destination(nil),
				KinesisStreamSourceConfiguration: &types.KinesisStreamSourceConfiguration{
					KinesisStreamARN: awssdk.String("arn:aws:kinesis:eu-central-1:000000000000:stream/x"), RoleARN: awssdk.String(role),
				},
			},
			"InvalidArgumentException: Kinesis stream nowhere under account 000000000000 not found.": {
				ExtendedS3DestinationConfiguration: destination(nil), DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource,
				KinesisStreamSourceConfiguration: &types.KinesisStreamSourceConfiguration{
					KinesisStreamARN: awssdk.String("arn:aws:kinesis:eu-central-1:000000000000:stream/nowhere"), RoleARN: awssdk.String(role),
				},
			},
			"InvalidArgumentException: Processor type Lambda is not served here*": {ExtendedS3DestinationConfiguration: processor(types.ProcessorTypeLambda)},
			"InvalidArgumentException: Processor parameter LambdaArn is not one of AppendDelimiterToRecord.": {ExtendedS3DestinationConfiguration: processor(
				types.ProcessorTypeAppendDelimiterToRecord, types.ProcessorParameter{ParameterName: types.ProcessorParameterNameLambdaArn, ParameterValue: awssdk.String("x")})},
			"InvalidArgumentException: CompressionFormat Snappy is not served here: only UNCOMPRESSED and GZIP are.": extended(func(d *types.ExtendedS3DestinationConfiguration) {
				d.CompressionFormat = types.CompressionFormatSnappy
			}),
			"InvalidArgumentException: S3BackupMode Enabled is not served here.": extended(func(d *types.ExtendedS3DestinationConfiguration) {
				d.S3BackupMode = types.S3BackupModeEnabled
			}),
			"InvalidArgumentException: DynamicPartitioningConfiguration is not served here.": extended(func(d *types.ExtendedS3DestinationConfiguration) {
				d.DynamicPartitioningConfiguration = &types.DynamicPartitioningConfiguration{Enabled: awssdk.Bool(true)}
			}),
			"InvalidArgumentException: DataFormatConversionConfiguration is not served here.": extended(func(d *types.ExtendedS3DestinationConfiguration) {
				d.DataFormatConversionConfiguration = &types.DataFormatConversionConfiguration{}
			}),
			"InvalidArgumentException: BufferingHints must have both SizeInMBs and IntervalInSeconds, or be left out.": extended(func(d *types.ExtendedS3DestinationConfiguration) {
				d.BufferingHints = &types.BufferingHints{SizeInMBs: awssdk.Int32(1)}
			}),
			"InvalidArgumentException: BucketARN arn:aws:s3:::Not_A_Bucket: *": extended(func(d *types.ExtendedS3DestinationConfiguration) {
				d.BucketARN = awssdk.String("arn:aws:s3:::Not_A_Bucket")
			}),
			"InvalidArgumentException: CustomTimeZone Europe/Nowhere is not a time zone of the IANA database.": extended(func(d *types.ExtendedS3DestinationConfiguration) {
				d.CustomTimeZone = awssdk.String("Europe/Nowhere")
			}),
			"InvalidArgumentException: Ths supplied prefix(es) do not satisfy the following constraint: ErrorOutputPrefix cannot be null or empty when Prefix contains expressions": prefixes("!{timestamp:yyyy}/", ""),
			"InvalidArgumentException: ErrorOutputPrefix contains expressions, one of which must be !{firehose:error-output-type}.":                                                 prefixes("", "e/!{timestamp:yyyy}/"),
			"InvalidArgumentException: Prefix cannot contain !{firehose:error-output-type}, which is for ErrorOutputPrefix.":                                                        prefixes("!{firehose:error-output-type}", "e"),
			"InvalidArgumentException: Prefix \"a!{timestamp:yyyy\" has an expression that does not end: !{timestamp:yyyy":                                                          prefixes("a!{timestamp:yyyy", "e"),
			"InvalidArgumentException: Prefix has an invalid expression !{nothing:x}.":                                                                                              prefixes("!{nothing:x}", "e"),
			"InvalidArgumentException: Prefix has an invalid expression !{timestamp:}.":                                                                                             prefixes("!{timestamp:}", "e"),
			"InvalidArgumentException: Prefix has an invalid expression !{firehose:nothing}.":                                                                                       prefixes("!{firehose:nothing}", "e"),
			"InvalidArgumentException: Prefix has the expression !{partitionKeyFromQuery:k}, which needs dynamic partitioning to be*":                                               prefixes("!{partitionKeyFromQuery:k}", "e"),
			"InvalidArgumentException: Prefix has an invalid expression !{timestamp:bb}: *":                                                                                         prefixes("!{timestamp:bb}", "e"),
			"InvalidArgumentException: Prefix has 615 characters when it is evaluated, more than 512.":                                                                              prefixes(strings.Repeat("p", 600)+"/", ""),
			"ValidationException: 1 validation error detected: *":                                                                                                                   prefixes(strings.Repeat("p", 1025), ""),
		} {
			in.DeliveryStreamName = awssdk.String("refused")
			_, err := r.CreateDeliveryStream(t.Context(), in)
			refused(t, err, want)
		}
		out := must[*sdk.ListDeliveryStreamsOutput](t)(r.ListDeliveryStreams(t.Context(), &sdk.ListDeliveryStreamsInput{}))
		if len(out.DeliveryStreamNames) != 0 {
			t.Errorf("refused delivery streams exist: %q", out.DeliveryStreamNames)
		}
		_, err := r.StartDeliveryStreamEncryption(t.Context(), &sdk.StartDeliveryStreamEncryptionInput{DeliveryStreamName: awssdk.String("x")})
		refused(t, err, "UnknownOperationException: *")
	})
}

func TestDescribeShowsWhatWasGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		created := must[*sdk.CreateDeliveryStreamOutput](t)(r.CreateDeliveryStream(t.Context(), &sdk.CreateDeliveryStreamInput{
			DeliveryStreamName: awssdk.String("simple"),
			//lint:ignore SA1019 clients still give the older form
			S3DestinationConfiguration: &types.S3DestinationConfiguration{
				BucketARN: awssdk.String("arn:aws:s3:::lake"), RoleARN: awssdk.String(role), Prefix: awssdk.String("p/"),
			},
		}))
		d := r.describe("simple")
		if *created.DeliveryStreamARN != "arn:aws:firehose:eu-central-1:000000000000:deliverystream/simple" || *d.DeliveryStreamARN != *created.DeliveryStreamARN {
			t.Errorf("ARN %s, described %s", *created.DeliveryStreamARN, *d.DeliveryStreamARN)
		}
		if d.DeliveryStreamStatus != types.DeliveryStreamStatusActive || d.DeliveryStreamType != types.DeliveryStreamTypeDirectPut || *d.VersionId != "1" || *d.HasMoreDestinations {
			t.Errorf("described %+v", d)
		}
		to := d.Destinations[0]
		s3 := to.S3DestinationDescription
		if x := to.ExtendedS3DestinationDescription; x == nil || *x.Prefix != "p/" || x.S3BackupMode != types.S3BackupModeDisabled || x.CompressionFormat != types.CompressionFormatUncompressed {
			t.Errorf("extended destination %+v", x)
		}
		if *to.DestinationId != destinationID || *s3.Prefix != "p/" || s3.CompressionFormat != types.CompressionFormatUncompressed ||
			*s3.BufferingHints.SizeInMBs != 5 || *s3.BufferingHints.IntervalInSeconds != 300 || s3.EncryptionConfiguration.NoEncryptionConfig != types.NoEncryptionConfigNoEncryption {
			t.Errorf("destination %+v", s3)
		}
		r.create("extended", func(d *types.ExtendedS3DestinationConfiguration) {
			d.CloudWatchLoggingOptions = &types.CloudWatchLoggingOptions{Enabled: awssdk.Bool(true), LogGroupName: awssdk.String("g"), LogStreamName: awssdk.String("s")}
			// What is not enabled is kept as it was given, and does nothing.
			d.ProcessingConfiguration = &types.ProcessingConfiguration{Enabled: awssdk.Bool(false), Processors: []types.Processor{{Type: types.ProcessorTypeLambda}}}
		})
		to = r.describe("extended").Destinations[0]
		if to.S3DestinationDescription == nil || to.ExtendedS3DestinationDescription == nil || *to.ExtendedS3DestinationDescription.CloudWatchLoggingOptions.LogGroupName != "g" ||
			to.ExtendedS3DestinationDescription.S3BackupMode != types.S3BackupModeDisabled {
			t.Errorf("destination %+v", to)
		}
		if x := to.ExtendedS3DestinationDescription; awssdk.ToString(x.Prefix) != "" || x.Prefix == nil || to.S3DestinationDescription.Prefix == nil || x.ErrorOutputPrefix != nil {
			t.Errorf("prefixes %v and %v, error prefix %v, none were given", x.Prefix, to.S3DestinationDescription.Prefix, x.ErrorOutputPrefix)
		}
		if p := to.ExtendedS3DestinationDescription.ProcessingConfiguration; p == nil || *p.Enabled || len(p.Processors) != 1 || p.Processors[0].Type != types.ProcessorTypeLambda {
			t.Errorf("processing %+v", p)
		}
		_, err := r.CreateDeliveryStream(t.Context(), &sdk.CreateDeliveryStreamInput{DeliveryStreamName: awssdk.String("simple"), ExtendedS3DestinationConfiguration: destination(nil)})
		refused(t, err, "ResourceInUseException: Firehose simple under accountId 000000000000 already exists")
		paged, err := r.DescribeDeliveryStream(t.Context(), &sdk.DescribeDeliveryStreamInput{DeliveryStreamName: awssdk.String("simple"), ExclusiveStartDestinationId: awssdk.String(destinationID)})
		if err != nil || len(paged.DeliveryStreamDescription.Destinations) != 0 {
			t.Errorf("destinations after the last: %+v, %v", paged, err)
		}
	})
}

func TestListPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.kinesis("k", 1)
		var want []string
		for i := range 12 {
			want = append(want, fmt.Sprintf("d%02d", i))
			r.create(want[i], nil)
		}
		r.createKinesis("d05k", "k")
		list := func(in *sdk.ListDeliveryStreamsInput) *sdk.ListDeliveryStreamsOutput {
			t.Helper()
			return must[*sdk.ListDeliveryStreamsOutput](t)(r.ListDeliveryStreams(t.Context(), in))
		}
		if out := list(&sdk.ListDeliveryStreamsInput{}); len(out.DeliveryStreamNames) != 10 || !*out.HasMoreDeliveryStreams {
			t.Errorf("first page %+v", out)
		}
		out := list(&sdk.ListDeliveryStreamsInput{DeliveryStreamType: types.DeliveryStreamTypeDirectPut, ExclusiveStartDeliveryStreamName: awssdk.String("d02"), Limit: awssdk.Int32(9)})
		if !slices.Equal(out.DeliveryStreamNames, want[3:]) || *out.HasMoreDeliveryStreams {
			t.Errorf("second page %+v", out)
		}
		if out := list(&sdk.ListDeliveryStreamsInput{DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource}); !slices.Equal(out.DeliveryStreamNames, []string{"d05k"}) {
			t.Errorf("of Kinesis %+v", out)
		}
	})
}

func TestTags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		name := awssdk.String("s")
		must[*sdk.CreateDeliveryStreamOutput](t)(r.CreateDeliveryStream(t.Context(), &sdk.CreateDeliveryStreamInput{
			DeliveryStreamName: name, ExtendedS3DestinationConfiguration: destination(nil), Tags: []types.Tag{{Key: awssdk.String("b"), Value: awssdk.String("1")}, {Key: awssdk.String("a")}},
		}))
		must[*sdk.TagDeliveryStreamOutput](t)(r.TagDeliveryStream(t.Context(), &sdk.TagDeliveryStreamInput{
			DeliveryStreamName: name, Tags: []types.Tag{{Key: awssdk.String("b"), Value: awssdk.String("2")}, {Key: awssdk.String("c"), Value: awssdk.String("3")}},
		}))
		must[*sdk.UntagDeliveryStreamOutput](t)(r.UntagDeliveryStream(t.Context(), &sdk.UntagDeliveryStreamInput{DeliveryStreamName: name, TagKeys: []string{"a", "never"}}))
		show := func(in *sdk.ListTagsForDeliveryStreamInput) string {
			in.DeliveryStreamName = name
			out := must[*sdk.ListTagsForDeliveryStreamOutput](t)(r.ListTagsForDeliveryStream(t.Context(), in))
			text := ""
			for _, tag := range out.Tags {
				text += *tag.Key + "=" + *tag.Value + " "
			}
			return fmt.Sprint(text, *out.HasMoreTags)
		}
		if got := show(&sdk.ListTagsForDeliveryStreamInput{}); got != "b=2 c=3 false" {
			t.Errorf("tags %q", got)
		}
		if got := show(&sdk.ListTagsForDeliveryStreamInput{Limit: awssdk.Int32(1)}); got != "b=2 true" {
			t.Errorf("tags %q", got)
		}
		if got := show(&sdk.ListTagsForDeliveryStreamInput{ExclusiveStartTagKey: awssdk.String("b")}); got != "c=3 false" {
			t.Errorf("tags %q", got)
		}
		var many []types.Tag
		for i := range 49 {
			many = append(many, types.Tag{Key: awssdk.String(fmt.Sprint("many", i))})
		}
		_, err := r.TagDeliveryStream(t.Context(), &sdk.TagDeliveryStreamInput{DeliveryStreamName: name, Tags: many})
		refused(t, err, "LimitExceededException: A delivery stream can have 50 tags, not 51.")
		if *r.describe("s").VersionId != "1" {
			t.Error("tags changed the version")
		}
	})
}

func TestPutErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.kinesis("k", 1)
		r.createKinesis("fed", "k")
		r.create("s", nil)
		put := func(name string, data []byte) error {
			_, err := r.PutRecord(t.Context(), &sdk.PutRecordInput{DeliveryStreamName: &name, Record: &types.Record{Data: data}})
			return err
		}
		refused(t, put("nothing", []byte("x")), "ResourceNotFoundException: Firehose nothing under account 000000000000 not found.")
		refused(t, put("fed", []byte("x")), "InvalidArgumentException: This operation is not permitted on KinesisStreamAsSource delivery stream type.")
		refused(t, put("s", make([]byte, 1_024_001)), "ValidationException: 1 validation error detected: *")
		if err := put("s", make([]byte, 1_024_000)); err != nil {
			t.Error(err)
		}
		batch := func(n, size int) error {
			records := make([]types.Record, n)
			for i := range records {
				records[i].Data = make([]byte, size)
			}
			_, err := r.PutRecordBatch(t.Context(), &sdk.PutRecordBatchInput{DeliveryStreamName: awssdk.String("s"), Records: records})
			return err
		}
		if err := errors.Join(batch(4, 1_000_000), batch(500, 1), batch(500, 4<<20/500)); err != nil {
			t.Error(err)
		}
		refused(t, batch(5, 1_000_000), "InvalidArgumentException: Records size exceeds 4 MB limit")
		refused(t, batch(501, 1), "ValidationException: 1 validation error detected: *")
		out := must[*sdk.PutRecordOutput](t)(r.PutRecord(t.Context(), &sdk.PutRecordInput{DeliveryStreamName: awssdk.String("s"), Record: &types.Record{Data: []byte("x")}}))
		if len(*out.RecordId) == 0 || *out.Encrypted {
			t.Errorf("answer %+v", out)
		}
	})
}

// fullLog has no space left.
type fullLog struct{ stream.Log }

func (fullLog) Append(_ context.Context, entries []stream.Append) *stream.Ticket {
	ticket := stream.NewTicket(len(entries))
	for i := range entries {
		ticket.Results()[i].Err = stream.ErrFull
	}
	ticket.Finish()
	return ticket
}

func TestFullDiskIsSaidPerRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := world(t)
		r.start(t.Context(), fullLog{r.log}, r.state, r.objects)
		defer r.stop()
		r.create("s", nil)
		_, err := r.PutRecord(t.Context(), &sdk.PutRecordInput{DeliveryStreamName: awssdk.String("s"), Record: &types.Record{Data: []byte("x")}})
		refused(t, err, "ServiceUnavailableException: The disk is full: *")
		out := must[*sdk.PutRecordBatchOutput](t)(r.PutRecordBatch(t.Context(), &sdk.PutRecordBatchInput{DeliveryStreamName: awssdk.String("s"), Records: []types.Record{{Data: []byte("x")}, {Data: []byte("y")}}}))
		if *out.FailedPutCount != 2 || len(out.RequestResponses) != 2 || *out.RequestResponses[1].ErrorCode != "ServiceUnavailableException" || out.RequestResponses[1].RecordId != nil {
			t.Errorf("answer %+v", out)
		}
	})
}

func TestDeliveryStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.service.config.MaxDeliveryStreams = 1
		r.create("one", nil)
		_, err := r.CreateDeliveryStream(t.Context(), &sdk.CreateDeliveryStreamInput{DeliveryStreamName: awssdk.String("two"), ExtendedS3DestinationConfiguration: destination(nil)})
		refused(t, err, "LimitExceededException: *")
	})
}

func TestServiceNeedsANode(t *testing.T) {
	if _, err := New(Config{}, Dependencies{Budget: flow.NewBudget(0)}); err == nil {
		t.Error("a service without node name was made")
	}
}
