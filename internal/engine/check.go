package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// Report is what Check has found in a directory.
type Report struct {
	Files       int
	Groups      int64
	Batches     int64
	Changes     int64 // of state, checkpoints' included
	Bytes       int64 // checked
	Checkpoints int
	Streams     int
	Shards      int
	Documents   int
	Cursors     int
	TornFile    string // where a crash has cut the log off, if it has and the file is not damaged: opening truncates it there
	TornByte    int64
	Stray       []string               // files among the log's that are none of it: nothing reads or removes them
	Damage      []*stream.CorruptError // empty: all is as it was written
}

// Check verifies a log that no process has open: every group and payload of every log file, every index, every checkpoint, and then what
// opening would check, among it that each shard's batches follow each other, but for what was compacted; and that each has the leader epoch of its offset, which only grow. It
// changes nothing.
// Damage is in the report; the error is for what could not be read at all, vfs.ErrLocked (wrapped) for a log in use.
func Check(v vfs.FS, dir string) (*Report, error) {
	lock, err := v.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", dir, err)
	}
	c := checker{fs: v, dir: dir}
	err = c.run()
	if err = errors.Join(err, lock.Close()); err != nil {
		return nil, fmt.Errorf("check %s: %w", dir, err)
	}
	return &c.report, nil
}

type checker struct {
	fs     vfs.FS
	dir    string
	report Report
	mended int // of the damage: that which opening makes up for
}

// damaged puts err into the report if it is damage, and returns it if it is not.
func (c *checker) damaged(err error) error {
	var corrupt *stream.CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	for _, d := range c.report.Damage {
		if *d == *corrupt {
			return nil
		}
	}
	c.report.Damage = append(c.report.Damage, corrupt)
	return nil
}

func (c *checker) run() error {
	e := &Engine{cfg: Config{Dir: c.dir, FS: readOnly{c.fs}}}
	e.cfg.setDefaults()
	e.tables = newTables(e.cfg.MaxProducers)
	e.index.budget = e.cfg.IndexBytes
	defer e.releaseFiles()
	if err := c.strays(); err != nil {
		return err
	}
	if err := c.checkpoints(e); err != nil {
		return err
	}
	if err := e.openCompacted(); err != nil {
		return err
	}
	from, err := e.loadCheckpoint()
	if err != nil {
		return c.damaged(err)
	}
	if err := e.openFiles(from); err != nil {
		return c.damaged(err)
	}
	for i := range e.files {
		if err := c.file(e, i, &from); err != nil {
			return err
		}
	}
	if err := c.compacted(e); err != nil {
		return err
	}
	t := &e.tables
	c.report.Files += len(e.files)
	c.report.Streams, c.report.Shards = len(t.streams), len(t.shards)
	for kind, of := range t.documents {
		if kind != leaseKind {
			c.report.Documents += len(of)
		}
	}
	for _, of := range t.cursors {
		c.report.Cursors += len(of)
	}
	if len(c.report.Damage) > c.mended || len(e.files) == 0 {
		return nil // the rest would only repeat it in other words
	}
	return c.damaged(e.checkContiguous())
}

// releaseFiles closes files that were only read.
func (e *Engine) releaseFiles() {
	for _, f := range e.files {
		_ = f.release()
	}
	for _, f := range e.compacted {
		if f.file != nil {
			_ = f.release()
		}
	}
}

// strays names the files that are in the log's directory by mistake. Hidden ones are the system's.
func (c *checker) strays() error {
	names, err := c.fs.List(filepath.Join(c.dir, logDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		_, ok := parseFileName(name)
		if !ok && !strings.HasPrefix(name, ".") && !slices.Contains([]string{nextName, rewriteTmp, compactTmp, spareName}, name) {
			c.report.Stray = append(c.report.Stray, filepath.Join(logDir, name))
		}
	}
	return nil
}

// checkpoints reads all checkpoints, also those that opening would not need.
func (c *checker) checkpoints(e *Engine) error {
	names, err := c.fs.List(c.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, checkpointPrefix) {
			continue
		}
		c.report.Checkpoints++
		if _, err := e.readCheckpoint(name, func(change) { c.report.Changes++ }); err != nil {
			if err := c.damaged(err); err != nil {
				return err
			}
			c.mended++
		}
	}
	return nil
}

// file checks file i group by group, and its index against them.
func (c *checker) file(e *Engine, i int, from *format.CheckpointHeader) error {
	f := e.files[i]
	s, err := newScanner(f)
	if err != nil {
		return err
	}
	last := i+1 == len(e.files)
	replayed := f.Last >= from.File
	end, err := e.scanGroups(s, func(g *format.Group, at int64) error {
		c.count(g)
		take := e.applyGroup
		if !replayed || f.First == from.File && at < from.Position {
			take = e.indexGroup
		}
		if err := take(f, g, at); err != nil {
			return err
		}
		return c.epochs(e, f, g, at)
	})
	if err != nil {
		return c.damaged(err)
	}
	c.report.Bytes += s.at
	if replayed {
		if err := c.damaged(e.checkEnd(i, s, end, from)); err != nil {
			return err
		}
	}
	t, directory, footerErr := readFooter(f)
	switch {
	case footerErr != nil && !replayed:
		return c.footer(f, footerErr, f.remake(&t, s, end))
	case footerErr == nil && t.End != s.at:
		return c.damaged(f.endsEarly(&t, end))
	case footerErr == nil:
		return c.index(f, directory)
	}
	name := filepath.Join(logDir, f.name)
	if last && !c.damagedIn(name) && c.leavings(s) {
		c.report.TornFile, c.report.TornByte = name, s.at
	}
	return nil
}

// damagedIn says whether damage was found in a file: then nothing in it is taken for what a crash has left, and opening cuts nothing off.
func (c *checker) damagedIn(file string) bool {
	return slices.ContainsFunc(c.report.Damage, func(d *stream.CorruptError) bool { return d.File == file })
}

// footer reports a damaged footer, and what is wrong with the groups that could make up for it.
func (c *checker) footer(f *logFile, err, groups error) error {
	var corrupt *stream.CorruptError
	if groups == nil && errors.As(err, &corrupt) {
		c.mended++
		err = f.corrupt(corrupt.Byte, "%s: the next start makes the index again from the file's groups, if none is missing", corrupt.Reason)
	}
	if err := c.damaged(err); err != nil {
		return err
	}
	return c.damaged(groups)
}

// epochs compares the leader epochs of a group's batches with those that the shards had at their offsets. A batch's own checksum leaves its epoch out.
func (c *checker) epochs(e *Engine, f *logFile, g *format.Group, at int64) error {
	return g.Each(func(entry format.Entry, payload []byte, in int) error {
		s := e.tables.shards[entry.Shard]
		if entry.Kind != format.KindBatch || s == nil {
			return nil
		}
		h, err := batch.Parse(payload)
		if base := stream.Offset(h.BaseOffset); err == nil && !e.hasEpoch(s, base, h.LeaderEpoch) {
			err = f.corrupt(at+int64(in), "batch at offset %d of shard %d of stream %s has leader epoch %d, not %d", base, s.id.Index, s.id.Stream, h.LeaderEpoch, s.epochAt(base))
		}
		return c.damaged(err)
	})
}

func (c *checker) count(g *format.Group) {
	c.report.Groups++
	_ = g.Each(func(e format.Entry, _ []byte, _ int) error {
		switch {
		case e.Kind == format.KindBatch:
			c.report.Batches++
		case e.Kind >= format.KindChange:
			c.report.Changes++
		}
		return nil
	})
}

// leavings says whether something else than zeros follows where the groups end.
func (c *checker) leavings(s *scanner) bool {
	b, err := s.bytes(s.at, format.Align)
	return err == nil && strings.Trim(string(b), "\x00") != ""
}

// index compares a finished file's index with its groups.
func (c *checker) index(f *logFile, directory []format.Span) error {
	of := map[stream.Shard]*span{}
	for _, sp := range f.spans {
		of[sp.Shard] = sp
	}
	for i := range directory {
		d := &directory[i]
		x, err := (&span{Span: *d, file: f}).readIndex()
		sp := of[d.Shard]
		if err != nil {
			var corrupt *stream.CorruptError
			if sp != nil && errors.As(err, &corrupt) && format.Sum((&shardIndex{sp.extents, sp.aborted}).append(nil)) == d.Sum {
				c.mended++
				err = f.corrupt(corrupt.Byte, "%s: the next read makes it again from the file's groups", corrupt.Reason)
			}
			if err := c.damaged(err); err != nil {
				return err
			}
			continue
		}
		if sp == nil {
			continue // deleted or trimmed since
		}
		if err := c.damaged(sp.compare(d.Position, &x)); err != nil {
			return err
		}
	}
	return nil
}

// compare says what of the span, as the file's groups have it, is not in the file's index at a position.
func (sp *span) compare(at int64, x *shardIndex) error {
	have := map[format.Extent]bool{}
	for _, x := range x.extents {
		have[x] = true
	}
	for _, x := range sp.extents {
		if !have[x] {
			return sp.file.corrupt(at, "index does not have the batch at byte %d, offset %d of shard %d of stream %s", x.Position, x.Base, sp.Shard.Index, sp.Shard.Stream)
		}
	}
	for _, a := range sp.aborted {
		if !slices.Contains(x.aborted, a) {
			return sp.file.corrupt(at, "index does not have the transaction that was aborted at offset %d of shard %d of stream %s", a.Last, sp.Shard.Index, sp.Shard.Stream)
		}
	}
	return nil
}

// readOnly is a file system that Check cannot change by mistake.
type readOnly struct{ vfs.FS }

var errReadOnly = errors.New("a check must not change the log")

// Create refuses.
func (readOnly) Create(string) (vfs.File, error) { return nil, errReadOnly }

// OpenDirect refuses: direct handles are for writing.
func (readOnly) OpenDirect(string) (vfs.File, error) { return nil, errReadOnly }

// Rename refuses.
func (readOnly) Rename(string, string) error { return errReadOnly }

// Remove does nothing, and says that it did: files that a rewritten one replaces are just left out.
func (readOnly) Remove(string) error { return nil }

// Mkdir refuses.
func (readOnly) Mkdir(string) error { return errReadOnly }

// SyncDir refuses.
func (readOnly) SyncDir(string) error { return errReadOnly }
