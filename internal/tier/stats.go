package tier

import (
	"context"
	"sync/atomic"

	"github.com/freshet/freshet/internal/stream"
)

// counters count since New.
type counters struct {
	copied, copiedBytes, copyFailures, deleted, deleteFailures atomic.Int64
	hits, misses, gets, readBytes, readFailures, mended        atomic.Int64

	lag, tiered, segments atomic.Int64 // as of when all shards were looked at last
}

// Stats describe a Log at a moment. Counts are since New.
type Stats struct {
	Copied         int64 // segments
	CopiedBytes    int64 // of batches
	CopyFailures   int64
	Deleted        int64 // objects
	DeleteFailures int64
	Hits, Misses   int64 // parts of objects that readers asked for, and found in memory or did not
	Gets           int64 // parts read from objects
	ReadBytes      int64
	ReadFailures   int64
	Mended         int64 // reads that the local log could not serve, as it is damaged there, and objects could

	Lag         int64 // bytes that are due to be copied
	TieredBytes int64 // of batches in objects
	Segments    int64
	CacheBytes  int64 // memory of what was read from objects
	PinnedBytes int64 // of that, what readers hold
}

// Stats returns the log's figures.
func (l *Log) Stats() Stats {
	c := &l.counters
	s := Stats{
		Copied: c.copied.Load(), CopiedBytes: c.copiedBytes.Load(), CopyFailures: c.copyFailures.Load(), Deleted: c.deleted.Load(),
		DeleteFailures: c.deleteFailures.Load(), Hits: c.hits.Load(), Misses: c.misses.Load(), Gets: c.gets.Load(), ReadBytes: c.readBytes.Load(),
		ReadFailures: c.readFailures.Load(), Mended: c.mended.Load(), Lag: c.lag.Load(), TieredBytes: c.tiered.Load(), Segments: c.segments.Load(),
	}
	s.CacheBytes, s.PinnedBytes = l.cache.sizes()
	return s
}

// Extent returns where the parts of a shard are. ErrNotFound.
func (l *Log) Extent(ctx context.Context, id stream.Shard) (stream.Extent, error) {
	b, err := l.Log.Bounds(ctx, id)
	x := stream.Extent{Local: b.Start, LocalBytes: b.Bytes, Tiered: -1}
	if s := l.find(id); s != nil && err == nil {
		if v := s.view.Load(); len(v.segments) > 0 && v.end() >= b.Start {
			x.Tiered = v.end()
			_, x.Bytes = v.below(0)
		}
	}
	return x, err
}
