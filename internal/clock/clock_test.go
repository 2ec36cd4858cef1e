package clock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rang returns the time on the channel, or zero if there is none.
func rang(c <-chan time.Time) time.Duration {
	select {
	case at := <-c:
		return at.Sub(start)
	default:
		return -1
	}
}

func TestVirtualStandsStillUntilAdvanced(t *testing.T) {
	v := clock.NewVirtual(start)
	if !v.Now().Equal(start) {
		t.Fatalf("now %s", v.Now())
	}
	v.Advance(time.Minute)
	if want := start.Add(time.Minute); !v.Now().Equal(want) {
		t.Fatalf("now %s, want %s", v.Now(), want)
	}
}

func TestVirtualTimersSeeTheirOwnDeadlines(t *testing.T) {
	v := clock.NewVirtual(start)
	late, early, never := v.NewTimer(3*time.Second), v.NewTimer(time.Second), v.NewTimer(time.Hour)
	if v.Waiting() != 3 {
		t.Fatalf("%d waiting", v.Waiting())
	}
	v.Advance(time.Second - 1)
	if rang(early.C()) != -1 {
		t.Fatal("fired early")
	}
	v.Advance(10 * time.Second)
	if got := []time.Duration{rang(early.C()), rang(late.C()), rang(never.C())}; !slices.Equal(got, []time.Duration{time.Second, 3 * time.Second, -1}) {
		t.Fatalf("fired at %v", got)
	}
	if v.Waiting() != 1 {
		t.Fatalf("%d waiting", v.Waiting())
	}
}

func TestVirtualTimerStopsAndResets(t *testing.T) {
	v := clock.NewVirtual(start)
	timer := v.NewTimer(time.Second)
	if !timer.Stop() || timer.Stop() {
		t.Fatal("stop must say whether the timer was set")
	}
	v.Advance(time.Minute)
	if rang(timer.C()) != -1 {
		t.Fatal("fired after stop")
	}
	timer.Reset(time.Second)
	v.Advance(time.Second)
	if timer.Stop() {
		t.Fatal("a fired timer cannot be stopped")
	}
	if rang(timer.C()) != -1 {
		t.Fatal("a stale tick after stop")
	}
	timer.Reset(0)
	if got := rang(timer.C()); got != time.Minute+time.Second {
		t.Fatalf("a timer without delay fired at %s", got)
	}
	if v.Waiting() != 0 {
		t.Fatalf("%d waiting", v.Waiting())
	}
}

func TestVirtualTickerDropsWhatNobodyTakes(t *testing.T) {
	v := clock.NewVirtual(start)
	ticker := v.NewTicker(time.Second)
	v.Advance(2500 * time.Millisecond)
	if got := rang(ticker.C()); got != time.Second || rang(ticker.C()) != -1 {
		t.Fatalf("tick at %s, and another", got)
	}
	v.Advance(500 * time.Millisecond)
	if got := rang(ticker.C()); got != 3*time.Second {
		t.Fatalf("tick at %s", got)
	}
	ticker.Stop()
	v.Advance(time.Hour)
	if rang(ticker.C()) != -1 || v.Waiting() != 0 {
		t.Fatal("ticks after stop")
	}
}

func TestTickerPeriodMustBePositive(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	clock.NewVirtual(start).NewTicker(0)
}

func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := clock.NewVirtual(start)
		reason := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		results := make(chan error, 2)
		go func() { results <- clock.Sleep(ctx, v, time.Second) }()
		synctest.Wait()
		v.Advance(time.Second)
		if err := <-results; err != nil {
			t.Errorf("slept with %v", err)
		}
		go func() { results <- clock.Sleep(ctx, v, time.Second) }()
		synctest.Wait()
		cancel(reason)
		if err := <-results; !errors.Is(err, reason) {
			t.Errorf("woken with %v, want the context's cause", err)
		}
		if err := clock.Sleep(ctx, v, 0); !errors.Is(err, reason) {
			t.Errorf("no sleep at all: %v, want the context's cause", err)
		}
		if v.Waiting() != 0 {
			t.Errorf("%d timers are left", v.Waiting())
		}
	})
}

func TestRealClockTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Real()
		began := c.Now()
		timer, ticker := c.NewTimer(time.Second), c.NewTicker(2*time.Second)
		defer ticker.Stop()
		<-timer.C()
		<-ticker.C()
		if d := c.Now().Sub(began); d != 2*time.Second {
			t.Errorf("took %s", d)
		}
		timer.Reset(time.Second)
		if !timer.Stop() {
			t.Error("a timer just reset was not set")
		}
	})
}
