package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// Trim implements stream.Log.
func (e *Engine) Trim(ctx context.Context, id stream.Shard, before stream.Offset) (stream.Offset, error) {
	e.admin.Lock()
	defer e.admin.Unlock()
	b, err := e.Bounds(ctx, id)
	if err != nil {
		return 0, err
	}
	if before == -1 {
		before = b.End
	}
	if before < 0 || before > b.End {
		return b.Start, fmt.Errorf("%w: %d is not between 0 and %d", stream.ErrOutOfRange, before, b.End)
	}
	if before <= b.Start {
		return b.Start, nil
	}
	t := &trimming{shard: id, start: before}
	if _, t.freed, err = e.prefix(id, func(x *format.Extent, next stream.Offset, _ int64) bool { return next <= before }); err != nil {
		return b.Start, err
	}
	if err := e.proposeAll(ctx, true, t); err != nil {
		return b.Start, err
	}
	return before, nil
}

// prefix returns how far the shard's live extents fit one after the other, from the first on: the offset behind them and their bytes. fits is
// given an extent, the offset behind it, and the bytes before it. The caller holds admin, so the start stays where it is.
func (e *Engine) prefix(id stream.Shard, fits func(x *format.Extent, next stream.Offset, before int64) bool) (end stream.Offset, bytes int64, err error) {
	_, spans, bounds, err := e.shardSpans(id)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, releaseSpans(spans)) }()
	end = bounds.Start
	for _, sp := range spans {
		sum := e.summary(sp)
		extents := sum.extents
		if extents == nil { // the file is finished, so that next is still where they end
			if extents, err = e.loadExtents(sp); err != nil {
				return end, bytes, err
			}
		}
		for i := firstLive(extents, bounds.Start, sum.cut); i < len(extents); i++ {
			next := sum.next
			if i+1 < len(extents) {
				next = extents[i+1].Base
			}
			if next > bounds.End || !fits(&extents[i], next, bytes) {
				return end, bytes, nil
			}
			end = next
			bytes += int64(extents[i].Size)
		}
	}
	return end, bytes, nil
}

// maxTrims bounds the shards that one group commit of retention trims.
const maxTrims = 1000

// retain trims what is too old or too much of every shard, batch by batch.
func (e *Engine) retain(ctx context.Context) error {
	e.admin.Lock()
	defer e.admin.Unlock()
	now := e.cfg.Clock.Now()
	e.view.RLock()
	shards := make([]*shard, 0, len(e.tables.shards))
	for _, s := range e.tables.shards {
		if s.start < s.end && s.expired(now.UnixMilli()) {
			shards = append(shards, s)
		}
	}
	e.view.RUnlock()
	var trims []change
	var damage error // of one shard: the others' retention goes on
	for _, s := range shards {
		t, err := e.retainShard(s.id, now.UnixMilli())
		var corrupt *stream.CorruptError
		switch {
		case errors.As(err, &corrupt):
			damage = errors.Join(damage, err)
		case err != nil:
			return err
		case t != nil:
			trims = append(trims, t)
		}
		if len(trims) == maxTrims {
			if err := e.proposeAll(ctx, true, trims...); err != nil {
				return err
			}
			trims = nil
		}
	}
	if len(trims) == 0 {
		return damage
	}
	return errors.Join(damage, e.proposeAll(ctx, true, trims...))
}

// expired says whether the shard may have something to trim, without looking into its extents: by the batch that retention stopped at
// last or, if there was no such yet or others have trimmed the shard since, by what its first span began with.
func (s *shard) expired(now int64) bool {
	c := &s.stream.Config
	if c.KeepAll {
		return false
	}
	if k := s.kept; k != nil && k.start == s.start {
		return excess(c, &k.first, s.bytes, now)
	}
	if c.RetentionBytes > 0 && s.bytes > c.RetentionBytes {
		return true
	}
	horizon, bounded := horizon(c, now)
	return bounded && len(s.spans) > 0 && s.spans[0].Oldest <= horizon
}

// horizon returns the time up to which batches are too old, in milliseconds since 1970.
func horizon(c *stream.Config, now int64) (at int64, bounded bool) {
	if c.Retention < 0 {
		return 0, false
	}
	keep := c.Retention
	if keep == 0 {
		keep = stream.DefaultRetention
	}
	return now - keep.Milliseconds() - 1, true
}

// excess says whether the first batch of a shard with so many bytes has to go.
func excess(c *stream.Config, first *format.Extent, bytes, now int64) bool {
	old, bounded := horizon(c, now)
	return bounded && first.Age() <= old || c.RetentionBytes > 0 && bytes-int64(first.Size) >= c.RetentionBytes
}

func (e *Engine) retainShard(id stream.Shard, now int64) (*trimming, error) {
	e.view.RLock()
	s := e.tables.shards[id]
	if s == nil {
		e.view.RUnlock()
		return nil, nil
	}
	config, bytes, start := s.stream.Config, s.bytes, s.start
	e.view.RUnlock()
	var first *format.Extent // that is kept
	end, freed, err := e.prefix(id, func(x *format.Extent, _ stream.Offset, before int64) bool {
		if excess(&config, x, bytes-before, now) {
			return true
		}
		first = x
		return false
	})
	if first != nil {
		s.kept = &kept{end, *first}
	}
	if err != nil || end == start {
		return nil, err
	}
	return &trimming{shard: id, start: end, freed: freed}, nil
}
