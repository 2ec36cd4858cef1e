package share

import (
	"context"
	"errors"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/committed"
)

// reading is what is read of one window for somebody, who meanwhile is the only one to do so.
type reading struct {
	sub    *sub
	from   stream.Offset
	epoch  int32  // of the window then
	news   uint64 // of the window then
	chunks []stream.Chunk
	offer  Offer
	all    [][]byte // the batches of offer.Extents
	bounds stream.Bounds
	known  bool // bounds are
	bytes  int
	err    error
}

// What is read of a shard at once: a little first, as most members want few records.
const (
	firstRead = 64 << 10
	laterRead = 1 << 20
	maxReads  = 64
)

// look takes records from windows that may have some. It returns true when there is something to answer with. last says that there is no time to
// wait for more bytes. What comes first is taken also where there is no memory for it: a small batch at once, a larger one when others that exceed it have
// been written, and then it is read again, as meanwhile it is left to others.
func (f *fetching) look(ctx context.Context, last bool) bool {
	for {
		budget := f.Memory.TakeUpTo(int64(max(f.MaxBytes, 1)))
		reads := f.readAll(ctx, int(budget))
		bytes := 0
		for _, r := range reads {
			if bytes += r.bytes; r.err != nil {
				last = true
			}
		}
		enough := last || bytes >= f.MinBytes
		exceeds := enough && !f.answer.batch && int64(bytes) > budget+smallBatch
		found, again := f.finish(reads, enough && !exceeds, budget)
		if !found && exceeds {
			if !f.takeBatch(ctx) {
				return false
			}
			continue
		}
		if !found && f.answer.batch {
			f.Memory.GiveBatch() // nothing is held while waiting
			f.answer.batch = false
		}
		if found || !again || ctx.Err() != nil {
			return found
		}
	}
}

// takeBatch waits for the memory of a batch. It returns false if nobody waits for the answer any more.
func (f *fetching) takeBatch(ctx context.Context) bool {
	f.unregister() // there is no use in being called
	err := f.Memory.TakeBatch(ctx)
	f.answer.batch = err == nil
	return f.register() && err == nil
}

// readAll reads what the session's windows may have, one after the other.
func (f *fetching) readAll(ctx context.Context, left int) []*reading {
	var reads []*reading
	records := f.Wish.Records
	f.mu.Lock()
	f.passes++
	f.pass = f.passes
	f.mu.Unlock()
	for records > 0 && (left > 0 || len(reads) == 0) {
		r := f.claim()
		if r == nil {
			break
		}
		if f.Check != nil {
			r.err = f.Check(r.sub.window.shard)
		}
		if r.err == nil {
			r.read(ctx, f, left, records, len(reads) == 0)
		}
		left -= r.bytes
		for _, e := range r.offer.Extents {
			records -= int(e.Last - max(e.First, r.from) + 1)
		}
		reads = append(reads, r)
	}
	return reads
}

// claim returns the next window to look at, which is then nobody else's until finish.
func (f *fetching) claim() *reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session.gone || f.stopped {
		return nil
	}
	for _, p := range f.session.hot {
		w := p.window
		if p.pass == f.pass {
			continue
		}
		if w.busy {
			p.looked = 0 // to be called when it is not
			continue
		}
		p.pass = f.pass
		w.SetLimits(f.settings.Limits)
		if w.Tick(f.Clock.Now()) {
			f.newsLocked(w)
			f.settleLocked(w)
		}
		if at, ok := w.Next(); ok && w.ready() {
			w.busy = true
			return &reading{sub: p, from: at, epoch: w.Epoch(), news: w.news}
		}
	}
	return nil
}

// read reads batches from r.from on, until there are as many records, the next would be more than maxBytes, or the shard ends. first says that the first
// batch may be more: nothing was read before it.
func (r *reading) read(ctx context.Context, f *fetching, maxBytes, records int, first bool) {
	at, step := r.from, firstRead
	r.offer = Offer{From: at, Until: at}
	for range maxReads {
		chunk, aborted, err := f.readLog(ctx, r.sub.window.shard, at, max(1, min(step, maxBytes-r.bytes)))
		if step = laterRead; err == nil || errors.Is(err, stream.ErrOutOfRange) {
			r.bounds, r.known = chunk.Bounds, true
		}
		if err != nil {
			if chunk.Release(); r.offer.Until == r.from && !errors.Is(err, stream.ErrOutOfRange) {
				r.err = err
			}
			return
		}
		end := chunk.Bounds.End
		if f.settings.Committed {
			end = chunk.Bounds.LastStable
		}
		if len(chunk.Batches) == 0 { // there is none from here to the end
			r.offer.Until = max(at, end)
			return
		}
		if r.bytes+chunk.Bytes() > maxBytes && !(first && r.bytes == 0) {
			chunk.Release()
			return
		}
		r.chunks = append(r.chunks, chunk)
		taken, next := r.add(chunk.Batches, aborted, at, end)
		if records -= taken; next == at {
			return // what follows is of open transactions
		}
		at, r.offer.Until = next, next
		if records <= 0 || r.bytes >= maxBytes || at >= end {
			return
		}
	}
}

// readLog reads batches, with the aborted transactions among them where nobody is to have those.
func (f *fetching) readLog(ctx context.Context, shard stream.Shard, at stream.Offset, maxBytes int) (stream.Chunk, []stream.Aborted, error) {
	if f.settings.Committed {
		return committed.Read(ctx, f.Log, shard, at, maxBytes)
	}
	chunk, err := f.Log.Read(ctx, shard, at, maxBytes)
	return chunk, nil, err
}

// add takes in batches, from offset at up to end, those of aborted transactions to be skipped. It returns how many offsets that are, and the next one.
func (r *reading) add(batches [][]byte, aborted []stream.Aborted, at, end stream.Offset) (int, stream.Offset) {
	n := 0
	for _, b := range batches {
		h, err := batch.Parse(b)
		if err != nil || stream.Offset(h.BaseOffset) >= end {
			break
		}
		e := Extent{First: stream.Offset(h.BaseOffset), Last: stream.Offset(h.LastOffset()), Skip: h.Attributes.Control()}
		e.Skip = e.Skip || h.Attributes.Transactional() && slices.ContainsFunc(aborted, func(a stream.Aborted) bool {
			return a.ProducerID == h.ProducerID && a.First <= e.First && e.First <= a.Last
		})
		r.offer.Extents = append(r.offer.Extents, e)
		r.all = append(r.all, b)
		r.bytes += len(b)
		n += int(e.Last - max(e.First, at) + 1)
		at = e.Last + 1
	}
	return n, at
}

// finish lets the member acquire what was read, if it is enough to answer with, and others look at the windows again. again says that there may
// be something where nothing was found now.
func (f *fetching) finish(reads []*reading, enough bool, budget int64) (found, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left, kept := f.Wish.Records, int64(0)
	for _, r := range reads {
		w, wish := r.sub.window, f.Wish
		w.busy = false
		r.sub.looked = r.news
		moved := r.known && f.follow(w, r.bounds)
		wish.Records = left
		var a *Answered
		switch {
		case isGone(r.err):
			f.forgetLocked(w)
			fallthrough
		case r.err != nil:
			a = f.answer.at(w.shard)
			a.Err = r.err
		case enough && left > 0 && !w.gone && !f.session.gone && w.Epoch() == r.epoch:
			before, _ := w.Next()
			taken := w.Acquire(f.Clock.Now(), f.Member, r.offer, wish)
			after, ok := w.Next()
			if moved = moved || ok && after != before; len(taken) == 0 {
				break
			}
			for _, t := range taken {
				left -= int(t.Last - t.First + 1)
			}
			a = f.answer.at(w.shard)
			a.Taken, a.Batches = taken, r.of(taken)
			for _, b := range a.Batches {
				kept += int64(len(b))
			}
			f.answer.chunks = append(f.answer.chunks, r.chunks...)
			r.chunks = nil
		}
		found = found || a != nil
		again = again || moved && enough
		f.rest(r)
	}
	f.answer.taken += min(kept, budget)
	f.Memory.Give(budget - min(kept, budget))
	return found, again
}

// follow moves a window as the log's bounds have moved.
func (f *fetching) follow(w *windowEntry, b stream.Bounds) bool {
	trimmed := w.Trim(b.Start)
	return w.Truncate(b.End) || trimmed
}

// rest leaves the window that was read for others, and for the member's next look.
func (f *fetching) rest(r *reading) {
	w := r.sub.window
	for i := range r.chunks {
		r.chunks[i].Release()
	}
	if r.known && w.news == r.news && r.err == nil {
		w.asked, w.upTo = true, r.bounds.End
		if f.settings.Committed {
			w.upTo = r.bounds.LastStable
		}
	}
	if w.gone {
		return
	}
	f.settleLocked(w)
	if r.sub.hot { // its next turn is after those of the session's others
		r.sub.cool()
		if w.ready() {
			r.sub.heat()
		}
	}
	f.callLocked(w)
}

// of returns the batches that have records of taken.
func (r *reading) of(taken []Taken) [][]byte {
	var batches [][]byte
	i := 0
	for n, e := range r.offer.Extents {
		for i < len(taken) && taken[i].Last < e.First {
			i++
		}
		if i == len(taken) {
			break
		}
		if taken[i].First <= e.Last {
			batches = append(batches, r.all[n])
		}
	}
	return batches
}
