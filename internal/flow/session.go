package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
)

// session moves records under one lease. One goroutine runs it.
type session struct {
	*Flow
	epoch   int64
	source  source
	ledger  *ledger
	watcher stream.Watcher
	cursors map[int32]stream.Cursor // as they were committed when the session began
	shards  []shard
	ready   []int32 // shards that may have something to read, in the order to ask them
	moved   []stream.Shard
	buffer  buffer
	lost    int   // reads that found their records gone
	ended   error // the log can no more be read: it is closed, or the stream was deleted
	fresh   bool  // nothing was gathered yet: what is read first may have waited in an earlier session
}

type shard struct {
	address stream.Shard
	read    stream.Offset // measured so far
	queued  bool          // in ready
}

func (f *Flow) session(ctx context.Context, epoch int64) error {
	s := &session{Flow: f, epoch: epoch, buffer: newBuffer(), fresh: true, cursors: map[int32]stream.Cursor{}}
	s.source = source{f.deps.Log, f.deps.Budget, f.countDamaged, func(shard stream.Shard, from, to stream.Offset) {
		s.lost++
		f.countLost(shard, from, to)
	}}
	s.watcher = f.deps.Log.Watch()
	defer s.watcher.Close()
	if err := s.recover(ctx); err != nil {
		return err
	}
	err := s.loop(ctx)
	if errors.Is(err, stream.ErrNotFound) {
		s.countGone()
	}
	return err
}

// countGone counts what was read of a deleted stream and not delivered. How much there was to read behind it nobody can tell any more.
func (s *session) countGone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := int64(0)
	for i := range s.shards {
		gone += int64(s.shards[i].read - s.position[s.shards[i].address.Index])
	}
	if s.status.Lost += gone; gone > 0 {
		s.deps.Logger.Error("the stream was deleted before its records were delivered", "records", gone)
	}
}

// recover finds where the flow is, and first of all writes the batch again that was planned but perhaps not written or not committed.
func (s *session) recover(ctx context.Context) error {
	var err error
	if s.ledger, err = claim(ctx, s.deps.State, s.config.Name, s.config.Stream, s.epoch); err != nil {
		return err
	}
	committed, err := s.deps.Log.Committed(ctx, CursorOwner(s.config.Name))
	if err != nil {
		return fmt.Errorf("read cursors: %w", err)
	}
	for _, c := range committed {
		if c.Shard.Stream == s.config.Stream {
			s.cursors[c.Shard.Index] = c
		}
	}
	if b := s.ledger.planned(s.config.Stream); b != nil && !s.done(b) {
		s.complete(b)
		s.deps.Logger.Info("repeating the batch of an earlier run", "batch", b.ID, "label", b.Label)
		if err := s.deliver(ctx, b); err != nil {
			return err
		}
	}
	return s.discover(ctx)
}

// done says whether the cursors of a planned batch are behind it: they are committed together.
func (s *session) done(b *Batch) bool {
	return !slices.ContainsFunc(b.Ranges, func(r Range) bool { return s.cursors[r.Shard.Index].Next < r.To })
}

// discover takes up shards that are new, all of them at first.
func (s *session) discover(ctx context.Context) error {
	source, err := s.deps.Log.StreamByID(ctx, s.config.Stream)
	if err != nil {
		return fmt.Errorf("look for shards: %w", err)
	}
	for i := int32(len(s.shards)); i < source.Shards; i++ {
		address := source.Shard(i)
		at, err := s.begin(ctx, address)
		if err != nil {
			return err
		}
		s.setPosition(i, at)
		s.shards = append(s.shards, shard{address: address, read: at})
		s.watcher.Add(address)
	}
	return nil
}

// begin returns where to read a shard from: the furthest of its cursor and what the checkpoint knows, or its beginning. If the log lost its
// end since, after a power cut with durability "os", offsets were given out again: what is new begins where the cursor's epoch ended (KIP-320).
func (s *session) begin(ctx context.Context, address stream.Shard) (stream.Offset, error) {
	cursor, placed := s.cursors[address.Index]
	delivered, known := s.ledger.delivered(address.Index)
	bounds, err := s.deps.Log.Bounds(ctx, address)
	if err != nil {
		return 0, fmt.Errorf("find the beginning of shard %d: %w", address.Index, err)
	}
	if !placed && !known {
		return bounds.Start, nil
	}
	at := max(cursor.Next, delivered)
	end := bounds.End
	if cursor.Epoch >= 0 {
		_, next, err := s.deps.Log.EpochEnd(ctx, address, cursor.Epoch)
		if err != nil {
			return 0, fmt.Errorf("find the end of epoch %d in shard %d: %w", cursor.Epoch, address.Index, err)
		}
		if next >= 0 {
			end = min(end, next)
		}
	}
	if end < at {
		s.deps.Logger.Error("the log lost records that were delivered", "shard", address.Index, "from", end, "to", at)
	}
	return min(at, end), nil
}

// loop is the one loop: fill the buffer, write it when it is due, wait.
func (s *session) loop(ctx context.Context) error {
	discover := s.deps.Clock.NewTicker(s.config.Discover)
	defer discover.Stop()
	age := s.deps.Clock.NewTimer(math.MaxInt64 / 2)
	defer age.Stop()
	for {
		finishing := s.finishing() // before the log is read: what is appended until now counts, in new shards too
		if finishing {
			if err := s.discover(ctx); err != nil {
				return err
			}
		}
		if !s.stopping() {
			if err := s.fill(ctx); err != nil {
				return err
			}
		}
		last := s.stopping() || finishing && len(s.ready) == 0
		if s.buffer.due(s.config.Limits, s.deps.Clock.Now()) || last && !s.buffer.empty() {
			if err := s.flush(ctx); err != nil {
				return err
			}
			continue
		}
		if last {
			return nil
		}
		if s.buffer.empty() {
			s.setWaiting(0, false) // also what an earlier session had read: it was delivered after all, or is gone
		}
		if err := s.wait(ctx, age, discover); err != nil {
			return err
		}
	}
}

// wait returns when there may be something to do.
func (s *session) wait(ctx context.Context, age clock.Timer, discover clock.Ticker) error {
	var aged <-chan time.Time
	if !s.buffer.empty() {
		age.Reset(s.buffer.opened.Add(s.config.Limits.Age).Sub(s.deps.Clock.Now()))
		aged = age.C()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.stop:
	case <-s.finish:
	case <-aged:
	case <-s.watcher.Ready():
	case <-discover.C():
		return s.discover(ctx)
	}
	return nil
}

// fill measures what the shards have, one piece of each in turn, until the buffer is full or the end of all is reached. Where records come as fast
// as they are read there is no end: then it stops when the buffer has been open for its age.
func (s *session) fill(ctx context.Context) error {
	s.enqueueMoved()
	for turn := len(s.ready); len(s.ready) > 0 && !s.buffer.full(s.config.Limits) && !s.stopping(); turn-- {
		if turn <= 0 && !s.buffer.empty() && s.deps.Clock.Now().Sub(s.buffer.began) >= s.config.Limits.Age {
			return nil
		}
		i := s.ready[0]
		s.ready = s.ready[1:]
		end, err := s.measure(ctx, &s.shards[i])
		if err != nil {
			return err
		}
		if s.shards[i].queued = !end; !end {
			s.ready = append(s.ready, i)
		}
		s.enqueueMoved()
	}
	return nil
}

// enqueueMoved queues the shards the watcher has seen move.
func (s *session) enqueueMoved() {
	s.moved = s.watcher.Take(s.moved[:0])
	for _, m := range s.moved {
		if sh := &s.shards[m.Index]; !sh.queued {
			sh.queued = true
			s.ready = append(s.ready, m.Index)
		}
	}
}

// measure takes one piece of a shard into the buffer, up to the record that fills it, and says whether that was the shard's end.
func (s *session) measure(ctx context.Context, sh *shard) (end bool, err error) {
	wasEmpty, lost, now := s.buffer.empty(), s.lost, s.deps.Clock.Now().UnixMilli()
	s.buffer.from(sh.address, sh.read)
	next, end, err := s.source.read(ctx, sh.address, sh.read, math.MaxInt64, func(r *Record, h *batch.Header) error {
		s.buffer.add(r, h, now)
		if s.buffer.full(s.config.Limits) {
			return errEnough
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if next < sh.read {
		return false, fmt.Errorf("shard %d ends at %d, but was read up to %d before", sh.address.Index, next, sh.read)
	}
	s.buffer.reach(sh.address, next, s.lost != lost)
	sh.read = next
	if s.buffer.empty() {
		s.setPosition(sh.address.Index, next) // what was passed, as markers of transactions are, is not behind
		return end, nil
	}
	if wasEmpty {
		s.open()
	}
	s.setWaiting(s.buffer.oldest, true)
	return end, nil
}

// open starts the age of a batch. What a new session reads first has waited since it was appended, as far as its timestamp can be trusted
// to say so, but never so long that it was due before the session began.
func (s *session) open() {
	now := s.deps.Clock.Now()
	s.buffer.began, s.buffer.opened = now, now
	if s.fresh {
		s.fresh = false
		if since := time.UnixMilli(s.buffer.oldest); since.Before(now) {
			s.buffer.opened = later(since, now.Add(-s.config.Limits.Age))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// flush plans the buffer's batch and delivers it.
func (s *session) flush(ctx context.Context) error {
	b := &Batch{Ranges: s.buffer.sorted(), Oldest: time.UnixMilli(s.buffer.oldest), Records: s.buffer.records, Bytes: s.buffer.bytes}
	s.complete(b)
	if s.config.Label != nil {
		var err error
		if b.Label, err = s.config.Label(b); err != nil {
			return fmt.Errorf("label batch %s: %w", b.ID, err)
		}
	}
	if err := s.ledger.plan(ctx, b); err != nil {
		return err
	}
	s.buffer = newBuffer()
	return s.deliver(ctx, b)
}

// complete gives a batch what follows from its ranges.
func (s *session) complete(b *Batch) {
	b.ID = batchID(s.config.Name, s.config.Stream, b.Ranges)
	b.Epoch = s.epoch
	b.each = func(ctx context.Context, visit func(*Record) error) error { return s.each(ctx, b, visit) }
}

// each reads a batch's records from the log, through the transform.
func (s *session) each(ctx context.Context, b *Batch, visit func(*Record) error) error {
	one := func(r *Record, _ *batch.Header) error { return visit(r) }
	if s.config.Transform != nil {
		one = func(r *Record, _ *batch.Header) error { return s.config.Transform(r, visit) }
	}
	for _, r := range b.Ranges {
		for at, end := r.From, false; at < r.To && !end; {
			var err error
			if at, end, err = s.source.read(ctx, r.Shard, at, r.To, one); err != nil {
				if errors.Is(err, stream.ErrNotFound) || errors.Is(err, stream.ErrClosed) {
					s.ended = err
				}
				return err
			}
		}
	}
	return nil
}

// deliver writes a batch until that succeeds, then moves the cursors behind it.
func (s *session) deliver(ctx context.Context, b *Batch) error {
	s.setWaiting(b.Oldest.UnixMilli(), true)
	skipped, err := s.write(ctx, b)
	if err != nil {
		return err
	}
	// A worker that lost its lease meanwhile leaves the cursors to the next one, which writes the same batch again.
	if err := context.Cause(ctx); err != nil {
		return err
	}
	cursors := make([]stream.Cursor, len(b.Ranges))
	for i, r := range b.Ranges {
		cursors[i] = stream.Cursor{Shard: r.Shard, Next: r.To, Epoch: r.Epoch}
	}
	if err := s.deps.Log.Commit(ctx, CursorOwner(s.config.Name), cursors); err != nil {
		return fmt.Errorf("commit cursors of batch %s: %w", b.ID, err)
	}
	for _, c := range cursors {
		s.cursors[c.Shard.Index] = c
		s.setPosition(c.Shard.Index, c.Next)
	}
	s.setWaiting(0, false)
	s.count(b, skipped)
	if !skipped && s.config.Delivered != nil {
		s.config.Delivered(ctx, b)
	}
	return nil
}

// write gives a batch to the sink until it takes it, or until the verdict is to skip it. A stop allows one more attempt.
func (s *session) write(ctx context.Context, b *Batch) (skipped bool, err error) {
	for attempt := 0; ; attempt++ {
		last := s.stopping()
		err := s.sink.Write(ctx, b)
		if err == nil {
			s.setStage(Running)
			return false, nil
		}
		if s.ended != nil {
			return false, s.ended
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		err = fmt.Errorf("write batch %s, attempt %d: %w", b.ID, attempt+1, err)
		s.retrying(err)
		if s.config.Failed != nil && s.config.Failed(b, attempt+1, err) == Skip {
			s.deps.Logger.Error("batch given up", "label", b.Label, "records", b.Records, "error", err)
			return true, nil
		}
		if last {
			return false, err
		}
		s.deps.Logger.Warn("write failed, will be repeated", "label", b.Label, "error", err)
		s.pause(ctx, attempt)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
}

func (s *session) retrying(err error) {
	s.failed(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Retries++
}

func (s *session) count(b *Batch, skipped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if skipped {
		s.status.Lost += int64(b.Records)
		return
	}
	s.status.Batches++
	s.status.Records += int64(b.Records)
	s.status.Bytes += b.Bytes
	s.status.Delivered = s.deps.Clock.Now()
}
