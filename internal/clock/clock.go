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
	C() <-chan time.Time
	// Stop prevents the timer from firing; false means it had fired or was stopped. After Stop the channel holds no stale tick.
	Stop() bool
	// Reset starts the timer anew, as if it were just made with d.
	Reset(d time.Duration) bool
}

// Ticker fires again and again until stopped.
type Ticker interface {
	C() <-chan time.Time
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

// Real returns the operating system's clock.
func Real() Clock { return realClock{} }

type realClock struct{}

func (realClock) Now() time.Time                   { return time.Now() }
func (realClock) NewTimer(d time.Duration) Timer   { return realTimer{time.NewTimer(d)} }
func (realClock) NewTicker(d time.Duration) Ticker { return realTicker{time.NewTicker(d)} }

type realTimer struct{ t *time.Timer }

func (r realTimer) C() <-chan time.Time        { return r.t.C }
func (r realTimer) Stop() bool                 { return r.t.Stop() }
func (r realTimer) Reset(d time.Duration) bool { return r.t.Reset(d) }

type realTicker struct{ t *time.Ticker }

func (r realTicker) C() <-chan time.Time { return r.t.C }
func (r realTicker) Stop()               { r.t.Stop() }
