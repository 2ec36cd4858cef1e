package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/freshet/freshet/internal/stream"
)

// tend tells maintain that there may be a file to give back or to write anew.
func (e *Engine) tend() {
	select {
	case e.chores <- struct{}{}:
	default:
	}
}

// maintain applies retention, forgets silent producers, and gives back what dead files hold, until the engine stops.
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
			err = e.retain(ctx)
		case <-e.chores:
		}
		if err == nil {
			err = e.reclaim()
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
	case errors.Is(err, stream.ErrFull):
		return nil
	case errors.As(err, &corrupt):
		// The damaged batch is not served and its file not given up; the rest of the log is sound.
		e.cfg.Logger.Error("maintenance met damage, the file is left as it is", "error", err)
		return nil
	}
	return err
}

// expireProducers forgets the producers that were silent for too long.
func (e *Engine) expireProducers() {
	before := e.cfg.Clock.Now().Add(-e.cfg.ProducerExpiration).UnixMilli()
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
	e.view.Unlock()
	for _, f := range dead {
		if err := e.discard(f); err != nil {
			return err
		}
	}
	return nil
}

// discard removes a file that nobody finds any more. Its name need not be gone for certain: should a crash bring it back, all it holds is dead
// still, or replaced.
func (e *Engine) discard(f *logFile) error {
	e.view.RLock()
	spans := f.spans
	e.view.RUnlock()
	e.index.forget(spans)
	e.counters.removed.Add(1)
	return errors.Join(e.cfg.FS.Remove(e.logPath(f.name)), f.release())
}

// wasteful returns neighbouring files with too many dead bytes, which fit into one file together, or nil.
func (e *Engine) wasteful() []*logFile {
	e.view.RLock()
	defer e.view.RUnlock()
	var files []*logFile
	var live int64
	for _, f := range e.files {
		bytes := f.end.Load()
		dead := float64(bytes-f.live) / float64(bytes)
		if f.live > 0 && e.settledLocked(f) && dead >= e.cfg.RewriteDead && live+f.live <= e.cfg.FileBytes {
			files = append(files, f)
			live += f.live
		} else if len(files) > 0 {
			break
		}
	}
	return files
}
