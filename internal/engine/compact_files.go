package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// A compacted file has the form of a log file, and spans of shards that were compacted, each over a range of offsets of which batches may be missing.
// Its number is no log file's. Changes in the log say which ranges are live (compact_state.go): what else is in it is dead, and one of which nothing
// is live goes. Which ranges its groups belong to they do not say.

// compactedGeneration is the generation in a compacted file's header.
const compactedGeneration = 1<<32 - 1

const compactTmp = "compact.tmp"

func (f *logFile) isCompacted() bool { return f.Generation == compactedGeneration }

// compactedName returns the base name of a compacted file.
func compactedName(number uint64) string { return fmt.Sprintf("%016x.compacted.log", number) }

// parseCompactedName reads what compactedName wrote.
func parseCompactedName(name string) (h format.FileHeader, ok bool) {
	if n, err := fmt.Sscanf(name, "%016x.compacted.log", &h.First); n != 1 || err != nil {
		return h, false
	}
	h.Last, h.Generation = h.First, compactedGeneration
	return h, compactedName(h.First) == name
}

// missingCompacted stands for a file that is not there.
func missingCompacted(number uint64) *logFile {
	f := &logFile{name: compactedName(number)}
	f.First, f.Last, f.Generation = number, number, compactedGeneration
	f.broken = f.corrupt(0, "the file is missing, compacted batches lie in it")
	return f
}

// openCompacted opens the compacted files and reads what they hold. What is wrong with one is told once something refers to it: it may be one that
// nothing refers to any more.
func (e *Engine) openCompacted() error {
	names, err := e.cfg.FS.List(filepath.Join(e.cfg.Dir, logDir))
	if err != nil {
		return err
	}
	e.compacted = map[uint64]*logFile{}
	for _, name := range names {
		h, ok := parseCompactedName(name)
		if !ok {
			continue
		}
		f, err := e.openFile(h)
		if err == nil {
			e.compacted[h.First] = f
			err = e.loadCompacted(f)
		}
		if isDamage(err) {
			if f == nil {
				f = missingCompacted(h.First)
				e.compacted[h.First] = f
			}
			f.broken, err = err, nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loadCompacted reads the index of a compacted file, or makes it again from its groups.
func (e *Engine) loadCompacted(f *logFile) error {
	t, spans, err := readFooter(f)
	if isDamage(err) {
		e.cfg.Logger.Error("index of a compacted file is damaged, the file's groups are read instead", "error", err)
		return e.regroup(f, &t)
	}
	if err != nil {
		return err
	}
	f.end.Store(t.End)
	f.finished = true
	for i := range spans {
		f.offers = append(f.offers, &span{Span: spans[i], file: f})
		f.extents += int(spans[i].Count)
	}
	return nil
}

// regroup takes what a compacted file offers from its groups: of each shard one span, whose range is known once something refers to it.
func (e *Engine) regroup(f *logFile, t *format.Trailer) error {
	s, err := newScanner(f)
	if err != nil {
		return err
	}
	of := map[stream.Shard]*span{}
	end, err := e.scanGroups(s, func(g *format.Group, at int64) error {
		return g.Each(func(entry format.Entry, payload []byte, in int) error {
			if err := f.offer(of, &entry, payload, at+int64(in)); err != nil {
				return f.corrupt(at+int64(in), "%s", err)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return f.remake(t, s, end)
}

// offer takes an entry of a group at a position into the one span of its shard.
func (f *logFile) offer(of map[stream.Shard]*span, entry *format.Entry, payload []byte, at int64) error {
	sp := of[entry.Shard]
	if entry.Kind == format.KindAborted && sp != nil {
		a, err := format.ReadAborted(payload)
		if err == nil {
			sp.addAborted(a)
		}
		return err
	}
	h, err := batch.Parse(payload)
	if err == nil && entry.Kind != format.KindBatch {
		err = fmt.Errorf("an entry of kind %d in a compacted file", entry.Kind)
	}
	if err != nil {
		return err
	}
	x := extentOf(&h, entry, at)
	if sp == nil {
		sp = newSpan(&shard{id: entry.Shard}, f, &x)
		sp.shard = nil
		of[entry.Shard] = sp
		f.offers = append(f.offers, sp)
	}
	sp.add(x, stream.Offset(h.LastOffset())+1)
	f.extents++
	return nil
}

// offered returns the span for a part of a shard that the file holds, nil if it does not. It takes a place among the file's spans.
func (f *logFile) offered(s *shard, p *part) *span {
	for _, o := range f.offers {
		switch {
		case o.Shard != s.id || o.Next <= p.from || o.First >= p.to:
			continue
		case o.shard == s: // made by who compacted, a moment ago
			f.spans = append(f.spans, o)
			return o
		case f.remade != nil:
			return f.pick(s, p, o)
		case o.First > p.from || o.Next != p.to:
			continue
		}
		sp := &span{Span: o.Span, shard: s, file: f}
		f.spans = append(f.spans, sp)
		return sp
	}
	return nil
}

// pick returns a span of what lies in a part of one that was made again from groups.
func (f *logFile) pick(s *shard, p *part, from *span) *span {
	var sp *span
	for _, x := range from.extents {
		if x.Base < p.from || x.Base >= p.to {
			continue
		}
		if sp == nil {
			sp = newSpan(s, f, &x)
			sp.First = p.from
		}
		sp.add(x, p.to)
	}
	if sp == nil {
		return nil
	}
	for _, a := range from.aborted {
		if a.Last >= p.from && a.Last < p.to {
			sp.addAborted(a)
			f.aborted++
		}
	}
	f.spans = append(f.spans, sp)
	return sp
}

// resetCompacted forgets what refers to the compacted files, to read another checkpoint.
func (e *Engine) resetCompacted() {
	for _, f := range e.compacted {
		f.spans, f.live, f.dead, f.aborted = nil, 0, 0, 0
	}
}

// settleCompacted removes the compacted files that nothing refers to, and writes the indexes that were made again.
func (e *Engine) settleCompacted() error {
	for number, f := range e.compacted {
		if f.live == 0 {
			delete(e.compacted, number)
			if err := e.cfg.FS.Remove(e.logPath(f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if f.file != nil {
				if err := f.release(); err != nil {
					return err
				}
			}
			continue
		}
		f.offers = nil
		if err := e.writeRemade(f); err != nil {
			return err
		}
	}
	return nil
}
