package memstate

import (
	"context"
	"sync"
)

// watcher is one Watch: the ids that changed and were not yet sent.
type watcher struct {
	kind string
	wake chan struct{} // has a value if pending may have grown; never closed

	mu      sync.Mutex
	order   []string // pending ids, the longest waiting first
	pending map[string]struct{}
}

// Watch implements state.Store. Its goroutine ends with ctx.
func (s *Store) Watch(ctx context.Context, kind string) <-chan string {
	w := &watcher{kind: kind, wake: make(chan struct{}, 1), pending: map[string]struct{}{}}
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	out := make(chan string)
	go func() {
		defer close(out)
		w.send(ctx, out)
		s.mu.Lock()
		delete(s.watchers, w)
		s.mu.Unlock()
	}()
	return out
}

func (w *watcher) changed(id string) {
	w.mu.Lock()
	if _, ok := w.pending[id]; !ok {
		w.pending[id] = struct{}{}
		w.order = append(w.order, id)
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// next takes the longest waiting id off the pending ones. It is no longer pending while it is being sent, so that a change in that moment is
// sent again.
func (w *watcher) next() (id string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return "", false
	}
	id = w.order[0]
	w.order = w.order[1:]
	delete(w.pending, id)
	return id, true
}

func (w *watcher) send(ctx context.Context, out chan<- string) {
	for {
		id, ok := w.next()
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
