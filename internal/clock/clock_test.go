package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestClocksKeepTheContract(t *testing.T) {
	t.Run("virtual", func(t *testing.T) {
		clocktest.Clock(t, func(t *testing.T, run func(*testing.T, clock.Clock, func(time.Duration))) {
			v := clock.NewVirtual(start)
			run(t, v, v.Advance)
		})
	})
	t.Run("real", func(t *testing.T) {
		clocktest.Clock(t, func(t *testing.T, run func(*testing.T, clock.Clock, func(time.Duration))) {
			synctest.Test(t, func(t *testing.T) { // where the system's time passes when everybody waits
				run(t, clock.Real(), func(d time.Duration) {
					time.Sleep(d)
					synctest.Wait()
				})
			})
		})
	})
}

// TestVirtualCountsWhoWaits: those that fired or were stopped wait no more, tickers until they are stopped.
func TestVirtualCountsWhoWaits(t *testing.T) {
	v := clock.NewVirtual(start)
	v.NewTimer(time.Second)
	stopped, ticker := v.NewTimer(time.Hour), v.NewTicker(time.Second)
	for _, row := range []struct {
		then func()
		want int
	}{{func() {}, 3}, {func() { v.Advance(time.Minute) }, 2}, {func() { stopped.Stop() }, 1}, {ticker.Stop, 0}} {
		if row.then(); v.Waiting() != row.want {
			t.Fatalf("%d waiting, want %d", v.Waiting(), row.want)
		}
	}
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
