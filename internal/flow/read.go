package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/committed"
)

// source reads a stream's shards for one flow.
type source struct {
	log    stream.Log
	budget *Budget
	// damaged is told of a batch whose records cannot be read: what its producer sent does not decompress, or is not records.
	damaged func(shard stream.Shard, offset stream.Offset, err error)
	// lost is told of records that went before they were read.
	lost func(shard stream.Shard, from, to stream.Offset)
}

// errEnough ends a read because its visitor wants no more.
var errEnough = errors.New("enough")

// read visits the committed records of shard from from, up to before or the shard's last stable offset, at most about ReadBytes at a time, and returns
// where the next read begins and whether there was nothing more. A visitor that returns errEnough has taken that record and wants no more.
func (s *source) read(ctx context.Context, shard stream.Shard, from, before stream.Offset, visit func(*Record, *batch.Header) error) (next stream.Offset, end bool, err error) {
	if err := s.budget.acquire(ctx); err != nil {
		return from, false, err
	}
	defer s.budget.release()
	chunk, aborted, err := committed.Read(ctx, s.log, shard, from, ReadBytes)
	defer chunk.Release()
	if errors.Is(err, stream.ErrOutOfRange) {
		return s.skip(shard, from, before, chunk.Bounds)
	}
	if err != nil {
		return from, false, fmt.Errorf("read shard %d at %d: %w", shard.Index, from, err)
	}
	before = min(before, chunk.Bounds.LastStable)
	next = from
	filter := committed.NewFilter(aborted)
	for _, raw := range chunk.Batches {
		if next >= before {
			return next, true, nil
		}
		if next, err = s.batch(ctx, raw, shard, &filter, next, before, visit); err != nil {
			if errors.Is(err, errEnough) {
				err = nil
			}
			return next, false, err
		}
	}
	if len(chunk.Batches) == 0 {
		return max(next, before), true, nil // what is left has no records: offsets may have gaps
	}
	return next, next >= before, nil
}

// skip answers a read outside the shard's bounds: retention has taken the records, or, after an unclean stop, the log lost its end.
func (s *source) skip(shard stream.Shard, from, before stream.Offset, bounds stream.Bounds) (stream.Offset, bool, error) {
	to := min(bounds.Start, before)
	if from < bounds.Start {
		s.lost(shard, from, to)
		return to, to >= before, nil
	}
	s.lost(shard, bounds.End, from)
	return bounds.End, true, nil
}

// batch visits the records of one batch of the log that lie in [from, before), if they were committed, and returns where it got to.
func (s *source) batch(ctx context.Context, raw []byte, shard stream.Shard, filter *committed.Filter, from, before stream.Offset,
	visit func(*Record, *batch.Header) error,
) (stream.Offset, error) {
	h, err := batch.Parse(raw)
	if err != nil {
		return from, fmt.Errorf("read shard %d at %d: %w", shard.Index, from, err)
	}
	after := stream.Offset(h.LastOffset() + 1)
	if filter.Skips(&h) || after <= from {
		return max(from, after), nil
	}
	if h.Attributes.Codec() != batch.None {
		if err := s.budget.open(ctx); err != nil {
			return from, err
		}
		defer s.budget.close()
	}
	record := Record{Shard: shard.Index}
	var stopped error
	reached := from
	err = batch.Records(raw, batch.DefaultMaxDecompressed, func(r *batch.Record) bool {
		at := stream.Offset(r.Offset)
		if at < from {
			return true
		}
		if at >= before {
			return false
		}
		record.Record, record.Sub = *r, 0
		reached = at + 1
		stopped = visit(&record, &h)
		return stopped == nil
	})
	if stopped != nil {
		return reached, stopped
	}
	if err != nil {
		s.damaged(shard, reached, err)
	}
	return min(after, before), nil
}
