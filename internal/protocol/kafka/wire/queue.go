package wire

import (
	"errors"
	"sync"
)

// queue holds the answers of a connection that were not ready when their requests were served, in order. A goroutine writes them, and
// lives while there are any.
type queue struct {
	conn  *Conn
	frame Frame // of the writing goroutine

	mu      sync.Mutex
	idle    *sync.Cond // signalled when the queue gets shorter
	pending []pending  // guarded by mu; the first ones may be being written
	running bool       // guarded by mu: the goroutine lives
	err     error      // guarded by mu: why writing ended
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
	if !q.running {
		q.running = true
		go q.run()
	}
	return nil
}

// wait returns when at most n answers are pending, with the error that ended the writing, if any. With n = 0 also the goroutine has ended.
func (q *queue) wait(n int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.pending) > n || n == 0 && q.running {
		q.idle.Wait()
	}
	return q.err
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending) == 0
}

// maxCoalesced bounds the bytes of ready answers that go out in one write.
const maxCoalesced = 32 << 10

// run writes answers until none is pending.
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
		q.idle.Broadcast()
		q.mu.Unlock()
	}
}

// next waits for the first pending answer and returns it with the ready ones behind it; none ends the goroutine.
func (q *queue) next(into []pending) []pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 {
		q.running = false
		q.idle.Broadcast()
		return nil
	}
	first := q.pending[0].answer.Ready()
	q.mu.Unlock()
	<-first
	q.mu.Lock()
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
