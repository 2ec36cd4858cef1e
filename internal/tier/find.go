package tier

import (
	"context"
	"math"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// OffsetAt implements stream.Log.
func (l *Log) OffsetAt(ctx context.Context, id stream.Shard, t time.Time) (stream.Offset, time.Time, bool, error) {
	if s := l.find(id); s != nil {
		fits := func(timestamp int64) bool { return timestamp >= t.UnixMilli() }
		if at, when, ok, err := l.search(ctx, s, fits); ok || err != nil {
			return at, when, ok, err
		}
	}
	return l.Log.OffsetAt(ctx, id, t)
}

// Latest implements stream.Log.
func (l *Log) Latest(ctx context.Context, id stream.Shard) (stream.Offset, time.Time, bool, error) {
	at, when, ok, err := l.Log.Latest(ctx, id)
	s := l.find(id)
	if s == nil || err != nil {
		return at, when, ok, err
	}
	latest, found, err := l.latest(ctx, s)
	if err != nil || !found || ok && when.UnixMilli() > latest {
		return at, when, ok, err
	}
	before, then, found, err := l.search(ctx, s, func(timestamp int64) bool { return timestamp >= latest })
	if err != nil || !found {
		return at, when, ok, err
	}
	return before, then, true, nil
}

// only returns the segments of which something is in no other place than its object, and where the local log begins.
func (l *Log) only(ctx context.Context, s *shard) (*view, []segment, stream.Offset, error) {
	b, err := l.Log.Bounds(ctx, s.id)
	if err != nil {
		return nil, nil, 0, err
	}
	v := s.view.Load()
	if !v.covers(b.Start) {
		return v, nil, b.Start, nil
	}
	return v, v.segments[:v.at(b.Start-1)+1], b.Start, nil
}

// latest returns the largest timestamp of what is in objects only.
func (l *Log) latest(ctx context.Context, s *shard) (latest int64, found bool, err error) {
	v, segments, local, err := l.only(ctx, s)
	latest = math.MinInt64
	for i := range segments {
		g := &segments[i]
		if g.Base >= v.start && g.End <= local {
			latest, found = max(latest, g.Latest), true
			continue
		}
		err = l.records(ctx, s, g, func(int64) bool { return true }, func(offset stream.Offset, timestamp int64) bool {
			if offset >= v.start && offset < local {
				latest, found = max(latest, timestamp), true
			}
			return true
		})
		if err != nil {
			return 0, false, err
		}
	}
	return latest, found, err
}

// search returns the first record that fits of what is in objects only.
func (l *Log) search(ctx context.Context, s *shard, fits func(timestamp int64) bool) (at stream.Offset, when time.Time, ok bool, err error) {
	v, segments, local, err := l.only(ctx, s)
	for i := range segments {
		if err != nil || ok || !fits(segments[i].Latest) {
			continue
		}
		err = l.records(ctx, s, &segments[i], fits, func(offset stream.Offset, timestamp int64) bool {
			if offset >= v.start && offset < local && fits(timestamp) {
				at, when, ok = offset, time.UnixMilli(timestamp), true
			}
			return !ok
		})
		if err != nil && !s.view.Load().has(segments[i].Number) {
			err = nil // given up meanwhile: it has no records
		}
	}
	return at, when, ok, err
}

// records visits the records of those batches of a segment whose largest timestamp may fit, until visit returns false.
func (l *Log) records(ctx context.Context, s *shard, g *segment, may func(latest int64) bool, visit func(stream.Offset, int64) bool) error {
	head, err := l.obtain(ctx, part{s.id, g.Number, blockIndex}, g, nil)
	if err != nil {
		return err
	}
	l.cache.unpin(head)
	more := true
	for k := range head.index.blocks {
		of := &head.index.blocks[k]
		if !more || !may(of.latest) {
			continue
		}
		e, err := l.obtain(ctx, part{s.id, g.Number, k}, g, of)
		if err != nil {
			return err
		}
		for b := e.bytes; len(b) > 0 && more && err == nil; {
			var h batch.Header
			if h, err = batch.Parse(b); err != nil {
				err = corrupt(l.key(s.id, g.Number), of.position, err.Error())
				break
			}
			if may(h.MaxTimestamp) {
				more = visitRecords(b[:h.Length], &h, visit)
			}
			b = b[h.Length:]
		}
		l.cache.unpin(e)
		if err != nil {
			return err
		}
	}
	return nil
}

// visitRecords visits the records of a batch until visit returns false, and returns what it returned last. A batch whose records cannot be read
// counts as one record.
func visitRecords(b []byte, h *batch.Header, visit func(stream.Offset, int64) bool) bool {
	more := true
	err := batch.Records(b, 0, func(r *batch.Record) bool {
		more = visit(stream.Offset(r.Offset), r.Timestamp)
		return more
	})
	if err != nil && more {
		return visit(stream.Offset(h.BaseOffset), h.MaxTimestamp)
	}
	return more
}
