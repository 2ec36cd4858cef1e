package engine

import (
	"errors"
	"io/fs"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// assembly is the making of a file from batches that the log has already, span by span. It has its name only when it is whole and durable.
type assembly struct {
	engine *Engine
	tmp    string // its name until then
	file   *logFile
	group  group
	header format.GroupHeader // of the group before
	at     int64
	spans  []*span // with extents
}

// assemble begins a file with that header under a temporary name, in place of one that was given up.
func (e *Engine) assemble(h format.FileHeader, tmp string) (*assembly, error) {
	if err := e.cfg.FS.Remove(e.logPath(tmp)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := e.createFile(h, tmp)
	if err != nil {
		return nil, err
	}
	a := &assembly{engine: e, tmp: tmp, file: f, at: format.FirstGroup}
	a.header = format.GroupHeader{File: f.ID, Sum: f.Sum}
	a.group.reset(e.pool.get(0), 0)
	return a, nil
}

// giveUp removes what there is of the file, or a full disk would stay full for its sake, and returns err. It is not there if it has its own name already.
func (a *assembly) giveUp(err error) error {
	a.group.block.release()
	if gone := a.engine.cfg.FS.Remove(a.engine.logPath(a.tmp)); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return errors.Join(err, a.file.release())
}

// put copies a batch behind what the file has, and returns where it lies.
func (a *assembly) put(shard stream.Shard, b []byte, appended int64) (position int64, err error) {
	need := len(b) + format.EntrySize + abortedRoom // should the batch be a marker
	if g := &a.group; g.payload > 0 && need > g.room() {
		if err := a.flush(); err != nil {
			return 0, err
		}
	}
	if g := &a.group; need > g.room() {
		g.block.release()
		g.reset(a.engine.pool.get(need+format.GroupHeaderSize+format.Align), 0)
	}
	dst, in := a.group.reserve(len(b))
	copy(dst, b)
	a.group.addEntry(format.KindBatch, shard, dst, appended)
	return a.at + int64(in), nil
}

// index adds an extent to the last span, or to a new one if that is another shard's.
func (a *assembly) index(s *shard, x format.Extent, next stream.Offset) {
	n := len(a.spans)
	if n == 0 || a.spans[n-1].shard != s {
		a.spans = append(a.spans, newSpan(s, a.file, &x))
		n++
	}
	a.file.extents++
	a.spans[n-1].add(x, next)
}

// flush writes the group.
func (a *assembly) flush() error {
	g := &a.group
	if g.payload == 0 {
		return nil
	}
	h := format.GroupHeader{File: a.file.ID, Number: a.header.Number + 1, Synced: a.header.Number, Previous: a.header.Sum}
	b := g.seal(&h)
	if _, err := a.file.direct.WriteAt(b, a.at); err != nil {
		return diskError("write", a.tmp, err)
	}
	a.at += int64(len(b))
	a.header = h
	g.reset(g.block, 0)
	return nil
}

// finish completes the file and gives it its name.
func (a *assembly) finish() error {
	if err := a.flush(); err != nil {
		return err
	}
	e := a.engine
	a.file.end.Store(a.at)
	a.file.spans = a.spans
	t := format.Trailer{File: a.file.ID, End: a.at, Group: a.header.Number, GroupSum: a.header.Sum}
	if err := e.writeFooter(a.file, t); err != nil {
		return err
	}
	return e.adopt(a.file, a.tmp)
}
