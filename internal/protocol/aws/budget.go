package aws

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet/internal/clock"
)

// budget bounds the memory of all requests in flight. Most of it is common: who holds none of it waits for some, in order of arrival. Who holds some
// and needs more than is free must not wait for other holders, which may be waiting too; it waits for the lane, memory that one request at a time
// has to itself and with which it comes to its end.
type budget struct {
	common *semaphore.Weighted
	limit  int64         // of common
	lane   chan struct{} // full while a request has it
	width  int64         // of the lane, bytes
	wait   time.Duration // the longest that a request waits for either
	clock  clock.Clock
}

var errBusy = errors.New("no memory for another request")

// newBudget returns a budget of limit bytes in all, of which the lane has width, but never more than half.
func newBudget(limit, width int64, wait time.Duration, c clock.Clock) *budget {
	width = min(width, limit/2)
	return &budget{common: semaphore.NewWeighted(limit - width), limit: limit - width, lane: make(chan struct{}, 1), width: width, wait: wait, clock: c}
}

// share is what one request has of a budget.
type share struct {
	budget *budget
	common int64
	lane   bool
	laned  int64 // bytes used of the lane
}

// grow adds n bytes to the share. It waits at most budget.wait for them; errBusy. Who has nothing yet and wants more than there is gets everything.
func (s *share) grow(ctx context.Context, n int64) error {
	b := s.budget
	switch {
	case s.lane:
		if s.laned+n > b.width {
			return errBusy
		}
		s.laned += n
		return nil
	case s.common == 0:
		n = min(n, b.limit)
	}
	if b.common.TryAcquire(n) {
		s.common += n
		return nil
	}
	ctx, cancel := clock.WithTimeout(ctx, b.clock, b.wait, errBusy)
	defer cancel()
	if s.common == 0 {
		if b.common.Acquire(ctx, n) != nil {
			return context.Cause(ctx)
		}
		s.common = n
		return nil
	}
	select {
	case b.lane <- struct{}{}:
		s.lane = true
		return s.grow(ctx, n)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release gives everything back.
func (s *share) release() {
	if s.common > 0 {
		s.budget.common.Release(s.common)
	}
	if s.lane {
		<-s.budget.lane
	}
	*s = share{budget: s.budget}
}
