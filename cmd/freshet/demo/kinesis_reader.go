package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"golang.org/x/sync/errgroup"
)

// kinesisConsumer reads the access stream with enhanced fan-out.
const kinesisConsumer = "freshet-demo"

// positions are how far the Kinesis consumer has read, by shard id, kept in a file.
type positions struct {
	file string

	mu     sync.Mutex
	after  map[string]string // sequence number
	behind map[string]int64  // milliseconds
}

// loadPositions reads what an earlier run has kept. What cannot be understood it reports and leaves: reading from the beginning again shows more, and
// loses nothing.
func loadPositions(file string, logger *slog.Logger) (*positions, error) {
	p := &positions{file: file, behind: map[string]int64{}}
	value, err := os.ReadFile(file) //nolint:gosec // within the data directory
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("positions of the demo's Kinesis consumer: %w", err)
	}
	if err == nil {
		if p.after, err = readPositions(value); err != nil {
			logger.Warn("positions of the Kinesis consumer are damaged, it reads from the beginning", "file", file, "error", err)
		}
	}
	if p.after == nil {
		p.after = map[string]string{}
	}
	return p, nil
}

func readPositions(value []byte) (map[string]string, error) {
	var after map[string]string
	if err := json.Unmarshal(value, &after); err != nil {
		return nil, err
	}
	for shard, number := range after {
		if number == "" || strings.Trim(number, "0123456789") != "" {
			return nil, fmt.Errorf("%q of shard %q is no sequence number", number, shard)
		}
	}
	return after, nil
}

// start returns where to go on in a shard.
func (p *positions) start(shard string) *types.StartingPosition {
	p.mu.Lock()
	defer p.mu.Unlock()
	if after := p.after[shard]; after != "" {
		return &types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: &after}
	}
	return &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
}

func (p *positions) move(shard, after string, behind int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if after != "" {
		p.after[shard] = after
	}
	p.behind[shard] = behind
}

// String is the cell of the table: how far the slowest shard is behind.
func (p *positions) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest int64
	for _, ms := range p.behind {
		longest = max(longest, ms)
	}
	return fmt.Sprintf("%d ms", longest)
}

func (p *positions) save() error {
	p.mu.Lock()
	value, err := json.Marshal(p.after)
	p.mu.Unlock()
	if err != nil {
		return err
	}
	next := p.file + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	if err == nil {
		err = f.Sync() // before the name: a power cut leaves the old positions or these
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(next, p.file)
}

// readByKinesis reads the access stream as a registered consumer, one subscription for each shard, until ctx ends.
func (d *demo) readByKinesis(ctx context.Context) error {
	consumer, shards, err := d.register(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	started := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, shard := range shards {
		group.Go(func() error {
			// A client of its own: the SDK's decoder of events is not safe for several subscriptions of one (aws/smithy-go#714).
			client := kinesis.NewFromConfig(d.aws)
			for ctx.Err() == nil {
				if err := d.subscribe(ctx, client, consumer, shard, started); err != nil && ctx.Err() == nil {
					d.logger.Warn("subscribe to shard", "shard", shard, "error", err)
					_ = pause(ctx, time.Second)
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		for ctx.Err() == nil {
			_ = pause(ctx, time.Second)
			if err := d.kinesisLag.save(); err != nil {
				d.logger.Warn("keep positions", "error", err)
			}
		}
		return nil
	})
	return errors.Join(group.Wait(), d.kinesisLag.save())
}

// register makes the consumer, or finds the one of an earlier run, and lists the shards.
func (d *demo) register(ctx context.Context) (consumer *string, shards []string, err error) {
	stream, err := d.kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(accessStream)})
	if err != nil {
		return nil, nil, fmt.Errorf("describe stream %s: %w", accessStream, err)
	}
	arn, name := stream.StreamDescriptionSummary.StreamARN, aws.String(kinesisConsumer)
	_, err = d.kinesis.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arn, ConsumerName: name})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return nil, nil, fmt.Errorf("register consumer of %s: %w", accessStream, err)
	}
	for {
		out, err := d.kinesis.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: arn, ConsumerName: name})
		if err != nil {
			return nil, nil, fmt.Errorf("describe consumer of %s: %w", accessStream, err)
		}
		if out.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive {
			consumer = out.ConsumerDescription.ConsumerARN
			break
		}
		_ = pause(ctx, 50*time.Millisecond)
	}
	list, err := d.kinesis.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String(accessStream)})
	if err != nil {
		return nil, nil, fmt.Errorf("list shards of %s: %w", accessStream, err)
	}
	for _, s := range list.Shards {
		shards = append(shards, *s.ShardId)
	}
	return consumer, shards, nil
}

// subscribe reads a shard for as long as a subscription lasts: five minutes.
func (d *demo) subscribe(ctx context.Context, client *kinesis.Client, consumer *string, shard string, started time.Time) error {
	out, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: consumer, ShardId: &shard, StartingPosition: d.kinesisLag.start(shard),
	})
	if err != nil {
		return err
	}
	events := out.GetStream()
	for e := range events.Events() {
		got, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
		if !ok {
			continue
		}
		after := ""
		for _, r := range got.Value.Records {
			d.access.got(r.Data, started)
			after = *r.SequenceNumber
		}
		d.kinesisLag.move(shard, after, aws.ToInt64(got.Value.MillisBehindLatest))
	}
	return errors.Join(events.Err(), events.Close())
}
