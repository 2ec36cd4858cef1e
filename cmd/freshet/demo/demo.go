// Package demo shows a node at work on real events: what the machine does, and what the node's own API is asked. Run is the whole of it.
//
// It is a client like any other, of a node in the same process. Machine telemetry goes in through the Kinesis API and is read by a Kafka
// consumer group; the API's access log goes in through the Kafka protocol and is read by a Kinesis consumer with enhanced fan-out; a delivery
// stream for each writes gzip files. A table on the terminal says how all that goes, and three lines to paste read along.
//
// It refuses to make events up: an idle machine shows little traffic.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/firehose"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/app"
)

// Config is what a user can say about the demo.
type Config struct {
	Node app.Config
	Out  io.Writer // a live table if it is a terminal, else plain lines

	// Every is the time between two measurements of the machine; 0 = 500 ms. Deliver is how long the delivery streams buffer; 0 = 15 s.
	Every   time.Duration
	Deliver time.Duration
}

// The streams of the demo.
const (
	machineStream = "machine"
	machineShards = 3
	accessStream  = "access"
	accessShards  = 2

	region = "us-east-1"
	bucket = "demo"
)

// demo is a running demo.
type demo struct {
	cfg      Config
	at       app.Addresses
	logger   *slog.Logger
	aws      aws.Config
	kinesis  *kinesis.Client
	firehose *firehose.Client
	machine  *flowMeter
	access   *flowMeter
	lines    chan app.Access // on their way into the access stream

	kafkaLag   recordLag
	kinesisLag *positions
	lost       atomic.Int64 // events dropped because a stream would not take them in time
	dir        string       // the demo's own directory within the node's
}

// maxPending bounds the events that wait for a stream, of each kind. Beyond that the newest are dropped, counted and shown.
const maxPending = 10_000

// Run starts a node and shows it until ctx ends, then stops everything and returns. Another run with the same data directory goes on where
// this one stopped.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Every == 0 {
		cfg.Every = 500 * time.Millisecond
	}
	if cfg.Deliver == 0 {
		cfg.Deliver = 15 * time.Second
	}
	if cfg.Node.Data == "" {
		cfg.Node.Data = app.Defaults().Data
	}
	d := &demo{
		cfg: cfg, dir: filepath.Join(cfg.Node.Data, "demo"), lines: make(chan app.Access, maxPending),
		machine: newFlowMeter(machineStream, machineShards), access: newFlowMeter(accessStream, accessShards),
	}
	if err := os.MkdirAll(d.dir, 0o750); err != nil {
		return fmt.Errorf("demo directory: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("demo log: %w", err)
	}
	d.logger = app.NewLogger(cfg.Node, log)
	if d.kinesisLag, err = loadPositions(filepath.Join(d.dir, "positions.json"), d.logger); err == nil {
		err = d.run(ctx)
	}
	return errors.Join(err, log.Close())
}

// run keeps the node alive longer than its clients.
func (d *demo) run(ctx context.Context) error {
	node, err := app.Start(ctx, d.cfg.Node, app.Deps{Logger: d.logger, Access: d.observe})
	if err != nil {
		return err
	}
	d.at = node.Addresses()
	d.connect()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	stopped := make(chan error, 1)
	working, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		err := node.Run(serving)
		if serving.Err() == nil {
			fail(err)
		}
		stopped <- err
	}()
	err = d.work(working)
	stop()
	return errors.Join(err, <-stopped)
}

// connect makes the clients: the SDK's own, as a user would.
func (d *demo) connect() {
	cfg := aws.Config{
		Region: region, BaseEndpoint: aws.String(d.at.AWS), Credentials: credentials.NewStaticCredentialsProvider("any", "any", ""),
		AppID: "freshet-demo",
	}
	if d.cfg.Node.Auth == app.AuthVerify && len(d.cfg.Node.AccessKeys) > 0 {
		id, secret, _ := strings.Cut(d.cfg.Node.AccessKeys[0], ":")
		cfg.Credentials = credentials.NewStaticCredentialsProvider(id, secret, "")
	}
	d.aws, d.kinesis, d.firehose = cfg, kinesis.NewFromConfig(cfg), firehose.NewFromConfig(cfg)
}

// work makes the streams and runs everything until ctx ends.
func (d *demo) work(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.measure(ctx) })
	group.Go(func() error { return d.ship(ctx) })
	group.Go(func() error { return d.readByKafka(ctx) })
	group.Go(func() error { return d.readByKinesis(ctx) })
	group.Go(func() error { return d.show(ctx) })
	return group.Wait()
}

// prepare makes what is not there yet: two streams, and a delivery stream for each.
func (d *demo) prepare(ctx context.Context) error {
	for name, shards := range map[string]int32{machineStream: machineShards, accessStream: accessShards} {
		_, err := d.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
		var exists *types.ResourceInUseException
		if err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("create stream %s: %w", name, err)
		}
		active := kinesis.NewStreamExistsWaiter(d.kinesis, func(o *kinesis.StreamExistsWaiterOptions) {
			o.MinDelay, o.MaxDelay = 20*time.Millisecond, time.Second
		})
		if err = active.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &name}, time.Minute); err != nil {
			return fmt.Errorf("wait for stream %s: %w", name, err)
		}
		if err = d.deliver(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
