package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// rewriting is the making of one file from the live batches of several neighbours, sorted by shard. The new file's name says which numbers it
// replaces, so that the moment of its rename decides: a crash before leaves the old files, one after leaves both, and Open removes the old.
type rewriting struct {
	engine *Engine
	old    []*logFile
	file   *logFile
	group  group
	header format.GroupHeader // of the group before
	at     int64
	spans  []*span // one per shard, with extents
	buf    []byte
}

// rewrite replaces neighbouring finished files by one without what is dead.
func (e *Engine) rewrite(old []*logFile) error {
	h := format.FileHeader{First: old[0].First, Last: old[len(old)-1].Last, Group: 1}
	for _, f := range old {
		h.Generation = max(h.Generation, f.Generation+1)
	}
	if err := e.cfg.FS.Remove(e.logPath(rewriteTmp)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := e.createFile(h, rewriteTmp)
	if err != nil {
		return err
	}
	r := &rewriting{engine: e, old: old, file: f, at: format.FirstGroup}
	r.header = format.GroupHeader{File: f.ID, Sum: f.Sum}
	r.group.reset(e.pool.get(0), 0)
	err = r.run()
	r.group.block.release()
	if err != nil {
		// What is there of the new file goes, or a full disk would stay full for its sake. It is not there if it has its own name already.
		if gone := e.cfg.FS.Remove(e.logPath(rewriteTmp)); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		return errors.Join(fmt.Errorf("rewrite files %d to %d: %w", h.First, h.Last, err), f.release())
	}
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
				var corrupt *stream.CorruptError
				if errors.As(err, &corrupt) {
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
	if err := r.flush(); err != nil {
		return err
	}
	r.file.end.Store(r.at)
	r.file.spans = r.spans
	t := format.Trailer{File: r.file.ID, End: r.at, Group: r.header.Number, GroupSum: r.header.Sum}
	if err := e.writeFooter(r.file, t); err != nil {
		return err
	}
	return e.adopt(r.file, rewriteTmp)
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
	extents, err := r.engine.extentsOf(sp)
	if err != nil {
		return err
	}
	r.engine.view.RLock()
	start := sp.shard.start
	r.engine.view.RUnlock()
	first := 0
	if start > sp.First {
		first = extentAt(extents, start)
	}
	for i := first; i < len(extents); i++ {
		next := sp.Next
		if i+1 < len(extents) {
			next = extents[i+1].Base
		}
		if err := r.copyBatch(sp, &extents[i], next); err != nil {
			return err
		}
	}
	return nil
}

// copyBatch reads a batch, checks it, and puts it behind what the new file has.
func (r *rewriting) copyBatch(sp *span, x *format.Extent, next stream.Offset) error {
	e := r.engine
	size := int(x.Size)
	if g := &r.group; g.payload > 0 && size+format.EntrySize > g.room() {
		if err := r.flush(); err != nil {
			return err
		}
	}
	if g := &r.group; size+format.EntrySize > g.room() {
		g.block.release()
		g.reset(e.pool.get(size+format.EntrySize+format.GroupHeaderSize+format.Align), 0)
	}
	if cap(r.buf) < size {
		r.buf = make([]byte, size)
	}
	b := r.buf[:size]
	if _, err := sp.file.file.ReadAt(b, int64(x.Position)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if _, err := e.checkStored(sp.shard, b, x.Base); err != nil {
		return sp.file.corrupt(int64(x.Position), "shard %d of stream %s, offset %d: %s", sp.Shard.Index, sp.Shard.Stream, x.Base, err)
	}
	dst, in := r.group.reserve(size)
	copy(dst, b)
	r.group.addEntry(format.KindBatch, sp.Shard, dst, x.Appended)
	to := *x
	to.Position = uint32(r.at + int64(in))
	r.index(sp.shard, to, next)
	return nil
}

func (r *rewriting) index(s *shard, x format.Extent, next stream.Offset) {
	n := len(r.spans)
	if n == 0 || r.spans[n-1].shard != s {
		r.spans = append(r.spans, newSpan(s, r.file, &x))
		n++
	}
	r.file.extents++
	r.spans[n-1].add(x, next)
}

// flush writes the group.
func (r *rewriting) flush() error {
	g := &r.group
	if g.payload == 0 {
		return nil
	}
	h := format.GroupHeader{File: r.file.ID, Number: r.header.Number + 1, Synced: r.header.Number, Previous: r.header.Sum}
	b := g.seal(&h)
	if _, err := r.file.direct.WriteAt(b, r.at); err != nil {
		return diskError("write", rewriteTmp, err)
	}
	r.at += int64(len(b))
	r.header = h
	g.reset(g.block, 0)
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
		if sp.dead() { // died meanwhile
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
	h, err := batch.Verify(b)
	if err == nil && stream.Offset(h.BaseOffset) != base {
		err = fmt.Errorf("batch begins at offset %d", h.BaseOffset)
	}
	return h, err
}
