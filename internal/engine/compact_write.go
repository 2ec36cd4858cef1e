package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// compactOutput writes compacted files: range after range of shard after shard, a new file whenever one is full. What a file has is live once the file
// is durable and the changes are that name it; each range alone, so that what was done stays done.
type compactOutput struct {
	engine *Engine
	pace   *pace
	limit  int64 // bytes of one file
	lends  bool  // with space that is lent
	loan   loan

	file  *assembly // nil: nothing was put yet
	parts []outputPart
	open  bool // the last of parts goes on
}

// outputPart is a range that was written.
type outputPart struct {
	shard    *shard
	from, to stream.Offset
	span     *span // nil: nothing is left of it
}

// begin opens a range of a shard.
func (o *compactOutput) begin(s *shard, from stream.Offset) {
	if n := len(o.parts); n > 0 && o.parts[n-1].shard == s && o.parts[n-1].to == from && o.parts[n-1].span != nil {
		o.open = true // the range that ends there goes on
		return
	}
	o.parts = append(o.parts, outputPart{shard: s, from: from})
	o.open = true
}

// put takes the next batch of the range, which had x as its extent; next is where the one after it begins.
func (o *compactOutput) put(b []byte, x *format.Extent, latest int64, next stream.Offset) error {
	if o.file != nil && (o.file.at+int64(o.file.group.payload+len(b)) > o.limit || o.file.file.extents >= o.engine.cfg.MaxExtents) {
		p := &o.parts[len(o.parts)-1]
		s, from := p.shard, p.from
		if p.span != nil {
			o.end(x.Base)
			from = x.Base
		} else { // nothing of the range is in the file
			o.parts, o.open = o.parts[:len(o.parts)-1], false
		}
		if err := o.commit(); err != nil {
			return err
		}
		o.begin(s, from)
	}
	if o.file == nil {
		if err := o.start(); err != nil {
			return err
		}
	}
	p := &o.parts[len(o.parts)-1]
	position, err := o.file.put(p.shard.id, b, x.Appended)
	if err != nil {
		return err
	}
	to := format.Extent{Base: x.Base, Position: uint32(position), Size: uint32(len(b)), Latest: latest, Appended: x.Appended}
	if p.span == nil {
		p.span = newSpan(p.shard, o.file.file, &to)
		p.span.First = p.from
		o.file.spans = append(o.file.spans, p.span)
	}
	o.file.file.extents++
	p.span.add(to, next)
	o.pace.spend(len(b))
	return nil
}

// putAborted puts the aborted transaction of the marker that was put last behind it: as long as the marker is there, who has read before what was
// compacted since is told of it.
func (o *compactOutput) putAborted(a stream.Aborted, appended int64) {
	p := &o.parts[len(o.parts)-1]
	o.file.group.addAborted(p.shard.id, a, appended)
	p.span.addAborted(a)
	o.file.file.aborted++
}

// end closes the range.
func (o *compactOutput) end(to stream.Offset) {
	p := &o.parts[len(o.parts)-1]
	if p.to = to; p.span != nil {
		p.span.Next = to
	}
	o.open = false
}

// start begins a file.
func (o *compactOutput) start() error {
	e := o.engine
	e.view.RLock()
	number := e.tables.lastCompacted
	for n := range e.compacted {
		number = max(number, n)
	}
	e.view.RUnlock()
	number++
	if o.lends {
		if err := o.loan.take(e); err != nil {
			return err
		}
	}
	a, err := e.assemble(format.FileHeader{First: number, Last: number, Generation: compactedGeneration, Group: 1}, compactTmp)
	if err != nil {
		return errors.Join(fmt.Errorf("begin compacted file %d: %w", number, err), o.loan.giveBack(e))
	}
	o.file = a
	return nil
}

// commit makes what was written durable, and live.
func (o *compactOutput) commit() error {
	if o.open {
		panic("engine: a compacted range is still open")
	}
	parts, a := o.parts, o.file
	o.parts, o.file = nil, nil
	if len(parts) == 0 {
		return nil
	}
	e := o.engine
	var f *logFile
	if a != nil {
		if err := a.finish(); err != nil {
			return errors.Join(a.giveUp(fmt.Errorf("compacted file %d: %w", a.file.First, err)), o.loan.giveBack(e))
		}
		a.group.block.release()
		if err := o.loan.giveBack(e); err != nil {
			return errors.Join(err, a.file.release())
		}
		f = a.file
		e.counters.compactWritten.Add(a.at)
		e.view.Lock()
		f.offers, f.spans, f.pending = f.spans, nil, true
		e.compacted[f.First] = f
		e.view.Unlock()
	}
	err := e.proposeParts(f, parts)
	if f != nil {
		e.view.Lock()
		f.offers, f.pending = nil, false
		e.view.Unlock()
	}
	e.tend()
	if o.lends && err == nil {
		err = e.removeDead() // the next file needs the space
	}
	return err
}

// giveUp leaves out what was not committed.
func (o *compactOutput) giveUp(err error) error {
	a := o.file
	o.parts, o.file, o.open = nil, nil, false
	if a == nil {
		return err
	}
	return errors.Join(a.giveUp(err), o.loan.giveBack(o.engine))
}

// proposeParts makes the ranges of a file live; nil if nothing is left of any.
func (e *Engine) proposeParts(f *logFile, parts []outputPart) error {
	e.admin.Lock() // nothing is trimmed or deleted meanwhile
	defer e.admin.Unlock()
	var changes []change
	var freed int64
	for i := range parts {
		p := &parts[i]
		e.view.RLock()
		gone := p.shard.stream == nil || p.to <= p.shard.start
		e.view.RUnlock()
		if gone {
			continue
		}
		c := &compacted{shard: p.shard.id, part: part{from: p.from, to: p.to}}
		if p.span != nil {
			c.file, c.id = f.First, f.ID
		}
		var err error
		if c.freed, err = e.freedBy(p); err != nil {
			return err
		}
		freed += c.freed
		if changes = append(changes, c); len(changes) == maxTrims {
			if err := e.proposeAll(context.Background(), true, changes...); err != nil {
				return err
			}
			changes = nil
		}
	}
	if len(changes) > 0 {
		if err := e.proposeAll(context.Background(), true, changes...); err != nil {
			return err
		}
	}
	e.counters.compactFreed.Add(freed)
	return nil
}

// freedBy returns how many bytes fewer a shard has once the part is in the place of what was there. The caller holds admin.
func (e *Engine) freedBy(p *outputPart) (int64, error) {
	_, spans, bounds, err := e.shardSpans(p.shard.id)
	if err != nil {
		return 0, err
	}
	var freed int64
	for _, sp := range spans {
		if sp.Next <= p.from || sp.First >= p.to {
			continue
		}
		bytes, err := e.liveBytes(sp, bounds.Start, p.to)
		if err != nil {
			return 0, errors.Join(err, releaseSpans(spans))
		}
		freed += bytes
	}
	if err := releaseSpans(spans); err != nil || p.span == nil {
		return freed, err
	}
	bytes, err := e.liveBytes(p.span, bounds.Start, p.to)
	return freed - bytes, err
}

// liveBytes returns the bytes of a span's batches that begin before an offset, and that neither a trim to start nor compaction has freed.
func (e *Engine) liveBytes(sp *span, start, before stream.Offset) (bytes int64, err error) {
	sum := e.summary(sp)
	if sum.next <= before && sp.First >= max(start, sum.cut) {
		e.view.RLock()
		defer e.view.RUnlock()
		return sp.Bytes, nil
	}
	extents, err := e.extentsOf(sp)
	if err != nil {
		return 0, err
	}
	for i := firstLive(extents, start, sum.cut); i < len(extents) && extents[i].Base < before; i++ {
		bytes += int64(extents[i].Size)
	}
	return bytes, nil
}
