package engine

import (
	"errors"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// loadExtents returns the extents of a finished span whose file the caller has acquired. They must not be written to.
func (e *Engine) loadExtents(sp *span) ([]format.Extent, error) {
	x, err := e.loadIndex(sp)
	return x.extents, err
}

// loadIndex returns the index of a finished span whose file the caller has acquired. If it is damaged it is made again from the file's groups, and put
// there: the directory has its sum, so that what is written is what was there.
func (e *Engine) loadIndex(sp *span) (shardIndex, error) {
	x, damage := e.index.load(sp)
	var corrupt *stream.CorruptError
	if !errors.As(damage, &corrupt) {
		return x, damage
	}
	e.mending.Lock()
	defer e.mending.Unlock()
	if sp.lost {
		return shardIndex{}, damage
	}
	if x, err := e.index.load(sp); err == nil {
		return x, nil // who came before has mended it
	}
	x, err := sp.remakeIndex()
	if err != nil {
		return shardIndex{}, err
	}
	b := x.append(nil)
	if int64(len(b)) != sp.IndexSize() || format.Sum(b) != sp.Sum {
		sp.lost = true
		return shardIndex{}, damage
	}
	e.writeMended(sp, b, damage)
	e.index.add(sp, x)
	return x, nil
}

// append appends the index's bytes to dst.
func (x *shardIndex) append(dst []byte) []byte {
	return format.AppendAborted(format.AppendExtents(dst, x.extents), x.aborted...)
}

// remakeIndex reads the span's index from the groups of its file, as far as those are whole.
func (sp *span) remakeIndex() (x shardIndex, err error) {
	s, err := newScanner(sp.file)
	if err != nil {
		return x, err
	}
	for {
		g, at, _, reason, err := s.next()
		if err != nil || reason != "" {
			return x, err
		}
		err = g.Each(func(entry format.Entry, payload []byte, in int) error {
			if entry.Shard != sp.Shard {
				return nil
			}
			if err := x.take(sp, &entry, payload, at+int64(in)); err != nil {
				return sp.file.corrupt(at+int64(in), "%s", err)
			}
			return nil
		})
		if err != nil {
			return shardIndex{}, err
		}
	}
}

// take adds what an entry of the shard at a position says, if it is of the span.
func (x *shardIndex) take(sp *span, entry *format.Entry, payload []byte, at int64) error {
	of := func(offset stream.Offset) bool { return offset >= sp.First && offset < sp.Next }
	switch entry.Kind {
	case format.KindBatch:
		h, err := batch.Parse(payload)
		if err != nil {
			return err
		}
		if of(stream.Offset(h.BaseOffset)) {
			x.extents = append(x.extents, extentOf(&h, entry, at))
		}
	case format.KindAborted:
		a, err := format.ReadAborted(payload)
		if err != nil {
			return err
		}
		if of(a.Last) {
			x.aborted = append(x.aborted, a)
		}
	}
	return nil
}

// writeMended puts an index that was made again in the place of the damaged one, unless the engine has stopped or stops. Who reads has them in either
// case. A crash meanwhile leaves them damaged at worst.
func (e *Engine) writeMended(sp *span, b []byte, damage error) {
	e.mu.Lock()
	if e.failed != nil || e.closing {
		e.mu.Unlock()
		return
	}
	e.ended.Add(1) // Close, which has not begun, waits for it before it gives up the directory
	e.mu.Unlock()
	defer e.ended.Done()
	switch err := sp.file.writeDurably(b, sp.Position); {
	case isFull(err): // on a disk that writes elsewhere: it is done again after the next start
	case err != nil:
		e.fail(err)
		return
	}
	e.cfg.Logger.Warn("index of one shard in a log file is made again from the file's groups", "damage", damage)
}
