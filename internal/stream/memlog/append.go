package memlog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

// Append implements stream.Log. Memory is as durable as it gets: the ticket is done when Append returns.
func (l *Log) Append(_ context.Context, entries []stream.Append) *stream.Ticket {
	ticket := stream.NewTicket(len(entries))
	defer ticket.Finish()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, a := range entries {
		appended, err := l.appendLocked(a)
		appended.Err = err
		ticket.Results()[i] = appended
	}
	return ticket
}

func (l *Log) appendLocked(a stream.Append) (stream.Appended, error) {
	e, s, err := l.shardLocked(a.Shard)
	if err != nil {
		return stream.Appended{}, err
	}
	h, err := batch.Verify(a.Batch)
	if err != nil {
		return stream.Appended{}, err
	}
	if h.Attributes.Control() {
		return stream.Appended{}, fmt.Errorf("%w: a control batch is not appended, Transact takes markers", stream.ErrInvalid)
	}
	now := l.clock.Now()
	if err := admit(&e.stream.Config, &h, now); err != nil {
		return stream.Appended{}, err
	}
	s.producers.Expire(now.Add(-producers.DefaultExpiration).UnixMilli())
	remembered, duplicate, err := s.producers.Check(&h)
	if err != nil {
		return stream.Appended{}, err
	}
	result := stream.Appended{Base: s.end, Start: s.start, Duplicate: duplicate}
	taken := now
	if duplicate {
		result.Base, taken = remembered.Base, time.UnixMilli(remembered.At)
	}
	if e.stream.Config.Timestamps == stream.LogAppendTime {
		result.Time = time.UnixMilli(taken.UnixMilli())
	}
	if !duplicate {
		h := l.storeLocked(e, s, a.Batch, now)
		s.producers.Record(&h, now.UnixMilli())
	}
	return result, nil
}

// admit checks a batch against what its stream allows.
func admit(c *stream.Config, h *batch.Header, now time.Time) error {
	limit := c.MaxBatchBytes
	if limit <= 0 {
		limit = stream.DefaultMaxBatchBytes
	}
	if h.Length > limit {
		return fmt.Errorf("%w: %d bytes, the stream takes %d", stream.ErrTooLarge, h.Length, limit)
	}
	if c.Timestamps == stream.LogAppendTime || h.MaxTimestamp < 0 {
		return nil
	}
	if c.TimestampAfter > 0 && h.MaxTimestamp > now.Add(c.TimestampAfter).UnixMilli() {
		return fmt.Errorf("%w: %d is more than %s ahead", stream.ErrTimestamp, h.MaxTimestamp, c.TimestampAfter)
	}
	if c.TimestampBefore > 0 && h.BaseTimestamp < now.Add(-c.TimestampBefore).UnixMilli() {
		return fmt.Errorf("%w: %d is more than %s behind", stream.ErrTimestamp, h.BaseTimestamp, c.TimestampBefore)
	}
	return nil
}

func (l *Log) storeLocked(e *entry, s *shard, b []byte, now time.Time) batch.Header {
	b = slices.Clone(b)
	batch.SetBase(b, int64(s.end), s.epoch())
	if e.stream.Config.Timestamps == stream.LogAppendTime {
		batch.SetLogAppendTime(b, now.UnixMilli())
	}
	h, err := batch.Parse(b)
	if err != nil {
		panic(err) // it was verified above
	}
	s.batches = append(s.batches, stored{Header: h, bytes: b, taken: now})
	s.bytes += int64(len(b))
	s.end = stream.Offset(h.LastOffset() + 1 + l.gap)
	l.movedLocked(s.address)
	return h
}
