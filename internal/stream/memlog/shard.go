package memlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

// shard is one sequence of batches. The log's mutex guards it.
type shard struct {
	address    stream.Shard
	start, end stream.Offset
	clean      stream.Offset // what is before it was compacted
	passes     int64         // Bounds.Compactions
	bytes      int64
	batches    []stored
	epochs     []epoch // ascending, at least one
	producers  *producers.Table
	aborted    []stream.Aborted // by their markers' offsets
}

// stored is a batch as it was taken. Its bytes are not written to again.
type stored struct {
	batch.Header
	bytes []byte
	taken time.Time
}

// epoch is a leader epoch and the offset where it began.
type epoch struct {
	number int32
	start  stream.Offset
}

func (s *shard) epoch() int32 { return s.epochs[len(s.epochs)-1].number }

func (s *shard) bounds() stream.Bounds {
	stable := s.end
	s.producers.Open(func(_ int64, first stream.Offset) { stable = min(stable, max(first, s.start)) })
	return stream.Bounds{Start: s.start, End: s.end, LastStable: stable, Epoch: s.epoch(), Bytes: s.bytes, Compactions: s.passes}
}

// find returns the index of the batch that holds offset, or of the next one if offset falls in a gap.
func (s *shard) find(offset stream.Offset) int {
	i, _ := slices.BinarySearchFunc(s.batches, int64(offset), func(b stored, offset int64) int { return cmp.Compare(b.LastOffset(), offset) })
	return i
}

// Read implements stream.Log.
func (l *Log) Read(_ context.Context, address stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return stream.Chunk{}, err
	}
	if from < s.start || from > s.end {
		return stream.NewChunk(s.bounds(), nil, nil), fmt.Errorf("%w: %d is not within %d..%d", stream.ErrOutOfRange, from, s.start, s.end)
	}
	var batches [][]byte
	for _, b := range s.batches[s.find(from):] {
		if maxBytes -= len(b.bytes); maxBytes < 0 && len(batches) > 0 {
			break
		}
		batches = append(batches, slices.Clone(b.bytes))
	}
	return stream.NewChunk(s.bounds(), batches, func() {
		for _, b := range batches {
			for i := range b {
				b[i] = 0xdb // whoever still reads this has released too early
			}
		}
	}), nil
}

// Bounds implements stream.Log.
func (l *Log) Bounds(_ context.Context, address stream.Shard) (stream.Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return stream.Bounds{}, err
	}
	return s.bounds(), nil
}

// OffsetAt implements stream.Log.
func (l *Log) OffsetAt(_ context.Context, address stream.Shard, t time.Time) (stream.Offset, time.Time, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return 0, time.Time{}, false, err
	}
	for _, b := range s.batches {
		if b.MaxTimestamp < t.UnixMilli() {
			continue
		}
		if at, timestamp, ok, err := s.firstAt(b, t.UnixMilli()); ok || err != nil {
			return at, timestamp, ok, err
		}
	}
	return 0, time.Time{}, false, nil
}

// Latest implements stream.Log.
func (l *Log) Latest(_ context.Context, address stream.Shard) (at stream.Offset, timestamp time.Time, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return 0, time.Time{}, false, err
	}
	for _, b := range s.batches {
		later, t, found, err := s.latest(b)
		if err != nil {
			return 0, time.Time{}, false, err
		}
		if found && (!ok || t.After(timestamp)) {
			at, timestamp, ok = later, t, true
		}
	}
	return at, timestamp, ok, nil
}

// latest returns the first of the readable records of b with the largest timestamp.
func (s *shard) latest(b stored) (at stream.Offset, timestamp time.Time, ok bool, err error) {
	var largest int64
	err = batch.Records(b.bytes, 0, func(r *batch.Record) bool {
		if stream.Offset(r.Offset) >= s.start && (!ok || r.Timestamp > largest) {
			at, largest, ok = stream.Offset(r.Offset), r.Timestamp, true
		}
		return true
	})
	return at, time.UnixMilli(largest), ok, err
}

// firstAt returns the first readable record of b with a timestamp of t (milliseconds) or later.
func (s *shard) firstAt(b stored, t int64) (at stream.Offset, timestamp time.Time, ok bool, err error) {
	err = batch.Records(b.bytes, 0, func(r *batch.Record) bool {
		if stream.Offset(r.Offset) < s.start || r.Timestamp < t {
			return true
		}
		at, timestamp, ok = stream.Offset(r.Offset), time.UnixMilli(r.Timestamp), true
		return false
	})
	return at, timestamp, ok, err
}

// EpochEnd implements stream.Log.
func (l *Log) EpochEnd(_ context.Context, address stream.Shard, asked int32) (int32, stream.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return 0, 0, err
	}
	if asked < 0 || asked > s.epoch() {
		return -1, -1, nil
	}
	end := s.end
	for _, e := range slices.Backward(s.epochs) {
		if e.number <= asked {
			return e.number, end, nil
		}
		end = e.start
	}
	return asked, end, nil
}

// Trim implements stream.Log.
func (l *Log) Trim(_ context.Context, address stream.Shard, before stream.Offset) (stream.Offset, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return 0, err
	}
	if before == -1 {
		before = s.end
	}
	if before < 0 || before > s.end {
		return s.start, fmt.Errorf("%w: %d is not within 0..%d", stream.ErrOutOfRange, before, s.end)
	}
	l.trimLocked(s, before)
	return s.start, nil
}

// trimLocked moves the start forward and drops the batches that lie wholly before it.
func (l *Log) trimLocked(s *shard, start stream.Offset) {
	if start <= s.start {
		return
	}
	s.start = start
	for len(s.batches) > 0 && s.batches[0].LastOffset() < int64(start) {
		s.bytes -= int64(len(s.batches[0].bytes))
		s.batches = s.batches[1:]
	}
	s.aborted = slices.DeleteFunc(s.aborted, func(a stream.Aborted) bool { return a.Last < start })
	l.movedLocked(s.address)
}

// Retain drops what has outlived its stream's retention by now, whole batches from the start on: those whose latest timestamp, or appending
// if that was before, is older than Config.Retention, and those without which the shard still has Config.RetentionBytes.
func (l *Log) Retain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.streams {
		for _, s := range e.shards {
			l.retainLocked(e.stream.Config, s)
		}
	}
}

func (l *Log) retainLocked(c stream.Config, s *shard) {
	if c.KeepAll {
		return
	}
	retention := c.Retention
	if retention == 0 {
		retention = stream.DefaultRetention
	}
	start, bytes := s.start, s.bytes
	for i, b := range s.batches {
		newest := b.taken.UnixMilli() // without a timestamp, or with one that lies ahead, a batch is as old as it is here
		if b.MaxTimestamp >= 0 {
			newest = min(newest, b.MaxTimestamp)
		}
		old := retention > 0 && newest < l.clock.Now().Add(-retention).UnixMilli()
		if bytes -= int64(len(b.bytes)); !old && (c.RetentionBytes <= 0 || bytes < c.RetentionBytes) {
			break
		}
		start = s.end
		if i+1 < len(s.batches) {
			start = stream.Offset(s.batches[i+1].BaseOffset)
		}
	}
	l.trimLocked(s, start)
}

// BumpEpochs begins a new leader epoch in every shard, as a log does after an unclean stop.
func (l *Log) BumpEpochs() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.streams {
		for _, s := range e.shards {
			s.epochs = append(s.epochs, epoch{number: s.epoch() + 1, start: s.end})
			l.movedLocked(s.address)
		}
	}
}
