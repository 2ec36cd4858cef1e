package engine

import (
	"container/list"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// readAhead reads from files what is likely to be asked for next: once the chunk of a Read that came from a file is released, as much again from
// where it ended. A consumer that catches up works on one answer while the next is read and checked here, instead of one waiting for the
// other. Who comes for what was read takes it; who comes in vain reads for itself.
type readAhead struct {
	mu      sync.Mutex
	most    int // reads held or under way; each may have ReadBytes of memory, and the rest of one batch more
	reads   map[aheadKey]*list.Element
	order   list.List      // of *aheadRead, oldest first
	closed  bool           // nothing is begun any more
	reading sync.WaitGroup // those who read
}

// aheadKey is where a Read begins.
type aheadKey struct {
	shard stream.Shard
	from  stream.Offset
}

// aheadRead is a Read that nobody has come for yet.
type aheadRead struct {
	key   aheadKey
	began time.Time
	ready chan struct{} // closed when it was read
	got   collector     // valid once ready; whoever took the read releases it
	end   stream.Offset // valid once ready: where it ended
}

const (
	// minAhead is the least a Read must want for more to be read ahead: below it somebody looks for something, and does not go on.
	minAhead = 64 * kib
	// staleAhead is how long a read waits for its taker before others may have its room.
	staleAhead = time.Second
)

// stale says whether others may have the read's room: it has waited long enough, and its memory is not being read into any more.
func (r *aheadRead) stale(now time.Time) bool {
	select {
	case <-r.ready:
		return now.Sub(r.began) >= staleAhead
	default:
		return false
	}
}

// take returns what was read ahead at a place, or nil.
func (a *readAhead) take(k aheadKey) *aheadRead {
	a.mu.Lock()
	at := a.reads[k]
	if at == nil {
		a.mu.Unlock()
		return nil
	}
	r := a.removeLocked(at)
	a.mu.Unlock()
	<-r.ready
	return r
}

func (a *readAhead) removeLocked(at *list.Element) *aheadRead {
	r := a.order.Remove(at).(*aheadRead)
	delete(a.reads, r.key)
	return r
}

// begin reads up to maxBytes of a shard from an offset on, unless there is no room.
func (a *readAhead) begin(e *Engine, s *shard, from stream.Offset, maxBytes int) {
	now := e.cfg.Clock.Now()
	r := &aheadRead{key: aheadKey{s.id, from}, began: now, ready: make(chan struct{})}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.reads[r.key] != nil {
		return
	}
	for a.order.Len() >= a.most {
		oldest := a.order.Front()
		if oldest == nil || !oldest.Value.(*aheadRead).stale(now) {
			return
		}
		a.dropLocked(oldest)
	}
	if a.reads == nil {
		a.reads = map[aheadKey]*list.Element{}
	}
	a.reads[r.key] = a.order.PushBack(r)
	a.reading.Go(func() {
		defer close(r.ready)
		r.got = collector{engine: e, left: min(maxBytes, int(e.cfg.ReadBytes)), ahead: true}
		r.end = r.got.readAhead(s, from)
	})
}

// dropLocked gives up a read that nobody came for.
func (a *readAhead) dropLocked(at *list.Element) {
	r := a.removeLocked(at)
	a.reading.Go(func() {
		<-r.ready
		r.got.release()
	})
}

// close gives up all reads. After it none is under way.
func (a *readAhead) close() {
	a.mu.Lock()
	a.closed = true
	for a.order.Len() > 0 {
		a.dropLocked(a.order.Front())
	}
	a.mu.Unlock()
	a.reading.Wait()
}
