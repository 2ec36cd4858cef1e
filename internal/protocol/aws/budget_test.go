package aws

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// unused says whether everything has been given back.
func (b *budget) unused() bool {
	common, small := b.common.TryAcquire(b.limit), b.answers.TryAcquire(b.small)
	if common {
		b.common.Release(b.limit)
	}
	if small {
		b.answers.Release(b.small)
	}
	return common && small && len(b.lane) == 0
}

// Requests that all hold something and need more than there is end all the same, one after the other.
func TestHoldersOfMemoryDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(200, 50, time.Minute, clock.Real())
		var requests sync.WaitGroup
		for range 20 {
			requests.Go(func() {
				s := share{budget: b}
				defer s.release()
				for range 4 {
					if err := s.grow(t.Context(), 10); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Second)
				}
			})
		}
		requests.Wait()
		if !b.unused() {
			t.Error("memory was not given back")
		}
	})
}

func TestMemoryIsWaitedForSoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(200, 50, time.Minute, clock.Real())
		holder, other, third := share{budget: b}, share{budget: b}, share{budget: b}
		if err := errors.Join(holder.grow(t.Context(), 60), other.grow(t.Context(), 40), holder.grow(t.Context(), 50)); err != nil || !holder.lane {
			t.Fatal(err)
		}
		started := time.Now()
		for _, s := range []*share{&other, &third} {
			if err := s.grow(t.Context(), 1); !errors.Is(err, errBusy) {
				t.Errorf("memory that is not there: %v", err)
			}
		}
		if waited := time.Since(started); waited != 2*time.Minute {
			t.Errorf("waited %v", waited)
		}
		if err := holder.grow(t.Context(), 1); !errors.Is(err, errBusy) || time.Since(started) != 2*time.Minute {
			t.Errorf("more than the lane has: %v", err)
		}
		holder.release()
		if err := other.grow(t.Context(), 60); err != nil || other.lane {
			t.Errorf("after it was given back: %v", err)
		}
	})
}
