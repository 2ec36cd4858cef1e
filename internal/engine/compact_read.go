package engine

import (
	"errors"
	"io"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// batchReader reads the live batches of a shard in order, as they lie in the files, many at once where they lie together.
type batchReader struct {
	engine *Engine
	pace   *pace
	buf    []byte
}

// shardReading is a shard's spans at a moment, with their files acquired.
type shardReading struct {
	shard  *shard
	spans  []*span
	cuts   []stream.Offset
	bounds stream.Bounds
}

// reading returns the spans of a shard as they are now. The caller releases them.
func (e *Engine) reading(id stream.Shard) (*shardReading, error) {
	s, spans, bounds, err := e.shardSpans(id)
	if err != nil {
		return nil, err
	}
	r := &shardReading{shard: s, spans: spans, bounds: bounds}
	for _, sp := range spans {
		r.cuts = append(r.cuts, e.summary(sp).cut)
	}
	return r, nil
}

func (r *shardReading) release() error { return releaseSpans(r.spans) }

// from returns where the first span's live part begins.
func (r *shardReading) from() stream.Offset {
	if len(r.spans) == 0 {
		return r.bounds.End
	}
	return max(r.spans[0].First, r.cuts[0])
}

// visitBatch is called with a batch, its extent, and where the one after it begins. The bytes are valid during the call.
type visitBatch func(b []byte, x *format.Extent, next stream.Offset) error

// each calls visit with the batches from an offset on that begin before another.
func (b *batchReader) each(r *shardReading, from, before stream.Offset, visit visitBatch) error {
	for i, sp := range r.spans {
		if sp.First >= before {
			break
		}
		sum := b.engine.summary(sp)
		if sum.next <= from {
			continue
		}
		extents, err := b.engine.extentsOf(sp)
		if err != nil {
			return err
		}
		extents = extents[firstLive(extents, max(from, r.bounds.Start), r.cuts[i]):]
		if err := b.span(sp, extents, sum.next, before, visit); err != nil {
			return err
		}
	}
	return nil
}

// span visits extents of one span.
func (b *batchReader) span(sp *span, extents []format.Extent, next, before stream.Offset, visit visitBatch) error {
	for len(extents) > 0 && extents[0].Base < before {
		n := b.together(extents, before)
		start := int64(extents[0].Position)
		last := &extents[n-1]
		size := int(int64(last.Position) + int64(last.Size) - start)
		if cap(b.buf) < size {
			b.buf = make([]byte, size)
		}
		buf := b.buf[:size]
		if _, err := sp.file.file.ReadAt(buf, start); err != nil && !errors.Is(err, io.EOF) {
			return diskError("read", sp.file.name, err)
		}
		b.pace.spend(size)
		for i := range n {
			x := &extents[i]
			at := int64(x.Position) - start
			one := buf[at : at+int64(x.Size) : at+int64(x.Size)]
			if err := b.engine.checkExtent(sp, x, one); err != nil {
				return err
			}
			after := next
			if i+1 < len(extents) {
				after = extents[i+1].Base
			}
			if err := visit(one, x, after); err != nil {
				return err
			}
		}
		extents = extents[n:]
		if b.engine.stopped() {
			return stream.ErrClosed
		}
	}
	return nil
}

// together returns how many extents are read at once.
func (b *batchReader) together(extents []format.Extent, before stream.Offset) int {
	start, stop := int64(extents[0].Position), int64(extents[0].Position)+int64(extents[0].Size)
	n := 1
	for ; n < len(extents) && extents[n].Base < before; n++ {
		x := &extents[n]
		gap, to := int64(x.Position)-stop, int64(x.Position)+int64(x.Size)
		if gap < 0 || gap > gapBytes || to-start > b.engine.cfg.ReadBytes {
			break
		}
		stop = to
	}
	return n
}
