package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// tend tells maintain that there may be a file to give back or to write anew.
func (e *Engine) tend() {
	select {
	case e.chores <- struct{}{}:
	default:
	}
}

// maintain applies retention, forgets silent producers and what readers left behind, and gives back what dead files hold, until the engine stops.
func (e *Engine) maintain() {
	retention := e.cfg.Clock.NewTicker(e.cfg.RetentionInterval)
	defer retention.Stop()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	for {
		var err error
		select {
		case <-e.stop:
			return
		case <-retention.C():
			e.expireProducers()
			e.readAhead.expire(e.cfg.Clock.Now())
			err = e.retain(ctx)
		case <-e.chores:
		}
		if err == nil {
			err = e.reclaimEarly()
		}
		if err = e.judge(err); err != nil {
			e.fail(err)
			return
		}
	}
}

// judge decides what an error of the background work means: nil to go on.
func (e *Engine) judge(err error) error {
	var corrupt *stream.CorruptError
	switch {
	case err == nil, errors.Is(err, stream.ErrClosed), errors.Is(err, stream.ErrUnavailable), errors.Is(err, stream.ErrNotFound):
		return nil
	case errors.Is(err, stream.ErrFull), isFull(err):
		return nil // nothing but spare space depended on it; it is tried again
	case errors.As(err, &corrupt):
		// The damaged batch is not served and its file not given up; the rest of the log is sound.
		e.cfg.Logger.Error("maintenance met damage, the file is left as it is", "error", err)
		return nil
	}
	return err
}

// expireProducers forgets the producers that were silent for too long.
func (e *Engine) expireProducers() {
	before := e.cfg.Clock.Now().Add(-e.Upkeep().ProducerExpiration).UnixMilli()
	e.view.RLock()
	shards := make([]*shard, 0, len(e.tables.shards))
	for _, s := range e.tables.shards {
		shards = append(shards, s)
	}
	e.view.RUnlock()
	for _, s := range shards {
		e.mu.Lock()
		if s.producers != nil {
			if s.producers.Expire(before); s.producers.Len() == 0 {
				s.producers = nil
			}
		}
		e.mu.Unlock()
	}
}

// reclaim removes dead files and writes mostly dead ones anew, until there are none.
func (e *Engine) reclaim() error {
	for !e.stopped() {
		if err := e.removeDead(); err != nil {
			return err
		}
		files := e.wasteful()
		if files == nil {
			return nil
		}
		if err := e.rewrite(files); err != nil {
			return err
		}
	}
	return nil
}

// settledLocked says whether a file holds nothing that recovery may need but batches: both checkpoints were written behind it. The caller holds view.
func (e *Engine) settledLocked(f *logFile) bool {
	return f.finished && len(e.checkpoints) > 0 && f.Last < e.checkpoints[0].file
}

// removeDead removes the files without a live batch.
func (e *Engine) removeDead() error {
	e.view.Lock()
	var dead []*logFile
	e.files = slices.DeleteFunc(slices.Clone(e.files), func(f *logFile) bool {
		gone := f.live == 0 && e.settledLocked(f)
		if gone {
			dead = append(dead, f)
		}
		return gone
	})
	for number, f := range e.compacted {
		if f.live == 0 && !f.pending {
			delete(e.compacted, number)
			dead = append(dead, f)
		}
	}
	e.view.Unlock()
	return e.discardAll(dead)
}

// discardAll discards files, each of them even if another fails.
func (e *Engine) discardAll(files []*logFile) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, e.discard(f))
	}
	return errors.Join(errs...)
}

// discard removes a file that nobody finds any more, or keeps it to be written over.
func (e *Engine) discard(f *logFile) error {
	e.view.RLock()
	spans := f.spans
	e.view.RUnlock()
	e.index.forget(spans)
	e.counters.removed.Add(1)
	if kept, err := e.recycle(f); kept || err != nil {
		return errors.Join(err, f.release())
	}
	// The name need not be gone for certain: should a crash bring it back, all that the file holds is dead still, or replaced.
	return errors.Join(e.cfg.FS.Remove(e.logPath(f.name)), f.release())
}

// mergeFiles is how many small neighbouring files are put together into one: what is kept for long would else leave a small file for every
// large one that has died. smallPart is the part of FileBytes up to which a file is small.
const (
	mergeFiles = 8
	smallPart  = 8
)

// wasteful returns neighbouring files that are worth writing anew, and fit into one file together, or nil: those with too many dead bytes,
// or else many small ones.
func (e *Engine) wasteful() []*logFile {
	if e.cfg.RewriteDead >= 1 {
		return nil
	}
	e.view.RLock()
	defer e.view.RUnlock()
	run := e.neighboursLocked(e.wastefulLocked)
	if len(run) > 0 {
		return run
	}
	run = e.neighboursLocked(func(f *logFile) bool { return f.end.Load() < e.cfg.FileBytes/smallPart })
	if len(run) < mergeFiles {
		return nil
	}
	return run
}

// wastefulLocked says whether a file has too many dead bytes.
func (e *Engine) wastefulLocked(f *logFile) bool {
	bytes := f.end.Load()
	return float64(bytes-e.anewLocked(f)) >= e.cfg.RewriteDead*float64(bytes)
}

// anewLocked returns how many bytes a file would have, written anew, at most: if one that was could seem to have more than that, it would be written
// anew for ever. A rewriting goes on to the next group when a batch does not fit, so any two groups have more in them than fits into one.
func (e *Engine) anewLocked(f *logFile) int64 {
	batches := int64(f.extents - f.dead)
	bytes := f.live + batches*format.EntrySize + int64(f.aborted)*abortedRoom
	fits := max(1, e.cfg.GroupBytes-format.GroupHeaderSize-format.Align-abortedRoom)
	groups := min(batches, 1+2*bytes/fits)
	return format.FirstGroup + bytes + groups*(format.GroupHeaderSize+format.Align)
}

// neighboursLocked returns the longest run of settled, live neighbours that fit and whose batches fill no more than one file, by size and number.
func (e *Engine) neighboursLocked(fit func(f *logFile) bool) []*logFile {
	var longest, run []*logFile
	var live int64
	extents := 0
	for _, f := range e.files {
		if f.live == 0 || f.damaged || !e.settledLocked(f) || !fit(f) {
			run, live, extents = nil, 0, 0
			continue
		}
		batches := f.extents - f.dead
		live, extents = live+f.live, extents+batches
		if live > e.cfg.FileBytes || extents > e.cfg.MaxExtents {
			run, live, extents = nil, f.live, batches
		}
		if run = append(run, f); len(run) > len(longest) {
			longest = run
		}
	}
	return longest
}
