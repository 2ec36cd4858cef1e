package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// maxReadBatches bounds the batches of one chunk.
const maxReadBatches = 1 << 16

// Read implements stream.Log. What the tail of the log in memory still has is returned without copy; the rest is read from the files and
// checked. Chunks share memory with the tail, so releasing them soon lets it be recycled; if too many are not, the next are copies.
func (e *Engine) Read(ctx context.Context, id stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	c := collector{engine: e, left: maxBytes}
	next := from
	ahead := e.readAhead.find(aheadKey{id, from}) // before the bounds, so that it ends within them
	e.view.RLock()
	s := e.tables.shards[id]
	if s == nil {
		defer e.view.RUnlock()
		ahead.release()
		return stream.NewChunk(stream.Bounds{}, nil, nil), e.noShardLocked(id)
	}
	bounds := s.bounds(e.tables.epoch) // what is appended meanwhile is another Read's
	e.view.RUnlock()
	if c.adopt(ahead, bounds.Compactions) {
		next = ahead.end
	} else if ahead != nil {
		e.readAhead.giveUp(ahead)
	}
	if from < bounds.Start || from > bounds.End {
		c.release()
		return stream.NewChunk(bounds, nil, nil), outOfRange(from, bounds)
	}
	next, err := c.walk(ctx, s, next, bounds.End)
	if err == nil && len(c.batches) == 0 && from < bounds.End {
		// Trimmed or deleted meanwhile. An empty chunk would say that no record is left.
		if bounds, err = e.Bounds(ctx, id); err == nil {
			err = outOfRange(from, bounds)
		}
	}
	if err != nil || len(c.batches) == 0 {
		c.release()
		return stream.NewChunk(bounds, nil, nil), e.countDamage(err)
	}
	goOn := c.cold && next < bounds.End && maxBytes >= minAhead
	return stream.NewChunk(bounds, c.batches, func() {
		c.release()
		if goOn {
			e.readAhead.begin(e, s, next, maxBytes)
		}
	}), nil
}

func outOfRange(offset stream.Offset, b stream.Bounds) error {
	return fmt.Errorf("%w: %d is not between %d and %d", stream.ErrOutOfRange, offset, b.Start, b.End)
}

// run is consecutive extents of one file, found under the lock and read outside it.
type run struct {
	file    *logFile // acquired
	extents []format.Extent
	next    stream.Offset // the offset after the last extent
	fetched bool          // the system was asked to read what is wanted of it
}

// collector gathers the batches of one Read.
type collector struct {
	engine  *Engine
	left    int // bytes wanted
	batches [][]byte
	blocks  []*block
	buffers []*[]byte
	free    []byte     // of the last of buffers
	adopted *aheadRead // where batches begins, or nil

	cold  bool // something came from a file
	ahead bool // ends where the tail begins: what is in memory need not be read ahead
}

// walk collects batches from an offset on, up to end, and returns the offset after the last one. What is before damage is read like all else; who
// reads on from there is told of it.
func (c *collector) walk(ctx context.Context, s *shard, from, end stream.Offset) (stream.Offset, error) {
	for from < end && (c.left > 0 || len(c.batches) == 0) && len(c.batches) < maxReadBatches {
		r, err := c.engine.findRun(s, from, end)
		if err != nil {
			return from, c.unlessBefore(err)
		}
		if r.file == nil {
			break // trimmed or deleted meanwhile
		}
		next, err := c.read(s, &r, from)
		if err = errors.Join(err, r.file.release()); err != nil {
			return next, c.unlessBefore(err)
		}
		if next == from {
			break // nothing more fits
		}
		from = next
		if err := context.Cause(ctx); err != nil && len(c.batches) == 0 {
			return from, err
		}
	}
	return from, nil
}

// unlessBefore returns err, or nil if it is of damage that something was collected before.
func (c *collector) unlessBefore(err error) error {
	if len(c.batches) > 0 && isDamage(err) {
		return nil
	}
	return err
}

// readAhead collects what is in files from an offset on, and returns the offset after it, and Bounds.Compactions before. What fails is left to the Read
// that comes for it.
func (c *collector) readAhead(s *shard, from stream.Offset) (next stream.Offset, passes int64) {
	c.engine.view.RLock()
	end, passes := s.end, s.passes
	c.engine.view.RUnlock()
	next, err := c.walk(context.Background(), s, from, end)
	if err != nil {
		c.release()
		return from, passes
	}
	return next, passes
}

// adopt begins with what was read ahead, if there is anything, it fits, and no compaction has passed since.
func (c *collector) adopt(r *aheadRead, passes int64) bool {
	if r == nil || r.passes != passes || len(r.got.batches) == 0 {
		return false
	}
	size := 0
	for _, b := range r.got.batches {
		size += len(b)
	}
	if len(r.got.batches) > 1 && size > c.left {
		return false
	}
	c.batches, c.adopted, c.cold = slices.Clip(r.got.batches), r, true
	c.left -= size
	return true
}

// findRun returns the extents of the span that holds from, loading them if they are on disk only. Its file is nil if there is no such span.
func (e *Engine) findRun(s *shard, from, end stream.Offset) (run, error) {
	e.view.RLock()
	if err := e.closedLocked(); err != nil { // the files may be closed
		e.view.RUnlock()
		return run{}, err
	}
	i := s.spanAt(from)
	if i == len(s.spans) || s.spans[i].First > from && (from < s.start || from >= s.clean) { // what is compacted may have gaps
		e.view.RUnlock()
		return run{}, nil
	}
	sp := s.spans[i]
	cut := sp.cut
	r := run{file: sp.file.acquire(), extents: sp.extents, next: min(sp.Next, end)}
	e.view.RUnlock()
	if r.extents == nil {
		var err error
		if r.extents, err = e.loadExtents(sp); err != nil {
			return run{}, errors.Join(err, r.file.release())
		}
	}
	r.extents = r.extents[firstLive(r.extents, from, cut):]
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
		var err error
		switch b, block := c.engine.tail.find(r.file, int64(x.Position), int(x.Size)); {
		case b == nil:
			from, err = c.readDisk(s, r, from)
		case c.ahead:
			block.release()
			return from, nil
		default:
			b = c.keep(b, block, r)
			r.extents = r.extents[1:]
			from, err = c.take(s, r, x, from, b, false)
		}
		if err != nil {
			return from, err
		}
		if c.left <= 0 {
			return from, nil
		}
	}
	return max(from, r.next), nil // where the last batch ends, unless a compacted one was left out behind it
}

// take adds the batch b of extent x and returns the offset after it, or that of x if it is damaged. Bytes from disk are checked; those in memory
// are what was written. A batch that ends before from, which then lies in a gap that compaction has left, is passed over.
func (c *collector) take(s *shard, r *run, x *format.Extent, from stream.Offset, b []byte, fromDisk bool) (stream.Offset, error) {
	h, err := batch.Parse(b)
	if fromDisk {
		h, err = c.engine.checkStored(s, b, x.Base)
	}
	if err != nil {
		return x.Base, r.file.corrupt(int64(x.Position), "shard %d of stream %s, offset %d: %s", s.id.Index, s.id.Stream, x.Base, err)
	}
	next := stream.Offset(h.LastOffset()) + 1
	if next <= from {
		return from, nil
	}
	c.batches = append(c.batches, b)
	c.left -= len(b)
	return next, nil
}

// sparsePart: the system is asked to read a stretch of a file at once if at least one such part of it is wanted. Otherwise its batches are read
// one by one.
const sparsePart = 16

// minBuffer is the least memory taken at once for reads from files.
const minBuffer = 64 * kib

// wanted returns how many bytes of r are wanted if left are, how many batches that is, and where the last one ends.
func (r *run) wanted(left int) (bytes, batches int, end int64) {
	for i := range r.extents {
		x := &r.extents[i]
		if x.Base >= r.next || i > 0 && bytes+int(x.Size) > left {
			break
		}
		bytes += int(x.Size)
		batches++
		end = int64(x.Position) + int64(x.Size)
	}
	return bytes, batches, end
}

// prefetch asks the system to begin reading all that is wanted of r, with what other shards have in between: it comes in one go, and who
// reads one shard of a stream most often reads the others too. No more: what is to be read next is asked for by reading ahead, and more reads before
// the disk only keep the syncs of producers waiting.
func (c *collector) prefetch(r *run) {
	bytes, batches, end := r.wanted(c.left)
	from := int64(r.extents[0].Position)
	if batches > 1 && int64(bytes) >= (end-from)/sparsePart {
		r.file.prefetch(from, end)
	}
}

// gapBytes is what a read from disk rather reads in vain than asking the disk once more.
const gapBytes = 16 * kib

// readDisk reads the next extents of r, as many as lie close together and are wanted.
func (c *collector) readDisk(s *shard, r *run, from stream.Offset) (stream.Offset, error) {
	if !r.fetched {
		r.fetched = true
		c.prefetch(r)
	}
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
	buf := c.buffer(int(stop-start), r)
	if _, err := r.file.file.ReadAt(buf, start); err != nil {
		if errors.Is(err, io.EOF) {
			err = r.file.corrupt(start, "file ends before the batch of shard %d of stream %s", s.id.Index, s.id.Stream)
		}
		return from, err
	}
	c.cold = true
	c.engine.counters.coldReads.Add(1)
	for i := range n {
		x := &r.extents[i]
		at := int64(x.Position) - start
		var err error
		if from, err = c.take(s, r, x, from, buf[at:at+int64(x.Size):at+int64(x.Size)], true); err != nil {
			return from, err
		}
	}
	r.extents = r.extents[n:]
	return from, nil
}

// keep returns the batch b, which lies in an acquired block, as it is until the chunk is released: with the block or, if readers hold too many of them,
// however little they want of each, as a copy.
func (c *collector) keep(b []byte, in *block, r *run) []byte {
	n := len(c.blocks)
	switch {
	case n > 0 && c.blocks[n-1] == in:
		in.release()
	case in.pool.pinned.Load() < c.engine.cfg.PinnedBytes:
		c.blocks = append(c.blocks, in)
	default:
		b = append(c.buffer(len(b), r)[:0], b...)
		in.release()
	}
	return b
}

func (c *collector) release() {
	c.adopted.release()
	for _, b := range c.blocks {
		b.release()
	}
	for _, b := range c.buffers {
		if int64(cap(*b)) <= max(c.engine.cfg.ReadBytes, minBuffer) { // a larger one, of one batch, would serve small reads for long
			c.engine.readBuffers.Put(b)
		}
	}
	*c = collector{engine: c.engine}
}

// buffer returns n bytes for a read of r, out of memory for all that is wanted of it, as far as one read goes.
func (c *collector) buffer(n int, r *run) []byte {
	if n > len(c.free) {
		size, _, _ := r.wanted(c.left)
		size = max(min(size, int(c.engine.cfg.ReadBytes)), n, minBuffer)
		b, _ := c.engine.readBuffers.Get().(*[]byte)
		if b == nil || cap(*b) < size {
			fresh := make([]byte, size)
			b = &fresh
		}
		c.buffers = append(c.buffers, b)
		c.free = (*b)[:cap(*b)]
	}
	taken := c.free[:n:n]
	c.free = c.free[n:]
	return taken
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
