package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// recover brings the engine to where the log on disk ends:
//
//  1. the newest whole checkpoint says what was known when a certain log file began;
//  2. files before that one only tell, in their footers, which batches they hold;
//  3. that one and those after it are read group by group, and their changes applied.
//
// A place where the groups do not go on is the end of the log if it can be: in the last file, with nothing behind it that was written after
// the missing group was durable. Everything else is damage, and the engine does not open.
func (e *Engine) recover(ctx context.Context) error {
	if err := e.removeTemporary(); err != nil {
		return err
	}
	if err := e.openCompacted(); err != nil {
		return err
	}
	from, err := e.loadCheckpoint()
	if err != nil {
		return err
	}
	if err := e.openFiles(from); err != nil {
		return err
	}
	if len(e.files) == 0 {
		return e.beginLog()
	}
	clean := false
	for i, f := range e.files {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if f.Last < from.File {
			err = e.loadFinished(f)
		} else {
			clean, err = e.replay(i, &from)
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(e.checkParts(), e.checkContiguous()); err != nil {
		return err
	}
	if e.log.closed = clean; !clean {
		e.unclean = true
		e.tables.epoch++
	}
	return e.settle(from)
}

// newTables empties the tables.
func (e *Engine) newTables() {
	e.tables = newTables(e.cfg.MaxProducers)
	e.tables.compacted = e.compacted
	e.resetCompacted()
}

func (e *Engine) removeTemporary() error {
	for _, name := range []string{filepath.Join(e.cfg.Dir, checkpointTmp), e.logPath(nextName), e.logPath(rewriteTmp), e.logPath(compactTmp), e.logPath(spareName)} {
		if err := e.cfg.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// beginLog makes the first file of an empty log.
func (e *Engine) beginLog() error {
	f, err := e.nextFile(format.FileHeader{First: 1, Last: 1, Group: 1})
	if err != nil {
		return err
	}
	if err := e.syncNames(""); err != nil {
		return err
	}
	e.files = []*logFile{f}
	e.log = position{file: f, at: format.FirstGroup, sum: f.Sum}
	e.active.Store(f)
	return nil
}

// loadCheckpoint fills the tables from the newest whole checkpoint and returns its header; without any, the beginning of the first file if the log is
// whole from there.
func (e *Engine) loadCheckpoint() (format.CheckpointHeader, error) {
	names, err := e.cfg.FS.List(e.cfg.Dir)
	if err != nil {
		return format.CheckpointHeader{}, err
	}
	var numbers []uint64
	for _, name := range names {
		var n uint64
		if _, err := fmt.Sscanf(name, checkpointPrefix+"%016x", &n); err == nil && checkpointName(n) == name {
			numbers = append(numbers, n)
		}
	}
	var damage error
	for i := len(numbers) - 1; i >= 0; i-- {
		e.newTables()
		h, err := e.readCheckpoint(checkpointName(numbers[i]), func(c change) { c.apply(&e.tables) })
		var corrupt *stream.CorruptError
		if errors.As(err, &corrupt) {
			e.cfg.Logger.Error("checkpoint is damaged, more of the log is read instead", "error", err)
			damage = errors.Join(damage, err)
			e.checkpoints = append([]savedMark{{number: numbers[i]}}, e.checkpoints...)
			continue
		}
		if err != nil {
			return h, err
		}
		for k := range e.checkpoints {
			e.checkpoints[k].file = h.File // a damaged checkpoint frees no file
		}
		for k := i; k >= 0 && k > i-keptCheckpoints; k-- {
			e.checkpoints = append([]savedMark{{number: numbers[k], file: h.File}}, e.checkpoints...)
		}
		e.checkpoints[0].file = min(e.checkpoints[0].file, e.olderMark(e.checkpoints[0].number))
		return h, nil
	}
	if damage != nil {
		if whole, err := e.wholeFromFirst(); err != nil || !whole {
			return format.CheckpointHeader{}, errors.Join(err, damage)
		}
		e.cfg.Logger.Error("no checkpoint is left, the log is read from its first file on")
	}
	e.newTables() // without what was read before damage
	return format.CheckpointHeader{File: 1, Position: format.FirstGroup}, nil
}

// wholeFromFirst says whether the log files have everything since the log began: the first is there, and none was written anew, which leaves out all
// but batches. That none between is missing shows when they are opened.
func (e *Engine) wholeFromFirst() (bool, error) {
	names, err := e.cfg.FS.List(filepath.Join(e.cfg.Dir, logDir))
	if err != nil {
		return false, err
	}
	first := false
	for _, name := range names {
		h, ok := parseFileName(name)
		if ok && h.Generation == compactedGeneration {
			continue
		}
		if ok && h.Generation > 0 {
			return false, nil
		}
		first = first || ok && h.First == 1
	}
	return first, nil
}

// olderMark returns the file that recovery from an older checkpoint would begin with; the largest number if that checkpoint is of no use.
func (e *Engine) olderMark(number uint64) uint64 {
	h, err := e.readCheckpoint(checkpointName(number), func(change) {})
	if err != nil {
		return ^uint64(0)
	}
	return h.File
}

// readCheckpoint reads a checkpoint wholly. visit may have been called even if it returns an error.
func (e *Engine) readCheckpoint(name string, visit func(change)) (format.CheckpointHeader, error) {
	b, err := readWhole(e.cfg.FS, filepath.Join(e.cfg.Dir, name))
	if err != nil {
		return format.CheckpointHeader{}, err
	}
	h, at, err := format.ReadCheckpoint(b, func(kind format.Kind, payload []byte) error {
		c, err := decodeChange(kind, payload)
		if err == nil {
			visit(c)
		}
		return err
	})
	if err != nil {
		return h, &stream.CorruptError{File: name, Byte: int64(at), Reason: err.Error()}
	}
	return h, nil
}

// openFiles opens the log files, leaves out and removes those that a rewritten one replaces, and checks that none is missing from where
// replay begins.
func (e *Engine) openFiles(from format.CheckpointHeader) error {
	names, err := e.cfg.FS.List(filepath.Join(e.cfg.Dir, logDir))
	if err != nil {
		return err
	}
	var headers []format.FileHeader
	for _, name := range names {
		if h, ok := parseFileName(name); ok {
			if h.Generation != compactedGeneration {
				headers = append(headers, h)
			}
		} else if !strings.HasPrefix(name, ".") {
			e.cfg.Logger.Warn("a file among the log files is none, it is left alone", "file", name)
		}
	}
	sort.Slice(headers, func(i, j int) bool {
		a, b := headers[i], headers[j]
		if a.First != b.First {
			return a.First < b.First
		}
		if a.Last != b.Last {
			return a.Last > b.Last
		}
		return a.Generation > b.Generation
	})
	last := uint64(0)
	for _, h := range headers {
		if h.Last <= last {
			if err := e.cfg.FS.Remove(e.logPath(fileName(&h))); err != nil {
				return fmt.Errorf("remove replaced file: %w", err)
			}
			continue
		}
		f, err := e.openFile(h)
		if err != nil {
			return err
		}
		e.files = append(e.files, f)
		if h.First <= last || h.First > from.File && h.First != max(last+1, from.File) {
			return f.corrupt(0, "file %d follows file %d, but the log is read from file %d on", h.First, last, from.File)
		}
		last = h.Last
	}
	if last < from.File && (last > 0 || from.Number > 0) {
		missing := logFile{name: fileName(&format.FileHeader{First: from.File})}
		return missing.corrupt(0, "the file is missing, checkpoint %d was written when it began", from.Number)
	}
	return nil
}

func (e *Engine) openFile(named format.FileHeader) (*logFile, error) {
	f := &logFile{name: fileName(&named)}
	f.zeroDone.L = &f.grow
	var err error
	if f.file, err = e.cfg.FS.Open(e.logPath(f.name)); err != nil {
		return nil, err
	}
	f.refs.Store(1)
	b := make([]byte, format.FileHeaderSize)
	_, err = f.file.ReadAt(b, 0)
	if err == nil || errors.Is(err, io.EOF) {
		f.FileHeader, err = format.ReadFileHeader(b)
		if err != nil {
			err = f.corrupt(0, "%s", err)
		} else if f.First != named.First || f.Last != named.Last || f.Generation != named.Generation {
			err = f.corrupt(0, "file header says that this is %s", fileName(&f.FileHeader))
		}
	} else {
		err = diskError("read", f.name, err)
	}
	if err == nil {
		var size int64
		size, err = f.file.Size()
		f.allocated.Store(size)
		f.zeroed = (size + format.Align - 1) / format.Align * format.Align // a file that is written over has the odd size of its life before
	}
	if err != nil {
		return nil, errors.Join(err, f.release())
	}
	return f, nil
}

// loadFinished takes a file's batches into the index from its footer.
func (e *Engine) loadFinished(f *logFile) error {
	t, spans, err := readFooter(f)
	var corrupt *stream.CorruptError
	if errors.As(err, &corrupt) {
		// The groups say the same, if they are whole.
		e.cfg.Logger.Error("index of a log file is damaged, the file's groups are read instead", "error", err)
		return e.reindex(f, &t)
	}
	if err != nil {
		return err
	}
	f.end.Store(t.End)
	f.finished = true
	for i := range spans {
		s := e.tables.shards[spans[i].Shard]
		if s == nil || spans[i].Next <= max(s.start, s.clean) {
			continue
		}
		sp := &span{Span: spans[i], shard: s, file: f, cut: s.clean}
		s.spans = append(s.spans, sp)
		f.spans = append(f.spans, sp)
		f.live += sp.Bytes
		f.extents += int(sp.Count)
		f.aborted += int(sp.Aborted)
		s.aborts = s.aborts || sp.Aborted > 0
	}
	return nil
}

// reindex reads a file that was finished group by group, for its batches only; t is its trailer, zero if that is damaged.
func (e *Engine) reindex(f *logFile, t *format.Trailer) error {
	s, err := newScanner(f)
	if err != nil {
		return err
	}
	end, err := e.scanGroups(s, func(g *format.Group, at int64) error { return e.indexGroup(f, g, at) })
	if err != nil {
		return err
	}
	return f.remake(t, s, end)
}

// remake takes the groups that s has walked, up to end, for all that a finished file has, and for the index in its footer's place. Without a whole
// trailer nothing in the file says whether its last groups are gone. The shards do: each live batch is missing between others, or before the
// shard's end (checkContiguous). So the footer is written after that, and a file that has lost something stays as it is.
func (f *logFile) remake(t *format.Trailer, s *scanner, end ending) error {
	if end.damaged {
		return f.corrupt(end.badAt, "%s", end.reason)
	}
	if t.End > 0 && t.End != s.at {
		return f.endsEarly(t, end)
	}
	f.end.Store(s.at)
	f.remade = &format.Trailer{File: f.ID, End: s.at, Group: s.group, GroupSum: s.sum}
	return nil
}

// endsEarly is the damage of a file whose groups do not reach to where its trailer says.
func (f *logFile) endsEarly(t *format.Trailer, end ending) error {
	return f.corrupt(end.badAt, "%s, but the groups of this file end at byte %d", end.reason, t.End)
}

// readFooter reads trailer and directory of a finished file. A trailer that is whole is returned also if the directory is not.
func readFooter(f *logFile) (format.Trailer, []format.Span, error) {
	size, err := f.file.Size()
	if err != nil {
		return format.Trailer{}, nil, err
	}
	at := max(0, size-format.TrailerSize)
	b := make([]byte, size-at)
	if _, err := f.file.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return format.Trailer{}, nil, diskError("read", f.name, err)
	}
	t, err := format.ReadTrailer(b, f.ID, size)
	if err != nil {
		return t, nil, f.corrupt(at, "%s", err)
	}
	b = make([]byte, t.DirectorySize())
	if _, err := f.file.ReadAt(b, t.Directory); err != nil && !errors.Is(err, io.EOF) {
		return t, nil, diskError("read", f.name, err)
	}
	spans, err := format.ReadDirectory(b, &t)
	if err != nil {
		return t, nil, f.corrupt(t.Directory, "%s", err)
	}
	return t, spans, nil
}

// ending is how the scan of a file ended.
type ending struct {
	badAt   int64
	reason  string
	damaged bool // something behind proves that there was more
}

// scanGroups calls visit with each group until they do not go on.
func (e *Engine) scanGroups(s *scanner, visit func(g *format.Group, at int64) error) (ending, error) {
	for {
		g, at, badAt, reason, err := s.next()
		if err != nil {
			return ending{}, err
		}
		if reason != "" {
			damaged, err := s.proven()
			return ending{badAt: badAt, reason: reason, damaged: damaged}, err
		}
		if err := visit(&g, at); err != nil {
			return ending{}, err
		}
	}
}

// replay reads file i group by group. clean says that the log ends where an orderly Close left it.
func (e *Engine) replay(i int, from *format.CheckpointHeader) (clean bool, err error) {
	f := e.files[i]
	s, err := newScanner(f)
	if err != nil {
		return false, err
	}
	end, err := e.scanGroups(s, func(g *format.Group, at int64) error {
		if f.First == from.File && at < from.Position {
			return e.indexGroup(f, g, at)
		}
		return e.applyGroup(f, g, at)
	})
	if err != nil {
		return false, err
	}
	if err := e.checkEnd(i, s, end, from); err != nil {
		return false, err
	}
	f.end.Store(s.at)
	e.log = position{file: f, at: s.at, group: s.group, sum: s.sum, synced: s.group}
	e.active.Store(f)
	return from.Closed && f.First == from.File && s.at == from.Position, nil
}

// checkEnd decides whether the place where the groups of file i end can be where the log ended there.
func (e *Engine) checkEnd(i int, s *scanner, end ending, from *format.CheckpointHeader) error {
	f := e.files[i]
	if end.damaged || f.First == from.File && s.at < from.Position {
		return f.corrupt(end.badAt, "%s", end.reason)
	}
	if i+1 < len(e.files) {
		if next := e.files[i+1]; s.group+1 != next.Group {
			return f.corrupt(end.badAt, "%s, and %s begins with group %d", end.reason, next.name, next.Group)
		}
		return nil
	}
	if t, _, err := readFooter(f); err == nil {
		if t.End != s.at {
			return f.endsEarly(&t, end)
		}
		missing := logFile{name: fileName(&format.FileHeader{First: f.Last + 1})}
		return missing.corrupt(0, "the file is missing, the one before it is finished")
	}
	return nil
}

// indexGroup takes the batches of a group into the index whose effects a checkpoint has already.
func (e *Engine) indexGroup(f *logFile, g *format.Group, at int64) error {
	return g.Each(func(entry format.Entry, payload []byte, in int) error {
		s := e.tables.shards[entry.Shard]
		if s == nil || entry.Kind != format.KindBatch {
			if entry.Kind == format.KindAborted {
				return s.recoverAborted(f, payload, at+int64(in))
			}
			return nil
		}
		h, err := batch.Parse(payload)
		if err != nil {
			return f.corrupt(at+int64(in), "%s", err)
		}
		if next := stream.Offset(h.LastOffset()) + 1; next > max(s.start, s.clean) {
			s.add(f, extentOf(&h, &entry, at+int64(in)), next)
		}
		return nil
	})
}

func extentOf(h *batch.Header, entry *format.Entry, at int64) format.Extent {
	return format.Extent{Base: stream.Offset(h.BaseOffset), Position: uint32(at), Size: entry.Size, Latest: latestOf(h), Appended: entry.Time}
}

// latestOf returns the largest timestamp of a batch's records, -1 if compaction has left none.
func latestOf(h *batch.Header) int64 {
	if h.Records == 0 {
		return -1
	}
	return h.MaxTimestamp
}

// applyGroup does what publishing the group did.
func (e *Engine) applyGroup(f *logFile, g *format.Group, at int64) error {
	return g.Each(func(entry format.Entry, payload []byte, in int) error {
		if entry.Kind == format.KindAborted {
			return e.tables.shards[entry.Shard].recoverAborted(f, payload, at+int64(in))
		}
		if entry.Kind != format.KindBatch {
			c, err := decodeChange(entry.Kind, payload)
			if err != nil {
				return f.corrupt(at+int64(in), "%s", err)
			}
			c.apply(&e.tables)
			return nil
		}
		h, err := batch.Parse(payload)
		if err != nil {
			return f.corrupt(at+int64(in), "%s", err)
		}
		s := e.tables.shards[entry.Shard]
		if s == nil || stream.Offset(h.BaseOffset) != s.end {
			return f.corrupt(at+int64(in), "batch at offset %d of shard %d of stream %s is not that shard's next", h.BaseOffset, entry.Shard.Index, entry.Shard.Stream)
		}
		next := stream.Offset(h.LastOffset()) + 1
		s.add(f, extentOf(&h, &entry, at+int64(in)), next)
		s.grew(s.end, next, h.LeaderEpoch, int64(entry.Size))
		if err := e.recoverProducer(s, &h, payload, entry.Time); err != nil {
			return f.corrupt(at+int64(in), "%s", err)
		}
		return nil
	})
}

// checkContiguous finds batches that are in no file.
func (e *Engine) checkContiguous() error {
	for _, s := range sorted(e.tables.shards, compareShards) {
		s.next = s.end
		at := max(s.start, s.clean)
		where := e.files[0]
		first := true
		for _, sp := range s.spans {
			if sp.file.isCompacted() {
				continue
			}
			if sp.First > at || !first && sp.First != at {
				return e.lost(where, sp.file, "offsets %d to %d of shard %d of stream %s are in no file after this one", at, sp.First, s.id.Index, s.id.Stream)
			}
			at, where, first = sp.Next, sp.file, false
		}
		if at != s.end && s.start < s.end {
			return e.lost(where, nil, "shard %d of stream %s ends at offset %d, not at %d", s.id.Index, s.id.Stream, at, s.end)
		}
	}
	return nil
}

// lost is the damage of what should be found from one file on and before another, nil for the end of the log. If an index among them had to be made
// again, that file is the likely one: it is named, and where its groups end.
func (e *Engine) lost(from, before *logFile, reason string, args ...any) error {
	for _, f := range e.files {
		if f.remade != nil && f.First >= from.First && (before == nil || f.First < before.First) {
			return f.corrupt(f.end.Load(), reason, args...)
		}
	}
	return from.corrupt(0, reason, args...)
}

// settle makes durable what recovery found, cuts off what a crash left behind it, and finishes files whose footers are missing.
func (e *Engine) settle(from format.CheckpointHeader) error {
	p := &e.log
	var err error
	if p.file.direct, err = e.cfg.FS.OpenDirect(e.logPath(p.file.name)); err != nil {
		return err
	}
	if e.unclean {
		if err := p.file.file.Truncate(p.at); err != nil {
			return diskError("truncate", p.file.name, err)
		}
		p.file.allocated.Store(p.at)
		p.file.zeroed = p.at
	}
	if err := e.settleCompacted(); err != nil {
		return err
	}
	replayed := 0
	for i, f := range e.files {
		if f.Last < from.File {
			if err := e.writeRemade(f); err != nil {
				return err
			}
			continue
		}
		replayed++
		if i+1 == len(e.files) {
			break
		}
		t := format.Trailer{File: f.ID, End: f.end.Load(), Group: e.files[i+1].Group - 1}
		if err := e.writeFooter(f, t); err != nil {
			return err
		}
	}
	if err := p.file.file.Sync(); err != nil {
		return &DiskError{"sync", p.file.name, err}
	}
	if replayed > 1 {
		h, body := e.snapshot(e.producerStatesLocked())
		return e.writeCheckpoint(h, body)
	}
	return nil
}

// writeRemade writes a file's index if it was made again.
func (e *Engine) writeRemade(f *logFile) error {
	if f.remade == nil {
		return nil
	}
	if err := e.writeFooter(f, *f.remade); err != nil {
		return err
	}
	f.remade = nil
	e.cfg.Logger.Warn("index of a log file is made again", "file", f.name)
	return nil
}

// readWhole reads a file.
func readWhole(v vfs.FS, name string) ([]byte, error) {
	f, err := v.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, diskError("read", filepath.Base(name), err)
	}
	return b, nil
}
