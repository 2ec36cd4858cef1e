package firehose

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
)

func FuzzParsePrefix(f *testing.F) {
	for _, seed := range []string{
		"", "raw/", "!{timestamp:yyyy/MM/dd}/", "a!{timestamp:'day='dd}b!{firehose:random-string}", "e/!{firehose:error-output-type}/",
		"!{partitionKeyFromQuery:k}", "!{", "!{}", "!{:}", "!{timestamp:'}", "!!{{firehose:random-string}}", "!{timestamp:" + strings.Repeat("y", 40) + "}",
	} {
		f.Add(seed)
	}
	at := time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePrefix("Prefix", text)
		if err != nil {
			if _, ok := errors.AsType[*aws.Error](err); !ok {
				t.Fatalf("%q: %v is no answer", text, err)
			}
			return
		}
		once, again := p.evaluate(at, "seed"), p.evaluate(at, "seed")
		if once != again || !p.expressions() && once != text {
			t.Fatalf("%q becomes %q and %q", text, once, again)
		}
	})
}

// FuzzARNs takes apart what the model lets pass as the ARN of a bucket or of a Kinesis stream.
func FuzzARNs(f *testing.F) {
	for _, seed := range []string{
		"arn:aws:s3:::lake", "arn:aws-cn:s3:::a.b-c", "arn::s3:::", "arn:aws:s3:::s3:::x", "arn:aws:s3:::..",
		"arn:aws:kinesis:eu-central-1:000000000000:stream/clicks", "arn:a:b:kinesis:r:000000000000:stream/s", "arn:a:b:kinesis:000000000000:111111111111:stream/s", "arn::kinesis:r:000000000000:stream/.",
	} {
		f.Add(seed)
	}
	whole := func(name string) *regexp.Regexp {
		return regexp.MustCompile("^(?s:" + api.Model.Shape(name).Pattern + ")$")
	}
	buckets, streams := whole("BucketARN"), whole("KinesisStreamARN")
	call := &aws.Call{Account: "000000000000"}
	f.Fuzz(func(t *testing.T, arn string) {
		if buckets.MatchString(arn) {
			d := &delivery{Name: "s", Version: 1, Destination: api.ExtendedS3DestinationConfiguration{BucketARN: &arn}}
			withDefaults(&d.Destination)
			if l, err := compile(d); err == nil && (object.CheckBucket(l.bucket) != nil || !strings.HasSuffix(arn, ":"+l.bucket)) {
				t.Fatalf("%q names the bucket %q", arn, l.bucket)
			}
		}
		if streams.MatchString(arn) {
			d := &delivery{Name: "s", Type: api.DeliveryStreamTypeKinesisStreamAsSource}
			err := setSource(call, d, &api.CreateDeliveryStreamInput{KinesisStreamSourceConfiguration: &api.KinesisStreamSourceConfiguration{KinesisStreamARN: &arn, RoleARN: new("r")}})
			if err == nil && !strings.HasSuffix(arn, ":"+call.Account+":stream/"+string(d.source())) {
				t.Fatalf("%q names the stream %q of account %s", arn, d.source(), call.Account)
			}
		}
	})
}
