// Package watches is Watch of state.Store for every body of the contract. A store keeps a Set and tells it what has changed.
//
// It knows no documents, so it refuses to say what changed in them: whoever receives an id reads it.
package watches

import (
	"context"
	"sync"
)

// Set is the watches of one store. The zero value has none; all methods are safe for concurrent use.
type Set struct {
	mu     sync.Mutex // guards everything below, the watches too
	all    map[*watch]struct{}
	closed bool

	sending sync.WaitGroup // one goroutine for each watch
}

// watch is the ids that changed and were not sent yet. Each waits once, so there are never more than the kind has had since the last was taken.
type watch struct {
	kind    string
	cancel  context.CancelFunc
	wake    chan struct{} // capacity 1, never closed: order may have grown
	order   []string      // the longest waiting first
	waiting map[string]bool
}

// Watch implements state.Store. The watch begins before it returns; its goroutine ends with ctx or Close.
func (s *Set) Watch(ctx context.Context, kind string) <-chan string {
	out := make(chan string)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(out)
		return out
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{kind: kind, cancel: cancel, wake: make(chan struct{}, 1), waiting: map[string]bool{}}
	if s.all == nil {
		s.all = map[*watch]struct{}{}
	}
	s.all[w] = struct{}{}
	s.sending.Go(func() {
		defer close(out)
		defer s.forget(w)
		s.send(ctx, w, out)
	})
	return out
}

// Changed tells those who watch kind that the document of id changed or was deleted. The store calls it once a reader sees the change. It
// does not block.
func (s *Set) Changed(kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		if w.kind != kind || w.waiting[id] {
			continue
		}
		w.waiting[id] = true
		w.order = append(w.order, id)
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// Close ends all watches and waits for their goroutines; a later Watch has ended from the start.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	for w := range s.all {
		w.cancel()
	}
	s.mu.Unlock()
	s.sending.Wait()
}

func (s *Set) forget(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.cancel()
	delete(s.all, w)
}

// send sends until ctx ends. An id no longer waits while it is being sent, so that a change in that moment is sent again.
func (s *Set) send(ctx context.Context, w *watch, out chan<- string) {
	for {
		id, ok := s.next(w)
		if !ok {
			select {
			case <-w.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case out <- id:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Set) next(w *watch) (id string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(w.order) == 0 {
		return "", false
	}
	id = w.order[0]
	w.order = w.order[1:]
	delete(w.waiting, id)
	return id, true
}
