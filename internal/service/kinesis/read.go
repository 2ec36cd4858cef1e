package kinesis

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// iteratorLife is how long a shard iterator can be used.
	iteratorLife = 5 * time.Minute
	// maxGetRecords bounds one GetRecords; for its bytes see readBudget.
	maxGetRecords = 10_000
	// amazonTime is how the expiry message writes times.
	amazonTime = "Mon Jan 02 15:04:05 UTC 2006"
)

func (s *Service) getShardIterator(ctx context.Context, call *aws.Call, in *api.GetShardIteratorInput) (*api.GetShardIteratorOutput, error) {
	v, sh, err := s.resolveShard(ctx, call, in.StreamName, in.StreamARN, *in.ShardId)
	if err != nil {
		return nil, err
	}
	next, err := s.locate(ctx, call, v, sh, position{
		kind: *in.ShardIteratorType, number: in.StartingSequenceNumber, time: in.Timestamp, operation: "GetShardIterator",
	})
	if err != nil {
		return nil, failure(call, v.Name, err)
	}
	if value(in.DryRun, false) {
		return nil, dryRun()
	}
	token := s.sealer.sealIterator(s.now(), iterator{shard: v.Shard(sh.index), next: next, name: v.Name})
	return &api.GetShardIteratorOutput{ShardIterator: &token}, nil
}

// position is where a request wants to begin.
type position struct {
	kind      api.ShardIteratorType
	number    *string
	time      *time.Time // of AT_TIMESTAMP; the other kinds do not look at it
	operation string     // for messages
}

// locate turns a position into the offset of the first record to read.
func (s *Service) locate(ctx context.Context, call *aws.Call, v view, sh *shard, p position) (stream.Offset, error) {
	sequenced := p.kind == api.ShardIteratorTypeAtSequenceNumber || p.kind == api.ShardIteratorTypeAfterSequenceNumber
	if sequenced != (p.number != nil) {
		found := "no StartingSequenceNumber."
		if p.number != nil {
			found = "also a StartingSequenceNumber."
		}
		return 0, invalidArgument("Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
			"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and %s", p.kind, found)
	}
	switch p.kind {
	case api.ShardIteratorTypeAtTimestamp:
		return s.locateTime(ctx, v, sh, p.time)
	case api.ShardIteratorTypeTrimHorizon:
		bounds, err := s.log.Bounds(ctx, v.Shard(sh.index))
		return bounds.Start, err
	case api.ShardIteratorTypeLatest:
		bounds, err := s.log.Bounds(ctx, v.Shard(sh.index))
		return bounds.LastStable, err // what cannot be read yet is still to come
	}
	return s.locateNumber(ctx, call, v, sh, p)
}

// locateNumber accepts every number that names a record of the shard, trimmed or not, and every position that was handed out: the shard's
// StartingSequenceNumber and the ContinuationSequenceNumber of an empty event have no record either.
func (s *Service) locateNumber(ctx context.Context, call *aws.Call, v view, sh *shard, p position) (stream.Offset, error) {
	q, err := parseSequence(*p.number)
	if err != nil {
		return 0, invalidArgument("StartingSequenceNumber %s used in %s on shard %s in stream %s under account %s is invalid.",
			*p.number, p.operation, sh.id, v.Name, call.Account)
	}
	if q.shard != sh.index {
		return 0, invalidArgument("Invalid StartingSequenceNumber. It encodes %s, while it was used in a call to a shard with %s", shardID(q.shard), sh.id)
	}
	bounds, err := s.log.Bounds(ctx, v.Shard(sh.index))
	if err != nil {
		return 0, err
	}
	closing := !sh.open() && q.index == closedIndex
	if q.older || q.created != clampTime(sh.numbered) || q.index > uint64(bounds.End) && !closing {
		return 0, invalidArgument("StartingSequenceNumber %s used in %s on shard %s in stream %s under account %s is invalid "+
			"because it did not come from this stream.", *p.number, p.operation, sh.id, v.Name, call.Account)
	}
	next := stream.Offset(min(q.index, uint64(bounds.End)))
	if p.kind == api.ShardIteratorTypeAtSequenceNumber && !closing {
		next-- // the number is the record's at the offset before
	}
	return max(next, bounds.Start), nil
}

func (s *Service) locateTime(ctx context.Context, v view, sh *shard, t *time.Time) (stream.Offset, error) {
	if t == nil {
		return 0, invalidArgument("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
	}
	if now := s.now(); t.After(now) {
		return 0, invalidArgument("The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "+
			"timestampInMillis: %d, currentTimestampInMillis: %d", t.UnixMilli(), now.UnixMilli())
	}
	at, _, ok, err := s.log.OffsetAt(ctx, v.Shard(sh.index), *t)
	if err != nil || ok {
		return at, err
	}
	bounds, err := s.log.Bounds(ctx, v.Shard(sh.index))
	return bounds.End, err
}

func (s *Service) getRecords(ctx context.Context, call *aws.Call, in *api.GetRecordsInput) (*api.GetRecordsOutput, error) {
	issued, it, err := s.sealer.openIterator(*in.ShardIterator)
	if err != nil {
		return nil, invalidArgument("Invalid ShardIterator.")
	}
	now := s.now()
	if now.Sub(issued) > iteratorLife {
		return nil, aws.Errorf(api.ErrExpiredIterator, "Iterator expired. The iterator was created at time %s while right now it is %s which is further "+
			"in the future than the tolerated delay of %d milliseconds.", issued.UTC().Format(amazonTime), now.UTC().Format(amazonTime), iteratorLife.Milliseconds())
	}
	if in.StreamARN != nil {
		if name, err := streamName(call, nil, in.StreamARN); err != nil {
			return nil, err
		} else if name != it.name {
			return nil, invalidArgument("StreamARN %s does not match the stream of the ShardIterator.", *in.StreamARN)
		}
	}
	v, sh, err := s.iterated(ctx, call, it)
	if err != nil {
		return nil, err
	}
	if value(in.DryRun, false) {
		return nil, dryRun()
	}
	granted := s.reads.grant()
	p := s.newPage(sh, it.next, int(value(in.Limit, maxGetRecords)), granted)
	defer s.releasePage(p)
	defer func() { s.reads.settle(ctx, granted, p.bytes) }()
	behind, err := s.fill(ctx, v, p)
	if err != nil {
		return nil, asShardNotFound(call, sh.index, v.Name, failure(call, v.Name, err))
	}
	out := &api.GetRecordsOutput{Records: p.answer(), MillisBehindLatest: &behind}
	if children := s.childrenAt(v, sh, p.next); children != nil {
		out.ChildShards = children
		return out, nil
	}
	out.NextShardIterator = new(s.sealer.sealIterator(now, iterator{shard: it.shard, next: p.next, name: it.name}))
	return out, nil
}

// iterated finds what an iterator points into. A stream that was deleted, or deleted and made again, has no such shard any more.
func (s *Service) iterated(ctx context.Context, call *aws.Call, it iterator) (view, *shard, error) {
	st, err := s.log.StreamByID(ctx, it.shard.Stream)
	if err != nil {
		return view{}, nil, asShardNotFound(call, it.shard.Index, it.name, failure(call, it.name, err))
	}
	v, err := s.view(ctx, st)
	if err != nil {
		return view{}, nil, err
	}
	if it.shard.Index < 0 || it.shard.Index >= v.Shards {
		return view{}, nil, shardNotFound(call, shardID(it.shard.Index), it.name)
	}
	return v, &v.shards.all[it.shard.Index], nil
}

// childrenAt returns the children of a closed shard to a reader who has come to its end, and nil to any other. A closed shard always has some.
func (s *Service) childrenAt(v view, sh *shard, next stream.Offset) []api.ChildShard {
	if sh.open() || next < sh.end {
		return nil
	}
	var children []api.ChildShard
	for _, child := range v.shards.children(sh.index) {
		children = append(children, child.describeChild())
	}
	return children
}
