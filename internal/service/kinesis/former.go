package kinesis

import (
	"sync"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// former are streams that were deleted in the second of their making, and the second that their sequence numbers say that was. Sequence numbers have seconds
// and no more of it, so that a stream that is made of the same name would repeat them, and take positions of readers of the former one for its own. Its
// numbers say a later second instead. This is known until the node ends, which takes longer, and not of streams that were deleted through Kafka.
type former struct {
	mu    sync.Mutex
	names map[stream.Name]int64
}

// remember takes in a stream that is to be deleted now, and forgets those that cannot be repeated any more.
func (f *former) remember(v view, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, second := range f.names {
		if second < now.Unix() {
			delete(f.names, name)
		}
	}
	for i := range v.shards.all {
		if second := v.shards.all[i].numbered; second >= now.Unix() {
			if f.names == nil {
				f.names = map[stream.Name]int64{}
			}
			f.names[v.Name] = max(f.names[v.Name], second)
		}
	}
}

// numbersFrom returns settings.NumbersFrom of a stream that is made now.
func (f *former) numbersFrom(name stream.Name, now time.Time) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if second, ok := f.names[name]; ok && second >= now.Unix() {
		return second + 1
	}
	return 0
}
