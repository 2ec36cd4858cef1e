package tier

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// Bounds implements stream.Log.
func (l *Log) Bounds(ctx context.Context, id stream.Shard) (stream.Bounds, error) {
	b, err := l.Log.Bounds(ctx, id)
	if s := l.find(id); s != nil && err == nil {
		s.view.Load().amend(&b)
	}
	return b, err
}

// Append implements stream.Log. The start that results tell is the whole shard's.
func (l *Log) Append(ctx context.Context, entries []stream.Append) *stream.Ticket {
	t := l.Log.Append(ctx, entries)
	if !l.any.Load() {
		return t
	}
	var starts []*shard // by entry
	for i := range entries {
		if s := l.find(entries[i].Shard); s != nil {
			if starts == nil {
				starts = make([]*shard, len(entries))
			}
			starts[i] = s
		}
	}
	if starts != nil {
		t.Revise(func(results []stream.Appended) {
			for i, s := range starts {
				if s == nil {
					continue
				}
				if v := s.view.Load(); v.covers(results[i].Start) {
					results[i].Start = v.start
				}
			}
		})
	}
	return t
}

// Read implements stream.Log: from the local log, or what that does not have any more from objects.
func (l *Log) Read(ctx context.Context, id stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	c, err := l.Log.Read(ctx, id, from, maxBytes)
	s := l.find(id)
	if s == nil {
		return c, err
	}
	v, local := s.view.Load(), c.Bounds.Start // of after the read: what the local log has lost by then is in it
	v.amend(&c.Bounds)
	switch {
	case errors.Is(err, stream.ErrOutOfRange) && from >= c.Bounds.Start && from < local:
	case isDamage(err) && from >= v.start && from < v.end():
		l.counters.mended.Add(1)
	default:
		return c, err
	}
	r := &reading{log: l, shard: s, left: maxBytes}
	next, err := r.collect(ctx, v, from, c.Bounds.End)
	switch {
	case len(r.batches) > 0:
		return stream.NewChunk(c.Bounds, r.batches, r.release), nil
	case err != nil:
		r.release()
		return stream.NewChunk(c.Bounds, nil, nil), err
	case next > from: // a gap in which the segments end
		r.release()
		c, err = l.Log.Read(ctx, id, next, maxBytes)
		s.view.Load().amend(&c.Bounds)
		return c, err
	}
	r.release()
	b, err := l.Bounds(ctx, id)
	if err == nil { // given up meanwhile
		err = fmt.Errorf("%w: %d is not between %d and %d", stream.ErrOutOfRange, from, b.Start, b.End)
	}
	return stream.NewChunk(b, nil, nil), err
}

func isDamage(err error) bool {
	var c *stream.CorruptError
	return errors.As(err, &c)
}

// reading gathers the batches of one Read.
type reading struct {
	log     *Log
	shard   *shard
	left    int
	batches [][]byte
	held    []*entry
}

func (r *reading) release() {
	for _, e := range r.held {
		r.log.cache.unpin(e)
	}
	r.held = nil
}

// collect takes batches from an offset on, and returns the offset behind the last, or where the segments end if none is left in them.
func (r *reading) collect(ctx context.Context, v *view, from, end stream.Offset) (stream.Offset, error) {
	for i := v.at(from); i < len(v.segments) && from < end && (r.left > 0 || len(r.batches) == 0); i = v.at(from) {
		next, err := r.segment(ctx, v, i, from)
		if err != nil && !r.shard.view.Load().has(v.segments[i].Number) {
			err = nil // it was given up meanwhile: it is not readable, rather than not to be had
		}
		if err != nil || next == from {
			return next, err
		}
		from = next
	}
	return from, nil
}

// segment takes the batches of one segment that fit, and returns the offset behind them: the segment's end if that was reached.
func (r *reading) segment(ctx context.Context, v *view, i int, from stream.Offset) (stream.Offset, error) {
	l, g := r.log, &v.segments[i]
	head, err := l.obtain(ctx, part{r.shard.id, g.Number, blockIndex}, g, nil)
	if err != nil {
		return from, err
	}
	l.cache.unpin(head) // an index is not given to readers
	blocks := head.index.blocks
	for k := head.index.at(from); k < len(blocks); k++ {
		if len(r.batches) > 0 && r.left < batch.HeaderSize {
			return from, nil
		}
		l.readAhead(r.shard.id, v, i, blocks, k)
		e, err := l.obtain(ctx, part{r.shard.id, g.Number, k}, g, &blocks[k])
		if err != nil {
			return from, err
		}
		next, whole, err := r.take(e, from)
		if err != nil {
			return from, corrupt(l.key(r.shard.id, g.Number), blocks[k].position, err.Error())
		}
		if from = next; !whole {
			return from, nil
		}
	}
	return g.End, nil
}

// take takes the batches of a block that fit, from an offset on. whole says that it was read to its end.
func (r *reading) take(e *entry, from stream.Offset) (next stream.Offset, whole bool, err error) {
	copies, taken := r.log.cache.crowded(), false
	defer func() {
		if whole && err == nil {
			r.log.cache.readWhole(e)
		}
		if taken && !copies {
			r.held = append(r.held, e)
		} else {
			r.log.cache.unpin(e)
		}
	}()
	for b := e.bytes; len(b) > 0; {
		h, err := batch.Parse(b)
		if err != nil {
			return from, false, err
		}
		one := b[:h.Length:h.Length]
		b = b[h.Length:]
		if stream.Offset(h.LastOffset()) < from {
			continue
		}
		if len(r.batches) > 0 && len(one) > r.left {
			return from, false, nil
		}
		if copies {
			one = slices.Clone(one)
		}
		r.batches = append(r.batches, one)
		r.left -= len(one)
		from, taken = stream.Offset(h.LastOffset())+1, true
		if r.left <= 0 {
			return from, len(b) == 0, nil
		}
	}
	return from, true, nil
}

// readAhead begins to read what follows block k of segment i, for who reads on: all that may be if the block before is known, so that somebody
// reads on already, else the next block.
func (l *Log) readAhead(id stream.Shard, v *view, i int, blocks []block, k int) {
	g := &v.segments[i]
	parts := 1
	if k == 0 || l.cache.knows(part{id, g.Number, k - 1}) {
		parts = l.cfg.AheadParts
	}
	for n := k + 1; n <= k+parts; n++ {
		if n == len(blocks) {
			l.nextSegment(id, v, i+1)
			return
		}
		l.ahead(part{id, g.Number, n}, g, &blocks[n])
	}
}

// nextSegment begins to read the index of segment i, or if that is there its first block.
func (l *Log) nextSegment(id stream.Shard, v *view, i int) {
	if i == len(v.segments) {
		return
	}
	g := &v.segments[i]
	if x := l.cache.indexOf(part{id, g.Number, blockIndex}); x != nil {
		l.ahead(part{id, g.Number, 0}, g, &x.blocks[0])
		return
	}
	l.ahead(part{id, g.Number, blockIndex}, g, nil)
}

// knows says whether a part is loaded or being loaded.
func (c *cache) knows(p part) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[p] != nil
}

// indexOf returns an index if it is loaded.
func (c *cache) indexOf(p part) *index {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[p]
	if e == nil || !e.loaded {
		return nil
	}
	c.askedLocked(e)
	return e.index
}

// Aborted implements stream.Log.
func (l *Log) Aborted(ctx context.Context, id stream.Shard, from, to stream.Offset) ([]stream.Aborted, error) {
	found, err := l.Log.Aborted(ctx, id, from, to)
	s := l.find(id)
	if s == nil || err != nil {
		return found, err
	}
	b, err := l.Log.Bounds(ctx, id)
	v := s.view.Load()
	if err != nil || from >= b.Start || !v.covers(b.Start) {
		return found, err
	}
	from = max(from, v.start)
	for i := v.at(from); i < len(v.segments) && v.segments[i].Base < min(to, b.Start); i++ {
		g := &v.segments[i]
		if !g.Aborts {
			continue
		}
		e, err := l.obtain(ctx, part{id, g.Number, blockIndex}, g, nil)
		if err != nil {
			return nil, err
		}
		l.cache.unpin(e)
		for _, a := range e.index.aborted {
			if a.First < to && a.Last >= from {
				found = append(found, a)
			}
		}
	}
	slices.SortFunc(found, compareAborted)
	return slices.Compact(found), nil // one may be in several segments, and in the local log
}

func compareAborted(a, b stream.Aborted) int {
	if a.First != b.First {
		return int(min(max(a.First-b.First, -1), 1))
	}
	return int(min(max(a.ProducerID-b.ProducerID, -1), 1))
}

// EpochEnd implements stream.Log.
func (l *Log) EpochEnd(ctx context.Context, id stream.Shard, asked int32) (int32, stream.Offset, error) {
	epoch, end, err := l.Log.EpochEnd(ctx, id, asked)
	s := l.find(id)
	if s == nil || err != nil || epoch < 0 {
		return epoch, end, err
	}
	b, err := l.Log.Bounds(ctx, id)
	v := s.view.Load()
	if err != nil || !v.covers(b.Start) || len(v.epochs) == 0 || asked == b.Epoch {
		return epoch, end, err
	}
	n := 0
	for n < len(v.epochs) && v.epochs[n].Epoch <= asked {
		n++
	}
	switch {
	case n == 0:
		return asked, max(v.epochs[0].Start, v.start), nil
	case n < len(v.epochs):
		return v.epochs[n-1].Epoch, v.epochs[n].Start, nil
	case epoch == asked && end <= b.Start: // before all that the local log knows any more
		return v.epochs[n-1].Epoch, end, nil
	}
	return epoch, end, nil
}

// Trim implements stream.Log.
func (l *Log) Trim(ctx context.Context, id stream.Shard, before stream.Offset) (stream.Offset, error) {
	s := l.find(id)
	if s == nil {
		return l.Log.Trim(ctx, id, before)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(ctx, l); err != nil {
		return 0, unavailable("trim", err)
	}
	b, err := l.Log.Bounds(ctx, id)
	if err != nil {
		return 0, err
	}
	local, v := b.Start, s.view.Load()
	v.amend(&b)
	if before == -1 {
		before = b.End
	}
	switch {
	case before < 0 || before > b.End:
		return b.Start, fmt.Errorf("%w: %d is not between 0 and %d", stream.ErrOutOfRange, before, b.End)
	case before <= b.Start:
		return b.Start, nil
	}
	if err := s.advance(ctx, l, before, func() error { return l.trimLocal(ctx, id, before, local) }); err != nil {
		return b.Start, err
	}
	if before <= local {
		l.moved(id) // else the local log has told
	}
	l.kick()
	return before, nil
}

// trimLocal has the local log, which begins with start, begin with before if that is later.
func (l *Log) trimLocal(ctx context.Context, id stream.Shard, before, start stream.Offset) error {
	if before <= start {
		return nil
	}
	_, err := l.Log.Trim(ctx, id, before)
	return err
}
