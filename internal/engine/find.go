package engine

import (
	"context"
	"errors"
	"sort"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// shardSpans returns a shard's spans and bounds at this moment, with their files acquired: the caller releases them.
func (e *Engine) shardSpans(id stream.Shard) (*shard, []*span, stream.Bounds, error) {
	e.view.RLock()
	defer e.view.RUnlock()
	s := e.tables.shards[id]
	if s == nil {
		return nil, nil, stream.Bounds{}, e.noShardLocked(id)
	}
	for _, sp := range s.spans {
		sp.file.acquire()
	}
	return s, s.spans[:len(s.spans):len(s.spans)], s.bounds(e.tables.epoch), nil
}

func releaseSpans(spans []*span) error {
	var errs []error
	for _, sp := range spans {
		errs = append(errs, sp.file.release())
	}
	return errors.Join(errs...)
}

// spanSummary is the part of a span that grows with its file, at a moment.
type spanSummary struct {
	extents []format.Extent  // nil if the index is on disk only
	aborted []stream.Aborted // likewise, or if there are none
	next    stream.Offset
	cut     stream.Offset
	latest  int64
}

func (e *Engine) summary(sp *span) spanSummary {
	e.view.RLock()
	defer e.view.RUnlock()
	return spanSummary{sp.extents, sp.aborted, sp.Next, sp.cut, sp.Latest}
}

// extentsOf returns the extents of a span whose file the caller has acquired.
func (e *Engine) extentsOf(sp *span) ([]format.Extent, error) {
	x, err := e.indexOf(sp)
	return x.extents, err
}

// indexOf returns the index of a span whose file the caller has acquired.
func (e *Engine) indexOf(sp *span) (shardIndex, error) {
	if sum := e.summary(sp); sum.extents != nil {
		return shardIndex{sum.extents, sum.aborted}, nil
	}
	x, err := e.loadIndex(sp)
	return x, e.countDamage(err)
}

// OffsetAt implements stream.Log. Times inside a batch are the producer's; where its records cannot be read, the batch's first offset and
// largest timestamp stand for them.
func (e *Engine) OffsetAt(ctx context.Context, id stream.Shard, t time.Time) (stream.Offset, time.Time, bool, error) {
	return e.findRecord(ctx, id, func(latest int64) bool { return latest >= t.UnixMilli() }, func(timestamp int64) bool { return timestamp >= t.UnixMilli() })
}

// Latest implements stream.Log.
func (e *Engine) Latest(ctx context.Context, id stream.Shard) (stream.Offset, time.Time, bool, error) {
	latest, found, err := e.latestTimestamp(ctx, id)
	if err != nil || !found {
		return 0, time.Time{}, false, err
	}
	return e.findRecord(ctx, id, func(most int64) bool { return most >= latest }, func(timestamp int64) bool { return timestamp == latest })
}

// latestTimestamp returns the largest timestamp of the shard's live batches.
func (e *Engine) latestTimestamp(ctx context.Context, id stream.Shard) (latest int64, found bool, err error) {
	_, spans, bounds, err := e.shardSpans(id)
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, releaseSpans(spans)) }()
	for _, sp := range spans {
		if err := context.Cause(ctx); err != nil {
			return 0, false, err
		}
		sum := e.summary(sp)
		if sp.First >= max(bounds.Start, sum.cut) {
			if !found || sum.latest > latest {
				latest, found = sum.latest, true
			}
			continue
		}
		extents, err := e.extentsOf(sp) // the first span may have dead batches, and the first one behind what was compacted
		if err != nil {
			return 0, false, err
		}
		for k := firstLive(extents, bounds.Start, sum.cut); k < len(extents) && bounds.Start < bounds.End; k++ {
			x := &extents[k]
			most := x.Latest
			if x.Base < bounds.Start {
				if most, err = e.latestWithin(ctx, id, bounds.Start); err != nil {
					return 0, false, err
				}
			}
			if !found || most > latest {
				latest, found = most, true
			}
		}
	}
	return latest, found, nil
}

// latestWithin returns the largest timestamp at or behind start in the batch that holds start.
func (e *Engine) latestWithin(ctx context.Context, id stream.Shard, start stream.Offset) (int64, error) {
	most := int64(-1 << 63)
	err := e.lookInto(ctx, id, start, func(_ stream.Offset, timestamp int64) bool {
		most = max(most, timestamp)
		return true
	})
	return most, err
}

// maxSearches bounds how many batches are looked into at the same time: each may be decompressed.
const maxSearches = 4

// lookInto calls visit with the records from an offset on to the end of the batch that holds it, until it returns false; with none if they were
// trimmed meanwhile.
func (e *Engine) lookInto(ctx context.Context, id stream.Shard, from stream.Offset, visit func(stream.Offset, int64) bool) error {
	select {
	case e.searching <- struct{}{}:
		defer func() { <-e.searching }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c, err := e.Read(ctx, id, from, 1)
	defer c.Release()
	for _, b := range c.Batches { // one at most
		visitRecords(b, from, visit)
	}
	if errors.Is(err, stream.ErrOutOfRange) {
		return nil
	}
	return err
}

// visitRecords calls visit with offset and timestamp of the batch's records from start on. A batch whose records cannot be read counts as one record.
func visitRecords(b []byte, start stream.Offset, visit func(stream.Offset, int64) bool) {
	more := true
	err := batch.Records(b, 0, func(r *batch.Record) bool {
		if stream.Offset(r.Offset) >= start {
			more = visit(stream.Offset(r.Offset), r.Timestamp)
		}
		return more
	})
	if err != nil && more {
		if h, err := batch.Parse(b); err == nil {
			visit(max(start, stream.Offset(h.BaseOffset)), h.MaxTimestamp)
		}
	}
}

// findRecord returns the first live record that fits, looking only into batches whose largest timestamp may.
func (e *Engine) findRecord(ctx context.Context, id stream.Shard, may func(latest int64) bool, fits func(timestamp int64) bool) (at stream.Offset, when time.Time, ok bool, err error) {
	_, spans, bounds, err := e.shardSpans(id)
	if err != nil {
		return 0, time.Time{}, false, err
	}
	defer func() { err = errors.Join(err, releaseSpans(spans)) }()
	for _, sp := range spans {
		if err := context.Cause(ctx); err != nil {
			return 0, time.Time{}, false, err
		}
		sum := e.summary(sp)
		if !may(sum.latest) {
			continue
		}
		extents, err := e.extentsOf(sp)
		if err != nil {
			return 0, time.Time{}, false, err
		}
		for k := firstLive(extents, bounds.Start, sum.cut); k < len(extents); k++ {
			x := &extents[k]
			if !may(x.Latest) || x.Base >= bounds.End {
				continue
			}
			at, when, ok, err = e.findInBatch(ctx, id, max(x.Base, bounds.Start), fits)
			if ok || err != nil {
				return at, when, ok, err
			}
		}
	}
	return 0, time.Time{}, false, nil
}

// findInBatch returns the first record that fits, from an offset on to the end of the batch that holds it.
func (e *Engine) findInBatch(ctx context.Context, id stream.Shard, from stream.Offset, fits func(int64) bool) (at stream.Offset, when time.Time, ok bool, err error) {
	err = e.lookInto(ctx, id, from, func(offset stream.Offset, timestamp int64) bool {
		if ok = fits(timestamp); ok {
			at, when = offset, time.UnixMilli(timestamp)
		}
		return !ok
	})
	return at, when, ok, err
}

// EpochEnd implements stream.Log. The current epoch is known to every shard, from its end on if it has not written there yet.
func (e *Engine) EpochEnd(_ context.Context, id stream.Shard, epoch int32) (int32, stream.Offset, error) {
	e.view.RLock()
	defer e.view.RUnlock()
	s := e.tables.shards[id]
	if s == nil {
		return -1, -1, e.noShardLocked(id)
	}
	i := sort.Search(len(s.epochs), func(i int) bool { return s.epochs[i].epoch > epoch })
	switch {
	case epoch < 0 || epoch > e.tables.epoch:
		return -1, -1, nil
	case epoch == e.tables.epoch:
		return epoch, s.end, nil
	case i == 0 && len(s.epochs) > 0:
		return epoch, s.epochs[0].start, nil
	case i == 0:
		return epoch, s.end, nil
	case i < len(s.epochs):
		return s.epochs[i-1].epoch, s.epochs[i].start, nil
	}
	return s.epochs[i-1].epoch, s.end, nil
}
