package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// logFile is one file of the log. Its last reader closes it: removing a file takes its name at once and its bytes when nobody needs them.
type logFile struct {
	format.FileHeader
	name string // base name
	file vfs.File
	// direct writes groups past the system's cache: the newest of the log is in memory once already, and copying it there costs more CPU than
	// all else that a bulk append needs (docs/engine.md). nil in files that nothing is appended to any more.
	direct vfs.File
	refs   atomic.Int32

	end atomic.Int64 // where the groups end

	// remade is the trailer of the index that recovery has made again from the groups, until that is written. nil: none was.
	remade *format.Trailer

	// Guarded by Engine.view.
	spans    []*span // one per shard with batches here
	extents  int     // batches, dead ones included
	aborted  int     // aborted transactions, dead ones included
	dead     int     // of extents, those of dead spans
	live     int64   // bytes of batches in spans
	finished bool    // the footer is written
	damaged  bool    // writing it anew has met damage: it is left as it is
	pending  bool    // a compacted file that changes on their way refer to

	offers []*span // guarded by Engine.view: what a compacted file has, for the changes that refer to it; their shard may not be known
	broken error   // why nothing can be read of a compacted file; set while a log is being opened

	allocated atomic.Int64 // size of the file; only who holds grow changes it

	grow     sync.Mutex
	claimed  int64 // guarded by grow: the end of the last group that was or is being written
	zeroed   int64 // guarded by grow: up to here the file was written to, by groups or zeros
	small    bool  // guarded by grow: the last group was a small one
	sealed   bool  // guarded by grow: the footer is being written, space ahead has no use any more
	zeroing  int64 // guarded by grow: zeros are being written from zeroed up to here; 0 = not now
	zeroDone sync.Cond

	fetch       sync.Mutex
	fetchedFrom int64 // guarded by fetch: the system was asked to read from here
	fetchedTo   int64 // guarded by fetch: up to here
}

// logDir is the subdirectory of the log files, names in it are:
//
//	0000000000000003.log                        log file 3
//	0000000000000004-0000000000000006.1.log     files 4 to 6 written anew, without what was dead
//	0000000000000002.compacted.log              compacted file 2, see compact_files.go
//	next.tmp, rewrite.tmp, compact.tmp          not part of the log yet
//	spare.tmp                                   what next.tmp will be: a dead file, or an empty one with space reserved
const (
	logDir     = "log"
	nextName   = "next.tmp"
	rewriteTmp = "rewrite.tmp"
	spareName  = "spare.tmp"
)

// fileName returns the base name of the file with that header.
func fileName(h *format.FileHeader) string {
	if h.Generation == compactedGeneration {
		return compactedName(h.First)
	}
	if h.Generation == 0 {
		return fmt.Sprintf("%016x.log", h.First)
	}
	return fmt.Sprintf("%016x-%016x.%d.log", h.First, h.Last, h.Generation)
}

// parseFileName reads what fileName wrote.
func parseFileName(name string) (h format.FileHeader, ok bool) {
	if h, ok = parseCompactedName(name); ok {
		return h, ok
	}
	h = format.FileHeader{}
	if n, err := fmt.Sscanf(name, "%016x-%016x.%d.log", &h.First, &h.Last, &h.Generation); n != 3 || err != nil {
		h = format.FileHeader{}
		if n, err := fmt.Sscanf(name, "%016x.log", &h.First); n != 1 || err != nil {
			return h, false
		}
		h.Last = h.First
	}
	return h, fileName(&h) == name
}

func (e *Engine) logPath(name string) string { return filepath.Join(e.cfg.Dir, logDir, name) }

// createFile makes a log file whose header is durable before it has its name: a log file without a valid header is always damage.
func (e *Engine) createFile(h format.FileHeader, tmp string) (*logFile, error) {
	var id [8]byte
	if _, err := io.ReadFull(e.cfg.Random, id[:]); err != nil {
		return nil, fmt.Errorf("draw file id: %w", err)
	}
	// The number goes in too: a node that is started again and again with the same seed draws the same ids, and an older file's leavings must
	// not look like this one's.
	h.ID = binary.LittleEndian.Uint64(id[:]) ^ (h.First<<8+uint64(h.Generation))*0x9e3779b97f4a7c15
	f, direct, size, written, err := e.newFile(tmp)
	if err != nil {
		return nil, err
	}
	lf := &logFile{FileHeader: h, name: fileName(&h), file: f, direct: direct}
	lf.zeroDone.L = &lf.grow
	lf.refs.Store(1)
	lf.end.Store(format.FirstGroup)
	header := make([]byte, format.FirstGroup) // whole pages, so that no direct write meets a dirty one in the cache
	copy(header, lf.FileHeader.Append(nil))
	lf.allocated.Store(max(size, format.FirstGroup))
	lf.zeroed = (max(written, format.FirstGroup) + format.Align - 1) / format.Align * format.Align
	if _, err := f.WriteAt(header, 0); err != nil {
		return nil, errors.Join(diskError("write", tmp, err), lf.release())
	}
	return lf, nil
}

// newFile makes an empty file, or takes the spare for the log's next one. Where that was written to in an earlier life, overwriting syncs as fast as
// behind zeros, and what is there has another file's id.
func (e *Engine) newFile(tmp string) (f, direct vfs.File, size, written int64, err error) {
	if tmp == nextName {
		if f, direct, size, written, err = e.takeSpare(tmp); f != nil || err != nil {
			return f, direct, size, written, err
		}
	}
	if f, err = e.cfg.FS.Create(e.logPath(tmp)); err != nil {
		return nil, nil, 0, 0, err
	}
	if direct, err = e.cfg.FS.OpenDirect(e.logPath(tmp)); err != nil {
		return nil, nil, 0, 0, errors.Join(err, f.Close())
	}
	return f, direct, 0, 0, nil
}

// adopt gives a file made by createFile its name.
func (e *Engine) adopt(f *logFile, tmp string) error {
	if err := f.file.Sync(); err != nil {
		return &DiskError{"sync", f.name, err}
	}
	if err := e.cfg.FS.Rename(e.logPath(tmp), e.logPath(f.name)); err != nil {
		return err
	}
	// Who waits here, for a descriptor alone, has the file: made again under another number it would lie beside this one after a crash.
	return e.untilSpace(func() error { return e.syncNames(logDir) })
}

// syncNames makes the names in a directory, "" or logDir, durable. If no file can be opened for that nothing was tried, so that it can be
// again: that error alone is no *DiskError.
func (e *Engine) syncNames(dir string) error {
	err := e.cfg.FS.SyncDir(filepath.Join(e.cfg.Dir, dir))
	if err == nil || errors.Is(err, vfs.ErrTooManyFiles) {
		return err
	}
	return &DiskError{"sync", cmp.Or(dir, e.cfg.Dir), err}
}

// DiskError says that the disk has failed: a sync, write or read of the log's own files. After a sync, which of the unsynced bytes are on the disk is
// unknown, and asking again may even be answered with success (Linux forgets the error): the engine stops for good. A disk that is only full is not
// meant, unless a sync says so.
type DiskError struct {
	Op   string
	Name string // of the file in the log's directory, or of the directory
	Err  error
}

// Error names operation and file.
func (d *DiskError) Error() string { return fmt.Sprintf("%s %s: %s", d.Op, d.Name, d.Err) }

// Unwrap returns the system's error.
func (d *DiskError) Unwrap() error { return d.Err }

// diskError returns what the error of an operation that is no sync means: nil and a full disk are nothing special.
func diskError(op, name string, err error) error {
	if err == nil || errors.Is(err, vfs.ErrNoSpace) {
		return err
	}
	return &DiskError{op, name, err}
}

// isFull says that the disk is full, or no file can be opened because so many are, and nothing worse: it can be tried again.
func isFull(err error) bool {
	var failed *DiskError
	return (errors.Is(err, vfs.ErrNoSpace) || errors.Is(err, vfs.ErrTooManyFiles)) && !errors.As(err, &failed)
}

func (f *logFile) acquire() *logFile {
	f.refs.Add(1)
	return f
}

func (f *logFile) release() error {
	if f.refs.Add(-1) > 0 {
		return nil
	}
	return errors.Join(f.closeDirect(), f.file.Close())
}

// corrupt describes damage at a byte of the file.
func (f *logFile) corrupt(at int64, format string, args ...any) error {
	return &stream.CorruptError{File: filepath.Join(logDir, f.name), Byte: at, Reason: fmt.Sprintf(format, args...)}
}

// maxFetched is how far back a file remembers what the system was asked to read: the shards of a stream are read side by side, and asking
// again costs as much as a read. What was asked for longer ago the system may have forgotten.
const maxFetched = 32 * mib

// prefetch asks the system to begin reading a part of the file that is written, if it was not asked lately.
func (f *logFile) prefetch(from, to int64) {
	f.fetch.Lock()
	defer f.fetch.Unlock()
	if from < f.fetchedFrom || from > f.fetchedTo {
		f.fetchedFrom, f.fetchedTo = from, from
	}
	if to <= f.fetchedTo {
		return
	}
	f.file.Prefetch(f.fetchedTo, to-f.fetchedTo)
	f.fetchedTo = to
	f.fetchedFrom = max(f.fetchedFrom, to-maxFetched)
}

// reserve makes the file at least to bytes long, in steps up to where it usually ends if the disk has room for them.
func (f *logFile) reserve(to int64, c *Config) error {
	f.grow.Lock()
	defer f.grow.Unlock()
	if to <= f.allocated.Load() || f.sealed {
		return nil
	}
	size := (to + c.AllocateBytes - 1) / c.AllocateBytes * c.AllocateBytes
	size = max(to, min(size, c.mostBytes()))
	err := f.allocateLocked(size)
	if isFull(err) && size > to {
		err = f.allocateLocked(to)
	}
	return err
}

// reserveExactly makes the file at least to bytes long, and not longer.
func (f *logFile) reserveExactly(to int64) error {
	f.grow.Lock()
	defer f.grow.Unlock()
	if to <= f.allocated.Load() || f.sealed {
		return nil
	}
	return f.allocateLocked(to)
}

func (f *logFile) allocateLocked(size int64) error {
	if err := f.file.Allocate(size); err != nil {
		return fmt.Errorf("%d bytes: %w", size, diskError("extend", f.name, err))
	}
	f.allocated.Store(size)
	return nil
}
