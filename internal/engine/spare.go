package engine

import (
	"errors"
	"io/fs"

	"github.com/freshet/freshet/internal/vfs"
)

// The spare is the file that the log goes on in once the current one is full. It is there before that: the disk may be full by then. It is a dead
// file that was kept to be written over, or an empty one with space reserved.

// makeSpare makes a spare file of so many bytes if there is none.
func (e *Engine) makeSpare(size int64) error {
	e.recycling.Lock()
	defer e.recycling.Unlock()
	if e.spareSize.Load() > 0 {
		return nil
	}
	name := e.logPath(spareName)
	if err := e.cfg.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := e.cfg.FS.Create(name)
	if err != nil {
		return err
	}
	err = diskError("extend", spareName, f.Allocate(size))
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, e.cfg.FS.Remove(name)) // what there is of it would keep a full disk full
	}
	e.spareSize.Store(size)
	return nil
}

// recycle keeps a dead file as the spare if that is worth it: there is no other dead one, no reader is still at it, it has the usual size, and the
// disk is not full. It has its new name for certain before a byte of it may change: a file with a log file's name is always whole.
func (e *Engine) recycle(f *logFile) (kept bool, err error) {
	e.recycling.Lock()
	defer e.recycling.Unlock()
	e.mu.Lock()
	full := e.full
	e.mu.Unlock()
	size := f.allocated.Load()
	if full || e.spareWritten > 0 || f.refs.Load() > 1 || f.end.Load() < e.cfg.FileBytes/2 || size < e.cfg.firstBytes() {
		return false, nil
	}
	if err := e.cfg.FS.Rename(e.logPath(f.name), e.logPath(spareName)); err != nil {
		return false, err
	}
	e.spareWritten, e.spareUnnamed = size, true
	e.spareSize.Store(size)
	if err := e.nameSpare(); err != nil && !isFull(err) {
		return false, err
	}
	return true, nil
}

// nameSpare makes the name of a dead file that is kept durable, if it is not yet. The caller holds recycling.
func (e *Engine) nameSpare() error {
	if !e.spareUnnamed {
		return nil
	}
	err := e.syncNames(logDir)
	e.spareUnnamed = err != nil
	return err
}

// shrinkSpare gives back what a dead file that is kept has beyond what its next life begins with.
func (e *Engine) shrinkSpare() {
	e.recycling.Lock()
	defer e.recycling.Unlock()
	if e.spareUnnamed {
		return
	}
	least := e.cfg.firstBytes()
	e.mu.Lock()
	if e.place.file == nil { // the open group will lie in it
		least = max(least, e.place.at+int64(e.open.size())+e.cfg.urgentBytes())
	}
	shrinks := e.spareSize.Load() > least
	if shrinks {
		e.spareSize.Store(least)
	}
	e.mu.Unlock()
	if !shrinks {
		return
	}
	e.spareWritten = min(e.spareWritten, least)
	if err := e.cutSpare(least); err != nil {
		e.cfg.Logger.Warn("the spare file keeps its size although the disk is full", "error", err)
	}
}

func (e *Engine) cutSpare(size int64) error {
	f, err := e.cfg.FS.Open(e.logPath(spareName))
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// takeSpare makes the spare the file of another name, and returns both handles of it with its size and how much of it was written to. There is none
// if f is nil. As long as it cannot be opened it stays the spare: a group may have been promised its place there.
func (e *Engine) takeSpare(name string) (f, direct vfs.File, size, written int64, err error) {
	e.recycling.Lock()
	defer e.recycling.Unlock()
	if e.spareSize.Load() == 0 {
		return nil, nil, 0, 0, nil
	}
	if f, direct, size, err = e.openSpare(name); err != nil {
		return nil, nil, 0, 0, err
	}
	if written = e.spareWritten; written > 0 {
		e.counters.recycled.Add(1)
	}
	e.spareSize.Store(0)
	e.spareWritten = 0
	return f, direct, size, written, nil
}

// openSpare opens the spare and gives it another name. The caller holds recycling.
func (e *Engine) openSpare(name string) (f, direct vfs.File, size int64, err error) {
	if err = e.nameSpare(); err != nil {
		return nil, nil, 0, err
	}
	if f, err = e.cfg.FS.Open(e.logPath(spareName)); err != nil {
		return nil, nil, 0, err
	}
	if direct, err = e.cfg.FS.OpenDirect(e.logPath(spareName)); err != nil {
		return nil, nil, 0, errors.Join(err, f.Close())
	}
	if size, err = f.Size(); err == nil {
		err = e.cfg.FS.Rename(e.logPath(spareName), e.logPath(name))
	}
	if err != nil {
		return nil, nil, 0, errors.Join(err, f.Close(), direct.Close())
	}
	return f, direct, size, nil
}

// dropSpare removes the spare file: nothing is written any more.
func (e *Engine) dropSpare() error {
	e.recycling.Lock()
	defer e.recycling.Unlock()
	if e.spareSize.Swap(0) == 0 {
		return nil
	}
	return e.cfg.FS.Remove(e.logPath(spareName))
}
