package statetest

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/state"
)

var leaseCases = []testCase{
	{"one owner at a time holds a lease", func(h *harness) {
		l := h.acquire("l", "me")
		h.equal("lease", []string{l.Name, l.Owner}, "[l me]")
		_, err := h.store.Acquire(h.Context(), "l", "you", time.Hour)
		h.is(err, state.ErrHeld)
		h.acquire("other", "you")
	}},
	{"acquiring what one holds renews it", func(h *harness) {
		h.needClock()
		first := h.acquire("l", "me")
		h.equal("expiry", first.Expires.UnixMilli(), h.clock.Now().Add(time.Hour).UnixMilli())
		h.clock.Advance(30 * time.Minute)
		again := h.acquire("l", "me")
		h.equal("expiry", again.Expires.UnixMilli(), h.clock.Now().Add(time.Hour).UnixMilli())
		h.equal("epoch", again.Epoch, first.Epoch)
		renewed, err := h.store.Renew(h.Context(), first, 2*time.Hour)
		h.must(err)
		h.equal("expiry", renewed.Expires.UnixMilli(), h.clock.Now().Add(2*time.Hour).UnixMilli())
		h.equal("epoch", renewed.Epoch, first.Epoch)
	}},
	{"a lease expires, and the next owner's epoch is larger", func(h *harness) {
		h.needClock()
		mine := h.acquire("l", "me")
		h.clock.Advance(time.Hour - time.Millisecond)
		_, err := h.store.Acquire(h.Context(), "l", "you", time.Hour)
		h.is(err, state.ErrHeld)
		h.clock.Advance(time.Millisecond)
		_, err = h.store.Renew(h.Context(), mine, time.Hour)
		h.is(err, state.ErrLost)
		yours := h.acquire("l", "you")
		h.grows(mine, yours)
		_, err = h.store.Renew(h.Context(), mine, time.Hour)
		h.is(err, state.ErrLost)
		h.must(h.store.Release(h.Context(), mine)) // does nothing
		_, err = h.store.Acquire(h.Context(), "l", "me", time.Hour)
		h.is(err, state.ErrHeld)
		h.clock.Advance(time.Hour)
		h.grows(yours, h.acquire("l", "you")) // it had lost the lease in between
	}},
	{"a released lease is free at once", func(h *harness) {
		mine := h.acquire("l", "me")
		h.must(h.store.Release(h.Context(), mine))
		_, err := h.store.Renew(h.Context(), mine, time.Hour)
		h.is(err, state.ErrLost)
		yours := h.acquire("l", "you")
		h.grows(mine, yours)
		h.must(h.store.Release(h.Context(), mine))
		_, err = h.store.Renew(h.Context(), yours, time.Hour)
		h.must(err)
	}},
	{"a lease nobody ever had is lost", func(h *harness) {
		never := state.Lease{Name: "l", Owner: "me", Epoch: 1}
		_, err := h.store.Renew(h.Context(), never, time.Hour)
		h.is(err, state.ErrLost)
		h.must(h.store.Release(h.Context(), never))
		h.acquire("l", "you")
	}},
	{"names outside the rules have no lease", func(h *harness) {
		long := strings.Repeat("n", state.MaxOwner+1)
		for _, names := range [][2]string{{"", "me"}, {long[:state.MaxID+1], "me"}, {"l", ""}, {"l", long}} {
			_, err := h.store.Acquire(h.Context(), names[0], names[1], time.Hour)
			h.is(err, state.ErrInvalid)
		}
		h.acquire(long[:state.MaxID], long[:state.MaxOwner])
	}},
	{"of concurrent owners one gets the lease", func(h *harness) {
		var won atomic.Int64
		var wg sync.WaitGroup
		for _, owner := range []string{"a", "b", "c", "d", "e", "f"} {
			wg.Go(func() {
				if _, err := h.store.Acquire(h.Context(), "l", owner, time.Hour); err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		h.equal("winners", won.Load(), 1)
	}},
}

func (h *harness) acquire(name, owner string) state.Lease {
	h.Helper()
	l, err := h.store.Acquire(h.Context(), name, owner, time.Hour)
	h.must(err)
	return l
}

func (h *harness) grows(older, newer state.Lease) {
	h.Helper()
	if newer.Epoch <= older.Epoch {
		h.Fatalf("epoch %d does not exceed %d", newer.Epoch, older.Epoch)
	}
}

func (h *harness) needClock() {
	if h.clock == nil {
		h.Skip("the store runs on no virtual clock")
	}
}
