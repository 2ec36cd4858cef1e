package kinesis

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Config bounds the service. Zero values mean the defaults.
type Config struct {
	// ShardLimit bounds the open shards of all streams together, what DescribeLimits says and CreateStream enforces.
	ShardLimit int
	// OnDemandStreamLimit bounds the streams in on-demand mode.
	OnDemandStreamLimit int
	// MaxSubscriptions bounds the SubscribeToShard calls that are open at a time.
	MaxSubscriptions int
}

// The defaults of Config.
const (
	DefaultShardLimit          = 20_000
	DefaultOnDemandStreamLimit = 1_000
	DefaultMaxSubscriptions    = 10_000
)

// Dependencies are what the service stands on; all are required.
type Dependencies struct {
	Log    stream.Log
	State  state.Store
	Clock  clock.Clock
	Random io.Reader // seeds the signing of iterators and tokens
	Logger *slog.Logger
}

// Service serves the API. Its methods are safe for concurrent use.
type Service struct {
	config Config
	log    stream.Log
	state  state.Store
	clock  clock.Clock
	logger *slog.Logger
	sealer *sealer

	settings      settingsCache
	former        former
	reads         readBudget
	decompressing chan struct{} // has a token per reader who decompresses
	unreadable    unreadable
	puts          sync.Pool // of *putScratch
	pages         sync.Pool // of *page
	subscriptions subscriptions
}

// New reads or creates the service's secret in State.
func New(ctx context.Context, config Config, deps Dependencies) (*Service, error) {
	if config.ShardLimit == 0 {
		config.ShardLimit = DefaultShardLimit
	}
	if config.OnDemandStreamLimit == 0 {
		config.OnDemandStreamLimit = DefaultOnDemandStreamLimit
	}
	if config.MaxSubscriptions == 0 {
		config.MaxSubscriptions = DefaultMaxSubscriptions
	}
	sealer, err := newSealer(ctx, deps.State, deps.Random)
	if err != nil {
		return nil, fmt.Errorf("start kinesis: %w", err)
	}
	return &Service{
		config: config,
		log:    deps.Log,
		state:  deps.State,
		clock:  deps.Clock,
		logger: deps.Logger,
		sealer: sealer,

		decompressing: make(chan struct{}, maxDecompressing),

		puts:  sync.Pool{New: func() any { return new(putScratch) }},
		pages: sync.Pool{New: func() any { return new(page) }},
	}, nil
}

// Run removes what deleted streams left in State, then waits. When ctx ends it ends the open subscriptions, as if their five minutes were
// over, takes no new ones, and returns when the last has ended: after it the front door can drain.
func (s *Service) Run(ctx context.Context) error {
	if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("sweep kinesis documents: %w", err)
	}
	<-ctx.Done()
	s.subscriptions.drain()
	return nil
}

// API lists what is served.
func (s *Service) API() aws.Service {
	return aws.Service{
		Model:  api.Model,
		Ledger: Ledger,
		Operations: []aws.Operation{
			aws.Handle("AddTagsToStream", s.addTagsToStream),
			aws.Handle("CreateStream", s.createStream),
			aws.Handle("DecreaseStreamRetentionPeriod", s.decreaseRetention),
			aws.Handle("DeleteStream", s.deleteStream),
			aws.Handle("DeregisterStreamConsumer", s.deregisterConsumer),
			aws.Handle("DescribeLimits", s.describeLimits),
			aws.Handle("DescribeStream", s.describeStream),
			aws.Handle("DescribeStreamConsumer", s.describeConsumer),
			aws.Handle("DescribeStreamSummary", s.describeStreamSummary),
			aws.Handle("GetRecords", s.getRecords),
			aws.Handle("GetShardIterator", s.getShardIterator),
			aws.Handle("IncreaseStreamRetentionPeriod", s.increaseRetention),
			aws.Handle("ListShards", s.listShards),
			aws.Handle("ListStreamConsumers", s.listConsumers),
			aws.Handle("ListStreams", s.listStreams),
			aws.Handle("ListTagsForResource", s.listTagsForResource),
			aws.Handle("ListTagsForStream", s.listTagsForStream),
			aws.Handle("PutRecord", s.putRecord),
			aws.Handle("PutRecords", s.putRecords),
			aws.Handle("RegisterStreamConsumer", s.registerConsumer),
			aws.Handle("RemoveTagsFromStream", s.removeTagsFromStream),
			aws.HandleStream("SubscribeToShard", s.subscribeToShard),
			aws.Handle("TagResource", s.tagResource),
			aws.Handle("UntagResource", s.untagResource),
		},
	}
}

// now is the clock in the milliseconds of the protocol.
func (s *Service) now() time.Time { return s.clock.Now().Truncate(time.Millisecond) }
