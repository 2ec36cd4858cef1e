package engine

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// readAhead reads from files what is likely to be asked for next: once the chunk of a Read that came from a file is released, as much again from
// where it ended. A consumer that catches up works on one answer while the next is read and checked here, instead of one waiting for the
// other. Several that read the same share what is read: it stays until the room is wanted, so that those who come a little later find it
// too. Who comes in vain reads for itself.
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

// aheadRead is a Read before it is asked for.
type aheadRead struct {
	key   aheadKey
	began time.Time
	ready chan struct{} // closed when it was read
	got   collector     // valid once ready
	end   stream.Offset // valid once ready: where it ended
	// passes is Bounds.Compactions before it was read, valid once ready. Who comes for it after another pass reads for itself.
	passes int64
	refs   atomic.Int32 // of the table and of those who came for it; the last to let go releases got
	found  bool         // guarded by readAhead.mu: somebody came for it
}

const (
	// minAhead is the least a Read must want for more to be read ahead: below it somebody looks for something, and does not go on.
	minAhead = 64 * kib
	// staleAhead is how long a read waits for those who may come for it before others may have its room.
	staleAhead = time.Second
)

// isReady says whether nothing is being read into the read's memory any more.
func (r *aheadRead) isReady() bool {
	select {
	case <-r.ready:
		return true
	default:
		return false
	}
}

// release lets go of what was read, once it is ready. A nil read is none.
func (r *aheadRead) release() {
	if r != nil && r.refs.Add(-1) == 0 {
		r.got.release()
	}
}

// find returns what was read ahead at a place, or nil. The caller releases it.
func (a *readAhead) find(k aheadKey) *aheadRead {
	a.mu.Lock()
	at := a.reads[k]
	if at == nil {
		a.mu.Unlock()
		return nil
	}
	r := at.Value.(*aheadRead)
	r.found = true
	r.refs.Add(1)
	a.mu.Unlock()
	<-r.ready
	return r
}

// begin reads up to maxBytes of a shard from an offset on, unless there is no room.
func (a *readAhead) begin(e *Engine, s *shard, from stream.Offset, maxBytes int) {
	now := e.cfg.Clock.Now()
	r := &aheadRead{key: aheadKey{s.id, from}, began: now, ready: make(chan struct{})}
	r.refs.Store(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.reads[r.key] != nil {
		return
	}
	if !a.makeRoomLocked(now) {
		return
	}
	if a.reads == nil {
		a.reads = map[aheadKey]*list.Element{}
	}
	a.reads[r.key] = a.order.PushBack(r)
	a.reading.Go(func() {
		defer close(r.ready)
		r.got = collector{engine: e, left: min(maxBytes, int(e.cfg.ReadBytes)), ahead: true}
		r.end, r.passes = r.got.readAhead(s, from)
	})
}

// makeRoomLocked says whether there is room for one more read. What somebody came for goes first, then what nobody came for in time.
func (a *readAhead) makeRoomLocked(now time.Time) bool {
	var oldest *list.Element
	for at := a.order.Front(); at != nil && a.order.Len() >= a.most; at = at.Next() {
		switch r := at.Value.(*aheadRead); {
		case !r.isReady():
		case r.found:
			a.dropLocked(at)
			return true
		case oldest == nil && now.Sub(r.began) >= staleAhead:
			oldest = at
		}
	}
	if oldest != nil {
		a.dropLocked(oldest)
	}
	return a.order.Len() < a.most
}

// expire gives up the reads that have become stale: nobody reads on.
func (a *readAhead) expire(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var next *list.Element
	for at := a.order.Front(); at != nil; at = next {
		next = at.Next()
		if r := at.Value.(*aheadRead); r.isReady() && now.Sub(r.began) >= staleAhead {
			a.dropLocked(at)
		}
	}
}

// dropLocked gives up a read.
func (a *readAhead) dropLocked(at *list.Element) {
	r := a.order.Remove(at).(*aheadRead)
	delete(a.reads, r.key)
	if r.isReady() {
		r.release()
		return
	}
	a.reading.Go(func() {
		<-r.ready
		r.release()
	})
}

// giveUp lets go of a read that was found and was not what its finder wanted. Others need not find it.
func (a *readAhead) giveUp(r *aheadRead) {
	a.mu.Lock()
	if at := a.reads[r.key]; at != nil && at.Value.(*aheadRead) == r {
		a.dropLocked(at)
	}
	a.mu.Unlock()
	r.release()
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
