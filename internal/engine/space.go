package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// Space is provided ahead of the writer, for two reasons. Who appends need not make sure of it (place.go), and learns early that the disk
// is full: then appends are refused, reads go on, and there is room for what frees space. And a sync is cheap only if it has no blocks to
// enter in the file system's books: a group of 4 KiB takes half the time where zeros were written before (docs/engine.md has the figures).
// Zeros cost a second write, so they are written only while groups are small: then the disk is idle most of the time and someone waits for
// every sync. Under bulk load the writer overtakes them and extends the file.

// smallGroup is the size in bytes from which on a group makes zeros not worth their price.
const smallGroup = 16 * kib

// zeroChunk is how many zeros are written at once: the writer may have to wait for them.
const zeroChunk = 64 * kib

var zeros = vfs.DirectBytes(zeroChunk)

// claim notes that a group of size bytes is about to be written at a position, and waits for zeros that are being written there. It reports
// whether space should be provided.
func (f *logFile) claim(at, size int64, c *Config) (low bool) {
	f.grow.Lock()
	defer f.grow.Unlock()
	f.claimed = at + size
	f.small = size <= smallGroup
	for f.zeroing > 0 && f.claimed > f.zeroed {
		f.zeroDone.Wait()
	}
	f.zeroed = max(f.zeroed, f.claimed)
	allocated := f.allocated.Load()
	return allocated-f.claimed < c.aheadBytes() && allocated < c.mostBytes() || f.small && f.zeroed-f.claimed < c.ZeroBytes/2
}

// zero writes the next zeros, at most ahead bytes before the writer, and reports whether more of them are wanted. Only provide may call it.
func (f *logFile) zero(ahead int64) (more bool, err error) {
	f.grow.Lock()
	defer f.grow.Unlock()
	to := min(f.zeroed+zeroChunk, f.claimed+ahead, f.allocated.Load()) / format.Align * format.Align
	if !f.small || f.sealed || f.claimed == 0 || to <= f.zeroed {
		return false, nil
	}
	from := f.zeroed
	f.zeroing = to
	f.grow.Unlock() // who writes elsewhere need not wait
	_, err = f.direct.WriteAt(zeros[:to-from], from)
	f.grow.Lock()
	f.zeroing = 0
	f.zeroDone.Broadcast()
	if err != nil {
		return false, diskError("write", f.name, err)
	}
	f.zeroed = max(f.zeroed, to)
	return true, nil
}

// starve tells provide that space ahead is short.
func (e *Engine) starve() {
	select {
	case e.hungry <- struct{}{}:
	default:
	}
}

// provide keeps space ahead of the writer until the engine stops.
func (e *Engine) provide() {
	var retry <-chan time.Time // set while the disk is full
	for {
		select {
		case <-e.hungry:
		case <-retry:
		case <-e.stop:
			return
		}
		retry = nil
		switch err := e.provideOnce(); {
		case isFull(err):
			e.setFull(err)
			if err := e.endEarly(); err != nil && !isFull(err) {
				e.fail(err)
				return
			}
			retry = e.cfg.Clock.NewTimer(e.cfg.SpaceInterval).C()
		case err != nil:
			e.fail(err)
			return
		default:
			e.setFull(nil)
		}
	}
}

func (e *Engine) provideOnce() error {
	f := e.active.Load()
	e.mu.Lock()
	l, _ := e.lackLocked(0, 1, false)
	e.mu.Unlock()
	to := min(f.end.Load()+e.cfg.aheadBytes(), e.cfg.mostBytes())
	if err := e.reserve(lack{file: f, to: to, next: l.next || to == e.cfg.mostBytes()}); err != nil {
		return err
	}
	for {
		more, err := f.zero(e.cfg.ZeroBytes)
		if !more || err != nil {
			return err
		}
	}
}

// setFull notes that the disk is full, or that no file can be opened, and what said so; nil that it is not so. While someone holds a write up
// for that it is, whatever others find.
func (e *Engine) setFull(lacking error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setFullLocked(lacking)
}

func (e *Engine) setFullLocked(lacking error) {
	full := lacking != nil || e.heldUp > 0
	if e.full == full {
		return
	}
	e.full, e.lacking = full, lacking
	switch {
	case !full:
		e.cfg.Logger.Info("the log has what it needs again: appends are taken", "dir", e.cfg.Dir)
		e.tend() // what had no room to be written anew may have it now
		return
	case errors.Is(lacking, vfs.ErrTooManyFiles):
		e.cfg.Logger.Error("no file descriptor is left: appends are refused until there is one", "dir", e.cfg.Dir, "error", lacking)
	default:
		e.cfg.Logger.Error("disk full: appends are refused until there is space", "dir", e.cfg.Dir)
	}
	e.openRoomLocked() // who waits there is refused now
}

// errFull is what who is refused is told: nothing was taken, and it may be tried again.
func (e *Engine) errFull(lacking error) error {
	if errors.Is(lacking, vfs.ErrTooManyFiles) {
		return fmt.Errorf("%w: %s: %s", stream.ErrFull, e.cfg.Dir, vfs.ErrTooManyFiles)
	}
	return fmt.Errorf("%w: %s", stream.ErrFull, e.cfg.Dir)
}

// untilSpace repeats action while the disk is full or no file can be opened. What it holds up was taken already, so it gives up only when the
// engine closes, fails or is told to; while it is being opened nobody waits for it, and its caller is told.
func (e *Engine) untilSpace(action func() error) error {
	err := action()
	if isFull(err) {
		e.shrinkSpare()
		err = action()
	}
	if !isFull(err) {
		return err
	}
	e.mu.Lock()
	if e.open == nil {
		e.mu.Unlock()
		return err
	}
	e.heldUp++
	e.setFullLocked(err)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.heldUp--
		e.setFullLocked(nil)
		e.mu.Unlock()
	}()
	for isFull(err) {
		timer := e.cfg.Clock.NewTimer(e.cfg.SpaceInterval)
		select {
		case <-timer.C():
			err = action()
		case <-e.leaving:
			timer.Stop()
			return errors.Join(stream.ErrFull, err)
		case <-e.stop:
			timer.Stop()
			return errors.Join(stream.ErrUnavailable, err)
		}
	}
	return err
}
