package aws

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet/internal/clock"
)

// budget bounds the memory of all requests in flight. A request waits for its first share for a while; once it holds some, more is granted at
// once or not at all, so that holders never wait for each other.
type budget struct {
	bytes *semaphore.Weighted
	limit int64
	wait  time.Duration
	clock clock.Clock
}

var errBusy = errors.New("no memory for another request")

func newBudget(limit int64, wait time.Duration, c clock.Clock) *budget {
	return &budget{bytes: semaphore.NewWeighted(limit), limit: limit, wait: wait, clock: c}
}

// acquire takes n bytes, or all of the budget if n is more, and returns what it took. It waits for its turn at most b.wait.
func (b *budget) acquire(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.limit)
	if b.bytes.TryAcquire(n) {
		return n, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	timer := b.clock.NewTimer(b.wait)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-timer.C():
			cancel(errBusy)
		case <-ctx.Done():
		}
	}()
	err := b.bytes.Acquire(ctx, n)
	if err != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	timer.Stop()
	<-watched
	if err != nil {
		return 0, err
	}
	return n, nil
}

// extend takes n more bytes if they are free.
func (b *budget) extend(n int64) bool { return b.bytes.TryAcquire(n) }

func (b *budget) release(n int64) { b.bytes.Release(n) }
