package engine

import (
	"fmt"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// position is where the log ends: owned by the committer, and set once before it starts.
type position struct {
	file   *logFile
	at     int64
	group  uint64 // number of the last group
	sum    uint32 // its sum, or the file header's
	synced uint64 // the last group known to be on the disk
	closed bool   // nothing was written since an orderly Close
}

// wake tells the committer that the open group has something.
func (e *Engine) wake() {
	select {
	case e.work <- struct{}{}:
	default:
	}
}

// lastLocked returns the last group that is not published yet: what waits for it alone, as a repeat does, needs no group of its own.
func (e *Engine) lastLocked() *group {
	if e.open.payload == 0 && e.writing != nil {
		return e.writing
	}
	return e.open
}

// receiptLocked returns the receipt for everything taken so far.
func (e *Engine) receiptLocked() *receipt {
	r := &receipt{done: make(chan struct{})}
	g := e.lastLocked()
	g.receipts = append(g.receipts, r)
	e.wake()
	return r
}

// commit is the one goroutine that writes groups: while it waits for the disk the next group fills, so that load decides how many calls
// share a sync and an idle log answers at once.
func (e *Engine) commit() {
	for {
		g := e.take()
		if g == nil {
			return
		}
		if err := e.write(g); err != nil {
			e.fail(err)
			e.abandon(g, err)
			return
		}
		e.publish(g)
		if g.ends {
			if err := e.roll(g); err != nil {
				e.fail(err)
				return
			}
		}
		e.reuse(g)
	}
}

// take waits for the open group to have something and puts an empty one in its place. It returns nil when the engine closes and nothing is left.
func (e *Engine) take() *group {
	for {
		e.mu.Lock()
		if e.failed != nil {
			e.mu.Unlock()
			return nil
		}
		if g := e.open; !g.empty() || e.early {
			e.swapLocked()
			e.mu.Unlock()
			return g
		}
		closing := e.closing
		e.mu.Unlock()
		if closing {
			return nil
		}
		<-e.work
	}
}

// openRoomLocked has those who wait for room in the open group look again.
func (e *Engine) openRoomLocked() {
	close(e.room)
	e.room = make(chan struct{})
}

func (e *Engine) swapLocked() {
	g, next := e.open, e.spare
	end := g.from
	size := int64(0)
	if g.payload > 0 {
		size = int64(g.size())
	}
	end += int(size)
	e.moveOnLocked(g, size)
	g.block.acquire()
	next.reset(g.block, end)
	e.open, e.writing, e.spare = next, g, nil
	e.openRoomLocked()
}

// moveOnLocked notes that the place behind g is the next group's. The file ends with g if it is full or is to end early; while there is no next one, or
// a full disk keeps others from being finished, it goes on to be used, for what frees space.
func (e *Engine) moveOnLocked(g *group, size int64) {
	p := &e.place
	ends := e.early || size > 0 && p.ends(size, len(g.batches), &e.cfg)
	g.early, e.early = e.early, false
	if g.ends = ends && e.spareSize.Load() > 0 && !e.finishingFull(); g.ends {
		g.producers = e.producerStatesLocked()
		*p = place{at: format.FirstGroup}
		return
	}
	p.at += size
	p.batches += len(g.batches)
}

// write brings the group to the disk. There is space for it. Should a disk say that there is not, that holds the group up, not down: its offsets are
// given out, so it waits while others are refused.
func (e *Engine) write(g *group) error {
	if g.payload == 0 {
		return nil
	}
	p := &e.log
	h := format.GroupHeader{File: p.file.ID, Number: p.group + 1, Synced: p.synced, Previous: p.sum}
	b := g.seal(&h)
	if err := e.untilSpace(func() error { return e.writeAt(p.file, b, p.at) }); err != nil {
		return fmt.Errorf("write group %d: %w", h.Number, err)
	}
	// Behind an orderly Close the first group is synced whatever it holds: should a power cut take it, the log would look as that Close left
	// it, and what readers have seen since would be replaced under the same leader epoch.
	if g.sync || p.closed {
		if err := p.file.file.Sync(); err != nil {
			return &DiskError{"sync", p.file.name, err}
		}
		p.synced, p.closed = h.Number, false
		e.counters.syncs.Add(1)
	}
	e.counters.groups.Add(1)
	e.counters.written.Add(int64(len(b)))
	e.tail.add(p.file, p.at, b, g.block)
	p.group, p.sum = h.Number, h.Sum
	return nil
}

func (e *Engine) writeAt(f *logFile, b []byte, at int64) error {
	if err := f.reserve(at+int64(len(b)), &e.cfg); err != nil {
		return err
	}
	if f.claim(at, int64(len(b)), &e.cfg) {
		e.starve()
	}
	_, err := f.direct.WriteAt(b, at)
	return diskError("write", f.name, err)
}

// publish makes a durable group readable and answers for it.
func (e *Engine) publish(g *group) {
	at := e.log.at
	if g.payload > 0 {
		e.log.at += int64(g.size())
		e.log.file.end.Store(e.log.at)
	}
	e.view.Lock()
	for i := range g.batches {
		b := &g.batches[i]
		if b.shard.stream != nil { // nil: the stream was deleted by a group before
			x := format.Extent{Base: b.base, Position: uint32(at) + uint32(b.at), Size: uint32(b.size), Latest: b.latest, Appended: b.time}
			b.shard.add(e.log.file, x, b.next)
			b.shard.grew(b.base, b.next, e.epoch, int64(b.size))
			b.shard.notify()
		}
		b.result.Start = b.shard.start
	}
	for i := range g.turns {
		g.turns[i].apply()
	}
	for _, c := range g.changes {
		c.apply(&e.tables)
	}
	e.view.Unlock()
	if len(g.changes) > 0 {
		e.tend()
	}

	e.mu.Lock()
	for _, c := range g.changes {
		d, ok := c.(*document)
		if !ok {
			continue
		}
		if e.ahead[d.key] == d {
			delete(e.ahead, d.key)
		}
		e.watches.Changed(d.key.Kind, d.key.ID)
	}
	e.writing = nil
	e.mu.Unlock()
	g.finish(nil)
	g.block.release()
}

func (e *Engine) reuse(g *group) {
	g.reset(nil, 0)
	e.mu.Lock()
	e.spare = g
	e.mu.Unlock()
}

// fail stops the engine for good: nothing is written any more, everyone who waits is told, reads go on. Any goroutine may call it; the group
// on its way to the disk stays the committer's.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	if e.failed == nil {
		e.failed = err
		e.cfg.Logger.Error("the log has stopped: what is not acknowledged may be lost, restart to recover", "error", err)
		e.fatal <- err
		e.halt.Do(func() { close(e.stop) })
	}
	g := e.open
	e.open = &group{block: g.block}
	e.openRoomLocked()
	e.mu.Unlock()
	g.finish(fmt.Errorf("%w: %w", stream.ErrUnavailable, err))
	e.wake()
}

// abandon tells those who wait for a group that could not be written.
func (e *Engine) abandon(g *group, err error) {
	e.mu.Lock()
	e.writing = nil
	e.mu.Unlock()
	g.finish(fmt.Errorf("%w: %w", stream.ErrUnavailable, err))
}
