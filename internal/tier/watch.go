package tier

import (
	"sync"

	"github.com/freshet/freshet/internal/stream"
)

// watcher is the local log's, which is told to report a shard once more when only the start of its segments has moved.
type watcher struct {
	stream.Watcher
	log *Log

	mu      sync.Mutex // guards watched
	watched map[stream.Shard]struct{}
}

// Watch implements stream.Log.
func (l *Log) Watch() stream.Watcher {
	w := &watcher{Watcher: l.Log.Watch(), log: l, watched: map[stream.Shard]struct{}{}}
	l.watching.Lock()
	defer l.watching.Unlock()
	l.watchers[w] = struct{}{}
	return w
}

// Add implements stream.Watcher.
func (w *watcher) Add(shards ...stream.Shard) {
	w.mu.Lock()
	for _, s := range shards {
		w.watched[s] = struct{}{}
	}
	w.mu.Unlock()
	w.Watcher.Add(shards...)
}

// Remove implements stream.Watcher.
func (w *watcher) Remove(shards ...stream.Shard) {
	w.mu.Lock()
	for _, s := range shards {
		delete(w.watched, s)
	}
	w.mu.Unlock()
	w.Watcher.Remove(shards...)
}

// Close implements stream.Watcher.
func (w *watcher) Close() {
	w.log.watching.Lock()
	delete(w.log.watchers, w)
	w.log.watching.Unlock()
	w.Watcher.Close()
}

// moved reports a shard to all who watch it. The local log's Add reports whoever is added, also who was before.
func (l *Log) moved(id stream.Shard) {
	l.watching.Lock()
	defer l.watching.Unlock()
	for w := range l.watchers {
		w.mu.Lock()
		if _, ok := w.watched[id]; ok { // with mu held: a Remove must not come in between
			w.Watcher.Add(id)
		}
		w.mu.Unlock()
	}
}
