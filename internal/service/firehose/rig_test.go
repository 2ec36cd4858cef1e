package firehose

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/memory"
	"github.com/freshet/freshet/internal/object/objecttest"
	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

const (
	role   = "arn:aws:iam::000000000000:role/delivery"
	bucket = "lake"
)

// rig is a service on memory behind the front door, called by the SDK. It lives in a synctest bubble, where time is virtual.
type rig struct {
	*sdk.Client
	t       *testing.T
	service *Service
	log     stream.Log
	state   state.Store
	objects object.Store
	logged  *bytes.Buffer
	stop    func() // waits for Run
}

// world is what outlives a service.
func world(t *testing.T) *rig {
	t.Helper()
	l := memlog.New(clock.Real(), rand.NewChaCha8([32]byte{1}))
	t.Cleanup(func() { l.Close() })
	return &rig{t: t, log: l, state: memstate.New(clock.Real()), objects: memory.New(clock.Real()), logged: new(bytes.Buffer)}
}

// newRig starts a service; it is stopped at the end of the test.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := world(t)
	r.start(t.Context(), r.log, r.state, r.objects)
	t.Cleanup(r.stop)
	return r
}

func (r *rig) start(ctx context.Context, log stream.Log, store state.Store, objects object.Store) {
	r.t.Helper()
	logger := slog.New(slog.NewTextHandler(r.logged, nil))
	var err error
	r.service, err = New(Config{Node: "node-1"}, Dependencies{
		Log: log, State: store, Objects: objects, Clock: clock.Real(), Random: rand.NewChaCha8([32]byte{2}), Budget: flow.NewBudget(0), Logger: logger,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	door, err := aws.New(aws.Config{Services: []aws.Service{r.service.API()}, Clock: clock.Real(), Random: rand.NewChaCha8([32]byte{3}), Log: logger})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Client = sdk.New(sdk.Options{
		Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""), RetryMaxAttempts: 1,
		BaseEndpoint: new("http://freshet.test"), HTTPClient: &http.Client{Transport: inProcess{door}},
	})
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.service.Run(running) }()
	stopped := false
	r.stop = func() {
		if cancel(); stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil && ctx.Err() == nil {
			r.t.Errorf("run: %v", err)
		}
	}
	synctest.Wait()
}

// inProcess is a connection to a handler.
type inProcess struct{ handler http.Handler }

func (c inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	in := httptest.NewRequestWithContext(request.Context(), request.Method, request.URL.String(), request.Body)
	in.Header = request.Header
	in.ContentLength = request.ContentLength
	out := httptest.NewRecorder()
	c.handler.ServeHTTP(out, in)
	return out.Result(), nil
}

// must fails the test on an error of the SDK: r.must(r.PutRecord(...)).
func must[T any](t *testing.T) func(out T, err error) T {
	return func(out T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// refused checks the code and text of an error; a want that ends in * is a prefix.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	var failure smithy.APIError
	if !errors.As(err, &failure) {
		t.Errorf("error is %v, want %s", err, want)
		return
	}
	got := failure.ErrorCode() + ": " + failure.ErrorMessage()
	if prefix, ok := strings.CutSuffix(want, "*"); ok && strings.HasPrefix(got, prefix) || got == want {
		return
	}
	t.Errorf("error is\n%s, want\n%s", got, want)
}

func hints(mb, seconds int32) *types.BufferingHints {
	return &types.BufferingHints{SizeInMBs: &mb, IntervalInSeconds: &seconds}
}

// destination is what most tests deliver to; change may change it.
func destination(change func(*types.ExtendedS3DestinationConfiguration)) *types.ExtendedS3DestinationConfiguration {
	d := &types.ExtendedS3DestinationConfiguration{BucketARN: awssdk.String("arn:aws:s3:::" + bucket), RoleARN: awssdk.String(role), BufferingHints: hints(1, 60)}
	if change != nil {
		change(d)
	}
	return d
}

func (r *rig) create(name string, change func(*types.ExtendedS3DestinationConfiguration)) {
	r.t.Helper()
	_, err := r.CreateDeliveryStream(r.t.Context(), &sdk.CreateDeliveryStreamInput{
		DeliveryStreamName: &name, ExtendedS3DestinationConfiguration: destination(change),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) createKinesis(name, source string) {
	r.t.Helper()
	_, err := r.CreateDeliveryStream(r.t.Context(), &sdk.CreateDeliveryStreamInput{
		DeliveryStreamName: &name, DeliveryStreamType: types.DeliveryStreamTypeKinesisStreamAsSource, ExtendedS3DestinationConfiguration: destination(nil),
		KinesisStreamSourceConfiguration: &types.KinesisStreamSourceConfiguration{
			KinesisStreamARN: awssdk.String("arn:aws:kinesis:eu-central-1:000000000000:stream/" + source), RoleARN: awssdk.String(role),
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) put(name string, records ...string) {
	r.t.Helper()
	var batch []types.Record
	for _, data := range records {
		batch = append(batch, types.Record{Data: []byte(data)})
	}
	out, err := r.PutRecordBatch(r.t.Context(), &sdk.PutRecordBatchInput{DeliveryStreamName: &name, Records: batch})
	if err != nil {
		r.t.Fatal(err)
	}
	if *out.FailedPutCount != 0 || len(out.RequestResponses) != len(records) {
		r.t.Fatalf("put: %+v", out)
	}
}

// kinesis makes a stream of the log, as the Kinesis service does.
func (r *rig) kinesis(name string, shards int32) *stream.Stream {
	r.t.Helper()
	s, err := r.log.Create(r.t.Context(), stream.Spec{Name: stream.Name(name), Shards: shards, Config: stream.Config{Timestamps: stream.LogAppendTime}})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) append(shard stream.Shard, records ...string) {
	r.t.Helper()
	var w batch.Builder
	for _, data := range records {
		w.Add(0, []byte("key"), []byte(data))
	}
	results, err := r.log.Append(r.t.Context(), []stream.Append{{Shard: shard, Batch: w.Finish(batch.NoProducer)}}).Wait(r.t.Context())
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// after lets time pass and everything settle.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) keys() []string {
	r.t.Helper()
	return objecttest.Keys(r.t, r.objects, bucket, object.Query{})
}

// content returns an object as text, unpacked.
func (r *rig) content(key string) string {
	r.t.Helper()
	data := objecttest.Get(r.t, r.objects, object.Name{Bucket: bucket, Key: key})
	if strings.HasSuffix(key, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			data, err = io.ReadAll(z)
		}
		if err != nil {
			r.t.Fatalf("%s: %v", key, err)
		}
	}
	return string(data)
}

// lines returns the lines of all objects, in the order of their keys.
func (r *rig) lines() []string {
	r.t.Helper()
	var all []string
	for _, key := range r.keys() {
		all = slices.AppendSeq(all, strings.Lines(r.content(key)))
	}
	return all
}

func (r *rig) describe(name string) *types.DeliveryStreamDescription {
	r.t.Helper()
	out, err := r.DescribeDeliveryStream(r.t.Context(), &sdk.DescribeDeliveryStreamInput{DeliveryStreamName: &name})
	if err != nil {
		r.t.Fatal(err)
	}
	return out.DeliveryStreamDescription
}
