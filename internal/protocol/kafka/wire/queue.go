package wire

import (
	"context"
	"errors"
	"sync"
)

// queue holds the answers of a connection that were not ready when their requests were served, in order. A goroutine writes them; it
// begins with the first one, so that connections which never have one do without.
type queue struct {
	conn  *Conn
	frame Frame // of the writing goroutine
	done  chan struct{}

	mu      sync.Mutex
	shorter *sync.Cond // signalled when answers have been written
	longer  *sync.Cond // signalled when there is one to write, or none any more
	pending []pending  // guarded by mu; the first ones may be being written
	closed  bool       // guarded by mu
	err     error      // guarded by mu: why writing ended
}

func (q *queue) init(c *Conn) {
	q.conn = c
	q.shorter, q.longer = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
}

type pending struct {
	request Request
	answer  Answer
}

// put appends an answer, after waiting for room.
func (q *queue) put(r *Request, a Answer) error {
	if err := q.wait(q.conn.server.cfg.MaxPending - 1); err != nil {
		a.Done(0, err)
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := *r
	kept.Body = nil
	q.pending = append(q.pending, pending{kept, a})
	if q.done == nil {
		q.done = make(chan struct{})
		go func() { defer close(q.done); q.run() }()
	}
	q.longer.Signal()
	return nil
}

// wait returns when at most n answers are pending, with the error that ended the writing, if any.
func (q *queue) wait(n int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) > n {
		q.shorter.Wait()
	}
	return q.err
}

// close waits until nothing is pending and the goroutine has ended. Nothing is put after it.
func (q *queue) close() {
	_ = q.wait(0) // its error has shut the connection
	q.mu.Lock()
	q.closed = true
	q.longer.Signal()
	q.mu.Unlock()
	if q.done != nil {
		<-q.done
	}
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending) == 0
}

// maxCoalesced bounds the bytes of ready answers that go out in one write.
const maxCoalesced = 32 << 10

// run writes answers until the queue is closed.
func (q *queue) run() {
	var batch []pending
	for {
		batch = q.next(batch[:0])
		if len(batch) == 0 {
			return
		}
		err := q.write(batch)
		q.mu.Lock()
		q.pending = append(q.pending[:0], q.pending[len(batch):]...)
		clear(q.pending[len(q.pending):cap(q.pending)])
		if err != nil && q.err == nil {
			q.err = err
			q.conn.shut(err)
		}
		q.shorter.Signal()
		q.mu.Unlock()
	}
}

// next waits for an answer to be pending and ready, and returns it with the ready ones behind it; none if the queue is closed. Once the
// connection is gone it returns all, ready or not: what they wait for may take for ever, as a disk that is full.
func (q *queue) next(into []pending) []pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) == 0 {
		if q.closed {
			return nil
		}
		q.longer.Wait()
	}
	first := q.pending[0].answer.Ready()
	q.mu.Unlock()
	select {
	case <-first:
		q.mu.Lock()
	case <-q.conn.gone:
		q.mu.Lock()
		if q.err == nil {
			q.err = context.Cause(q.conn.ctx)
		}
		return append(into, q.pending...)
	}
	for _, p := range q.pending {
		select {
		case <-p.answer.Ready():
			into = append(into, p)
			continue
		default:
		}
		break
	}
	return into
}

// write encodes and writes a batch of ready answers, and ends each.
func (q *queue) write(batch []pending) error {
	q.mu.Lock()
	err := q.err
	q.mu.Unlock()
	from, sizes := 0, make([]int, len(batch))
	flush := func(to int) {
		if err == nil && q.frame.size() > 0 {
			err = q.conn.flush(&q.frame)
		}
		q.frame.reset()
		for i := from; i < to; i++ {
			batch[i].answer.Done(sizes[i], err)
		}
		from = to
	}
	for i := range batch {
		if err == nil {
			var failed error
			sizes[i], failed = q.frame.add(&batch[i].request, batch[i].answer)
			if failed != nil && !errors.Is(failed, ErrNoAnswer) {
				flush(i)
				err = failed
			}
		}
		if q.frame.size() >= maxCoalesced || i == len(batch)-1 {
			flush(i + 1)
		}
	}
	return err
}
