package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/freshet/freshet/internal/engine/format"
)

// finished is a full file on its way to the disk's final form, with the checkpoint of what was known behind it.
type finished struct {
	file       *logFile
	trailer    format.Trailer // without footer
	checkpoint format.CheckpointHeader
	body       []byte
	early      bool // it is not full: what is dead in it and before it is to go at once
}

// roll goes on in a new file behind g. It is not called while full files may not wait to be finished.
func (e *Engine) roll(g *group) error {
	p := &e.log
	if p.synced < p.group {
		if err := p.file.file.Sync(); err != nil {
			return &DiskError{"sync", p.file.name, err}
		}
		p.synced = p.group
	}
	h := format.FileHeader{First: p.file.First + 1, Last: p.file.First + 1, Group: p.group + 1}
	var next *logFile
	err := e.untilSpace(func() (err error) {
		next, err = e.nextFile(h)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin log file %d: %w", h.First, err)
	}
	done := finished{file: p.file, early: g.early, trailer: format.Trailer{File: p.file.ID, End: p.at, Group: p.group, GroupSum: p.sum}}
	e.view.Lock()
	e.files = append(e.files, next)
	e.view.Unlock()
	e.active.Store(next)
	e.log = position{file: next, at: format.FirstGroup, group: p.group, sum: next.Sum, synced: p.group}
	e.mu.Lock()
	e.place.file = next
	e.openRoomLocked()
	e.mu.Unlock()
	done.checkpoint, done.body = e.snapshot(g.producers)
	e.finishing <- done
	return nil
}

// nextFile makes the file that the log goes on in.
func (e *Engine) nextFile(h format.FileHeader) (*logFile, error) {
	if err := e.cfg.FS.Remove(e.logPath(nextName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := e.createFile(h, nextName)
	if err != nil {
		return nil, err
	}
	if f.allocated.Load() <= format.FirstGroup { // it was no spare, which has its place
		if err := f.reserve(e.cfg.firstBytes(), &e.cfg); err != nil {
			return nil, errors.Join(err, f.release())
		}
	}
	if err := e.adopt(f, nextName); err != nil {
		return nil, errors.Join(err, f.release())
	}
	return f, nil
}

// finishFiles writes footers and checkpoints of full files until finishing is closed.
func (e *Engine) finishFiles() {
	for done := range e.finishing {
		e.mu.Lock()
		e.openRoomLocked()
		e.mu.Unlock()
		if e.stopped() {
			continue // what is missing is made again by recovery
		}
		if err := e.finish(&done); err != nil {
			e.fail(err)
		}
	}
}

func (e *Engine) stopped() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// finish writes the footer, then the checkpoint that makes the file's changes of state superfluous.
func (e *Engine) finish(done *finished) error {
	if err := e.untilSpace(func() error { return e.writeFooter(done.file, done.trailer) }); err != nil {
		return fmt.Errorf("finish %s: %w", done.file.name, err)
	}
	// A dead file goes when both checkpoints that are kept lie behind it: behind one that ended early there are two at once.
	for n := 0; n == 0 || done.early && n < keptCheckpoints; n++ {
		if err := e.untilSpace(func() error { return e.writeCheckpoint(done.checkpoint, done.body) }); err != nil {
			return err
		}
	}
	e.tend()
	return nil
}

// writeFooter completes a file that nothing is added to any more, and lets the index cache take over its index. Spans that are dead by now
// are left out.
func (e *Engine) writeFooter(f *logFile, t format.Trailer) error {
	e.view.RLock()
	spans := slices.DeleteFunc(slices.Clone(f.spans), (*span).dead)
	slices.SortFunc(spans, func(a, b *span) int { return compareShards(a.Shard, b.Shard) })
	indexes := make([]shardIndex, len(spans))
	for i, s := range spans {
		indexes[i] = shardIndex{s.extents, s.aborted}
	}
	e.view.RUnlock()
	footer, directory := buildFooter(spans, indexes, &t)
	if err := f.complete(footer, &t); err != nil {
		return err
	}
	e.view.Lock()
	defer e.view.Unlock()
	f.finished = true
	f.spans = spans
	for i, s := range spans {
		e.index.add(s, indexes[i])
		s.Position, s.Sum = directory[i].Position, directory[i].Sum
		s.extents, s.aborted = nil, nil
	}
	return nil
}

// complete ends the file with its footer, durably. The indexes are so before a byte of directory and trailer is written: those two opening checks, the
// indexes only who reads them, and a power cut may come while the index of an old file is made again.
func (f *logFile) complete(footer []byte, t *format.Trailer) error {
	f.grow.Lock()
	defer f.grow.Unlock()
	size := t.End + int64(len(footer))
	f.sealed = true
	for f.zeroing > 0 {
		f.zeroDone.Wait()
	}
	// The old end of the file goes first: it might hold the trailer of an earlier life at the very place where this one's belongs.
	if err := f.file.Truncate(size); err != nil {
		return diskError("truncate", f.name, err)
	}
	indexes := t.Directory - t.End
	if err := f.writeDurably(footer[:indexes], t.End); err != nil {
		return err
	}
	if err := f.writeDurably(footer[indexes:], t.Directory); err != nil {
		return err
	}
	f.allocated.Store(size)
	f.zeroed = size
	return f.closeDirect()
}

// closeDirect gives up the handle that groups were written through: there may be thousands of finished files, and only so many open ones.
func (f *logFile) closeDirect() error {
	if f.direct == nil {
		return nil
	}
	err := f.direct.Close()
	f.direct = nil
	return diskError("close", f.name, err)
}

func (f *logFile) writeDurably(b []byte, at int64) error {
	if _, err := f.file.WriteAt(b, at); err != nil {
		return diskError("write", f.name, err)
	}
	if err := f.file.Sync(); err != nil {
		return &DiskError{"sync", f.name, err}
	}
	return nil
}

// dead says that the shard no longer refers to the span. The caller holds view.
func (sp *span) dead() bool { return sp.shard.stream == nil || sp.Next <= max(sp.shard.start, sp.cut) }

// buildFooter returns indexes, directory and trailer of spans, and the spans as the directory has them.
func buildFooter(spans []*span, indexes []shardIndex, t *format.Trailer) (footer []byte, directory []format.Span) {
	for i, s := range spans {
		d := s.Span
		from := len(footer)
		d.Position = t.End + int64(from)
		footer = indexes[i].append(footer)
		d.Sum = format.Sum(footer[from:])
		directory = append(directory, d)
	}
	t.Directory = t.End + int64(len(footer))
	at := len(footer)
	footer = t.AppendDirectory(footer, directory)
	t.DirectorySum = format.Sum(footer[at:])
	return t.Append(footer), directory
}
