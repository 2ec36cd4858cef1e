package firehose

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/object"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/stream"
)

const uuidForm = `[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`

func TestDirectPutIsDeliveredByIntervalUnderTheDefaultKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("orders", nil)
		time.Sleep(90 * time.Minute) // it is 01:30 on January 1st, 2000
		r.put("orders", "one", "", "two\n")
		r.after(10 * time.Second)
		r.put("orders", "three")
		r.after(50*time.Second - 1)
		if keys := r.keys(); len(keys) != 0 {
			t.Fatalf("delivered before the interval was over: %q", keys)
		}
		r.after(1)
		keys := r.keys()
		if len(keys) != 1 || !regexp.MustCompile(`^2000/01/01/01/orders-1-2000-01-01-01-30-00-`+uuidForm+`$`).MatchString(keys[0]) {
			t.Fatalf("keys %q", keys)
		}
		if got := r.content(keys[0]); got != "onetwo\nthree" {
			t.Errorf("content %q", got)
		}
		r.after(time.Hour)
		if more := r.keys(); len(more) != 1 {
			t.Errorf("keys %q", more)
		}
	})
}

func TestSizeIsMeasuredBeforeCompression(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("big", func(d *types.ExtendedS3DestinationConfiguration) { d.CompressionFormat = types.CompressionFormatGzip })
		record := strings.Repeat("a", 1<<18-1) + "\n"
		r.put("big", record, record, record)
		synctest.Wait()
		if keys := r.keys(); len(keys) != 0 {
			t.Fatalf("delivered after 768 KiB: %q", keys)
		}
		r.put("big", record, record)
		synctest.Wait()
		keys := r.keys()
		if len(keys) != 1 || !strings.HasSuffix(keys[0], ".gz") || r.content(keys[0]) != strings.Repeat(record, 4) {
			t.Fatalf("keys %q", keys)
		}
		r.after(time.Minute)
		if keys = r.keys(); len(keys) != 2 || len(r.lines()) != 5 {
			t.Errorf("keys %q", keys)
		}
	})
}

func TestDestinationDecidesTheKey(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*types.ExtendedS3DestinationConfiguration)
		want   string // regular expression
	}{
		{"plain prefix", func(d *types.ExtendedS3DestinationConfiguration) { d.Prefix = awssdk.String("raw/") }, `raw/2000/01/01/01/s-1-2000-01-01-01-30-00-UUID`},
		{"prefix without slash abuts", func(d *types.ExtendedS3DestinationConfiguration) {
			d.Prefix, d.ErrorOutputPrefix = awssdk.String("dt=!{timestamp:yyyy-MM-dd}_"), awssdk.String("failed/!{firehose:error-output-type}/")
		}, `dt=2000-01-01_s-1-2000-01-01-01-30-00-UUID`},
		{"hive", func(d *types.ExtendedS3DestinationConfiguration) {
			d.Prefix = awssdk.String("year=!{timestamp:yyyy}/month=!{timestamp:MM}/!{timestamp:'day='dd'/hour='HH}/")
			d.ErrorOutputPrefix = awssdk.String("failed/")
		}, `year=2000/month=01/day=01/hour=01/s-1-2000-01-01-01-30-00-UUID`},
		{"random strings differ, and do not replace the time", func(d *types.ExtendedS3DestinationConfiguration) {
			d.Prefix, d.ErrorOutputPrefix = awssdk.String("!{firehose:random-string}/!{firehose:random-string}/"), awssdk.String("failed/")
		}, `[a-zA-Z0-9]{11}/[a-zA-Z0-9]{11}/2000/01/01/01/s-1-2000-01-01-01-30-00-UUID`},
		{"time zone and extension", func(d *types.ExtendedS3DestinationConfiguration) {
			d.CustomTimeZone, d.FileExtension, d.CompressionFormat = awssdk.String("Asia/Tokyo"), awssdk.String(".json.gz"), types.CompressionFormatGzip
		}, `2000/01/01/10/s-1-2000-01-01-10-30-00-UUID\.json\.gz`},
		{"delimiter", func(d *types.ExtendedS3DestinationConfiguration) {
			d.ProcessingConfiguration = &types.ProcessingConfiguration{Enabled: awssdk.Bool(true), Processors: []types.Processor{{Type: types.ProcessorTypeAppendDelimiterToRecord}}}
		}, `2000/01/01/01/s-1-2000-01-01-01-30-00-UUID`},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.create("s", row.change)
				time.Sleep(90 * time.Minute)
				r.put("s", "a", "b")
				r.after(time.Minute)
				keys := r.keys()
				if want := "^" + strings.ReplaceAll(row.want, "UUID", uuidForm) + "$"; len(keys) != 1 || !regexp.MustCompile(want).MatchString(keys[0]) {
					t.Fatalf("keys %q, want %s", keys, want)
				}
				want := "ab"
				if row.name == "delimiter" {
					want = "a\nb\n"
				}
				if got := r.content(keys[0]); got != want {
					t.Errorf("content %q, want %q", got, want)
				}
				if parts := strings.Split(keys[0], "/"); len(parts[0]) == 11 && parts[0] == parts[1] {
					t.Errorf("the two random strings are the same: %s", keys[0])
				}
			})
		})
	}
}

func TestKinesisStreamIsDeliveredFromTheMomentOfCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		source := r.kinesis("clicks", 2)
		r.append(source.Shard(0), "before\n")
		r.createKinesis("d", "clicks")
		r.append(source.Shard(1), "b\n")
		r.append(source.Shard(0), "a\n", string(aggregate("c\n", "d\n")))
		r.after(time.Minute)
		if got := r.lines(); !slices.Equal(got, []string{"a\n", "c\n", "d\n", "b\n"}) {
			t.Errorf("delivered %q", got)
		}
		if len(r.keys()) != 1 {
			t.Errorf("keys %q: the shards of a stream share a buffer", r.keys())
		}
		described := r.describe("d").Source.KinesisStreamSourceDescription
		if *described.KinesisStreamARN != "arn:aws:kinesis:eu-central-1:000000000000:stream/clicks" || described.DeliveryStartTimestamp.IsZero() {
			t.Errorf("source %+v", described)
		}
	})
}

func TestKinesisStreamThatComesBackIsDeliveredFromItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		source := r.kinesis("clicks", 1)
		r.createKinesis("d", "clicks")
		if err := r.log.Delete(t.Context(), source.ID); err != nil {
			t.Fatal(err)
		}
		r.after(time.Hour)
		source = r.kinesis("clicks", 1)
		r.append(source.Shard(0), "again\n")
		r.after(2 * time.Minute)
		if got := r.lines(); !slices.Equal(got, []string{"again\n"}) {
			t.Errorf("delivered %q", got)
		}
	})
}

// A stream that is about to be deleted is delivered as far as it was gathered, and the delivery stream goes on until it is.
func TestFlushDeliversBeforeADeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		source := r.kinesis("clicks", 2)
		r.createKinesis("d", "clicks")
		r.kinesis("views", 1)
		r.createKinesis("other", "views")
		synctest.Wait()
		if _, err := r.log.Alter(t.Context(), source.ID, stream.Change{Shards: new(int32(3))}); err != nil {
			t.Fatal(err)
		}
		r.append(source.Shard(0), "a\n")
		r.append(source.Shard(2), "b\n")
		r.service.Flush(t.Context(), source.ID)
		if got := r.lines(); !slices.Equal(got, []string{"a\n", "b\n"}) {
			t.Errorf("flushed %q", got)
		}
		r.append(source.Shard(1), "c\n")
		r.after(time.Second)
		if err := r.log.Delete(t.Context(), source.ID); err != nil {
			t.Fatal(err)
		}
		r.after(time.Hour)
		if status, ok, err := r.service.Status(t.Context(), "d"); err != nil || !ok || status.Lost != 1 {
			t.Errorf("status %+v, %v", status, err)
		}
	})
}

func TestRestartBetweenCreationAndFirstRunLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := world(t)
		r.start(t.Context(), r.log, r.state, r.objects)
		source := r.kinesis("clicks", 1)
		r.append(source.Shard(0), "before\n")
		r.stop() // nothing runs, the API still answers
		r.createKinesis("d", "clicks")
		r.append(source.Shard(0), "after\n")
		r.start(t.Context(), r.log, r.state, r.objects)
		defer r.stop()
		r.after(time.Minute)
		if got := r.lines(); !slices.Equal(got, []string{"after\n"}) {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestUpdateDeliversOldRecordsUnderTheOldConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", func(d *types.ExtendedS3DestinationConfiguration) { d.Prefix = awssdk.String("old/") })
		r.put("s", "1\n")
		r.after(time.Second)
		update := func(version string, u *types.ExtendedS3DestinationUpdate) error {
			_, err := r.UpdateDestination(t.Context(), &sdk.UpdateDestinationInput{
				DeliveryStreamName: awssdk.String("s"), CurrentDeliveryStreamVersionId: &version, DestinationId: awssdk.String(destinationID), ExtendedS3DestinationUpdate: u,
			})
			return err
		}
		if err := update("1", &types.ExtendedS3DestinationUpdate{Prefix: awssdk.String("new/"), BufferingHints: hints(2, 30)}); err != nil {
			t.Fatal(err)
		}
		r.after(time.Second)
		r.put("s", "2\n")
		r.after(30 * time.Second)
		keys := r.keys()
		if len(keys) != 2 || !strings.HasPrefix(keys[0], "new/2000/01/01/00/s-2-") || !strings.HasPrefix(keys[1], "old/2000/01/01/00/s-1-") {
			t.Fatalf("keys %q", keys)
		}
		if got := r.lines(); !slices.Equal(got, []string{"2\n", "1\n"}) {
			t.Errorf("delivered %q", got)
		}
		d := r.describe("s")
		extended := d.Destinations[0].ExtendedS3DestinationDescription
		if *d.VersionId != "2" || *extended.Prefix != "new/" || *extended.BufferingHints.IntervalInSeconds != 30 || *extended.RoleARN != role || d.LastUpdateTimestamp == nil {
			t.Errorf("described %+v", d)
		}
		refused(t, update("1", &types.ExtendedS3DestinationUpdate{}),
			"ConcurrentModificationException: Cannot update firehose: s since the current version id: 2 and specified version id: 1 do not match")
		refused(t, update("2", &types.ExtendedS3DestinationUpdate{Prefix: awssdk.String("!{timestamp:b}")}), "InvalidArgumentException: Prefix has an invalid expression !{timestamp:b}*")
		refused(t, update("2", nil), "InvalidArgumentException: Exactly one destination configuration is supported for a Firehose")
		if *r.describe("s").VersionId != "2" {
			t.Error("a refused update changed the version")
		}
	})
}

func TestDeleteDeliversWhatWasTakenAndFreesTheName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for round := range 2 {
			r.create("s", nil)
			r.put("s", fmt.Sprintf("%d\n", round))
			synctest.Wait()
			if _, err := r.DeleteDeliveryStream(t.Context(), &sdk.DeleteDeliveryStreamInput{DeliveryStreamName: awssdk.String("s")}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			_, err := r.DescribeDeliveryStream(t.Context(), &sdk.DescribeDeliveryStreamInput{DeliveryStreamName: awssdk.String("s")})
			refused(t, err, "ResourceNotFoundException: Firehose s under account 000000000000 not found.")
			time.Sleep(time.Second) // the next object's key differs
		}
		if got := r.lines(); !slices.Equal(got, []string{"0\n", "1\n"}) {
			t.Errorf("delivered %q", got)
		}
		streams, err := r.log.Streams(t.Context())
		docs, err2 := r.state.List(t.Context(), flow.Kind, "")
		owners, err3 := r.log.Owners(t.Context(), "")
		if len(streams) != 0 || len(docs) != 0 || len(owners) != 0 || err != nil || err2 != nil || err3 != nil {
			t.Errorf("left: streams %v, documents %v, cursors of %v", streams, docs, owners)
		}
	})
}

// hanging is a store that takes no object, and says nothing.
type hanging struct{ object.Store }

func (hanging) Create(ctx context.Context, _ object.Name) (object.Writer, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestDeletionEndsInTime: with a destination that hangs a deletion takes the time it may, not that of stopping and that of draining.
func TestDeletionEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := world(t)
		r.start(t.Context(), r.log, r.state, hanging{r.objects})
		t.Cleanup(r.stop)
		r.create("s", nil)
		r.put("s", "1\n")
		r.after(time.Minute) // it is being delivered
		began := time.Now()
		if _, err := r.DeleteDeliveryStream(t.Context(), &sdk.DeleteDeliveryStreamInput{DeliveryStreamName: awssdk.String("s")}); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := r.DescribeDeliveryStream(t.Context(), &sdk.DescribeDeliveryStreamInput{DeliveryStreamName: awssdk.String("s")}); err != nil {
				refused(t, err, "ResourceNotFoundException*")
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > DefaultDrainTimeout+time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestStopDeliversWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", nil)
		r.put("s", "1\n", "2\n")
		synctest.Wait()
		r.stop()
		if got := r.lines(); !slices.Equal(got, []string{"1\n", "2\n"}) {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestInternalStreamIsMarkedAndTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", nil)
		r.put("s", "1\n", "2\n")
		r.after(time.Minute)
		s, err := r.log.Stream(t.Context(), "__firehose.s")
		if err != nil || !s.Internal() {
			t.Fatalf("%+v, %v", s, err)
		}
		if b, err := r.log.Bounds(t.Context(), s.Shard(0)); err != nil || b.Start != 2 || b.End != 2 {
			t.Errorf("bounds %+v, %v: what is delivered should be gone", b, err)
		}
		// A delivery stream does not read another's.
		_, err = r.CreateDeliveryStream(t.Context(), &sdk.CreateDeliveryStreamInput{
			DeliveryStreamName: awssdk.String("thief"), DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource, ExtendedS3DestinationConfiguration: destination(nil),
			KinesisStreamSourceConfiguration: &types.KinesisStreamSourceConfiguration{
				KinesisStreamARN: awssdk.String("arn:aws:kinesis:eu-central-1:000000000000:stream/__firehose.s"), RoleARN: awssdk.String(role),
			},
		})
		refused(t, err, "InvalidArgumentException: Kinesis stream __firehose.s under account 000000000000 not found.")
	})
}

// A stream that only has the name of a delivery stream's own keeps its records, whatever becomes of the delivery stream.
func TestStreamOfSomebodyElseIsNotTakenForTheInternalOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		precious := r.kinesis("__firehose.s", 1)
		r.append(precious.Shard(0), "1\n", "2\n")
		kept := func(when string) {
			t.Helper()
			r.after(2 * time.Minute)
			if b, err := r.log.Bounds(t.Context(), precious.Shard(0)); err != nil || b.Start != 0 || b.End != 2 || len(r.keys()) != 0 {
				t.Errorf("%s: bounds %+v, %v, objects %q", when, b, err, r.keys())
			}
		}
		_, err := r.CreateDeliveryStream(t.Context(), &sdk.CreateDeliveryStreamInput{DeliveryStreamName: awssdk.String("s"), ExtendedS3DestinationConfiguration: destination(nil)})
		refused(t, err, "ResourceInUseException: Firehose s under accountId 000000000000 cannot keep records in stream __firehose.s: one that is not its own has that name.")
		kept("after the creation")

		// A node that was not so careful has left a document behind.
		d := &delivery{Name: "s", Type: api.DeliveryStreamTypeDirectPut, Status: api.DeliveryStreamStatusActive, Version: 1, Destination: api.ExtendedS3DestinationConfiguration{
			BucketARN: awssdk.String("arn:aws:s3:::" + bucket), RoleARN: awssdk.String(role),
		}}
		withDefaults(&d.Destination)
		if err := r.service.save(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		kept("with a document")
		if _, err := r.PutRecord(t.Context(), &sdk.PutRecordInput{DeliveryStreamName: awssdk.String("s"), Record: &types.Record{Data: []byte("x")}}); err == nil {
			t.Error("a record was put into the stream")
		}
		if _, err := r.DeleteDeliveryStream(t.Context(), &sdk.DeleteDeliveryStreamInput{DeliveryStreamName: awssdk.String("s")}); err != nil {
			t.Fatal(err)
		}
		kept("after the deletion")
		if out := must[*sdk.ListDeliveryStreamsOutput](t)(r.ListDeliveryStreams(t.Context(), &sdk.ListDeliveryStreamsInput{})); len(out.DeliveryStreamNames) != 0 {
			t.Errorf("left: %q", out.DeliveryStreamNames)
		}
	})
}

func TestStreamsOfHalfMadeDeliveryStreamsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := world(t)
		for name, labels := range map[stream.Name]map[string]string{
			"__firehose.orphan": {stream.LabelInternal: internalOwner}, "__firehose.user": nil, "other": {stream.LabelInternal: internalOwner},
		} {
			if _, err := r.log.Create(t.Context(), stream.Spec{Name: name, Shards: 1, Labels: labels}); err != nil {
				t.Fatal(err)
			}
		}
		r.start(t.Context(), r.log, r.state, r.objects)
		defer r.stop()
		streams, err := r.log.Streams(t.Context())
		if err != nil || len(streams) != 2 || streams[0].Name != "__firehose.user" || streams[1].Name != "other" {
			t.Errorf("streams %v, %v", streams, err)
		}
	})
}

func TestMetricsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.create("s", nil)
		r.put("s", "12345", "67890")
		r.after(time.Minute)
		r.put("s", "xyz")
		r.after(7 * time.Second)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(r.service)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			m := f.GetMetric()[0]
			if l := m.GetLabel()[0]; l.GetName() != "delivery_stream" || l.GetValue() != "s" {
				t.Errorf("label %v", l)
			}
			got[strings.TrimPrefix(f.GetName(), "freshet_firehose_")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		want := map[string]float64{
			"put_record_requests_total": 0, "put_record_batch_requests_total": 2, "incoming_records_total": 3, "incoming_bytes_total": 13, "rejected_records_total": 0,
			"s3_delivered_objects_total": 1, "s3_delivered_records_total": 2, "s3_delivered_bytes_total": 10, "s3_failed_writes_total": 0,
			"s3_data_freshness_seconds": 7, "lag_records": 1, "lost_records": 0, "unreadable_batches": 0,
		}
		if !maps.Equal(got, want) {
			t.Errorf("metrics %v, want %v", got, want)
		}
	})
}
