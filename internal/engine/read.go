package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// maxReadBatches bounds the batches of one chunk.
const maxReadBatches = 1 << 16

// Read implements stream.Log. What the tail of the log in memory still has is returned without copy; the rest is read from the files and
// checked. Chunks share memory with the tail, so releasing them soon lets it be recycled.
func (e *Engine) Read(ctx context.Context, id stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	c := collector{engine: e, left: maxBytes}
	bounds, err := c.collect(ctx, id, from)
	if err != nil {
		c.release()
		return stream.NewChunk(bounds, nil, nil), err
	}
	if len(c.batches) == 0 {
		return stream.NewChunk(bounds, nil, nil), nil
	}
	return stream.NewChunk(bounds, c.batches, c.release), nil
}

// run is consecutive extents of one file, found under the lock and read outside it.
type run struct {
	file    *logFile // acquired
	extents []format.Extent
	next    stream.Offset // the offset after the last extent
	still   bool          // nothing is written to the file any more
}

// collector gathers the batches of one Read.
type collector struct {
	engine  *Engine
	left    int // bytes wanted
	batches [][]byte
	blocks  []*block
	buffers []*[]byte
}

// collect finds batches from on, span by span. Bounds are those at the beginning: what is appended meanwhile is another Read's.
func (c *collector) collect(ctx context.Context, id stream.Shard, from stream.Offset) (stream.Bounds, error) {
	e := c.engine
	e.view.RLock()
	s := e.tables.shards[id]
	if s == nil {
		defer e.view.RUnlock()
		return stream.Bounds{}, e.noShardLocked(id)
	}
	bounds := s.bounds(e.tables.epoch)
	e.view.RUnlock()
	if from < bounds.Start || from > bounds.End {
		return bounds, fmt.Errorf("%w: %d is not between %d and %d", stream.ErrOutOfRange, from, bounds.Start, bounds.End)
	}
	for from < bounds.End && (c.left > 0 || len(c.batches) == 0) && len(c.batches) < maxReadBatches {
		r, err := e.findRun(s, from, bounds.End)
		if err != nil {
			return bounds, err
		}
		if r.file == nil {
			break // trimmed or deleted meanwhile
		}
		next, err := c.read(s, &r, from)
		if err = errors.Join(err, r.file.release()); err != nil {
			return bounds, err
		}
		if next == from {
			break // nothing more fits
		}
		from = next
		if err := context.Cause(ctx); err != nil && len(c.batches) == 0 {
			return bounds, err
		}
	}
	return bounds, nil
}

// findRun returns the extents of the span that holds from, loading them if they are on disk only. Its file is nil if there is no such span.
func (e *Engine) findRun(s *shard, from, end stream.Offset) (run, error) {
	e.view.RLock()
	i := s.spanAt(from)
	if i == len(s.spans) || s.spans[i].First > from {
		e.view.RUnlock()
		return run{}, nil
	}
	sp := s.spans[i]
	r := run{file: sp.file.acquire(), extents: sp.extents, next: min(sp.Next, end), still: sp.file.finished}
	e.view.RUnlock()
	if r.extents == nil {
		var err error
		if r.extents, err = e.index.load(sp); err != nil {
			return run{}, errors.Join(err, r.file.release())
		}
	}
	r.extents = r.extents[extentAt(r.extents, from):]
	return r, nil
}

// read takes the batches of r until enough are together, and returns the offset after the last one taken.
func (c *collector) read(s *shard, r *run, from stream.Offset) (stream.Offset, error) {
	for len(r.extents) > 0 {
		x := &r.extents[0]
		if x.Base >= r.next || len(c.batches) >= maxReadBatches {
			return from, nil
		}
		if len(c.batches) > 0 && int(x.Size) > c.left {
			return from, nil
		}
		b, block := c.engine.tail.find(r.file, int64(x.Position), int(x.Size))
		inTail := b != nil
		var err error
		if !inTail {
			b, block, err = c.engine.cold.find(c.engine, r)
		}
		switch {
		case err != nil:
		case b != nil:
			c.share(block)
			r.extents = r.extents[1:]
			from, err = c.take(s, r, x, b, !inTail)
		default:
			from, err = c.readDisk(s, r, from)
		}
		if err != nil {
			return from, err
		}
		if c.left <= 0 {
			break
		}
	}
	return from, nil
}

// take adds the batch b of extent x and returns the offset after it. Bytes from disk are checked; those in memory are what was written.
func (c *collector) take(s *shard, r *run, x *format.Extent, b []byte, fromDisk bool) (stream.Offset, error) {
	h, err := batch.Parse(b)
	if fromDisk {
		if h, err = checkBatch(b, x.Base); err == nil && !c.engine.hasEpoch(s, x.Base, h.LeaderEpoch) {
			err = fmt.Errorf("batch has leader epoch %d, not that of its offset", h.LeaderEpoch)
		}
	}
	if err != nil {
		return 0, r.file.corrupt(int64(x.Position), "shard %d of stream %s, offset %d: %s", s.id.Index, s.id.Stream, x.Base, err)
	}
	c.batches = append(c.batches, b)
	c.left -= len(b)
	return stream.Offset(h.LastOffset()) + 1, nil
}

// gapBytes is what a read from disk rather reads in vain than asking the disk once more.
const gapBytes = 16 * kib

// readDisk reads the next extents of r, as many as lie close together and are wanted.
func (c *collector) readDisk(s *shard, r *run, from stream.Offset) (stream.Offset, error) {
	first := r.extents[0]
	start, stop := int64(first.Position), int64(first.Position)+int64(first.Size)
	n := 1
	for ; n < len(r.extents) && r.extents[n].Base < r.next; n++ {
		x := &r.extents[n]
		gap := int64(x.Position) - stop
		to := int64(x.Position) + int64(x.Size)
		if gap < 0 || gap > gapBytes || to-start > c.engine.cfg.ReadBytes || to-start > int64(c.left) {
			break
		}
		stop = to
	}
	buf := c.engine.buffer(int(stop - start))
	c.buffers = append(c.buffers, buf)
	if _, err := r.file.file.ReadAt(*buf, start); err != nil {
		if errors.Is(err, io.EOF) {
			err = r.file.corrupt(start, "file ends before the batch of shard %d of stream %s", s.id.Index, s.id.Stream)
		}
		return from, err
	}
	c.engine.counters.coldReads.Add(1)
	for i := range n {
		x := &r.extents[i]
		at := int64(x.Position) - start
		var err error
		if from, err = c.take(s, r, x, (*buf)[at:at+int64(x.Size):at+int64(x.Size)], true); err != nil {
			return from, err
		}
	}
	r.extents = r.extents[n:]
	return from, nil
}

// share keeps an acquired block until the chunk is released.
func (c *collector) share(b *block) {
	if n := len(c.blocks); n > 0 && c.blocks[n-1] == b {
		b.release()
		return
	}
	c.blocks = append(c.blocks, b)
}

func (c *collector) release() {
	for _, b := range c.blocks {
		b.release()
	}
	for _, b := range c.buffers {
		c.engine.readBuffers.Put(b)
	}
	c.blocks, c.buffers = nil, nil
}

// buffer returns n bytes for a read from disk.
func (e *Engine) buffer(n int) *[]byte {
	b, _ := e.readBuffers.Get().(*[]byte)
	if b == nil || cap(*b) < n {
		b = new([]byte)
		*b = make([]byte, n, max(n, 64*kib))
	}
	*b = (*b)[:n]
	return b
}

// Bounds implements stream.Log.
func (e *Engine) Bounds(_ context.Context, id stream.Shard) (stream.Bounds, error) {
	e.view.RLock()
	defer e.view.RUnlock()
	s := e.tables.shards[id]
	if s == nil {
		return stream.Bounds{}, e.noShardLocked(id)
	}
	return s.bounds(e.tables.epoch), nil
}
