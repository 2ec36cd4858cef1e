package flow

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// buffer measures the batch that is being gathered: where it begins and ends in each shard, not what it holds.
type buffer struct {
	ranges  map[int32]Range
	records int
	bytes   int64
	oldest  int64     // smallest timestamp, in milliseconds
	began   time.Time // when the first record was read
	opened  time.Time // when it began to wait: began, or earlier if that was in another session
}

func (b *buffer) empty() bool { return b.records == 0 }

func (b *buffer) full(l Limits) bool {
	return b.bytes >= l.Bytes || l.Records > 0 && b.records >= l.Records
}

// due says whether the batch is to be written at now.
func (b *buffer) due(l Limits, now time.Time) bool {
	return !b.empty() && (b.full(l) || !now.Before(b.opened.Add(l.Age)))
}

// from makes sure that the batch has a range of shard; a new one begins, and ends, at offset at.
func (b *buffer) from(shard stream.Shard, at stream.Offset) {
	if _, begun := b.ranges[shard.Index]; !begun {
		b.ranges[shard.Index] = Range{Shard: shard, From: at, To: at, Epoch: -1}
	}
}

// add takes a record in. One whose producer gave it no timestamp counts as arrived now, in milliseconds.
func (b *buffer) add(r *Record, h *batch.Header, now int64) {
	at := r.Timestamp
	if at < 0 {
		at = now
	}
	if b.empty() {
		b.oldest = at
	}
	b.oldest = min(b.oldest, at)
	b.records++
	b.bytes += int64(len(r.Value))
	in := b.ranges[r.Shard]
	in.Epoch = h.LeaderEpoch
	b.ranges[r.Shard] = in
}

// reach makes the range of a shard end at offset to. If what it was to begin with is gone, it begins there, too.
func (b *buffer) reach(shard stream.Shard, to stream.Offset, gone bool) {
	in := b.ranges[shard.Index]
	if gone && in.From == in.To {
		in.From = to
	}
	in.To = to
	b.ranges[shard.Index] = in
}

// sorted returns the ranges by shard, without empty ones.
func (b *buffer) sorted() []Range {
	ranges := slices.SortedFunc(maps.Values(b.ranges), func(a, b Range) int { return cmp.Compare(a.Shard.Index, b.Shard.Index) })
	return slices.DeleteFunc(ranges, func(r Range) bool { return r.From == r.To })
}

func newBuffer() buffer { return buffer{ranges: map[int32]Range{}} }
