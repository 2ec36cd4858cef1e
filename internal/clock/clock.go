// Package clock is the contract for time: everything below the wiring of a node asks a Clock and never the operating system, so that a
// test, or a user's test, can move time by hand. Real and Virtual are its two bodies.
//
// It refuses to know calendars, schedules or time zones: those belong to whoever needs them.
package clock

import (
	"context"
	"time"
)

// Clock tells the time and wakes its callers. All methods are safe for concurrent use.
type Clock interface {
	// Now returns the current time. It may go backwards on the real clock; callers that order by it keep their own maximum.
	Now() time.Time
	// NewTimer returns a timer that sends the time on its channel once, after at least d.
	NewTimer(d time.Duration) Timer
	// NewTicker returns a ticker of period d > 0. Ticks that nobody takes are dropped.
	NewTicker(d time.Duration) Ticker
}

// Timer fires once. Its channel has room for one tick, so that a fired and forgotten timer blocks nobody.
type Timer interface {
	// C returns the channel, always the same, never closed. The value is the clock's time when the timer fired.
	C() <-chan time.Time
	// Stop prevents the timer from firing; false means it had fired or was stopped. After Stop the channel holds no stale tick.
	Stop() bool
	// Reset starts the timer anew, as if it were just made with d; false means it had fired or was stopped.
	Reset(d time.Duration) bool
}

// Ticker fires again and again until stopped.
type Ticker interface {
	// C returns the channel, always the same, never closed.
	C() <-chan time.Time
	// Stop ends the ticks. It does not close the channel.
	Stop()
}

// Sleep waits for d on c, or until ctx ends, and then returns ctx's cause.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// WithTimeout returns a context that ends with cause once d has passed on c. The caller must call its cancel function; after it nothing is left.
func WithTimeout(ctx context.Context, c Clock, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	t := c.NewTimer(d)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-t.C():
			cancel(cause)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		t.Stop()
		<-watched
	}
}

// Real returns the operating system's clock.
func Real() Clock { return realClock{} }

type realClock struct{}

// Now implements Clock. Its times carry the monotonic reading, so that differences survive a clock that is set.
func (realClock) Now() time.Time { return time.Now() }

// NewTimer implements Clock.
func (realClock) NewTimer(d time.Duration) Timer { return realTimer{time.NewTimer(d)} }

// NewTicker implements Clock. Like Virtual's it panics if d is not positive.
func (realClock) NewTicker(d time.Duration) Ticker { return realTicker{time.NewTicker(d)} }

type realTimer struct{ t *time.Timer }

// C implements Timer.
func (r realTimer) C() <-chan time.Time { return r.t.C }

// Stop implements Timer. No stale tick stays in the channel: package time has promised that since Go 1.23.
func (r realTimer) Stop() bool { return r.t.Stop() }

// Reset implements Timer.
func (r realTimer) Reset(d time.Duration) bool { return r.t.Reset(d) }

type realTicker struct{ t *time.Ticker }

// C implements Ticker.
func (r realTicker) C() <-chan time.Time { return r.t.C }

// Stop implements Ticker. The channel stays open.
func (r realTicker) Stop() { r.t.Stop() }
