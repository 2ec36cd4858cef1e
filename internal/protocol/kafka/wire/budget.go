package wire

import (
	"context"
	"sync"
)

// Budget is an amount of bytes shared by many: takers wait, in their order, until enough is given back.
type Budget struct {
	mu      sync.Mutex
	total   int64
	free    int64
	waiters []*waiter // guarded by mu, oldest first
}

type waiter struct {
	n     int64
	ready chan struct{} // closed by Give when n was taken for the waiter
}

// NewBudget returns a budget of total bytes.
func NewBudget(total int64) *Budget { return &Budget{total: total, free: total} }

// Take waits until n bytes are free and takes them; n beyond the total counts as the total. It returns ctx's cause if that ends first.
func (b *Budget) Take(ctx context.Context, n int64) error {
	n = min(n, b.total)
	b.mu.Lock()
	if len(b.waiters) == 0 && b.free >= n {
		b.free -= n
		b.mu.Unlock()
		return nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.waiters {
		if b.waiters[i] == w {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			b.wakeLocked() // a smaller taker behind may fit now
			return context.Cause(ctx)
		}
	}
	b.free += n // it was given just as ctx ended
	b.wakeLocked()
	return context.Cause(ctx)
}

// TakeUpTo takes as much of n as is free, without waiting, and returns how much that was.
func (b *Budget) TakeUpTo(n int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = max(0, min(n, b.free))
	b.free -= n
	return n
}

// Give gives n bytes back, bounded as Take bounded them.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += min(n, b.total)
	if b.free > b.total {
		panic("wire: more given back to a budget than was taken")
	}
	b.wakeLocked()
}

func (b *Budget) wakeLocked() {
	for len(b.waiters) > 0 && b.waiters[0].n <= b.free {
		b.free -= b.waiters[0].n
		close(b.waiters[0].ready)
		b.waiters[0] = nil
		b.waiters = b.waiters[1:]
	}
}

// Used returns how many bytes are taken.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total - b.free
}

// Contended says whether somebody waits for bytes.
func (b *Budget) Contended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiters) > 0
}
