// Package deadline tells a coordinator which of many things is due next: of groups, windows, transactions. Queue orders them by their times, each
// of which may move or go; Loop is the goroutine that sleeps until the next one.
//
// It refuses to know what is done about what is due, and to lock: a Queue is guarded by its owner.
package deadline

import (
	"container/heap"
	"context"
	"iter"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// never is how long a Loop sleeps when nothing has a deadline.
const never = time.Hour

// Timer is one deadline of a T, which keeps it for as long as it is there.
type Timer[T any] struct {
	Of    T
	at    time.Time // zero = none, and then it is in no queue
	index int
}

// At returns the deadline, zero if there is none.
func (t *Timer[T]) At() time.Time { return t.at }

// Queue is the deadlines of many T. It is not safe for concurrent use, but for Wake.
type Queue[T any] struct {
	timers timers[T]
	wake   chan struct{}
}

// NewQueue returns a queue without deadlines.
func NewQueue[T any]() *Queue[T] { return &Queue[T]{wake: make(chan struct{}, 1)} }

// Wake has a value when the next deadline has come nearer. It is never closed.
func (q *Queue[T]) Wake() <-chan struct{} { return q.wake }

// Set moves a deadline, or removes it if at is zero.
func (q *Queue[T]) Set(t *Timer[T], at time.Time) {
	was := t.at
	t.at = at
	switch {
	case was.IsZero() && at.IsZero():
		return
	case was.IsZero():
		heap.Push(&q.timers, t)
	case at.IsZero():
		heap.Remove(&q.timers, t.index)
		return
	default:
		heap.Fix(&q.timers, t.index)
	}
	if q.timers[0] == t && (was.IsZero() || at.Before(was)) {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// Due returns the timer whose deadline is the earliest if that is now or before, else nil. It stays in the queue.
func (q *Queue[T]) Due(now time.Time) *Timer[T] {
	if len(q.timers) == 0 || q.timers[0].at.After(now) {
		return nil
	}
	return q.timers[0]
}

// Until returns how long it is from now until the next deadline.
func (q *Queue[T]) Until(now time.Time) time.Duration {
	if len(q.timers) == 0 {
		return never
	}
	return max(q.timers[0].at.Sub(now), 0)
}

// All returns what has a deadline, in no order. The queue must not change meanwhile.
func (q *Queue[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, t := range q.timers {
			if !yield(t.Of) {
				return
			}
		}
	}
}

// Loop waits for deadlines, and does something else from time to time.
type Loop struct {
	Clock clock.Clock
	Wake  <-chan struct{}      // of the queue
	Until func() time.Duration // how long it is until the next deadline
	Due   func()               // does what is due

	Every time.Duration // between two calls of Sweep
	Sweep func()

	News   <-chan struct{} // another reason to wake; nil = none
	Notice func()          // what is done then
}

// Run loops until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	sweep := l.Clock.NewTicker(l.Every)
	defer sweep.Stop()
	timer := l.Clock.NewTimer(never)
	defer timer.Stop()
	for {
		timer.Reset(l.Until())
		select {
		case <-ctx.Done():
			return
		case <-l.Wake:
		case <-timer.C():
			l.Due()
		case <-l.News:
			l.Notice()
		case <-sweep.C():
			l.Sweep()
		}
	}
}

// timers is a heap, the next deadline first.
type timers[T any] []*Timer[T]

// Len implements heap.Interface.
func (h timers[T]) Len() int { return len(h) }

// Less implements heap.Interface.
func (h timers[T]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

// Swap implements heap.Interface and keeps each timer's place, by which heap.Fix finds it.
func (h timers[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface for a *Timer that is not in the heap.
func (h *timers[T]) Push(x any) {
	t := x.(*Timer[T])
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface. What the timer says of its place is stale from then on.
func (h *timers[T]) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
