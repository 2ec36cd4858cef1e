package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/compaction"
)

// Compaction leaves of the records of a shard with the same key the last one, and keeps the offsets of those that stay (stream.Compaction says which
// streams, package compaction which part of a shard and when). A pass over a shard reads the part that was not compacted yet, as far as its keys fit
// into memory, and notes where each key was written last; then it reads all of the shard up to there, and writes what is not written again later, or
// no tombstone past its time, into compacted files (compact_write.go). What lies in log files behind that is not touched: a log file with other
// shards' batches is not written anew for it, its dead bytes are left to rewriting.
//
// A pass goes through what it has read twice, and holds a buffer, a batch in plain form, a group, and the keys. A crash in the middle loses the file
// that is being written; a shard's files that are full are live already.

// compactor is the state of the goroutine that compacts.
type compactor struct {
	engine *Engine
	reader batchReader
	output compactOutput
	keys   keyMap
	buf    []byte
	now    int64

	mu    sync.Mutex // one run at a time
	dirty map[stream.Shard]*dirtyShard
}

// dirtyShard is what the compactor knows of a shard.
type dirtyShard struct {
	*compaction.Dirty
	clean  stream.Offset // the shard's when Dirty was begun
	stable stream.Offset // behind it a transaction may be open
	ratio  float64
	part   compaction.Cleanable
	left   error // why the shard is left alone, until its configuration changes or the log is opened again
}

func newCompactor(e *Engine) *compactor {
	p := &pace{engine: e}
	return &compactor{
		engine: e, dirty: map[stream.Shard]*dirtyShard{},
		reader: batchReader{engine: e, pace: p},
		output: compactOutput{engine: e, pace: p, limit: e.cfg.FileBytes},
	}
}

// compact compacts what is due, from time to time, until the engine stops.
func (e *Engine) compact() {
	ticker := e.cfg.Clock.NewTicker(e.Upkeep().CompactInterval)
	defer func() { ticker.Stop() }()
	for {
		select {
		case <-e.stop:
			return
		case <-e.upkeep.again:
			ticker.Stop()
			ticker = e.cfg.Clock.NewTicker(e.Upkeep().CompactInterval)
			continue
		case <-ticker.C():
		}
		if err := e.judge(e.compactor.run()); err != nil {
			e.fail(err)
			return
		}
	}
}

// run compacts all shards that are due, the dirtiest first, and puts small compacted files together.
func (c *compactor) run() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.keys, c.buf, c.reader.buf = keyMap{}, nil, nil }() // until the next time
	err := c.runOnce()
	if isOutOfSpace(err) {
		err = c.runOnLoan()
	}
	return err
}

func (c *compactor) runOnce() error {
	e := c.engine
	began := e.cfg.Clock.Now()
	c.now = began.UnixMilli()
	due, err := c.due()
	if err != nil {
		return err
	}
	for i, s := range due {
		err := c.shard(s, &c.dirty[s.id].part)
		if i+1 == len(due) && err == nil {
			err = c.output.commit()
		}
		if err = c.judge(s, err); err != nil {
			return c.output.giveUp(err)
		}
	}
	if len(due) > 0 {
		e.counters.compactRuns.Add(1)
		e.counters.compactEnded.Store(e.cfg.Clock.Now().UnixMilli())
		e.counters.compactTook.Store(int64(e.cfg.Clock.Now().Sub(began)))
	}
	return c.merge()
}

// judge decides what an error of a shard's compaction means: nil to go on with others.
func (c *compactor) judge(s *shard, err error) error {
	var wrong *batch.Error
	switch {
	case err == nil:
		return nil
	case isDamage(err), errors.As(err, &wrong):
		c.engine.cfg.Logger.Error("a shard cannot be compacted, it is left as it is", "stream", s.id.Stream, "shard", s.id.Index, "error", err)
	case errors.Is(err, stream.ErrNotFound): // deleted meanwhile
	default:
		return err
	}
	if d := c.dirty[s.id]; d != nil {
		d.left = err
	}
	return c.output.giveUp(nil)
}

// due returns the shards that are to be compacted now, the dirtiest first.
func (c *compactor) due() ([]*shard, error) {
	e := c.engine
	e.view.RLock()
	var shards []*shard
	for _, s := range e.tables.shards {
		if s.stream.Config.Compaction.On {
			shards = append(shards, s)
		}
	}
	e.view.RUnlock()
	slices.SortFunc(shards, func(a, b *shard) int { return compareShards(a.id, b.id) })
	old := c.dirty
	c.dirty = make(map[stream.Shard]*dirtyShard, len(shards))
	var due []*shard
	for _, s := range shards {
		d, clean, err := c.look(s, old[s.id])
		if d == nil || err != nil {
			if err = c.judge(s, err); err != nil {
				return nil, err
			}
			continue
		}
		c.dirty[s.id] = d
		d.part = d.Cleanable(c.now, d.stable)
		var now bool
		if d.ratio, now = d.Due(d.part, clean); now && d.left == nil {
			due = append(due, s)
		}
	}
	slices.SortStableFunc(due, func(a, b *shard) int { return cmp.Compare(c.dirty[b.id].ratio, c.dirty[a.id].ratio) })
	c.publish()
	return due, nil
}

// look brings what is known of a shard up to date, and returns it with the bytes that are compacted; nil if the shard is gone.
func (c *compactor) look(s *shard, d *dirtyShard) (*dirtyShard, int64, error) {
	e := c.engine
	e.view.RLock()
	if s.stream == nil {
		e.view.RUnlock()
		return nil, 0, nil
	}
	config, clean, start, end, stable := s.stream.Config.Compaction, s.clean, s.start, s.end, s.stable()
	e.view.RUnlock()
	cleanBytes := e.cleanBytes(s)
	if d == nil || d.Config() != config || d.clean != clean {
		d = &dirtyShard{Dirty: compaction.NewDirty(s.id, config, max(clean, start)), clean: clean}
	}
	if d.stable = stable; d.End() == end {
		return d, cleanBytes, nil
	}
	r, err := e.reading(s.id)
	if errors.Is(err, stream.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = r.release() }()
	for i, sp := range r.spans {
		sum := e.summary(sp)
		if sum.next <= d.End() {
			continue
		}
		extents, err := e.extentsOf(sp)
		if err != nil {
			return nil, 0, err
		}
		for k := firstLive(extents, d.End(), max(r.cuts[i], d.End())); k < len(extents); k++ {
			x, next := &extents[k], sum.next
			if k+1 < len(extents) {
				next = extents[k+1].Base
			}
			d.Add(compaction.Batch{Base: x.Base, Next: next, Bytes: int64(x.Size), Latest: x.Latest, Appended: x.Appended})
		}
	}
	return d, cleanBytes, nil
}

// shard compacts one shard up to where part ends, in as many passes as its keys take.
func (c *compactor) shard(s *shard, part *compaction.Cleanable) error {
	e := c.engine
	for {
		e.view.RLock()
		clean, start, gone := s.clean, s.start, s.stream == nil
		e.view.RUnlock()
		from := max(clean, start)
		if gone || from >= part.To {
			return nil
		}
		r, err := e.reading(s.id)
		if err != nil {
			return err
		}
		to, err := c.gather(r, from, part.To)
		if err == nil {
			err = c.filter(r, to)
		}
		if err == nil && to < part.To {
			err = c.output.commit()
		}
		if err = errors.Join(err, r.release()); err != nil || to == part.To {
			return err
		}
	}
}

// passPart is the part of FileBytes that one pass makes clean, if more was not made so before: what a pass has done is lost by a crash, and what was
// clean before is written anew by each.
const passPart = 4

// cleanBytes returns how many bytes of a shard were compacted.
func (e *Engine) cleanBytes(s *shard) (bytes int64) {
	e.view.RLock()
	defer e.view.RUnlock()
	for _, sp := range s.spans {
		if sp.file.isCompacted() {
			bytes += sp.Bytes
		}
	}
	return bytes
}

// gather notes the keys of a part of a shard, and returns how far a pass goes: as far as they fit, and for as many bytes as are worth one.
func (c *compactor) gather(r *shardReading, from, to stream.Offset) (stream.Offset, error) {
	c.keys.reset(int64(to-from), c.engine.Upkeep().CompactMemory)
	aborted, err := c.aborted(r, to)
	if err != nil {
		return to, err
	}
	t := compaction.NewTransactions(aborted)
	end, errEnough := to, errors.New("enough")
	left := max(c.engine.cfg.FileBytes/passPart, c.engine.cleanBytes(r.shard))
	err = c.reader.each(r, from, to, func(b []byte, x *format.Extent, _ stream.Offset) error {
		h, err := batch.Parse(b)
		if err == nil && (int(h.Records) > c.keys.room() || left <= 0) && x.Base > from { // of the first batch what does not fit stays
			end = x.Base
			return errEnough
		}
		left -= int64(len(b))
		return compaction.Keys(t, b, func(offset int64, key []byte) { c.keys.put(key, stream.Offset(offset)) })
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return end, err
}

// aborted returns the aborted transactions of a shard that begin before an offset.
func (c *compactor) aborted(r *shardReading, to stream.Offset) ([]stream.Aborted, error) {
	return c.engine.Aborted(context.Background(), r.shard.id, 0, to)
}

// filter writes what stays of a shard, up to where its keys were gathered.
func (c *compactor) filter(r *shardReading, to stream.Offset) error {
	aborted, err := c.aborted(r, to)
	if err != nil {
		return err
	}
	markers := map[stream.Offset]stream.Aborted{}
	for _, a := range aborted {
		markers[a.Last] = a
	}
	config := c.dirty[r.shard.id].Config()
	pass := compaction.NewPass(&config, c.now, compaction.NewTransactions(aborted), c.keys.last)
	c.output.begin(r.shard, r.from())
	err = c.reader.each(r, 0, to, func(b []byte, x *format.Extent, next stream.Offset) error {
		kept, err := pass.Keep(c.buf, b)
		if err == nil && kept == nil && next >= to {
			// The last batch of a pass stays as a header, so that who reads up to there gets past it.
			kept, err = batch.Emptied(c.buf[:0], b)
		}
		if err != nil || kept == nil {
			return err
		}
		if &kept[0] != &b[0] {
			c.buf = kept
		}
		h, err := batch.Parse(kept)
		if err != nil {
			return err
		}
		err = c.output.put(kept, x, latestOf(&h), next)
		if a, ok := markers[x.Base]; ok && err == nil && h.Records > 0 {
			c.output.putAborted(a, x.Appended)
		}
		return err
	})
	if err == nil {
		c.output.end(to)
	}
	return err
}

// CompactNow compacts what is due at once instead of when its time has come, and returns when that is done.
func (e *Engine) CompactNow(context.Context) error {
	if err := e.compactor.run(); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// publish has Stats tell how dirty the shards are.
func (c *compactor) publish() {
	var dirtiest float64
	var bytes, left int64
	for _, d := range c.dirty {
		dirtiest = max(dirtiest, d.ratio)
		bytes += d.part.Bytes
		if d.left != nil {
			left++
		}
	}
	n := &c.engine.counters
	n.compactDirtiest.Store(math.Float64bits(dirtiest))
	n.compactDirty.Store(bytes)
	n.compactLeft.Store(left)
}
