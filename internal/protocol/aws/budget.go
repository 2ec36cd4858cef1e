package aws

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet/internal/clock"
)

// budget bounds the memory of all requests in flight. A quarter is for small answers, one of which every request reserves, so that small requests
// are served whatever the large ones wait for. Bodies and large answers share what is common: who holds none of it waits for some, in order of
// arrival. Who holds some and needs more than is free must not wait for other holders, which may be waiting too; it waits for the lane, memory that
// one request at a time has to itself and with which it comes to its end.
type budget struct {
	answers *semaphore.Weighted
	small   int64 // of answers, bytes
	common  *semaphore.Weighted
	limit   int64         // of common, bytes
	lane    chan struct{} // full while a request has it
	width   int64         // of the lane, bytes
	wait    time.Duration // the longest that a request waits for each
	clock   clock.Clock
}

var errBusy = errors.New("no memory for another request")

// newBudget returns a budget of limit bytes in all, of which the lane has width, but never more than a quarter.
func newBudget(limit, width int64, wait time.Duration, c clock.Clock) *budget {
	small, width := limit/4, min(width, limit/4)
	limit -= small + width
	return &budget{
		answers: semaphore.NewWeighted(small), small: small, common: semaphore.NewWeighted(limit), limit: limit,
		lane: make(chan struct{}, 1), width: width, wait: wait, clock: c,
	}
}

// take takes n bytes of a part. It waits at most b.wait for them; errBusy.
func (b *budget) take(ctx context.Context, of *semaphore.Weighted, n int64) error {
	if of.TryAcquire(n) {
		return nil
	}
	ctx, cancel := clock.WithTimeout(ctx, b.clock, b.wait, errBusy)
	defer cancel()
	if of.Acquire(ctx, n) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// share is what one request has of a budget.
type share struct {
	budget *budget
	answer int64
	common int64
	lane   bool
	laned  int64 // bytes used of the lane
}

// reserveAnswer takes n bytes for a small answer. errBusy.
func (s *share) reserveAnswer(ctx context.Context, n int64) error {
	if err := s.budget.take(ctx, s.budget.answers, n); err != nil {
		return err
	}
	s.answer += n
	return nil
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
		if err := b.take(ctx, b.common, n); err != nil {
			return err
		}
		s.common = n
		return nil
	case b.common.TryAcquire(n):
		s.common += n
		return nil
	}
	ctx, cancel := clock.WithTimeout(ctx, b.clock, b.wait, errBusy)
	defer cancel()
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
	if s.answer > 0 {
		s.budget.answers.Release(s.answer)
	}
	if s.common > 0 {
		s.budget.common.Release(s.common)
	}
	if s.lane {
		<-s.budget.lane
	}
	*s = share{budget: s.budget}
}
