package engine

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// counters count since Open.
type counters struct {
	groups, syncs, written, coldReads, checkpoints, rewrites, rewritten, removed, recycled, corruptReads atomic.Int64
}

// Stats describes an engine at a moment. Counts are since Open.
type Stats struct {
	Groups       int64 // group commits
	Syncs        int64
	Written      int64 // bytes of groups
	ColdReads    int64 // reads of batches from files
	CorruptReads int64 // reads and searches that met damage and failed
	Checkpoints  int64
	Rewrites     int64 // files written anew
	Rewritten    int64 // bytes written by rewrites
	Removed      int64 // dead files given up
	Recycled     int64 // of them written over
	Files        int
	FileBytes    int64 // on disk, reserved space and the spare file included
	LiveBytes    int64 // of batches that are readable
	TailBytes    int64 // memory of the log's tail
	PinnedBytes  int64 // memory that the tail has let go and readers have not
	IndexBytes   int64 // memory of cached indexes
	Recovery     time.Duration
	Unclean      bool // Open found that the log had not been closed
	Full         bool // the disk is full, or no file can be opened
	Shards       []ShardStats
}

// ShardStats describes one shard.
type ShardStats struct {
	Shard  stream.Shard
	Name   stream.Name
	Bounds stream.Bounds
}

// isDamage says that stored bytes are not what was written.
func isDamage(err error) bool {
	var corrupt *stream.CorruptError
	return errors.As(err, &corrupt)
}

// countDamage counts err if it is of damage, and returns it.
func (e *Engine) countDamage(err error) error {
	if isDamage(err) {
		e.counters.corruptReads.Add(1)
	}
	return err
}

// Stats returns the engine's figures; Shards only if asked for.
func (e *Engine) Stats(shards bool) Stats {
	c := &e.counters
	s := Stats{
		Groups: c.groups.Load(), Syncs: c.syncs.Load(), Written: c.written.Load(), ColdReads: c.coldReads.Load(), CorruptReads: c.corruptReads.Load(),
		Checkpoints: c.checkpoints.Load(), Rewrites: c.rewrites.Load(), Rewritten: c.rewritten.Load(), Removed: c.removed.Load(), Recycled: c.recycled.Load(),
		TailBytes: e.tail.size(), PinnedBytes: e.pool.pinned.Load(), IndexBytes: e.index.size(), Recovery: e.recovery, Unclean: e.unclean,
	}
	e.mu.Lock()
	s.Full = e.full
	e.mu.Unlock()
	e.view.RLock()
	defer e.view.RUnlock()
	s.Files, s.FileBytes = len(e.files), e.spareSize.Load()
	for _, f := range e.files {
		s.FileBytes += f.allocated.Load()
		s.LiveBytes += f.live
	}
	if shards {
		for id, sh := range e.tables.shards {
			s.Shards = append(s.Shards, ShardStats{Shard: id, Name: sh.stream.Name, Bounds: sh.bounds(e.tables.epoch)})
		}
	}
	return s
}

func (c *indexCache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}
