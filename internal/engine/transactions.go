package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

// What of a shard belongs to open transactions, and what to aborted ones, readers must know. Writers know it first, in the shard's producers; each
// batch that begins a transaction and each marker that ends one puts a turn into its group, and the group's publication makes readers see it with
// all else that is in the group. Open transactions are few and in memory. Aborted ones may be many: each is in the index of the file that holds its
// marker, and in that file's groups behind the marker, so that an index can be made again without what was before it.

// openTransaction is a transaction that readers know to be open.
type openTransaction struct {
	producer int64
	first    stream.Offset
}

// abortedRoom is what an aborted transaction takes in a group.
const abortedRoom = format.AbortedSize + format.EntrySize

// turn is what a batch in a group does to the transactions of its shard: it begins one, or it is the marker that ends one.
type turn struct {
	shard   *shard
	begins  bool
	aborts  bool
	aborted stream.Aborted // the transaction; Last is the marker's offset if it does not begin
}

// apply changes what readers see; the caller holds Engine.view, and the batch is in the index.
func (t *turn) apply() {
	s := t.shard
	if s.stream == nil {
		return // deleted by a group before
	}
	if t.begins {
		s.begin(t.aborted.ProducerID, t.aborted.First)
		return
	}
	s.close(t.aborted.First)
	if t.aborts {
		s.addAborted(t.aborted)
	}
}

// begin opens a transaction behind those that are open.
func (s *shard) begin(producer int64, first stream.Offset) {
	s.open = append(s.open, openTransaction{producer, first})
}

// close closes the transaction that begins with first.
func (s *shard) close(first stream.Offset) {
	i, open := slices.BinarySearchFunc(s.open, first, func(o openTransaction, first stream.Offset) int { return cmp.Compare(o.first, first) })
	if open {
		s.open = slices.Delete(s.open, i, i+1)
	}
}

// stable returns the first readable offset from which on something may belong to an open transaction.
func (s *shard) stable() stream.Offset {
	if len(s.open) == 0 {
		return s.end
	}
	return max(s.open[0].first, s.start)
}

// addAborted puts a transaction into the index whose marker is the last batch there.
func (s *shard) addAborted(a stream.Aborted) {
	sp := s.spans[len(s.spans)-1]
	sp.addAborted(a)
	sp.file.aborted++
	s.aborts = true
}

func (sp *span) addAborted(a stream.Aborted) {
	if sp.Aborted == 0 || a.First < sp.FirstAborted {
		sp.FirstAborted = a.First
	}
	sp.Aborted++
	sp.aborted = append(sp.aborted, a)
}

// recoverAborted takes an aborted transaction, at a byte of f behind its marker, into the index of the shard, nil if that is gone. With a marker that
// was trimmed or compacted it is left out.
func (s *shard) recoverAborted(f *logFile, payload []byte, at int64) error {
	a, err := format.ReadAborted(payload)
	if err != nil {
		return f.corrupt(at, "%s", err)
	}
	if s == nil || a.Last < max(s.start, s.clean) {
		return nil
	}
	if last := s.lastExtent(f); last == nil || last.Base != a.Last {
		return f.corrupt(at, "transaction aborted at offset %d of shard %d of stream %s does not follow its marker", a.Last, s.id.Index, s.id.Stream)
	}
	s.addAborted(a)
	return nil
}

// lastExtent returns the shard's last extent if that is in f, whose index is in memory, else nil.
func (s *shard) lastExtent(f *logFile) *format.Extent {
	if n := len(s.spans); n > 0 && s.spans[n-1].file == f {
		extents := s.spans[n-1].extents
		return &extents[len(extents)-1]
	}
	return nil
}

// recoverProducer does for a stored batch what placing and publishing it did to its producer.
func (e *Engine) recoverProducer(s *shard, h *batch.Header, b []byte, at int64) error {
	if h.ProducerID < 0 {
		return nil
	}
	table := e.producersOf(s)
	if !h.Attributes.Control() {
		if table.Record(h, at) {
			s.begin(h.ProducerID, stream.Offset(h.BaseOffset))
		}
		return nil
	}
	m, err := batch.ParseMarker(b)
	if err != nil {
		return err
	}
	if first, open := table.End(&m, at); open {
		s.close(first)
	}
	return nil
}

// producersOf returns the shard's table of producers, making it if there is none.
func (e *Engine) producersOf(s *shard) *producers.Table {
	if s.producers == nil {
		s.producers = producers.New(e.cfg.MaxProducers)
	}
	return s.producers
}

// Aborted implements stream.Log.
func (e *Engine) Aborted(_ context.Context, id stream.Shard, from, to stream.Offset) ([]stream.Aborted, error) {
	spans, err := e.abortedSpans(id, &from, to)
	if err != nil {
		return nil, err
	}
	var found []stream.Aborted
	for _, sp := range spans {
		x, failed := e.indexOf(sp)
		err = errors.Join(err, failed, sp.file.release())
		// What was compacted has no aborted records any more, and may lack the marker: who reads it must not be told that one will come.
		i, _ := slices.BinarySearchFunc(x.aborted, max(from, e.summary(sp).cut), func(a stream.Aborted, from stream.Offset) int { return cmp.Compare(a.Last, from) })
		for _, a := range x.aborted[i:] {
			if a.First < to {
				found = append(found, a)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b stream.Aborted) int { return cmp.Compare(a.First, b.First) })
	return found, nil
}

// abortedSpans returns the spans that may have what Aborted is asked for, their files acquired, and moves from to the shard's start.
func (e *Engine) abortedSpans(id stream.Shard, from *stream.Offset, to stream.Offset) ([]*span, error) {
	e.view.RLock()
	defer e.view.RUnlock()
	s := e.tables.shards[id]
	if s == nil {
		return nil, e.noShardLocked(id)
	}
	if !s.aborts {
		return nil, nil
	}
	*from = max(*from, s.start)
	var spans []*span
	for _, sp := range s.spans[s.spanAt(*from):] { // a transaction may end long behind to
		if sp.Aborted > 0 && sp.FirstAborted < to {
			sp.file.acquire()
			spans = append(spans, sp)
		}
	}
	return spans, nil
}

// Producers implements stream.Log.
func (e *Engine) Producers(_ context.Context, id stream.Shard) ([]stream.Producer, error) {
	e.view.RLock()
	s := e.tables.shards[id]
	if s == nil {
		defer e.view.RUnlock()
		return nil, e.noShardLocked(id)
	}
	e.view.RUnlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.producers == nil {
		return []stream.Producer{}, nil
	}
	return s.producers.Producers(), nil
}
