package firehose

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Config names and bounds the service. Zero values mean the defaults.
type Config struct {
	// Node owns the leases of the delivery streams that run here; it is the same after a restart. Required.
	Node string
	// MaxDeliveryStreams bounds how many delivery streams there are.
	MaxDeliveryStreams int
	// DrainTimeout bounds how long a flow may take to write what it has taken, when the service stops or its delivery stream changes.
	DrainTimeout time.Duration
	// SourceRetry is how often a Kinesis stream that is gone is looked for again.
	SourceRetry time.Duration
	// Retry is the back-off after a failed delivery.
	Retry flow.Backoff
}

// The defaults of Config.
const (
	DefaultMaxDeliveryStreams = 5000
	DefaultDrainTimeout       = 5 * time.Second
	DefaultSourceRetry        = 10 * time.Second
)

// Dependencies are what the service stands on; all are required.
type Dependencies struct {
	Log     stream.Log
	State   state.Store
	Objects object.Store
	Clock   clock.Clock
	Random  io.Reader    // seeds the jitter of retries
	Budget  *flow.Budget // of the node's flows
	Logger  *slog.Logger
}

// Service serves the API and delivers. Its methods are safe for concurrent use.
type Service struct {
	config  Config
	log     stream.Log
	state   state.Store
	objects object.Store
	clock   clock.Clock
	budget  *flow.Budget
	logger  *slog.Logger

	cache  cache
	puts   sync.Pool // of *batch.Builder
	zips   sync.Pool // of *gzip.Writer
	meters meters

	mu     sync.Mutex // guards random
	random io.Reader
}

// New returns the service. Nothing is delivered before Run.
func New(config Config, deps Dependencies) (*Service, error) {
	if config.Node == "" {
		return nil, errors.New("firehose: Config.Node must name the node")
	}
	config.MaxDeliveryStreams = cmp.Or(config.MaxDeliveryStreams, DefaultMaxDeliveryStreams)
	config.DrainTimeout = cmp.Or(config.DrainTimeout, DefaultDrainTimeout)
	config.SourceRetry = cmp.Or(config.SourceRetry, DefaultSourceRetry)
	return &Service{
		config: config, log: deps.Log, state: deps.State, objects: deps.Objects, clock: deps.Clock, budget: deps.Budget, logger: deps.Logger,
		random: deps.Random,
	}, nil
}

// API lists what is served.
func (s *Service) API() aws.Service {
	return aws.Service{
		Model:  api.Model,
		Ledger: Ledger,
		Operations: []aws.Operation{
			aws.Handle("CreateDeliveryStream", s.createDeliveryStream),
			aws.Handle("DeleteDeliveryStream", s.deleteDeliveryStream),
			aws.Handle("DescribeDeliveryStream", s.describeDeliveryStream),
			aws.Handle("ListDeliveryStreams", s.listDeliveryStreams),
			aws.Handle("ListTagsForDeliveryStream", s.listTags),
			aws.Handle("PutRecord", s.putRecord),
			aws.Handle("PutRecordBatch", s.putRecordBatch),
			aws.Handle("TagDeliveryStream", s.tag),
			aws.Handle("UntagDeliveryStream", s.untag),
			aws.Handle("UpdateDestination", s.updateDestination),
		},
	}
}

// now is the clock in the milliseconds of the protocol.
func (s *Service) now() time.Time { return s.clock.Now().Truncate(time.Millisecond) }

// newRandom returns a source of jitter for one flow.
func (s *Service) newRandom() (*rand.Rand, error) {
	var seed [16]byte
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.ReadFull(s.random, seed[:]); err != nil {
		return nil, fmt.Errorf("seed jitter: %w", err)
	}
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:]), binary.LittleEndian.Uint64(seed[8:]))), nil
}

// value is what an absent member stands for.
func value[T any](p *T, absent T) T {
	if p == nil {
		return absent
	}
	return *p
}

// Run delivers until ctx ends; then it lets every flow write what it has taken, within DrainTimeout, and returns when all have ended.
func (s *Service) Run(ctx context.Context) error {
	return newSupervisor(s).run(ctx)
}
