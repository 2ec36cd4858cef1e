package share

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// Request is what a fetch and an acknowledgement have in common.
type Request struct {
	Group, Member string
	Owner         any   // the connection it comes over: when it is gone so is the session
	Epoch         int32 // of the session: 0 opens it, -1 ends it, else it counts
	Renew         bool  // acknowledgements may renew; a fetch that may takes nothing
	Shards        []Asked
}

// Asked is one shard of a request.
type Asked struct {
	Shard stream.Shard
	Acks  []Ack
}

// Fetch is a member that wants records, and says what became of others.
type Fetch struct {
	Request
	Forget   []stream.Shard // not to be read any more
	MaxWait  time.Duration
	MinBytes int
	MaxBytes int // of batches, but for the first
	Wish     Wish
	// Check says whether the member may read a shard; nil = all.
	Check func(s stream.Shard) error
}

// Fetched is the answer to a Fetch, or to acknowledgements. Release must be called when the batches are no longer needed.
type Fetched struct {
	Lock   time.Duration // for which the records are the member's
	Shards []Answered

	chunks []stream.Chunk
	memory Memory
	taken  int64 // of memory
	batch  bool  // memory for one was taken beside
}

// Answered is what is said of one shard.
type Answered struct {
	Shard   stream.Shard
	Err     error // why it cannot be read
	Acked   bool  // the request said something of its records
	AckErr  error // why that was not taken
	Batches [][]byte
	Taken   []Taken // the records of Batches that are the member's now
}

// Release gives the memory of the batches back.
func (f *Fetched) Release() {
	for i := range f.chunks {
		f.chunks[i].Release()
	}
	if f.taken > 0 {
		f.memory.Give(f.taken)
	}
	if f.batch {
		f.memory.GiveBatch()
	}
	f.chunks, f.taken, f.batch = nil, 0, false
}

// Bytes returns the size of the batches.
func (f *Fetched) Bytes() int {
	n := 0
	for i := range f.Shards {
		for _, b := range f.Shards[i].Batches {
			n += len(b)
		}
	}
	return n
}

// at returns what is said of a shard.
func (f *Fetched) at(s stream.Shard) *Answered {
	for i := range f.Shards {
		if f.Shards[i].Shard == s {
			return &f.Shards[i]
		}
	}
	f.Shards = append(f.Shards, Answered{Shard: s})
	return &f.Shards[len(f.Shards)-1]
}

// Acknowledge does what a member says of its records. What it answers is durable. It is nothing that could open a session.
// GROUP_ID_NOT_FOUND, SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH; per shard INVALID_REQUEST, INVALID_RECORD_STATE,
// UNKNOWN_TOPIC_OR_PARTITION.
func (c *Coordinator) Acknowledge(ctx context.Context, r *Request) (Fetched, error) {
	settings := c.settings(r.Group)
	answer := Fetched{Lock: settings.Lock}
	c.mu.Lock()
	kept, err := func() (*round, error) {
		g, err := c.entryLocked(r.Group)
		if err != nil {
			return nil, err
		}
		if r.Epoch == openEpoch {
			return nil, kerr.InvalidShareSessionEpoch
		}
		if _, err = c.continueLocked(g, r.Member, r.Epoch); err != nil {
			return nil, err
		}
		return c.applyLocked(g, r, settings, &answer), nil
	}()
	c.mu.Unlock()
	if err == nil {
		err = kept.await(ctx)
	}
	return answer, err
}

// applyLocked does what r says of records, and ends the session if that is said too. It returns what to wait for.
func (c *Coordinator) applyLocked(g *groupEntry, r *Request, settings Settings, answer *Fetched) *round {
	now := c.Clock.Now()
	var kept *round
	for i := range r.Shards {
		asked := &r.Shards[i]
		if len(asked.Acks) == 0 {
			continue
		}
		a := answer.at(asked.Shard)
		a.Acked = true
		w := g.windows[asked.Shard]
		switch err := CheckAcks(asked.Acks, r.Renew && !settings.NoRenew); {
		case err != nil:
			a.AckErr = err
		case w == nil:
			a.AckErr = kerr.UnknownTopicOrPartition
		default:
			w.SetLimits(settings.Limits)
			expired := w.Tick(now)
			before, _ := w.Next()
			a.AckErr = w.Acknowledge(now, r.Member, asked.Acks)
			if after, ok := w.Next(); expired || ok && (after != before || !w.asked || after < w.upTo) {
				c.newsLocked(w)
			}
			if k := c.settleLocked(w); k != nil {
				kept = k
			}
		}
	}
	if r.Epoch == closeEpoch {
		c.closeLocked(g, r.Member)
	}
	return kept
}

// Fetch gives a member records, or waits for them: until there are MinBytes, or an error, or MaxWait is over. What the request acknowledges is
// durable with the answer. GROUP_ID_NOT_FOUND, INVALID_REQUEST, SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH, SHARE_SESSION_LIMIT_REACHED;
// per shard what Acknowledge has, and what the log says.
func (c *Coordinator) Fetch(ctx context.Context, r *Fetch) (Fetched, error) {
	f := &fetching{Coordinator: c, Fetch: r, settings: c.settings(r.Group)}
	f.answer.Lock, f.answer.memory = f.settings.Lock, c.Memory
	kept, err := f.begin()
	if err != nil {
		return f.answer, err
	}
	if f.Epoch != closeEpoch && !f.Renew {
		if err = f.update(ctx); err != nil {
			return f.answer, err
		}
	}
	if err = kept.await(ctx); err != nil {
		return f.answer, err
	}
	if f.Epoch != closeEpoch && !f.Renew {
		f.run(ctx)
	}
	if err = f.kept.await(ctx); err != nil { // where windows begin
		f.answer.Release()
		return f.answer, err
	}
	return f.answer, nil
}

// fetching is one Fetch at work.
type fetching struct {
	*Coordinator
	*Fetch
	settings Settings
	group    *groupEntry
	session  *session
	answer   Fetched
	kept     *round // of windows that it has made
	pass     uint64
	ready    chan struct{} // has a value when it is called; never closed
}

// begin finds or opens the session, and does what is said of records.
func (f *fetching) begin() (kept *round, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.group, err = f.entryLocked(f.Group); err != nil {
		return nil, err
	}
	if f.Epoch == openEpoch {
		for i := range f.Shards {
			if len(f.Shards[i].Acks) > 0 {
				return nil, kerr.InvalidRequest
			}
		}
		f.session, err = f.openLocked(f.group, f.Member, f.Owner)
	} else {
		f.session, err = f.continueLocked(f.group, f.Member, f.Epoch)
	}
	if err != nil {
		return nil, err
	}
	return f.applyLocked(f.group, &f.Request, f.settings, &f.answer), nil
}

// update takes in what the request adds to the session and takes out of it.
func (f *fetching) update(ctx context.Context) error {
	for i := range f.Shards {
		w, err := f.window(ctx, f.Shards[i].Shard)
		if err != nil {
			f.answer.at(f.Shards[i].Shard).Err = err
			continue
		}
		f.mu.Lock()
		if !f.session.gone && !w.gone {
			err = f.session.addLocked(f.Coordinator, w)
		}
		f.mu.Unlock()
		if err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.Forget {
		if p := f.session.subs[s]; p != nil {
			f.session.dropLocked(f.Coordinator, p)
		}
	}
	return nil
}

// window finds the group's window on a shard, or makes it where the group is to begin.
func (f *fetching) window(ctx context.Context, s stream.Shard) (*windowEntry, error) {
	f.mu.Lock()
	w, full := f.group.windows[s], f.windows >= f.config.MaxWindows
	f.mu.Unlock()
	if w != nil {
		return w, nil
	}
	if full {
		f.Logger.Warn("share group may not read another shard: the node has its maximum of them", "group", f.Group, "windows", f.config.MaxWindows)
		return nil, kerr.KafkaStorageError
	}
	start, err := f.first(ctx, s)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if w = f.group.windows[s]; w != nil {
		return w, nil
	}
	if f.group.gone {
		return nil, kerr.GroupIDNotFound
	}
	w = f.insertWindowLocked(f.group, s, NewWindow(start, f.settings.Limits))
	f.kept = f.settleLocked(w)
	return w, nil
}

// first returns where the group is to begin in a shard.
func (f *fetching) first(ctx context.Context, s stream.Shard) (stream.Offset, error) {
	bounds, err := f.Log.Bounds(ctx, s)
	reset := f.settings.Reset
	switch {
	case err != nil:
		return 0, err
	case reset.Earliest:
		return bounds.Start, nil
	case reset.Ago > 0:
		if at, _, ok, err := f.Log.OffsetAt(ctx, s, f.Clock.Now().Add(-reset.Ago)); err != nil || ok {
			return at, err
		}
	}
	return bounds.End, nil
}

// run fills the answer, waiting if need be.
func (f *fetching) run(ctx context.Context) {
	f.ready = make(chan struct{}, 1)
	if !f.register() {
		return
	}
	defer f.unregister()
	if f.look(ctx, f.MaxWait <= 0) || f.MaxWait <= 0 {
		return
	}
	timer := f.Clock.NewTimer(f.MaxWait)
	defer timer.Stop()
	for {
		last := false
		select {
		case <-f.ready:
		case <-timer.C():
			last = true
		case <-ctx.Done():
			return
		}
		if f.look(ctx, last) || last || f.over() {
			return
		}
	}
}

// over says whether there is nothing more to wait for.
func (f *fetching) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.session.gone || f.stopped
}

// register lets the fetch be called. It returns false if there is nothing to wait for.
func (f *fetching) register() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session.gone || f.stopped || len(f.session.subs) == 0 {
		return false
	}
	f.session.waiting = append(f.session.waiting, f.ready)
	return true
}

// unregister ends the waiting. What it may have been called for and did not take is for others.
func (f *fetching) unregister() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, w := range f.session.waiting {
		if w == f.ready {
			f.session.waiting = append(f.session.waiting[:i], f.session.waiting[i+1:]...)
			break
		}
	}
	for _, p := range f.session.hot {
		f.callLocked(p.window)
	}
}

// isGone says whether err is that a stream is not there any more.
func isGone(err error) bool { return errors.Is(err, stream.ErrNotFound) }
