package engine

import (
	"errors"
	"slices"

	"github.com/freshet/freshet/internal/engine/format"
)

// A file that is being written holds what is dead in it until it is full, and a file before it what is dead there until two checkpoints lie behind
// that. On a disk that is full before then this would be for ever: so the log goes on in a new file early, where that lets go of much. The new
// file is as small as one can be; what the old one had reserved for what frees space (urgentBytes) pays for it, for the footer and for the
// checkpoints, and the new one has it as soon as there is room for it again (reclaimEarly).

// earlyBytes is what a file has that is begun early.
func (c *Config) earlyBytes() int64 { return format.FirstGroup + urgentGroups*format.Align }

// endEarly has the log go on in a new file if what it holds back is worth that. Only provide may call it, while the disk is full.
func (e *Engine) endEarly() error {
	f := e.active.Load()
	if e.heldBack(f) < e.cfg.urgentBytes() {
		return nil
	}
	err := e.makeSpare(e.cfg.earlyBytes())
	if isFull(err) {
		e.lending.Lock()
		defer e.lending.Unlock()
		var had int64
		if had, err = e.cutAhead(f); err != nil {
			return err
		}
		if err = e.makeSpare(e.cfg.earlyBytes()); isFull(err) {
			return errors.Join(err, f.reserveExactly(had))
		}
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.early = true
	e.mu.Unlock()
	e.wake()
	return nil
}

// heldBack returns how many bytes two checkpoints behind the end of the active file would let go of: those of the files that are not settled, and dead
// or worth writing anew. While a file is on its way to be finished it is nothing: that may do.
func (e *Engine) heldBack(active *logFile) int64 {
	e.view.RLock()
	defer e.view.RUnlock()
	var held int64
	for _, f := range e.files {
		bytes := f.end.Load()
		switch {
		case f != active && !f.finished:
			return 0
		case e.settledLocked(f):
		case f.live == 0:
			held += bytes
		case e.wastefulLocked(f):
			held += bytes - e.anewLocked(f)
		}
	}
	return held
}

// cutAhead gives back what the file that is being written has beyond what was promised to groups, and returns what it had. The caller holds lending,
// or is the last who uses the log.
func (e *Engine) cutAhead(f *logFile) (had int64, err error) {
	e.mu.Lock()
	f.grow.Lock()
	defer f.grow.Unlock()
	had = f.allocated.Load()
	if e.place.file != f {
		e.mu.Unlock()
		return had, nil
	}
	for f.zeroing > 0 {
		f.zeroDone.Wait()
	}
	to := e.place.at
	if e.open.payload > 0 {
		to += int64(e.open.size())
	}
	to = min(to, had)
	f.allocated.Store(to)
	e.mu.Unlock()
	f.zeroed = min(f.zeroed, to)
	return had, diskError("truncate", f.name, f.file.Truncate(to))
}

// reclaimEarly reclaims, and then gives a file that was begun early what the one before it had for what frees space. In this order: until both
// checkpoints are written they may need that space, and so may a file that is written anew.
func (e *Engine) reclaimEarly() error {
	e.mu.Lock()
	full, p := e.full, e.place
	e.mu.Unlock()
	restore := full && p.file != nil && e.othersSettled(p.file)
	err := e.reclaim()
	if p.file != nil && isFull(err) {
		err = e.reclaimOnLoan(p.file)
	}
	if !restore {
		return err
	}
	if lacking := p.file.reserveExactly(p.at + e.cfg.urgentBytes()); !isFull(lacking) {
		err = errors.Join(err, lacking)
	}
	return err
}

// reclaimOnLoan reclaims with what the file that is being written has reserved for what frees space: else a disk with no room left beside a mostly
// dead file would stay full whatever is deleted in it.
func (e *Engine) reclaimOnLoan(f *logFile) error {
	e.lending.Lock()
	defer e.lending.Unlock()
	had, err := e.cutAhead(f)
	if err == nil {
		err = e.reclaim()
	}
	if lacking := f.reserveExactly(had); !isFull(lacking) {
		err = errors.Join(err, lacking)
	}
	return err
}

func (e *Engine) othersSettled(active *logFile) bool {
	e.view.RLock()
	defer e.view.RUnlock()
	return !slices.ContainsFunc(e.files, func(f *logFile) bool { return f != active && !e.settledLocked(f) })
}
