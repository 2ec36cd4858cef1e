package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// fetch answers with batches from many partitions, or waits for them: until there are min_bytes, an error, or max_wait is over (KIP-74 for
// the sizes). It never looks at a partition that has not moved: a fetchSet keeps a watcher, and a session (v7, KIP-227) keeps its fetchSet.
//
// v4 brings isolation levels, v5 the log start offset, v9 leader epochs, v12 the epoch of the last record, v13 topic ids in place of names,
// v16 addresses of leaders. v10 says that the client knows zstd; who says less is given it all the same, as by Apache Kafka.
func (s *Server) fetch(ctx context.Context, c *Client, r *wire.Request) (wire.Answer, error) {
	req := &kmsg.FetchRequest{Version: r.Version}
	if err := r.Decode(ctx, req); err != nil {
		return nil, fmt.Errorf("Fetch v%d: %w", r.Version, err)
	}
	a := &fetched{server: s, version: r.Version, committed: req.IsolationLevel == 1}
	a.begin(c, r)
	if err := checkIsolation(req.IsolationLevel); err != nil {
		a.refuse(req, err)
		return a, nil
	}
	set, session, err := s.sessions.begin(s.log, c, req)
	if err != nil {
		a.code = code(err)
		return a, nil
	}
	defer s.sessions.end(session, set)
	if c.take(quota.ConsumerBytes, 0) > 0 { // nothing is read for who has had too much; a session that begins does so the next time
		s.sessions.forgetNew(session)
		if session != nil && session.begun {
			a.session = session.id
		}
		return a, nil
	}
	if session != nil {
		a.session = session.id
	}
	f := &fetching{server: s, client: c, set: set, answer: a, req: req, full: session == nil || !session.begun}
	f.run(ctx)
	c.take(quota.ConsumerBytes, float64(a.bytes))
	if session != nil {
		session.begun = true
	}
	return a, nil
}

// fetching is one Fetch at work.
type fetching struct {
	server *Server
	client *Client
	set    *fetchSet
	answer *fetched
	req    *kmsg.FetchRequest
	full   bool // list every partition, not only those with news

	want     int // bytes for which the answer goes out: min_bytes, or all that it may have
	readable int // bytes found that count for that
}

// run fills the answer, waiting if need be.
func (f *fetching) run(ctx context.Context) {
	if !f.set.own.IsZero() {
		f.server.offsets.Touch(ctx, f.set.own) // though nothing in it has moved: it is to go on following
	}
	f.set.take()
	f.regrant()
	f.examine(ctx)
	defer f.answer.finish()
	if f.enough() || f.req.MaxWaitMillis <= 0 || len(f.set.parts) == 0 {
		return
	}
	watched, stop := f.client.conn.WatchPeer(ctx)
	defer stop()
	timer := f.server.clock.NewTimer(time.Duration(f.req.MaxWaitMillis) * time.Millisecond)
	defer timer.Stop()
	f.set.watch()
	for {
		have := f.readable
		f.answer.release() // nothing is held while waiting
		began := f.client.waitBegins()
		timely := f.wait(watched, timer, have)
		f.client.waits(began)
		f.examine(ctx)
		if !timely || f.enough() {
			return
		}
	}
}

// enough says whether the answer may go out.
func (f *fetching) enough() bool {
	return f.answer.failed || f.readable >= f.want
}

// wait returns true when there may be enough bytes beside those that there were, false when the time is over or nobody waits any more. To
// know, it asks only partitions that have moved how much they have grown.
func (f *fetching) wait(ctx context.Context, timer clock.Timer, have int) bool {
	for {
		select {
		case <-f.set.watcher.Ready():
		case <-timer.C():
			return false
		case <-ctx.Done():
			return false
		}
		for _, p := range f.set.take() {
			bounds, err := f.server.log.Bounds(ctx, p.shard)
			if err != nil {
				return true
			}
			// Retention may have taken more than was appended: a record has at least a byte.
			grown := int(max(bounds.Bytes-p.bytes, int64(bounds.End-p.end)))
			p.bytes, p.end = bounds.Bytes, bounds.End
			if f.answer.committed {
				grown = p.settled(bounds, grown)
			}
			have += grown
		}
		if have >= f.want {
			return true
		}
	}
}

// An answer has a batch also where there is no memory for it: a small one at once, a larger one when others that exceed it have been written. What they take
// together is a part of Config.MaxAnswerBytes, counted as if each were as large as topics allow by default.
const (
	beyondBatch = 1 << 20
	beyondPart  = 2
	smallAnswer = 16 << 10
)

// readFirst is read of what comes first into an answer that may have so many bytes.
func (f *fetching) readFirst(ctx context.Context, p *fetchPart, left int) (e fetchEntry, more bool) {
	before := f.readable
	e, more = f.read(ctx, p, left)
	if e.chunk.Bytes() <= left+smallAnswer || f.answer.beyond > 0 {
		return e, more
	}
	e.chunk.Release()
	f.readable = before
	if err := f.server.beyond.Take(ctx, beyondBatch); err != nil {
		return fetchEntry{part: p, err: err}, true // nobody waits for the answer any more
	}
	f.answer.beyond = beyondBatch
	return f.read(ctx, p, left)
}

// examine reads the partitions that have something to read, in turn, until the answer is as large as it may be. Those that had nothing
// are not looked at again until they move.
func (f *fetching) examine(ctx context.Context) {
	if f.server.authorizer != nil {
		f.client.refreshGrants()
	}
	limit := f.client.mostFetched(int64(min(f.req.MaxBytes, f.server.cfg.MaxFetchBytes)))
	taken := f.server.answers.TakeUpTo(limit)
	left := int(taken)
	f.want, f.readable = min(int(f.req.MinBytes), max(left, 1)), 0
	a := f.answer
	var skipped, served []*fetchPart
	queue := f.set.hot
	for len(queue) > 0 && (left > 0 || a.bytes == 0) {
		p := queue[0]
		queue = queue[1:]
		read := f.read
		if a.bytes == 0 {
			read = f.readFirst
		}
		e, more := read(ctx, p, left)
		switch {
		case more && len(e.chunk.Batches) == 0 && e.err == nil:
			skipped = append(skipped, p) // its turn comes when it is the first
		case more:
			served = append(served, p)
		default:
			p.hot = false
		}
		n := e.chunk.Bytes()
		left -= n
		a.add(e, f.full)
	}
	f.set.requeue(skipped, queue, served)
	if f.full {
		f.listRest(ctx, queue)
	}
	// What was not used is given back; the batch that may exceed the limit is a.beyond's.
	a.budget = min(taken, int64(a.bytes))
	f.server.answers.Give(taken - a.budget)
}

// listRest lists partitions for which there was no room.
func (f *fetching) listRest(ctx context.Context, parts []*fetchPart) {
	for _, p := range parts {
		e := fetchEntry{part: p}
		if e.err = f.resolve(ctx, p); e.err == nil {
			e.chunk.Bounds, e.err = f.server.log.Bounds(ctx, p.shard)
		}
		f.answer.add(e, true)
	}
}
