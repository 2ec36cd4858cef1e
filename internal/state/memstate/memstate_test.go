package memstate_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/state/statetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	clocks := map[state.Store]*clock.Virtual{}
	open := func(t *testing.T) state.Store {
		c := clock.NewVirtual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		s := memstate.New(c)
		clocks[s] = c
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	statetest.Store(t, open, statetest.Options{
		Clock: func(s state.Store) *clock.Virtual { return clocks[s] },
		Close: func(t testing.TB, s state.Store) {
			if err := s.(*memstate.Store).Close(); err != nil {
				t.Fatal(err)
			}
		},
	})
}
