package app_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	firehosetypes "github.com/aws/aws-sdk-go-v2/service/firehose/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a node that serves until stop, which may be called twice.
type running struct {
	*app.Node
	stop func() error
}

// start runs a node on free ports, of loopback if c says no addresses. Unless a test stops it, its stop must succeed.
func start(t *testing.T, c app.Config, d app.Deps) running {
	t.Helper()
	c.Kafka, c.AWS = cmp.Or(c.Kafka, "127.0.0.1:0"), cmp.Or(c.AWS, "127.0.0.1:0")
	if c.Data == "" {
		c.Data = t.TempDir()
	}
	node, err := app.Start(t.Context(), c, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	r := running{node, sync.OnceValue(func() error {
		cancel()
		return <-ended
	})}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func kafkaClient(t *testing.T, n running) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Addresses().Kafka), kgo.AllowAutoTopicCreation(), kgo.RetryTimeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func kinesisClient(n running) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(n.Addresses().AWS),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "hunter2", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

func firehoseClient(n running) *firehose.Client {
	return firehose.New(firehose.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(n.Addresses().AWS),
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "hunter2", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func TestNodeTellsOfEachRequest(t *testing.T) {
	accesses := make(chan app.Access, 1000)
	node := start(t, app.Config{}, app.Deps{Access: func(a app.Access) { accesses <- a }})
	if err := kafkaClient(t, node).ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := kinesisClient(node).DescribeStream(t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String("none")}); err == nil {
		t.Fatal("described a stream that is not there")
	}
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	close(accesses)
	seen := map[string]app.Access{}
	for a := range accesses {
		seen[a.Protocol+" "+a.Operation+" "+a.Status] = a
	}
	for _, want := range []string{"kafka Produce ok", "aws kinesis:DescribeStream ResourceNotFoundException"} {
		a, ok := seen[want]
		if !ok || a.Time.IsZero() || a.BytesIn == 0 || a.BytesOut == 0 || a.Latency <= 0 || a.Agent == "" || !strings.HasPrefix(a.Client, "127.0.0.1:") {
			t.Errorf("%s: %+v", want, a)
		}
	}
	line, err := json.Marshal(seen["kafka Produce ok"])
	if err != nil || !strings.Contains(string(line), `"operation":"Produce"`) {
		t.Errorf("as JSON: %s, %v", line, err)
	}
}

func TestNodeLogsWhereItListens(t *testing.T) {
	var log bytes.Buffer
	node := start(t, app.Config{Kafka: "0.0.0.0:0", AWS: "0.0.0.0:0", AWSTLS: "127.0.0.1:0", KafkaAdvertised: "kafka.example:9092", Insecure: true},
		app.Deps{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	for decoder := json.NewDecoder(&log); ; {
		var line struct {
			Msg, Kafka, AWS string
			Advertised      string `json:"kafka_advertised"`
			TLS             string `json:"aws_tls"`
		}
		if err := decoder.Decode(&line); err != nil {
			t.Fatalf("the start was not logged: %v", err)
		}
		if line.Msg != "node started" {
			continue
		}
		for _, address := range []string{line.Kafka, line.AWS} {
			if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().IsUnspecified() {
				t.Errorf("listens on %q, which is not all interfaces", address)
			}
		}
		if !strings.HasPrefix(line.TLS, "127.0.0.1:") || line.Advertised != "kafka.example:9092" {
			t.Errorf("%+v", line)
		}
		return
	}
}

func TestNodeAnswersOperators(t *testing.T) {
	node := start(t, app.Config{Pprof: true}, app.Deps{})
	if _, err := kinesisClient(node).ListStreams(t.Context(), &kinesis.ListStreamsInput{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok", "/debug/pprof/cmdline": "app.test",
		"/metrics": `freshet_aws_requests_total{operation="ListStreams",service="kinesis",status="ok"} 1`,
	} {
		if status, body := get(t, node.Addresses().AWS+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d without %q: %s", path, status, want, body)
		}
	}
	if status, body := get(t, node.Addresses().AWS+"/metrics"); status != http.StatusOK || !strings.Contains(body, "freshet_log_commits_total ") || !strings.Contains(body, "freshet_log_disk_full 0") {
		t.Errorf("no figures of the log: %d %s", status, body)
	}
	plain := start(t, app.Config{}, app.Deps{})
	if status, body := get(t, plain.Addresses().AWS+"/debug/pprof/"); status == http.StatusOK {
		t.Errorf("profiles are served without request: %s", body)
	}
}

func TestNodeVerifiesSignaturesIfAsked(t *testing.T) {
	for key, allowed := range map[string]bool{"AKID:hunter2": true, "AKID:other": false, "OTHER:hunter2": false} {
		node := start(t, app.Config{Auth: app.AuthVerify, AccessKeys: []string{key}}, app.Deps{})
		_, err := kinesisClient(node).ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		if (err == nil) != allowed {
			t.Errorf("with %s: %v", key, err)
		}
	}
}

func TestStartRefusesATakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = app.Start(t.Context(), app.Config{Data: t.TempDir(), Kafka: "127.0.0.1:0", AWS: taken.Addr().String()}, app.Deps{})
	var wrong *app.ConfigError
	if !errors.As(err, &wrong) || wrong.Key != "aws" {
		t.Fatalf("error %v", err)
	}
}

func TestStartRefusesATakenDirectory(t *testing.T) {
	node := start(t, app.Config{}, app.Deps{})
	_, err := app.Start(t.Context(), app.Config{Data: node.Addresses().Data, Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0"}, app.Deps{})
	if !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("error %v", err)
	}
}

func TestStartRefusesAWrongConfiguration(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	_, err := app.Start(t.Context(), app.Config{Data: data, Kafka: "0.0.0.0:0"}, app.Deps{})
	var wrong *app.ConfigError
	if !errors.As(err, &wrong) {
		t.Fatalf("error %v", err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("something was made before the refusal: %v", err)
	}
}

func TestNodeEndsWhenTheLogFails(t *testing.T) {
	var broken atomic.Bool
	failing := vfs.Fault(vfs.NewMem(), func(c *vfs.Call) error {
		if broken.Load() && c.Op == vfs.OpSync {
			return errors.New("the disk is gone")
		}
		return nil
	})
	c := app.Config{Data: t.TempDir(), Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0"}
	node, err := app.Start(t.Context(), c, app.Deps{FS: failing})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Run(context.WithoutCancel(t.Context())) }()
	broken.Store(true)
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Addresses().Kafka), kgo.AllowAutoTopicCreation(), kgo.RetryTimeout(time.Second), kgo.RecordRetries(1))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err == nil {
		t.Error("a record was acknowledged without a disk")
	}
	select {
	case err := <-ended:
		var storage *app.StorageError
		if !errors.As(err, &storage) || !strings.Contains(err.Error(), "the disk is gone") {
			t.Fatalf("node ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the node goes on without a disk")
	}
}

// TestNodeBoundsShards: each protocol says in its own words that there are too many, also for topics that nobody asked for by name.
func TestNodeBoundsShards(t *testing.T) {
	node := start(t, app.Config{MaxShards: 2}, app.Deps{})
	client := kafkaClient(t, node)
	admin := kadm.NewClient(client)
	create := func(partitions int32, topic string) error {
		r, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic)
		return cmp.Or(err, r.Err)
	}
	if err := create(3, "large"); !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("topic of three partitions: %v", err)
	}
	if err := create(1, "t"); err != nil {
		t.Fatal(err)
	}
	if r, err := admin.UpdatePartitions(t.Context(), 3, "t"); err != nil || !errors.Is(r["t"].Err, kerr.PolicyViolation) {
		t.Errorf("three partitions: %+v, %v", r, err)
	}
	if err := create(1, "u"); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "v", Value: []byte("v")}).FirstErr(); !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("record for a topic too many: %v", err)
	}
	_, err := kinesisClient(node).CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1)})
	if _, ok := errors.AsType[*types.LimitExceededException](err); !ok {
		t.Errorf("stream too many: %v", err)
	}
	_, err = firehoseClient(node).CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String("d"),
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{
			BucketARN: aws.String("arn:aws:s3:::bucket"), RoleARN: aws.String("arn:aws:iam::000000000000:role/r"),
		},
	})
	if _, ok := errors.AsType[*firehosetypes.LimitExceededException](err); !ok {
		t.Errorf("delivery stream too many: %v", err)
	}
	if _, err := admin.DeleteTopics(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	if err := create(1, "w"); err != nil {
		t.Errorf("topic in the place of a deleted one: %v", err)
	}
}

// TestNodeTagsAtOnce: changes of one stream at the same moment are made one after the other, all of them.
func TestNodeTagsAtOnce(t *testing.T) {
	node := start(t, app.Config{}, app.Deps{})
	client := kinesisClient(node)
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	const callers = 24
	var calls sync.WaitGroup
	for i := range callers {
		calls.Go(func() {
			_, err := client.AddTagsToStream(t.Context(), &kinesis.AddTagsToStreamInput{
				StreamName: aws.String("s"), Tags: map[string]string{fmt.Sprintf("tag-%02d", i): "v"},
			}, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
			if err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	out, err := client.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: aws.String("s")})
	if err != nil || len(out.Tags) != callers {
		t.Errorf("%d tags, %v", len(out.Tags), err)
	}
}

// TestNodeDeliversWhatIsDeleted: what a delivery stream has gathered of a stream becomes an object before the stream goes.
func TestNodeDeliversWhatIsDeleted(t *testing.T) {
	data := t.TempDir()
	node := start(t, app.Config{Data: data}, app.Deps{})
	streams, deliveries := kinesisClient(node), firehoseClient(node)
	_, err := streams.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	role := aws.String("arn:aws:iam::000000000000:role/r")
	_, err = deliveries.CreateDeliveryStream(t.Context(), &firehose.CreateDeliveryStreamInput{
		DeliveryStreamName: aws.String("d"), DeliveryStreamType: firehosetypes.DeliveryStreamTypeKinesisStreamAsSource,
		KinesisStreamSourceConfiguration: &firehosetypes.KinesisStreamSourceConfiguration{
			KinesisStreamARN: aws.String("arn:aws:kinesis:eu-west-1:000000000000:stream/s"), RoleARN: role,
		},
		ExtendedS3DestinationConfiguration: &firehosetypes.ExtendedS3DestinationConfiguration{BucketARN: aws.String("arn:aws:s3:::lake"), RoleARN: role},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = streams.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), PartitionKey: aws.String("k"), Data: []byte("gathered\n")})
	if err != nil {
		t.Fatal(err)
	}
	clocktest.Eventually(t, "the record is read", func() bool {
		_, metrics := get(t, node.Addresses().AWS+"/metrics")
		_, age, ok := strings.Cut(metrics, `freshet_firehose_s3_data_freshness_seconds{delivery_stream="d"} `)
		return ok && !strings.HasPrefix(age, "0\n")
	})
	if _, err := streams.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("s")}); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(app.ObjectsDir(data), "lake/*/*/*/*/*"))
	if err != nil || len(keys) != 1 {
		t.Errorf("objects %q, %v", keys, err)
	}
}

// TestDiskFailsAtStartOrEnd: that a disk fails is said as such also by a node that does not serve yet, or any more.
func TestDiskFailsAtStartOrEnd(t *testing.T) {
	for _, name := range []string{"next.tmp", "checkpoint.tmp"} { // one is synced first of all, the other last
		t.Run(name, func(t *testing.T) {
			failing := vfs.Fault(vfs.NewMem(), func(c *vfs.Call) error {
				if c.Op == vfs.OpSync && c.Name == name {
					return errors.New("the disk is gone")
				}
				return nil
			})
			c := app.Config{Data: t.TempDir(), Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0"}
			node, err := app.Start(t.Context(), c, app.Deps{FS: failing})
			if err == nil {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				err = node.Run(ctx)
			}
			var storage *app.StorageError
			if !errors.As(err, &storage) || !strings.Contains(err.Error(), "the disk is gone") {
				t.Fatalf("node ended with %v", err)
			}
		})
	}
}

// TestNodeStopsWhileTheDiskHoldsItUp: what waits in the log for space ends when its time to drain is over, and the node with it.
func TestNodeStopsWhileTheDiskHoldsItUp(t *testing.T) {
	var full atomic.Bool
	held := make(chan struct{}, 1)
	disk := vfs.Fault(vfs.NewMem(), func(c *vfs.Call) error {
		if !full.Load() || c.Op != vfs.OpWrite {
			return nil
		}
		select {
		case held <- struct{}{}:
		default:
		}
		return vfs.ErrNoSpace
	})
	c := app.Config{Data: t.TempDir(), Kafka: "127.0.0.1:0", AWS: "127.0.0.1:0", DrainTimeout: 10 * time.Millisecond}
	node, err := app.Start(t.Context(), c, app.Deps{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	client := kafkaClient(t, running{Node: node})
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	deleting, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	var deleted sync.WaitGroup
	deleted.Go(func() { _, _ = kadm.NewClient(client).DeleteTopics(deleting, "t") })
	<-held
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, stream.ErrFull) {
			t.Errorf("node ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the node does not stop")
	}
	giveUp()
	deleted.Wait()
}

func TestNodeStartsAndStopsAgain(t *testing.T) {
	data := t.TempDir()
	for i := range 5 {
		node := start(t, app.Config{Data: data}, app.Deps{})
		client := kafkaClient(t, node)
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if err := node.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNodeStopsUnderWaitingClients(t *testing.T) {
	node := start(t, app.Config{}, app.Deps{})
	client := kafkaClient(t, node)
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(node.Addresses().Kafka), kgo.ConsumeTopics("t"), kgo.FetchMaxWait(time.Minute),
		kgo.ConsumerGroup("g"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if fetches := consumer.PollFetches(ctx); fetches.Err() != nil {
		t.Fatal(fetches.Err())
	}
	subscribe(ctx, t, node)
	began := time.Now()
	if err := node.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("stopping took %s", took)
	}
}

// subscribe opens a SubscribeToShard and reads its events until the node ends it.
func subscribe(ctx context.Context, t *testing.T, node running) {
	t.Helper()
	client := kinesisClient(node)
	described, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("t")})
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
		ConsumerName: aws.String("c"), StreamARN: described.StreamDescriptionSummary.StreamARN,
	})
	if err != nil {
		t.Fatal(err)
	}
	subscription, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer.Consumer.ConsumerARN, ShardId: aws.String("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		t.Fatal(err)
	}
	events := subscription.GetStream().Events()
	first, open := (<-events).(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
	if !open || len(first.Value.Records) != 1 {
		t.Fatalf("first event %+v, %v", first, subscription.GetStream().Err())
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for range events {
		}
	}()
	t.Cleanup(func() {
		<-drained
		_ = subscription.GetStream().Close() // it has ended
	})
}
