package clock

import (
	"sync"
	"time"
)

// Virtual is a Clock that stands still until Advance moves it. Timers fire in order of their deadlines while it moves, each seeing
// Now as its own deadline, so one Advance over several deadlines behaves like several short ones.
type Virtual struct {
	mu     sync.Mutex
	now    time.Time
	alarms map[*alarm]struct{}
}

// NewVirtual returns a clock that reads start.
func NewVirtual(start time.Time) *Virtual {
	return &Virtual{now: start, alarms: map[*alarm]struct{}{}}
}

// Now returns the virtual time.
func (v *Virtual) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Advance moves the clock by d >= 0 and fires what falls due on the way.
func (v *Virtual) Advance(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	end := v.now.Add(d)
	for {
		next := v.earliestLocked(end)
		if next == nil {
			break
		}
		v.now = next.at
		next.fireLocked()
	}
	v.now = end
}

// Waiting returns how many timers and tickers are set: a test polls it to know that the code under test has gone to sleep.
func (v *Virtual) Waiting() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.alarms)
}

func (v *Virtual) earliestLocked(end time.Time) *alarm {
	var first *alarm
	for a := range v.alarms {
		if a.at.After(end) {
			continue
		}
		if first == nil || a.at.Before(first.at) {
			first = a
		}
	}
	return first
}

// NewTimer returns a timer on virtual time; d <= 0 fires at once.
func (v *Virtual) NewTimer(d time.Duration) Timer {
	a := &alarm{clock: v, c: make(chan time.Time, 1)}
	a.Reset(d)
	return a
}

// NewTicker returns a ticker on virtual time.
func (v *Virtual) NewTicker(d time.Duration) Ticker {
	if d <= 0 {
		panic("clock: ticker period must be positive")
	}
	a := &alarm{clock: v, c: make(chan time.Time, 1), period: d}
	a.Reset(d)
	return ticker{a}
}

// alarm is a timer, or with a period a ticker.
type alarm struct {
	clock  *Virtual
	c      chan time.Time
	at     time.Time     // guarded by clock.mu
	period time.Duration // 0 for a timer
}

// C implements Timer and Ticker.
func (a *alarm) C() <-chan time.Time { return a.c }

// Stop implements Timer.
func (a *alarm) Stop() bool {
	a.clock.mu.Lock()
	defer a.clock.mu.Unlock()
	return a.stopLocked()
}

func (a *alarm) stopLocked() bool {
	_, set := a.clock.alarms[a]
	delete(a.clock.alarms, a)
	select {
	case <-a.c:
	default:
	}
	return set
}

// Reset implements Timer. With d <= 0 the timer fires before Reset returns.
func (a *alarm) Reset(d time.Duration) bool {
	a.clock.mu.Lock()
	defer a.clock.mu.Unlock()
	set := a.stopLocked()
	a.at = a.clock.now.Add(d)
	a.clock.alarms[a] = struct{}{}
	if d <= 0 {
		a.fireLocked()
	}
	return set
}

func (a *alarm) fireLocked() {
	select {
	case a.c <- a.clock.now:
	default:
	}
	if a.period > 0 {
		a.at = a.at.Add(a.period)
		return
	}
	delete(a.clock.alarms, a)
}

// ticker is an alarm with Stop as Ticker has it.
type ticker struct{ *alarm }

// Stop implements Ticker.
func (t ticker) Stop() { t.alarm.Stop() }
