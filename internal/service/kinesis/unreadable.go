package kinesis

import (
	"sync"

	"github.com/freshet/freshet/internal/stream"
)

// maxUnreadable bounds the batches that are remembered as unreadable, of about 100 bytes each. Of more the oldest are found out anew.
const maxUnreadable = 10_000

// batchPlace is where a batch is in the log. It is never another batch's: streams have ids of their own, and shards do not reuse offsets.
type batchPlace struct {
	shard stream.Shard
	base  stream.Offset
}

// unreadable remembers batches whose records cannot be read, or not all of them, so that the next readers neither open them in vain nor have the
// log say it again.
type unreadable struct {
	mu     sync.Mutex
	opens  map[batchPlace]bool // false: it cannot even be decompressed
	order  []batchPlace        // of opens, a ring once it is full
	oldest int
}

// passes says whether a compressed batch is known to have nothing for anybody.
func (u *unreadable) passes(at batchPlace) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	opens, known := u.opens[at]
	return known && !opens
}

// add remembers a batch and says whether it was known.
func (u *unreadable) add(at batchPlace, opens bool) (known bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known = u.opens[at]; known {
		return true
	}
	if u.opens == nil {
		u.opens = map[batchPlace]bool{}
	}
	if len(u.order) < maxUnreadable {
		u.order = append(u.order, at)
	} else {
		delete(u.opens, u.order[u.oldest])
		u.order[u.oldest] = at
		u.oldest = (u.oldest + 1) % maxUnreadable
	}
	u.opens[at] = opens
	return false
}
