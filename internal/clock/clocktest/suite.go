package clocktest

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// In runs a case on a new clock, with a way to make its time pass: advance returns when all that fell due has fired.
type In func(t *testing.T, run func(t *testing.T, c clock.Clock, advance func(time.Duration)))

// Clock is the acceptance suite of clock.Clock: every sentence of the contract's comments as a case.
func Clock(t *testing.T, in In) {
	for _, c := range clockCases {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T, on clock.Clock, advance func(time.Duration)) {
				c.run(&bench{T: t, Clock: on, advance: advance, began: on.Now()})
			})
		})
	}
}

// bench is what a case works with.
type bench struct {
	*testing.T
	clock.Clock
	advance func(time.Duration)
	began   time.Time
}

// none is what fired returns of a channel on which there is nothing.
const none = time.Duration(-1)

// fired returns when a timer fired, counted from the beginning of the case.
func (b *bench) fired(c <-chan time.Time) time.Duration {
	select {
	case at := <-c:
		return at.Sub(b.began)
	default:
		return none
	}
}

func (b *bench) want(what string, got, want time.Duration) {
	b.Helper()
	if got != want {
		b.Fatalf("%s: %s, want %s", what, got, want)
	}
}

func (b *bench) is(what string, got, want bool) {
	b.Helper()
	if got != want {
		b.Fatalf("%s: %v, want %v", what, got, want)
	}
}

var clockCases = []struct {
	name string
	run  func(b *bench)
}{
	{"now is what has passed", func(b *bench) {
		b.advance(time.Minute)
		b.want("now", b.Now().Sub(b.began), time.Minute)
	}},
	{"timers fire once, not early, with the time of their firing", func(b *bench) {
		late, early, never := b.NewTimer(3*time.Second), b.NewTimer(time.Second), b.NewTimer(time.Hour)
		b.advance(time.Second - 1)
		b.want("early timer too early", b.fired(early.C()), none)
		b.advance(1)
		b.want("early timer", b.fired(early.C()), time.Second)
		b.want("late timer too early", b.fired(late.C()), none)
		b.advance(10 * time.Second)
		b.want("late timer", b.fired(late.C()), 3*time.Second)
		b.want("late timer again", b.fired(late.C()), none)
		b.want("a timer that is not due", b.fired(never.C()), none)
		b.is("it was set", never.Stop(), true)
	}},
	{"timers fire in the order of their deadlines", func(b *bench) {
		var timers []clock.Timer
		for _, ms := range []time.Duration{30, 10, 20} {
			timers = append(timers, b.NewTimer(ms*time.Millisecond))
		}
		for _, i := range []int{1, 2, 0} {
			b.advance(10 * time.Millisecond)
			for j, timer := range timers {
				b.is("fired", b.fired(timer.C()) != none, i == j)
			}
		}
	}},
	{"a timer that is stopped does not fire", func(b *bench) {
		timer := b.NewTimer(time.Second)
		b.is("it was set", timer.Stop(), true)
		b.is("it was set after a stop", timer.Stop(), false)
		b.advance(time.Minute)
		b.want("it", b.fired(timer.C()), none)
	}},
	{"a timer that has fired leaves no stale tick when it is stopped", func(b *bench) {
		timer := b.NewTimer(time.Second)
		b.advance(time.Second)
		timer.Stop()
		b.want("after stop", b.fired(timer.C()), none)
		timer.Reset(time.Second)
		b.advance(time.Second)
		timer.Reset(time.Second)
		b.want("after reset", b.fired(timer.C()), none)
		b.advance(time.Second)
		b.want("anew", b.fired(timer.C()), 3*time.Second)
		b.is("it was set after it fired", timer.Stop(), false)
	}},
	{"reset starts a timer anew", func(b *bench) {
		timer := b.NewTimer(time.Second)
		b.is("it was set", timer.Reset(time.Minute), true)
		b.advance(time.Second)
		b.want("at the old deadline", b.fired(timer.C()), none)
		b.advance(time.Minute - time.Second)
		b.want("at the new one", b.fired(timer.C()), time.Minute)
		b.is("it was set after it fired", timer.Reset(time.Second), false)
		b.advance(time.Second)
		b.want("anew", b.fired(timer.C()), time.Minute+time.Second)
	}},
	{"a timer without delay fires at once", func(b *bench) {
		for _, d := range []time.Duration{0, -time.Second} {
			timer := b.NewTimer(d)
			b.advance(0)
			b.want("new", b.fired(timer.C()), 0)
			timer.Reset(d)
			b.advance(0)
			b.want("reset", b.fired(timer.C()), 0)
		}
	}},
	{"a ticker drops the ticks that nobody takes, and ends with stop", func(b *bench) {
		ticker := b.NewTicker(time.Second)
		b.advance(2500 * time.Millisecond)
		b.is("tick", b.fired(ticker.C()) != none, true)
		b.want("another", b.fired(ticker.C()), none)
		b.advance(500 * time.Millisecond)
		b.want("third tick", b.fired(ticker.C()), 3*time.Second)
		ticker.Stop()
		b.advance(time.Hour)
		b.want("after stop", b.fired(ticker.C()), none)
	}},
	{"a ticker's period must be positive", func(b *bench) {
		defer func() { b.is("panic", recover() != nil, true) }()
		b.NewTicker(0)
	}},
}
