package memlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// Transact appends transaction markers and stores cursors, all of it or nothing, as the engine's does with documents besides. It takes no other batches.
func (l *Log) Transact(_ context.Context, entries []stream.Append, cursors []stream.OwnedCursors) ([]stream.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	markers := make([]batch.Marker, len(entries))
	for i, a := range entries {
		_, s, err := l.shardLocked(a.Shard)
		if err != nil {
			return nil, err
		}
		if _, err := batch.Verify(a.Batch); err != nil {
			return nil, err
		}
		if markers[i], err = batch.ParseMarker(a.Batch); err != nil {
			return nil, err
		}
		if err := s.producers.CheckMarker(&markers[i]); err != nil {
			return nil, err
		}
	}
	for _, o := range cursors {
		if err := l.checkCursorsLocked(o.Owner, o.Cursors); err != nil {
			return nil, err
		}
	}
	results := make([]stream.Appended, len(entries))
	for i, a := range entries {
		results[i] = l.endLocked(a, &markers[i])
	}
	for _, o := range cursors {
		l.commitLocked(o.Owner, o.Cursors)
	}
	return results, nil
}

func (l *Log) checkCursorsLocked(owner string, cursors []stream.Cursor) error {
	if owner == "" {
		return fmt.Errorf("%w: cursors without owner", stream.ErrInvalid)
	}
	for _, c := range cursors {
		if _, _, err := l.shardLocked(c.Shard); err != nil {
			return err
		}
	}
	return nil
}

// endLocked stores a marker that was checked.
func (l *Log) endLocked(a stream.Append, m *batch.Marker) stream.Appended {
	e, s, err := l.shardLocked(a.Shard)
	if err != nil {
		panic(err) // it was found before, under the same lock
	}
	now := l.clock.Now()
	h := l.storeLocked(e, s, a.Batch, now)
	last := stream.Offset(h.BaseOffset)
	if first, open := s.producers.End(m, now.UnixMilli()); open && !m.Commit {
		s.aborted = append(s.aborted, stream.Aborted{ProducerID: m.ProducerID, First: first, Last: last})
	}
	result := stream.Appended{Base: last, Start: s.start}
	if e.stream.Config.Timestamps == stream.LogAppendTime {
		result.Time = now.Truncate(time.Millisecond)
	}
	return result
}

// Aborted implements stream.Log.
func (l *Log) Aborted(_ context.Context, address stream.Shard, from, to stream.Offset) ([]stream.Aborted, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return nil, err
	}
	return s.abortedWithin(from, to), nil
}

// abortedWithin returns what Aborted does.
func (s *shard) abortedWithin(from, to stream.Offset) []stream.Aborted {
	var found []stream.Aborted
	for _, a := range s.aborted {
		if a.Last >= max(from, s.start) && a.First < to {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b stream.Aborted) int { return cmp.Compare(a.First, b.First) })
	return found
}

// Producers implements stream.Log.
func (l *Log) Producers(_ context.Context, address stream.Shard) ([]stream.Producer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, s, err := l.shardLocked(address)
	if err != nil {
		return nil, err
	}
	return s.producers.Producers(), nil
}
