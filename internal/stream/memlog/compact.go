package memlog

import (
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/compaction"
)

// Compact compacts what is due by now, of streams that ask for it.
func (l *Log) Compact() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.streams {
		if c := e.stream.Config.Compaction; c.On {
			for _, s := range e.shards {
				if err := l.compactLocked(&c, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (l *Log) compactLocked(c *stream.Compaction, s *shard) error {
	now := l.clock.Now().UnixMilli()
	dirty := compaction.NewDirty(s.address, *c, max(s.clean, s.start))
	var clean int64
	for i := range s.batches {
		b := &s.batches[i]
		if stream.Offset(b.BaseOffset) < s.clean {
			clean += int64(len(b.bytes))
			continue
		}
		dirty.Add(compaction.Batch{
			Base: stream.Offset(b.BaseOffset), Next: stream.Offset(b.LastOffset() + 1), Bytes: int64(len(b.bytes)), Latest: b.MaxTimestamp, Appended: b.taken.UnixMilli(),
		})
	}
	part := dirty.Cleanable(now, s.bounds().LastStable)
	if _, due := dirty.Due(part, clean); !due {
		return nil
	}
	last := map[string]stream.Offset{}
	t := compaction.NewTransactions(s.abortedWithin(0, part.To))
	for _, b := range s.before(part.To) {
		err := compaction.Keys(t, b.bytes, func(offset int64, key []byte) { last[string(key)] = stream.Offset(offset) })
		if err != nil {
			return err
		}
	}
	t = compaction.NewTransactions(s.abortedWithin(0, part.To))
	return s.filter(part.To, compaction.NewPass(c, now, t, func(key []byte) (stream.Offset, bool) {
		at, written := last[string(key)]
		return at, written
	}))
}

// before returns the batches that begin before an offset.
func (s *shard) before(to stream.Offset) []stored {
	n := 0
	for n < len(s.batches) && stream.Offset(s.batches[n].BaseOffset) < to {
		n++
	}
	return s.batches[:n]
}

// filter leaves out of the batches before an offset what the pass does not keep. The last of them stays, if without records.
func (s *shard) filter(to stream.Offset, p *compaction.Pass) error {
	old := s.before(to)
	var kept []stored
	for i, b := range old {
		out, err := p.Keep(nil, b.bytes)
		if err == nil && out == nil && i == len(old)-1 {
			out, err = batch.Emptied(nil, b.bytes)
		}
		if err != nil {
			return err
		}
		s.bytes -= int64(len(b.bytes))
		if out == nil {
			continue
		}
		if b.Header, err = batch.Parse(out); err != nil {
			return err
		}
		b.bytes = out
		s.bytes += int64(len(out))
		kept = append(kept, b)
	}
	s.batches = append(kept, s.batches[len(old):]...)
	s.aborted = slices.DeleteFunc(s.aborted, func(a stream.Aborted) bool { // who is told of it waits for its marker
		return a.Last < to && !slices.ContainsFunc(kept, func(b stored) bool { return stream.Offset(b.BaseOffset) == a.Last && b.Records > 0 })
	})
	s.clean = to
	s.passes++
	return nil
}
