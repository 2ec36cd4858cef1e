package engine

import (
	"cmp"
	"errors"
	"slices"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// merge puts compacted files together of which much is dead, or else many small ones: each pass over a small shard leaves a small file, and takes away
// the one before it only once the other shards in that are compacted too.
func (c *compactor) merge() error {
	e := c.engine
	spans := e.mergeable()
	defer func() { _ = releaseSpans(spans) }()
	for _, sp := range spans {
		if err := c.copySpan(sp); err != nil {
			if isDamage(err) {
				e.view.Lock()
				sp.file.damaged = true
				e.view.Unlock()
			}
			return c.output.giveUp(err)
		}
	}
	return c.output.commit()
}

// mergeable returns the live spans of the compacted files that are worth putting together, by shard and offset, with their files acquired.
func (e *Engine) mergeable() []*span {
	if e.cfg.RewriteDead >= 1 {
		return nil
	}
	e.view.RLock()
	defer e.view.RUnlock()
	fit := func(f *logFile) bool { return e.wastefulLocked(f) }
	files := e.togetherLocked(fit)
	if len(files) == 0 {
		fit = func(f *logFile) bool { return f.end.Load() < e.cfg.FileBytes/smallPart }
		if files = e.togetherLocked(fit); len(files) < mergeFiles {
			return nil
		}
	}
	var spans []*span
	for _, f := range files {
		for _, sp := range f.spans {
			if !sp.dead() {
				sp.file.acquire()
				spans = append(spans, sp)
			}
		}
	}
	slices.SortFunc(spans, func(a, b *span) int {
		return cmp.Or(compareShards(a.Shard, b.Shard), cmp.Compare(a.First, b.First))
	})
	return spans
}

// togetherLocked returns compacted files that fit and whose live batches fill no more than one. The caller holds view.
func (e *Engine) togetherLocked(fit func(*logFile) bool) []*logFile {
	var files []*logFile
	var live int64
	for _, f := range e.tables.compactedFiles() {
		if f.live == 0 || f.damaged || f.pending || !fit(f) || live+f.live > e.cfg.FileBytes {
			continue
		}
		live += f.live
		files = append(files, f)
	}
	return files
}

// copySpan writes a span's live batches anew as they are.
func (c *compactor) copySpan(sp *span) error {
	e := c.engine
	e.view.RLock()
	r := &shardReading{shard: sp.shard, spans: []*span{sp}, cuts: []stream.Offset{sp.cut}}
	r.bounds.Start = sp.shard.start
	to := sp.Next
	e.view.RUnlock()
	index, err := e.indexOf(sp)
	if err != nil {
		return err
	}
	markers := map[stream.Offset]stream.Aborted{}
	for _, a := range index.aborted {
		markers[a.Last] = a
	}
	c.output.begin(sp.shard, r.from())
	err = c.reader.each(r, 0, to, func(b []byte, x *format.Extent, next stream.Offset) error {
		err := c.output.put(b, x, x.Latest, next)
		if a, ok := markers[x.Base]; ok && err == nil {
			c.output.putAborted(a, x.Appended)
		}
		return err
	})
	if err == nil {
		c.output.end(to)
	}
	return err
}

// loan is space that the log file being written has reserved for what frees space, and that a compacted file may be written in: on a full disk nothing
// else may be left, and what compaction leaves out is what makes room.
type loan struct {
	file *logFile // nil: nothing is lent
	had  int64
}

// loanPart is the part of what is reserved for what frees space that one compacted file takes: the change that makes it live needs some too.
const loanPart = 2

// take takes a loan; none may be had while the log goes on in a new file.
func (l *loan) take(e *Engine) error {
	e.mu.Lock()
	f := e.place.file
	e.mu.Unlock()
	if f == nil {
		return nil
	}
	e.lending.Lock()
	had, err := e.cutAhead(f)
	if err != nil {
		e.lending.Unlock()
		return err
	}
	l.file, l.had = f, had
	return nil
}

// giveBack reserves again what was lent, or as much of it as there is room for.
func (l *loan) giveBack(e *Engine) error {
	f, want := l.file, l.had
	if l.file = nil; f == nil {
		return nil
	}
	defer e.lending.Unlock()
	for {
		err := f.reserveExactly(want)
		least := f.allocated.Load() + format.Align
		if !isFull(err) || want <= least {
			if isFull(err) {
				err = nil
			}
			return err
		}
		want = max(least, least+(want-least)/2)
	}
}

// runOnLoan compacts in small steps with space that is lent.
func (c *compactor) runOnLoan() error {
	e := c.engine
	c.output.lends, c.output.limit = true, max(e.cfg.urgentBytes()/loanPart, 4*format.Align)
	defer func() { c.output.lends, c.output.limit = false, e.cfg.FileBytes }()
	return c.runOnce()
}

// isOutOfSpace says that something was not done for want of space alone.
func isOutOfSpace(err error) bool { return isFull(err) || errors.Is(err, stream.ErrFull) }
