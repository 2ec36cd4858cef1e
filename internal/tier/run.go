package tier

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Run copies, trims and deletes what is due until ctx ends; copies in progress end then, and begin anew next time. When it returns nothing of it
// runs.
func (l *Log) Run(ctx context.Context) error {
	ticker := l.clock.NewTicker(l.cfg.Interval)
	defer ticker.Stop()
	w := &workers{log: l, slots: make(chan struct{}, l.cfg.Copies)}
	defer w.running.Wait()
	for ctx.Err() == nil {
		l.look(ctx, w.try, false)
		select {
		case <-ticker.C():
		case <-l.kicked:
		case <-ctx.Done():
		}
	}
	return nil
}

// workers run what takes long, so much of it at once.
type workers struct {
	log     *Log
	slots   chan struct{}
	running sync.WaitGroup
}

// try runs do if there is a worker for it. When it has ended all shards are looked at again, if it has done something.
func (w *workers) try(do func() bool) bool {
	select {
	case w.slots <- struct{}{}:
	default:
		return false
	}
	w.running.Go(func() {
		did := do()
		<-w.slots
		if did {
			w.log.kick()
		}
	})
	return true
}

// Work does all that is due before it returns, also what has failed just now.
func (l *Log) Work(ctx context.Context) {
	inline := func(do func() bool) bool { do(); return true }
	l.look(ctx, inline, true)
	l.look(ctx, inline, true) // what was copied just now may be due to go
}

// look looks at all shards once. What takes long is given to try; with again that is also what should wait, as it has failed.
func (l *Log) look(ctx context.Context, try func(func() bool) bool, again bool) {
	all, err := l.Log.Streams(ctx)
	if err != nil {
		l.complain(ctx, "looking at streams failed", err)
		return
	}
	there := make(map[stream.ID]bool, len(all))
	var lag, local int64
	for _, st := range all {
		there[st.ID] = true
		for i := range st.Shards {
			s := l.find(st.Shard(i))
			if s == nil && !l.on(&st.Config) {
				continue
			}
			if s == nil {
				s = l.shard(st.Shard(i))
			}
			bytes, waiting := l.tend(ctx, s, &st.Config, try, again)
			lag, local = lag+waiting, local+bytes
		}
	}
	l.counters.lag.Store(lag)
	var objects, segments int64
	l.shards.Range(func(_, value any) bool {
		s := value.(*shard)
		if !there[s.id.Stream] {
			try(func() bool { return l.bury(ctx, s) })
			return true
		}
		v := s.view.Load()
		_, bytes := v.below(0)
		objects, segments = objects+bytes, segments+int64(len(v.segments))
		return true
	})
	l.counters.tiered.Store(objects)
	l.counters.segments.Store(segments)
	if now := l.clock.Now().UnixMilli(); l.swept.Load() == 0 || now-l.swept.Load() > l.cfg.SweepEvery.Milliseconds() {
		try(func() bool {
			if err := l.sweep(ctx); err != nil {
				l.counters.deleteFailures.Add(1)
				l.complain(ctx, "listing objects failed", err)
				return false
			}
			l.swept.Store(now)
			return false
		})
	}
}

// complain logs what failed and is tried again, unless it did because the node stops.
func (l *Log) complain(ctx context.Context, what string, err error, about ...any) {
	if ctx.Err() == nil && !errors.Is(err, stream.ErrClosed) && !errors.Is(err, state.ErrClosed) {
		l.logger.Warn(what, append(about, "error", err)...)
	}
}

// tend does for a shard what is due, and returns its bytes in the local log, and those that wait to be copied.
func (l *Log) tend(ctx context.Context, s *shard, c *stream.Config, try func(func() bool) bool, again bool) (bytes, waiting int64) {
	b, err := l.Log.Bounds(ctx, s.id)
	if err == nil {
		err = l.retain(ctx, s, c, &b)
	}
	if err == nil && l.on(c) {
		err = l.trimCopied(ctx, s, c, &b)
	}
	if err != nil {
		if err = ignoreGone(err); err != nil {
			l.complain(ctx, "retention of a tiered shard failed", err, "stream", s.id.Stream, "shard", s.id.Index)
		}
		return b.Bytes, 0
	}
	if s.litter() {
		try(func() bool { return l.clean(ctx, s) })
	}
	if !l.on(c) {
		return b.Bytes, 0
	}
	if !s.work.TryLock() { // it is being copied, so that something was due, and is until it is in objects
		return b.Bytes, s.view.Load().uncopied(&b)
	}
	d, err := l.next(ctx, s, c, &b)
	waits := !again && l.clock.Now().UnixMilli() < s.after
	s.work.Unlock()
	if err != nil {
		l.complain(ctx, "reading what is to be copied failed", ignoreGone(err), "stream", s.id.Stream, "shard", s.id.Index)
		return b.Bytes, 0
	}
	if !d.full && !d.old {
		return b.Bytes, 0
	}
	if config := *c; !waits {
		try(func() bool { return l.copyShard(ctx, s, &config) })
	}
	return b.Bytes, d.bytes
}

// copyShard copies what is due of a shard, unless somebody does.
func (l *Log) copyShard(ctx context.Context, s *shard, c *stream.Config) bool {
	if !s.work.TryLock() {
		return false
	}
	defer s.work.Unlock()
	before := l.counters.copied.Load()
	if err := l.copyDue(ctx, s, c); err != nil {
		l.counters.copyFailures.Add(1)
		s.after = l.clock.Now().Add(l.backoff(s.failures)).UnixMilli()
		s.failures++
		l.complain(ctx, "copying a segment failed, it is tried again", err, "stream", s.id.Stream, "shard", s.id.Index)
		return false
	}
	s.failures, s.after = 0, 0
	return l.counters.copied.Load() > before
}

// backoff returns how long copies of a shard wait after so many failures and another: each costs a change of its document.
func (l *Log) backoff(failures int) time.Duration {
	if failures < 20 && l.cfg.Interval < l.cfg.MostBackoff>>failures {
		return l.cfg.Interval << failures
	}
	return l.cfg.MostBackoff
}

// retain moves the start of a shard behind what retention takes, and behind what the local log has left of it.
func (l *Log) retain(ctx context.Context, s *shard, c *stream.Config, b *stream.Bounds) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(ctx, l); err != nil {
		return err
	}
	v := s.view.Load()
	if len(v.segments) == 0 {
		return l.trimLocal(ctx, s.id, v.start, b.Start) // what a Trim began was not finished
	}
	start := v.start
	switch {
	case !l.on(c): // what Alter began was not finished
		h := s.head.clone()
		h.Start, h.First, h.Pending = b.Start, h.Next, nil
		err := s.save(ctx, l, h, nil)
		l.moved(s.id)
		return err
	case v.end() < b.Start: // retention or a trim has passed the segments
		start = b.Start
	default:
		start = max(start, l.kept(v, c, b))
	}
	if start <= v.start && v.start <= b.Start {
		return nil
	}
	err := s.advance(ctx, l, start, func() error { return l.trimLocal(ctx, s.id, start, b.Start) })
	if start <= b.Start {
		l.moved(s.id)
	}
	return err
}

// kept returns the offset behind the segments that retention takes. It takes whole segments, so that at least what is wanted stays.
func (l *Log) kept(v *view, c *stream.Config, b *stream.Bounds) stream.Offset {
	if c.KeepAll || l.cfg.keepAll {
		return v.start
	}
	start := v.start
	below, _ := v.below(b.Start)
	bytes := b.Bytes + below
	for i := range v.segments {
		g := &v.segments[i]
		if !l.older(g, retention(c)) && (c.RetentionBytes <= 0 || bytes-g.Bytes < c.RetentionBytes) {
			break
		}
		start = g.End
		bytes -= g.Bytes
	}
	return start
}

// retention returns the age after which batches go, < 0 for none.
func retention(c *stream.Config) time.Duration {
	if c.Retention == 0 {
		return stream.DefaultRetention
	}
	return c.Retention
}

func (l *Log) older(g *segment, than time.Duration) bool {
	return than >= 0 && g.Age < l.clock.Now().Add(-than).UnixMilli()
}

// trimCopied has the local log lose what was copied and need not be there any more: whole segments.
func (l *Log) trimCopied(ctx context.Context, s *shard, c *stream.Config, b *stream.Bounds) error {
	v := s.view.Load()
	age, most := c.Tier.Retention, c.Tier.RetentionBytes
	if age == 0 {
		age = retention(c)
	}
	if most == 0 {
		most = c.RetentionBytes
	}
	bytes, trim, all := b.Bytes, b.Start, l.relieves()
	for i := v.at(b.Start); i < len(v.segments); i++ {
		g := &v.segments[i]
		if !all && !l.older(g, age) && (most <= 0 || bytes-g.Bytes < most) {
			break
		}
		trim = g.End
		bytes -= g.Bytes
	}
	if trim == b.Start || trim > b.End {
		return nil
	}
	_, err := l.Log.Trim(ctx, s.id, trim)
	return err
}

// litter says whether there are objects of segments that are gone.
func (s *shard) litter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head.Swept < s.head.First
}

// clean deletes the objects of segments that are gone.
func (l *Log) clean(ctx context.Context, s *shard) bool {
	if !s.work.TryLock() {
		return false
	}
	defer s.work.Unlock()
	err := l.cleanUpTo(ctx, s)
	if err != nil {
		l.counters.deleteFailures.Add(1)
		l.complain(ctx, "deleting objects failed, it is tried again", err, "stream", s.id.Stream, "shard", s.id.Index)
	}
	return err == nil
}

// cleanUpTo deletes the objects before the first segment, then says in the documents that they are gone. The caller holds work.
func (l *Log) cleanUpTo(ctx context.Context, s *shard) error {
	s.mu.Lock()
	from, to := s.head.Swept, s.head.First
	s.mu.Unlock()
	for n := from; n < to; n++ {
		if err := l.remove(ctx, s.id, n); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(ctx, l); err != nil {
		return err
	}
	h := s.head.clone()
	h.Swept = max(h.Swept, to)
	return s.save(ctx, l, h, s.view.Load().segments)
}

// bury deletes all objects of a shard whose stream was deleted, then its documents.
func (l *Log) bury(ctx context.Context, s *shard) bool {
	if !s.work.TryLock() {
		return false
	}
	defer s.work.Unlock()
	if err := l.buryAll(ctx, s); err != nil {
		l.counters.deleteFailures.Add(1)
		l.complain(ctx, "deleting the objects of a deleted stream failed, it is tried again", err, "stream", s.id.Stream, "shard", s.id.Index)
		return false
	}
	l.shards.Delete(s.id)
	return true
}

func (l *Log) buryAll(ctx context.Context, s *shard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.settle(ctx, l); err != nil || s.version == 0 {
		return err
	}
	for n := s.head.Swept; n < s.head.Next; n++ {
		if err := l.remove(ctx, s.id, n); err != nil {
			return err
		}
	}
	changes := []state.Change{{Key: state.Key{Kind: headKind, ID: headID(s.id)}, If: state.Any, Delete: true, Frees: true}}
	for _, p := range s.head.Pages {
		changes = append(changes, state.Change{Key: p.key(s.id), If: state.Any, Delete: true, Frees: true})
	}
	if _, err := l.state.Apply(ctx, changes...); err != nil {
		s.unsure = true
		return err
	}
	s.head, s.version = head{}, 0
	s.publish(nil)
	return nil
}

// sweep lists all objects and deletes those that no document knows: what a crash or a slow store has left.
func (l *Log) sweep(ctx context.Context) error {
	q := object.Query{Prefix: l.cfg.Prefix + l.id + "/"}
	for more := true; more; {
		page, err := l.objects.List(ctx, l.cfg.Bucket, q)
		if err != nil {
			return err
		}
		for _, o := range page.Objects {
			id, number, ok := l.parseKey(o.Key)
			if !ok || l.knows(id, number) {
				continue
			}
			if err := l.remove(ctx, id, number); err != nil {
				return err
			}
			l.logger.Info("object deleted that no segment has", "object", o.Name.String())
		}
		if more = page.More && len(page.Objects) > 0; more {
			q.After = page.Objects[len(page.Objects)-1].Key
		}
	}
	return nil
}

// knows says whether a shard's object is a segment's, or is being written, or will be deleted.
func (l *Log) knows(id stream.Shard, number int64) bool {
	s := l.find(id)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.head.Pending
	return s.unsure || number >= s.head.Next || p != nil && p.Number == number || number >= s.head.Swept && number < s.head.First || s.view.Load().has(number)
}
