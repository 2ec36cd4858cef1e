// Package committed tells, of batches read from a log, which hold records that were committed: neither transaction markers nor what was aborted.
// Read reads batches together with the aborted transactions among them; a Filter of those then judges batch by batch.
//
// It refuses to look behind a shard's last stable offset, where nothing is decided yet: its caller ends there.
package committed

import (
	"context"
	"errors"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// Log is what of a stream.Log is needed.
type Log interface {
	Read(ctx context.Context, shard stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error)
	Bounds(ctx context.Context, shard stream.Shard) (stream.Bounds, error)
	Aborted(ctx context.Context, shard stream.Shard, from, to stream.Offset) ([]stream.Aborted, error)
}

// Read is Log.Read, with the aborted transactions of which something lies in the batches before the last stable offset. They are as they were when the
// batches were read: compaction and trimming take transactions away with their batches, so that who has read the batches before, and asks afterwards,
// would take aborted records for committed ones. The log is asked only if one of the batches is of a transaction, and for no more than they cover.
func Read(ctx context.Context, log Log, shard stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, []stream.Aborted, error) {
	for {
		chunk, err := log.Read(ctx, shard, from, maxBytes)
		if err != nil {
			return chunk, nil, err
		}
		to, transactional := covered(&chunk, from)
		if !transactional {
			return chunk, nil, nil
		}
		aborted, err := log.Aborted(ctx, shard, from, to)
		after, failed := log.Bounds(ctx, shard)
		if err = errors.Join(err, failed); err == nil && after.Start <= from && after.Compactions == chunk.Bounds.Compactions {
			return chunk, aborted, nil
		}
		chunk.Release()
		if err != nil {
			return chunk, nil, err
		}
	}
}

// covered returns where the batches of a chunk that begin before the last stable offset end, and whether one of them is of a transaction.
func covered(chunk *stream.Chunk, from stream.Offset) (to stream.Offset, transactional bool) {
	to = from
	for _, b := range chunk.Batches {
		h, err := batch.Parse(b)
		if err != nil || stream.Offset(h.BaseOffset) >= chunk.Bounds.LastStable {
			break // who reads the records says what is wrong
		}
		to = stream.Offset(h.LastOffset()) + 1
		transactional = transactional || h.Attributes.Transactional()
	}
	return to, transactional
}

// Filter judges the batches of one read. The zero value leaves out markers only.
type Filter struct {
	aborted []stream.Aborted        // those that begin behind the batches judged so far
	ends    map[int64]stream.Offset // the markers of the others, by producer
}

// NewFilter returns the filter for what Read has returned.
func NewFilter(aborted []stream.Aborted) Filter { return Filter{aborted: aborted} }

// Skips says whether a batch holds nothing that was committed. Batches are judged in their order.
func (f *Filter) Skips(h *batch.Header) bool {
	if h.Attributes.Control() {
		return true
	}
	if !h.Attributes.Transactional() {
		return false
	}
	at := stream.Offset(h.BaseOffset)
	for len(f.aborted) > 0 && f.aborted[0].First <= at {
		if f.ends == nil {
			f.ends = map[int64]stream.Offset{}
		}
		f.ends[f.aborted[0].ProducerID] = f.aborted[0].Last
		f.aborted = f.aborted[1:]
	}
	end, ok := f.ends[h.ProducerID]
	return ok && at < end
}
