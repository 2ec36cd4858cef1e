package engine

import (
	"errors"

	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// claim notes that a group is about to be written up to end.
func (f *logFile) claim(end int64) {
	f.grow.Lock()
	defer f.grow.Unlock()
	f.zeroed = max(f.zeroed, end)
}

func (e *Engine) setFull(full bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.full == full {
		return
	}
	e.full = full
	if full {
		e.cfg.Logger.Error("disk full: appends are refused until there is space", "dir", e.cfg.Dir)
	} else {
		e.cfg.Logger.Info("disk has space again", "dir", e.cfg.Dir)
	}
}

// awaitSpace waits before something is tried again that the disk had no space for. It returns an error when the engine closes or fails.
func (e *Engine) awaitSpace(cause error) error {
	e.setFull(true)
	e.mu.Lock()
	closing := e.closing
	e.mu.Unlock()
	if closing {
		return errors.Join(stream.ErrFull, cause)
	}
	timer := e.cfg.Clock.NewTimer(e.cfg.SpaceInterval)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-e.leaving:
		return errors.Join(stream.ErrFull, cause)
	case <-e.stop:
		return errors.Join(stream.ErrUnavailable, cause)
	}
}

// untilSpace repeats action while the disk is full.
func (e *Engine) untilSpace(action func() error) error {
	for {
		err := action()
		if !errors.Is(err, vfs.ErrNoSpace) {
			return err
		}
		if err := e.awaitSpace(err); err != nil {
			return err
		}
	}
}
