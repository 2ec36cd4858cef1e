package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/clock"
)

// Kinesis is what the agent calls; *kinesis.Client is one. Its own retries should be off: the agent knows which members have failed.
type Kinesis interface {
	PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
	DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	CreateStream(context.Context, *kinesis.CreateStreamInput, ...func(*kinesis.Options)) (*kinesis.CreateStreamOutput, error)
}

// maxRecordBytes bounds data and key of one record: what every stream accepts.
const maxRecordBytes = 1 << 20

// The pauses between attempts grow from the first to the last, each shortened by up to a half at random.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 10 * time.Second
)

// sender puts batches into the stream.
type sender struct {
	client Kinesis
	stream string
	clock  clock.Clock
	logger *slog.Logger

	mu     sync.Mutex // guards random
	random *rand.Rand

	records, bytes, retried, requests atomic.Int64
}

func newSender(cfg Config, deps Deps) *sender {
	return &sender{client: deps.Client, stream: cfg.Stream, clock: deps.Clock, logger: deps.Logger, random: deps.Random}
}

// randomKey returns a partition key that spreads records over all shards.
func (s *sender) randomKey() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%016x", s.random.Uint64())
}

// ready waits until the stream can be written to, and makes it if shards > 0 and there is none.
func (s *sender) ready(ctx context.Context, shards int32) error {
	for attempt := 0; ; attempt++ {
		out, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.stream})
		var none *types.ResourceNotFoundException
		switch {
		case err == nil:
			status := out.StreamDescriptionSummary.StreamStatus
			if status == types.StreamStatusActive || status == types.StreamStatusUpdating {
				return nil
			}
			s.logger.Info("waiting for the stream", "stream", s.stream, "status", status)
		case errors.As(err, &none) && shards == 0:
			return fmt.Errorf("stream %s does not exist: create it, or let --create N make it with N shards", s.stream)
		case errors.As(err, &none):
			_, err = s.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &s.stream, ShardCount: &shards})
			var exists *types.ResourceInUseException
			if err == nil || errors.As(err, &exists) {
				continue
			}
			if refused(err) {
				return fmt.Errorf("create stream %s: %w", s.stream, err)
			}
			s.logger.Warn("create stream", "stream", s.stream, "error", err)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case refused(err):
			return fmt.Errorf("describe stream %s: %w", s.stream, err)
		default:
			s.logger.Warn("waiting for the endpoint", "stream", s.stream, "error", err)
		}
		if err := s.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// send puts entries into the stream and returns when each is accepted: refused members are sent again, the others not. It gives up when ctx
// ends, or if the stream refuses everything.
func (s *sender) send(ctx context.Context, entries []types.PutRecordsRequestEntry) error {
	for attempt := 0; ; attempt++ {
		s.requests.Add(1)
		out, err := s.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &s.stream, Records: entries})
		switch {
		case err == nil && len(out.Records) != len(entries):
			return fmt.Errorf("put records into %s: %d results for %d records", s.stream, len(out.Records), len(entries))
		case err == nil:
			failed, why := s.sort(entries, out.Records)
			if len(failed) == 0 {
				return nil
			}
			if len(failed) < len(entries) {
				attempt = 0
			}
			s.logger.Debug("records refused", "stream", s.stream, "failed", len(failed), "of", len(entries), "reason", why)
			entries = failed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case refused(err):
			return fmt.Errorf("put records into %s: %w", s.stream, err)
		default:
			s.logger.Warn("put records", "stream", s.stream, "attempt", attempt+1, "error", err)
		}
		s.retried.Add(int64(len(entries)))
		if err := s.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// sort counts the accepted entries and returns the others, and why the first of them was refused.
func (s *sender) sort(entries []types.PutRecordsRequestEntry, results []types.PutRecordsResultEntry) ([]types.PutRecordsRequestEntry, string) {
	var failed []types.PutRecordsRequestEntry
	why := ""
	for i, r := range results {
		if r.ErrorCode != nil {
			if why == "" {
				why = *r.ErrorCode + ": " + aws.ToString(r.ErrorMessage)
			}
			failed = append(failed, entries[i])
			continue
		}
		s.records.Add(1)
		s.bytes.Add(int64(len(entries[i].Data)))
	}
	return failed, why
}

func (s *sender) pause(ctx context.Context, attempt int) error {
	d := lastPause
	if attempt < 8 {
		d = min(firstPause<<attempt, lastPause)
	}
	s.mu.Lock()
	d -= time.Duration(s.random.Int64N(int64(d / 2)))
	s.mu.Unlock()
	return clock.Sleep(ctx, s.clock, d)
}

// refusals are the codes after which asking again would not help.
var refusals = []string{
	"ResourceNotFoundException", "ValidationException", "InvalidArgumentException", "AccessDeniedException", "UnrecognizedClientException",
	"InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "InvalidClientTokenId",
	"ExpiredTokenException", "OptInRequired", "SubscriptionRequiredException", "KMSAccessDeniedException", "KMSNotFoundException", "KMSOptInRequired",
	"KMSDisabledException", "KMSInvalidStateException", "UnknownOperationException",
}

func refused(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(refusals, api.ErrorCode())
}
