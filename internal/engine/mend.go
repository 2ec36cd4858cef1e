package engine

import (
	"errors"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// loadExtents returns the extents of a finished span whose file the caller has acquired. They must not be written to. If they are damaged in the
// file's index they are made again from its groups, and put there: the directory has their sum, so that what is written is what was there.
func (e *Engine) loadExtents(sp *span) ([]format.Extent, error) {
	extents, damage := e.index.load(sp)
	var corrupt *stream.CorruptError
	if !errors.As(damage, &corrupt) {
		return extents, damage
	}
	e.mending.Lock()
	defer e.mending.Unlock()
	if sp.lost {
		return nil, damage
	}
	if extents, err := e.index.load(sp); err == nil {
		return extents, nil // who came before has mended it
	}
	extents, err := sp.remakeExtents()
	if err != nil {
		return nil, err
	}
	b := format.AppendExtents(nil, extents)
	if len(extents) != int(sp.Count) || format.Sum(b) != sp.Sum {
		sp.lost = true
		return nil, damage
	}
	e.writeMended(sp, b, damage)
	e.index.add(sp, extents)
	return extents, nil
}

// remakeExtents reads the span's extents from the groups of its file, as far as those are whole.
func (sp *span) remakeExtents() (extents []format.Extent, err error) {
	s, err := newScanner(sp.file)
	if err != nil {
		return nil, err
	}
	for {
		g, at, _, reason, err := s.next()
		if err != nil || reason != "" {
			return extents, err
		}
		err = g.Each(func(entry format.Entry, payload []byte, in int) error {
			if entry.Kind != format.KindBatch || entry.Shard != sp.Shard {
				return nil
			}
			h, err := batch.Parse(payload)
			if err != nil {
				return sp.file.corrupt(at+int64(in), "%s", err)
			}
			if x := extentOf(&h, &entry, at+int64(in)); x.Base >= sp.First && x.Base < sp.Next {
				extents = append(extents, x)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
}

// writeMended puts extents that were made again in the place of the damaged ones, unless the engine has stopped or stops. Who reads has them in either
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
