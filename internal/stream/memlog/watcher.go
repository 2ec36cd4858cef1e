package memlog

import "github.com/freshet/freshet/internal/stream"

// watcher collects moved shards. The log's mutex guards it.
type watcher struct {
	log     *Log
	watched map[stream.Shard]struct{}
	moved   map[stream.Shard]struct{} // a subset of watched, but for deleted shards
	ready   chan struct{}             // full if and only if moved is not empty and the owner has not taken the value
}

// Watch implements stream.Log.
func (l *Log) Watch() stream.Watcher {
	w := &watcher{log: l, watched: map[stream.Shard]struct{}{}, moved: map[stream.Shard]struct{}{}, ready: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[w] = struct{}{}
	return w
}

// movedLocked tells everyone who watches the shard.
func (l *Log) movedLocked(s stream.Shard) {
	for w := range l.watchers {
		if _, ok := w.watched[s]; ok {
			w.reportLocked(s)
		}
	}
}

func (w *watcher) reportLocked(s stream.Shard) {
	w.moved[s] = struct{}{}
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// settleLocked takes the value out of ready if there is nothing left to take.
func (w *watcher) settleLocked() {
	if len(w.moved) > 0 {
		return
	}
	select {
	case <-w.ready:
	default:
	}
}

// Add implements stream.Watcher. It reports each shard once, whether it exists or not.
func (w *watcher) Add(shards ...stream.Shard) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	if _, open := w.log.watchers[w]; !open {
		return
	}
	for _, s := range shards {
		w.watched[s] = struct{}{}
		w.reportLocked(s)
	}
}

// Remove implements stream.Watcher.
func (w *watcher) Remove(shards ...stream.Shard) {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	for _, s := range shards {
		delete(w.watched, s)
		delete(w.moved, s)
	}
	w.settleLocked()
}

// Ready implements stream.Watcher.
func (w *watcher) Ready() <-chan struct{} { return w.ready }

// Take implements stream.Watcher. The shards come in no order, so that no reader relies on one.
func (w *watcher) Take(into []stream.Shard) []stream.Shard {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	for s := range w.moved {
		into = append(into, s)
	}
	clear(w.moved)
	w.settleLocked()
	return into
}

// Close implements stream.Watcher.
func (w *watcher) Close() {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	delete(w.log.watchers, w)
	clear(w.watched)
	clear(w.moved)
	w.settleLocked()
}
