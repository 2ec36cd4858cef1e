package engine

import (
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// counters count since Open.
type counters struct {
	groups, syncs, written, coldReads, checkpoints, rewrites, rewritten, removed, recycled, corruptReads atomic.Int64

	compactRuns, compactEnded, compactTook, compactWritten, compactFreed, compactDirty, compactLeft atomic.Int64

	compactDirtiest atomic.Uint64 // a float64
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

	Compaction CompactionStats
}

// CompactionStats describe the compaction of all streams that ask for it. Counts are since Open.
type CompactionStats struct {
	Runs     int64         // in which something was compacted
	LastRun  time.Time     // when the last of them ended; zero if there was none
	Took     time.Duration // how long it took
	Written  int64         // bytes of compacted files
	Freed    int64         // bytes of batches that are no more
	Dirty    int64         // bytes of batches that may be compacted and were not yet, when that was looked at last
	Dirtiest float64       // the largest share of a shard that those had then, 0..1
	Left     int64         // shards that are left as they are, because something in them cannot be read, or treated
	Files    int           // compacted files, beside Stats.Files
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

// Full says that appends are refused: the disk is full, or no file can be opened.
func (e *Engine) Full() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.full
}

// Stats returns the engine's figures; Shards only if asked for.
func (e *Engine) Stats(shards bool) Stats {
	c := &e.counters
	s := Stats{
		Groups: c.groups.Load(), Syncs: c.syncs.Load(), Written: c.written.Load(), ColdReads: c.coldReads.Load(), CorruptReads: c.corruptReads.Load(),
		Checkpoints: c.checkpoints.Load(), Rewrites: c.rewrites.Load(), Rewritten: c.rewritten.Load(), Removed: c.removed.Load(), Recycled: c.recycled.Load(),
		TailBytes: e.tail.size(), PinnedBytes: e.pool.pinned.Load(), IndexBytes: e.index.size(), Recovery: e.recovery, Unclean: e.unclean,
	}
	s.Full = e.Full()
	s.Compaction = CompactionStats{
		Runs: c.compactRuns.Load(), Took: time.Duration(c.compactTook.Load()), Written: c.compactWritten.Load(), Freed: c.compactFreed.Load(),
		Dirty: c.compactDirty.Load(), Dirtiest: math.Float64frombits(c.compactDirtiest.Load()), Left: c.compactLeft.Load(),
	}
	if ended := c.compactEnded.Load(); ended > 0 {
		s.Compaction.LastRun = time.UnixMilli(ended)
	}
	e.view.RLock()
	defer e.view.RUnlock()
	for _, f := range e.compacted {
		s.Compaction.Files++
		s.FileBytes += f.allocated.Load()
		s.LiveBytes += f.live
	}
	s.Files = len(e.files)
	s.FileBytes += e.spareSize.Load()
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
