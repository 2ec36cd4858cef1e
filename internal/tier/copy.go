package tier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
)

// readBytes is what is read from the local log at once to be copied.
const readBytes = 1 << 20

// leastPart: what of a segment's bytes there must be at least for it to end at the last stable offset rather than where it is full.
const leastPart = 2

// retryPart: after there was less to copy than it seemed, so much of a segment more must have come before it is tried again.
const retryPart = 8

// segmentBytes and segmentAge return how large and old a stream's segments become.
func (l *Log) segmentBytes(c *stream.Config) int64 {
	if l.cfg.everything > 0 {
		return l.cfg.everything
	}
	if c.Compaction.SegmentBytes <= 0 {
		return stream.DefaultSegmentBytes
	}
	return c.Compaction.SegmentBytes
}

func segmentAge(c *stream.Config) time.Duration {
	if c.Compaction.SegmentAge <= 0 {
		return stream.DefaultSegmentAge
	}
	return c.Compaction.SegmentAge
}

// due says what of a shard may be copied next.
type due struct {
	base   stream.Offset // where the next segment begins
	stable stream.Offset // and where it ends at the latest
	bytes  int64         // behind base, about
	full   bool          // there seems to be a whole segment
	old    bool          // the first batch is older than a segment becomes, or is to leave the local log in any case
}

// next returns what is due. b are the local log's bounds; the caller holds work.
func (l *Log) next(ctx context.Context, s *shard, c *stream.Config, b *stream.Bounds) (due, error) {
	v := s.view.Load()
	d := due{base: b.Start, stable: b.LastStable}
	if len(v.segments) > 0 && v.end() >= b.Start {
		d.base = v.end()
	}
	if d.base >= d.stable || c.Tier.NoCopy {
		return d, nil
	}
	d.bytes = v.uncopied(b)
	// How much of it lies before the last stable offset is not known: as much as of the offsets.
	stable := int64(float64(d.bytes) * float64(d.stable-d.base) / float64(b.End-d.base))
	d.full = stable > l.segmentBytes(c) && d.bytes >= s.again
	if s.asked != d.base || s.first == 0 {
		s.asked, s.again = d.base, 0
		var err error
		if s.first, err = l.oldest(ctx, s.id, d.base); err != nil {
			s.first = 0
			return d, err
		}
	}
	d.old = l.relieves() || s.first != 0 && l.clock.Now().UnixMilli()-s.first > segmentAge(c).Milliseconds()
	return d, nil
}

// relieves says whether the local log is to lose all that may be copied, whatever age and size are configured.
func (l *Log) relieves() bool { return l.cfg.everything > 0 || l.full() }

// oldest returns the time from which the batch at an offset grows old: its first timestamp, or now if it has none or one that lies ahead.
func (l *Log) oldest(ctx context.Context, id stream.Shard, at stream.Offset) (int64, error) {
	c, err := l.Log.Read(ctx, id, at, 1)
	defer c.Release()
	if err != nil || len(c.Batches) == 0 {
		return 0, err
	}
	h, err := batch.Parse(c.Batches[0])
	now := l.clock.Now().UnixMilli()
	if h.BaseTimestamp < 0 {
		return now, err
	}
	return min(h.BaseTimestamp, now), err
}

// copyDue copies what is due of a shard, segment after segment. The caller holds work.
func (l *Log) copyDue(ctx context.Context, s *shard, c *stream.Config) error {
	for ctx.Err() == nil {
		b, err := l.Log.Bounds(ctx, s.id)
		if err != nil {
			return ignoreGone(err)
		}
		d, err := l.next(ctx, s, c, &b)
		if err != nil || !d.full && !d.old {
			return ignoreGone(err)
		}
		copied, err := l.copySegment(ctx, s, c, &d)
		if err != nil || !copied {
			return err
		}
		if err = l.trimCopied(ctx, s, c, &b); err != nil { // at once: on a full disk the next change needs the room
			return ignoreGone(err)
		}
	}
	return nil
}

// ignoreGone returns err unless it says that the shard, or a part of it, is not there any more.
func ignoreGone(err error) error {
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, stream.ErrOutOfRange) {
		return nil
	}
	return err
}

// copySegment copies one segment. It returns false if there was too little for one.
//
// Whatever ends it, also the process: the number of the object was stored before it was begun, so that it is found and deleted; and nothing
// reads it, nor does the local log lose what is in it, before the segment was stored.
func (l *Log) copySegment(ctx context.Context, s *shard, c *stream.Config, d *due) (bool, error) {
	number, err := l.decide(ctx, s, d.base)
	if err != nil {
		return false, err
	}
	began, name := l.clock.Now(), l.key(s.id, number)
	w, err := l.write(ctx, s.id, c, d, number)
	switch {
	case err != nil && ignoreGone(err) == nil:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("copy to %s: %w", name, err)
	case w == nil:
		s.again = d.bytes + l.segmentBytes(c)/retryPart
		return false, nil
	}
	g := segment{
		Number: number, Base: d.base, End: w.end, Bytes: w.bytes, Size: w.at, Latest: w.latest, Age: w.latest, Aborts: len(w.index.aborted) > 0,
	}
	if now := l.clock.Now().UnixMilli(); g.Age < 0 || g.Age > now {
		g.Age = now // without timestamps, or with some that lie ahead, it is as old as it is here
	}
	committed, err := l.commit(ctx, s, g, w.index.epochs)
	if committed && err == nil {
		l.counters.copied.Add(1)
		l.counters.copiedBytes.Add(g.Bytes)
		l.logger.Debug("segment copied", "object", name.String(), "base", g.Base, "end", g.End, "bytes", g.Bytes, "took", l.clock.Now().Sub(began))
	}
	return committed && err == nil, err
}

// decide stores which object is written next, and returns its number. One that was begun before and did not become a segment is deleted.
func (l *Log) decide(ctx context.Context, s *shard, base stream.Offset) (int64, error) {
	s.mu.Lock()
	err := s.settle(ctx, l)
	given := s.head.Pending
	s.mu.Unlock()
	if err == nil && given != nil {
		err = l.remove(ctx, s.id, given.Number) // without mu, as it may take long; pending changes with work held, or becomes none
	}
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(ctx, l); err != nil {
		return 0, err
	}
	h, v := s.head.clone(), s.view.Load()
	if s.version == 0 {
		h.Start = base
	}
	h.Pending = &pending{Number: h.Next, Base: base}
	h.Next++
	if len(v.segments) == 0 {
		h.First = h.Pending.Number
	}
	return h.Pending.Number, s.save(ctx, l, h, v.segments)
}

// write writes an object and makes it durable. It returns nil if there was too little for a segment.
func (l *Log) write(ctx context.Context, id stream.Shard, c *stream.Config, d *due, number int64) (*segmentWriter, error) {
	ctx, progress, stop := l.patient(ctx)
	defer stop()
	to, err := l.objects.Create(ctx, l.key(id, number))
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer to.Abort()
	w, err := newSegmentWriter(to, l.cfg.BlockBytes)
	closed := false
	if err == nil {
		closed, err = l.fill(ctx, id, c, d, w, progress)
	}
	if err == nil && (w.batches == 0 || !closed && !d.old && w.bytes < l.segmentBytes(c)/leastPart) {
		return nil, nil
	}
	if err == nil {
		w.index.aborted, err = l.Log.Aborted(ctx, id, d.base, w.end)
	}
	if err == nil {
		err = w.finish(id, number, d.base)
	}
	progress()
	if err == nil {
		_, err = to.Commit(ctx)
	}
	return w, cause(ctx, err)
}

// cause returns why a call has ended with err: if its context did, that.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// fill writes batches until the next one would not be the segment's any more, or may not be copied yet. closed says that it was the former.
func (l *Log) fill(ctx context.Context, id stream.Shard, c *stream.Config, d *due, w *segmentWriter, progress func()) (closed bool, err error) {
	for from := d.base; from < d.stable && !closed; {
		chunk, err := l.Log.Read(ctx, id, from, readBytes)
		if err == nil && len(chunk.Batches) == 0 {
			return false, nil // there is nothing but a gap
		}
		for _, b := range chunk.Batches {
			var h batch.Header
			if h, err = batch.Parse(b); err != nil {
				break
			}
			if stream.Offset(h.BaseOffset) >= d.stable {
				from = d.stable
				break
			}
			if closed = w.full(&h, l.segmentBytes(c), segmentAge(c)); closed {
				break
			}
			if err = w.add(&h, b); err != nil {
				break
			}
			from = w.end
		}
		chunk.Release()
		progress()
		if err != nil {
			return false, err
		}
	}
	return closed, nil
}

// full says whether a batch begins the next segment.
func (w *segmentWriter) full(h *batch.Header, bytes int64, age time.Duration) bool {
	return w.batches > 0 && (w.bytes+int64(h.Length) > bytes || h.MaxTimestamp-w.first > age.Milliseconds())
}

// commit stores a segment whose object is durable, unless it was given up meanwhile: then its object is deleted.
func (l *Log) commit(ctx context.Context, s *shard, g segment, epochs []epochStart) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(ctx, l); err != nil {
		return false, err
	}
	v, p := s.view.Load(), s.head.Pending
	if p == nil || p.Number != g.Number || len(v.segments) > 0 && v.end() != g.Base || s.head.Start >= g.End {
		return false, l.remove(ctx, s.id, g.Number)
	}
	return true, s.add(ctx, l, g, epochs)
}

// remove deletes an object, which may not be there.
func (l *Log) remove(ctx context.Context, id stream.Shard, number int64) error {
	ctx, stop := clock.WithTimeout(ctx, l.clock, l.cfg.LoadTimeout, errLoad)
	defer stop()
	name := l.key(id, number)
	if err := l.objects.Delete(ctx, name); err != nil && !errors.Is(err, object.ErrNotFound) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	l.counters.deleted.Add(1)
	return nil
}

// errStalled ends a copy that makes no progress.
var errStalled = errors.New("the object store takes nothing")

// patient returns a context that ends when progress was not called for Config.Stall. stop frees what it needs.
func (l *Log) patient(ctx context.Context) (patient context.Context, progress, stop func()) {
	patient, cancel := context.WithCancelCause(ctx)
	timer := l.clock.NewTimer(l.cfg.Stall)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-timer.C():
			cancel(errStalled)
		case <-patient.Done():
		}
	}()
	return patient, func() { timer.Reset(l.cfg.Stall) }, func() {
		cancel(context.Canceled)
		timer.Stop()
		<-ended
	}
}
