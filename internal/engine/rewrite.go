package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// rewriting is the making of one file from the live batches of several neighbours, sorted by shard. The new file's name says which numbers it
// replaces, so that the moment of its rename decides: a crash before leaves the old files, one after leaves both, and Open removes the old.
type rewriting struct {
	*assembly
	old []*logFile
	buf []byte
}

// rewrite replaces neighbouring finished files by one without what is dead.
func (e *Engine) rewrite(old []*logFile) error {
	h := format.FileHeader{First: old[0].First, Last: old[len(old)-1].Last, Group: 1}
	for _, f := range old {
		h.Generation = max(h.Generation, f.Generation+1)
	}
	a, err := e.assemble(h, rewriteTmp)
	if err != nil {
		return err
	}
	r := &rewriting{assembly: a, old: old}
	if err = r.run(); err != nil {
		return a.giveUp(fmt.Errorf("rewrite files %d to %d: %w", h.First, h.Last, err))
	}
	a.group.block.release()
	r.swap()
	e.counters.rewrites.Add(1)
	e.counters.rewritten.Add(r.at)
	return e.discardAll(old)
}

// run makes the new file, up to the moment when it has its name.
func (r *rewriting) run() error {
	e := r.engine
	for _, spans := range r.sources() {
		for _, sp := range spans {
			if err := r.copySpan(sp); err != nil {
				if isDamage(err) {
					e.view.Lock()
					sp.file.damaged = true // or it would keep its neighbours from being written anew, each time
					e.view.Unlock()
				}
				return err
			}
		}
		if e.stopped() {
			return stream.ErrClosed
		}
	}
	return r.finish()
}

// sources returns the live spans of the old files, by shard, each shard's in order.
func (r *rewriting) sources() [][]*span {
	e := r.engine
	e.view.RLock()
	defer e.view.RUnlock()
	of := map[stream.Shard][]*span{}
	for _, f := range r.old {
		for _, sp := range f.spans {
			if !sp.dead() {
				of[sp.Shard] = append(of[sp.Shard], sp)
			}
		}
	}
	return sorted(of, compareShards)
}

// copySpan copies the live batches of one span.
func (r *rewriting) copySpan(sp *span) error {
	x, err := r.engine.indexOf(sp)
	if err != nil {
		return err
	}
	extents, aborted := x.extents, x.aborted
	r.engine.view.RLock()
	start, cut := sp.shard.start, sp.cut
	r.engine.view.RUnlock()
	for i := firstLive(extents, start, cut); i < len(extents); i++ {
		next := sp.Next
		if i+1 < len(extents) {
			next = extents[i+1].Base
		}
		if err := r.copyBatch(sp, &extents[i], next); err != nil {
			return err
		}
		for ; len(aborted) > 0 && aborted[0].Last < next; aborted = aborted[1:] {
			if aborted[0].Last >= max(start, extents[i].Base) {
				r.copyAborted(sp, aborted[0], extents[i].Appended)
			}
		}
	}
	return nil
}

// copyBatch reads a batch, checks it, and puts it behind what the new file has.
func (r *rewriting) copyBatch(sp *span, x *format.Extent, next stream.Offset) error {
	b, err := r.engine.readExtent(sp, x, &r.buf)
	if err != nil {
		return err
	}
	to := *x
	position, err := r.put(sp.Shard, b, x.Appended)
	if err != nil {
		return err
	}
	to.Position = uint32(position)
	r.index(sp.shard, to, next)
	return nil
}

// copyAborted puts the aborted transaction of the marker that was copied last behind it.
func (r *rewriting) copyAborted(sp *span, a stream.Aborted, time int64) {
	r.group.addAborted(sp.Shard, a, time)
	r.spans[len(r.spans)-1].addAborted(a)
	r.file.aborted++
}

// readExtent reads a batch into buf, which grows to hold it, and checks it.
func (e *Engine) readExtent(sp *span, x *format.Extent, buf *[]byte) ([]byte, error) {
	size := int(x.Size)
	if cap(*buf) < size {
		*buf = make([]byte, size)
	}
	b := (*buf)[:size]
	if _, err := sp.file.file.ReadAt(b, int64(x.Position)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, e.checkExtent(sp, x, b)
}

// checkExtent checks a batch that was read from a span's file.
func (e *Engine) checkExtent(sp *span, x *format.Extent, b []byte) error {
	if _, err := e.checkStored(sp.shard, b, x.Base); err != nil {
		return sp.file.corrupt(int64(x.Position), "shard %d of stream %s, offset %d: %s", sp.Shard.Index, sp.Shard.Stream, x.Base, err)
	}
	return nil
}

// swap puts the new file in the place of the old ones.
func (r *rewriting) swap() {
	e := r.engine
	e.view.Lock()
	defer e.view.Unlock()
	replaced := func(f *logFile) bool { return slices.Contains(r.old, f) }
	for _, sp := range r.spans {
		s := sp.shard
		if sp.cut = min(s.clean, sp.Next); sp.dead() { // died meanwhile
			r.file.dead += int(sp.Count)
			continue
		}
		from := slices.IndexFunc(s.spans, func(o *span) bool { return replaced(o.file) })
		to := from
		for to < len(s.spans) && replaced(s.spans[to].file) {
			to++
		}
		s.spans = slices.Concat(s.spans[:from], []*span{sp}, s.spans[to:])
		r.file.live += sp.Bytes
	}
	e.files = slices.DeleteFunc(slices.Clone(e.files), replaced)
	at, _ := slices.BinarySearchFunc(e.files, r.file, func(a, b *logFile) int { return cmp.Compare(a.First, b.First) })
	e.files = slices.Insert(e.files, at, r.file)
}

// checkStored verifies a batch that was read from a file. Its own checksum leaves the leader epoch out, which is that of its offset.
func (e *Engine) checkStored(s *shard, b []byte, base stream.Offset) (batch.Header, error) {
	h, err := checkBatch(b, base)
	if err == nil && !e.hasEpoch(s, base, h.LeaderEpoch) {
		err = fmt.Errorf("batch has leader epoch %d, not that of its offset", h.LeaderEpoch)
	}
	return h, err
}

// checkBatch verifies the one batch that b is, which must begin at base.
func checkBatch(b []byte, base stream.Offset) (batch.Header, error) {
	h, err := batch.VerifyStored(b)
	if err == nil && stream.Offset(h.BaseOffset) != base {
		err = fmt.Errorf("batch begins at offset %d", h.BaseOffset)
	}
	return h, err
}
