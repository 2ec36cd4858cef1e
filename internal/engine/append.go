package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

// arrival is a batch on its way into a group.
type arrival struct {
	shard  *shard // nil once refused
	stream *stream.Stream
	header batch.Header
	marker *batch.Marker // nil if the batch is none
	bytes  []byte
	result *stream.Appended
}

// Append implements stream.Log. It waits only while the next group is full; if ctx ends meanwhile its cause is the entries' error.
func (e *Engine) Append(ctx context.Context, entries []stream.Append) *stream.Ticket {
	t := stream.NewTicket(len(entries))
	arrivals := make([]arrival, len(entries))
	need := e.inspect(entries, arrivals, t.Results(), false)
	if need == 0 {
		t.Finish()
		return t
	}
	if err := e.enter(ctx, need, len(entries), false); err != nil {
		refuse(arrivals, err)
		t.Finish()
		return t
	}
	now := e.nowLocked()
	waits := false
	for i := range arrivals {
		if a := &arrivals[i]; a.shard != nil {
			waits = e.placeLocked(a, now) || waits
		}
	}
	if waits {
		e.awaitLocked(t)
	}
	e.mu.Unlock()
	if !waits {
		t.Finish()
	}
	return t
}

// inspect checks what can be checked without the lock. It fills arrivals, and results of what is refused; it returns the room that the others need.
// Of control batches it takes markers, if those may be.
func (e *Engine) inspect(entries []stream.Append, arrivals []arrival, results []stream.Appended, markers bool) (need int) {
	e.view.RLock()
	for i := range entries {
		a := &arrivals[i]
		a.bytes, a.result = entries[i].Batch, &results[i]
		if a.shard = e.tables.shards[entries[i].Shard]; a.shard == nil {
			a.result.Err = e.noShardLocked(entries[i].Shard)
			continue
		}
		a.stream = a.shard.stream
		if limit := maxBatchBytes(a.stream.Config.MaxBatchBytes); len(a.bytes) > limit && !(markers && len(a.bytes) <= batch.MarkerSize) {
			a.refuse(fmt.Errorf("%w: %d bytes, the stream allows %d", stream.ErrTooLarge, len(a.bytes), limit))
		}
	}
	e.view.RUnlock()
	for i := range arrivals {
		a := &arrivals[i]
		if a.shard == nil {
			continue
		}
		var err error
		if a.header, err = batch.Verify(a.bytes); err != nil {
			a.refuse(err)
			continue
		}
		need += len(a.bytes) + format.EntrySize
		if a.header.Attributes.Control() {
			if err := a.takeMarker(markers); err != nil {
				a.refuse(err)
				continue
			}
			need += abortedRoom
		}
	}
	return need
}

func maxBatchBytes(limit int32) int {
	if limit <= 0 {
		return stream.DefaultMaxBatchBytes
	}
	return int(limit)
}

func (a *arrival) refuse(err error) {
	a.shard = nil
	*a.result = stream.Appended{Err: err}
}

func refuse(arrivals []arrival, err error) {
	for i := range arrivals {
		if arrivals[i].shard != nil {
			arrivals[i].refuse(err)
		}
	}
}

// enter takes e.mu with an open group that has room for need bytes and so many batches, and a place on the disk, or returns an error without it.
// Only urgent callers get in when the disk is full: they are small, and what they do frees space.
func (e *Engine) enter(ctx context.Context, need, batches int, urgent bool) error {
	if int64(need) > e.cfg.MaxUnitBytes {
		return fmt.Errorf("%w: %d bytes in one call, the log takes %d", stream.ErrTooLarge, need, e.cfg.MaxUnitBytes)
	}
	e.mu.Lock()
	for {
		err := e.refusalLocked(urgent)
		if err == nil && e.fitLocked(need) {
			l, lacks := e.lackLocked(need, batches, urgent)
			if !lacks {
				return nil
			}
			if l.file != nil {
				if err = e.supplyLocked(l, urgent); err == nil {
					continue
				}
			}
		}
		if err != nil {
			e.mu.Unlock()
			return err
		}
		room := e.room
		e.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		e.mu.Lock()
	}
}

func (e *Engine) refusalLocked(urgent bool) error {
	switch {
	case e.failed != nil:
		return fmt.Errorf("%w: %w", stream.ErrUnavailable, e.failed)
	case e.closing:
		return stream.ErrClosed
	case e.full && !urgent:
		return e.errFull(e.lacking)
	}
	return nil
}

// fitLocked says whether the open group takes need more bytes; an empty one moves to a block where it does.
func (e *Engine) fitLocked(need int) bool {
	g := e.open
	room := g.room()
	if !g.empty() {
		return need <= room && int64(g.payload+need) <= e.cfg.GroupBytes
	}
	// A group of a few bytes at the end of a block would cost a whole write and sync: begin a new block while at most an eighth is left.
	if need > room || room < e.pool.size/8 {
		b := e.pool.get(need + format.GroupHeaderSize + format.Align)
		g.block.release()
		g.reset(b, 0)
	}
	return true
}

// nowLocked returns the time in milliseconds, never earlier than it did before.
func (e *Engine) nowLocked() int64 {
	e.lastNow = max(e.lastNow, e.cfg.Clock.Now().UnixMilli())
	return e.lastNow
}

// judgeLocked says whether the shard takes the batch now; it changes nothing.
func (a *arrival) judgeLocked(now int64) (old producers.Batch, duplicate bool, err error) {
	if a.shard.gone {
		return old, false, fmt.Errorf("%w: stream %s is being deleted", stream.ErrNotFound, a.stream.Name)
	}
	if a.marker != nil {
		return old, false, a.judgeMarkerLocked()
	}
	if err := checkTimestamps(&a.stream.Config, &a.header, now); err != nil {
		return old, false, err
	}
	if a.header.ProducerID < 0 || a.shard.producers == nil {
		return old, false, nil
	}
	return a.shard.producers.Check(&a.header)
}

// placeLocked gives the batch its offset and puts it into the open group, or refuses it. It reports whether the ticket has to wait.
func (e *Engine) placeLocked(a *arrival, now int64) bool {
	old, duplicate, err := a.judgeLocked(now)
	if err != nil {
		a.refuse(err)
		return false
	}
	if duplicate {
		return e.repeatLocked(a, old)
	}
	s := a.shard
	a.header.BaseOffset = int64(s.next)
	e.open.addBatch(a, e.epoch, now)
	s.next += stream.Offset(a.header.LastOffsetDelta) + 1
	if a.header.ProducerID >= 0 {
		e.rememberLocked(a, now)
	}
	*a.result = stream.Appended{Base: stream.Offset(a.header.BaseOffset)}
	if a.stream.Config.Timestamps == stream.LogAppendTime {
		a.result.Time = time.UnixMilli(now)
	}
	return true
}

// repeatLocked answers a batch that the shard has already, and reports whether its first copy is still on its way to the disk.
func (e *Engine) repeatLocked(a *arrival, old producers.Batch) bool {
	*a.result = stream.Appended{Base: old.Base, Duplicate: true}
	if a.stream.Config.Timestamps == stream.LogAppendTime {
		a.result.Time = time.UnixMilli(old.At)
	}
	e.view.RLock()
	defer e.view.RUnlock()
	a.result.Start = a.shard.start
	return old.Base >= a.shard.end
}

// awaitLocked makes t finish with the last group that is not published yet.
func (e *Engine) awaitLocked(t *stream.Ticket) {
	g := e.lastLocked()
	g.tickets = append(g.tickets, t)
	e.wake()
}

func checkTimestamps(c *stream.Config, h *batch.Header, now int64) error {
	if c.Timestamps == stream.LogAppendTime || h.MaxTimestamp < 0 { // < 0: the records have none
		return nil
	}
	if c.TimestampBefore > 0 && h.BaseTimestamp < now-c.TimestampBefore.Milliseconds() {
		return fmt.Errorf("%w: %d is more than %s before the log's time", stream.ErrTimestamp, h.BaseTimestamp, c.TimestampBefore)
	}
	if c.TimestampAfter > 0 && h.MaxTimestamp > now+c.TimestampAfter.Milliseconds() {
		return fmt.Errorf("%w: %d is more than %s after the log's time", stream.ErrTimestamp, h.MaxTimestamp, c.TimestampAfter)
	}
	return nil
}
