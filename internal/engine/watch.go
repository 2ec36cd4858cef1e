package engine

import (
	"slices"
	"sync"

	"github.com/freshet/freshet/internal/stream"
)

// watched is one watcher's interest in one shard.
type watched struct {
	watcher *watcher
	shard   *shard
	pending bool // guarded by watcher.mu: reported, not taken yet
}

// watcher implements stream.Watcher. An append costs one step per watcher of its shard, whatever else is watched. Lock order: Engine.view, then mu.
type watcher struct {
	engine *Engine
	ready  chan struct{} // capacity 1, never closed

	mu     sync.Mutex
	shards map[stream.Shard]*watched
	moved  []stream.Shard
	closed bool
}

// notify reports the shard to its watchers; the caller holds Engine.view.
func (s *shard) notify() {
	for _, w := range s.watchers {
		w.watcher.mu.Lock()
		w.watcher.reportLocked(w)
		w.watcher.mu.Unlock()
	}
}

func (w *watcher) reportLocked(r *watched) {
	if r.pending || w.closed {
		return
	}
	r.pending = true
	w.moved = append(w.moved, r.shard.id)
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Watch implements stream.Log.
func (e *Engine) Watch() stream.Watcher {
	return &watcher{engine: e, ready: make(chan struct{}, 1), shards: map[stream.Shard]*watched{}}
}

// Add implements stream.Watcher. A shard that does not exist is reported once, so that its reader finds out.
func (w *watcher) Add(shards ...stream.Shard) {
	w.engine.view.Lock()
	defer w.engine.view.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for _, id := range shards {
		s := w.engine.tables.shards[id]
		r := w.shards[id]
		if r == nil {
			r = &watched{watcher: w, shard: &shard{id: id}}
			w.shards[id] = r
		}
		if s != nil && s != r.shard { // new here, or new in the log since
			r.shard = s
			s.watchers = append(s.watchers, r)
		}
		w.reportLocked(r)
	}
}

// Remove implements stream.Watcher.
func (w *watcher) Remove(shards ...stream.Shard) {
	w.engine.view.Lock()
	defer w.engine.view.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range shards {
		if r := w.shards[id]; r != nil {
			w.dropLocked(r)
		}
	}
	w.moved = slices.DeleteFunc(w.moved, func(id stream.Shard) bool { return w.shards[id] == nil })
	if len(w.moved) == 0 {
		w.calmLocked()
	}
}

func (w *watcher) dropLocked(r *watched) {
	delete(w.shards, r.shard.id)
	r.shard.watchers = slices.DeleteFunc(r.shard.watchers, func(o *watched) bool { return o == r })
}

// Ready implements stream.Watcher.
func (w *watcher) Ready() <-chan struct{} { return w.ready }

// Take implements stream.Watcher.
func (w *watcher) Take(into []stream.Shard) []stream.Shard {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.moved {
		w.shards[id].pending = false
	}
	into = append(into, w.moved...)
	w.moved = w.moved[:0]
	w.calmLocked()
	return into
}

// Close implements stream.Watcher.
func (w *watcher) Close() {
	w.engine.view.Lock()
	defer w.engine.view.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, r := range w.shards {
		w.dropLocked(r)
	}
	w.moved = nil
	w.calmLocked()
}

// calmLocked takes back that there is something to take.
func (w *watcher) calmLocked() {
	select {
	case <-w.ready:
	default:
	}
}
