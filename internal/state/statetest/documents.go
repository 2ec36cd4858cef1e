package statetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/internal/state"
)

var documentCases = []testCase{
	{"versions begin at 1 and grow by one", func(h *harness) {
		h.equal("version", h.apply(put("a", "one", state.Absent)), "[1]")
		h.equal("version", h.apply(put("a", "two", 1)), "[2]")
		h.equal("version", h.apply(put("a", "three", state.Any)), "[3]")
		h.holds("k", "", "a@3=three")
		h.equal("version", h.apply(remove("a", 3)), "[0]")
		h.equal("version", h.apply(put("a", "again", state.Absent)), "[1]")
	}},
	{"a change at another version is a conflict", func(h *harness) {
		h.apply(put("a", "one", state.Any))
		for _, c := range []state.Change{
			put("a", "x", state.Absent), put("a", "x", 2), put("a", "x", 7), remove("a", state.Absent), remove("a", 2), put("b", "x", 1), remove("b", 1),
		} {
			_, err := h.store.Apply(h.Context(), c)
			h.is(err, state.ErrConflict)
		}
		h.holds("k", "", "a@1=one")
	}},
	{"changes are made all together or not at all", func(h *harness) {
		h.apply(put("a", "one", state.Any), put("b", "one", state.Any))
		_, err := h.store.Apply(h.Context(), put("a", "two", 1), put("c", "new", state.Absent), remove("b", 9))
		h.is(err, state.ErrConflict)
		h.holds("k", "", "a@1=one", "b@1=one")
		h.equal("versions", h.apply(put("a", "two", 1), remove("b", 1), put("c", "new", state.Absent)), "[2 0 1]")
		h.holds("k", "", "a@2=two", "c@1=new")
	}},
	{"deleting what is absent changes nothing", func(h *harness) {
		h.equal("versions", h.apply(remove("a", state.Any), remove("b", state.Absent)), "[0 0]")
		h.holds("k", "")
	}},
	{"no changes are no error", func(h *harness) { h.equal("versions", len(h.apply()), 0) }},
	{"an absent document is not found", func(h *harness) {
		_, err := h.store.Get(h.Context(), state.Key{Kind: "k", ID: "a"})
		h.is(err, state.ErrNotFound)
		h.apply(put("a", "x", state.Any))
		h.apply(remove("a", state.Any))
		_, err = h.store.Get(h.Context(), state.Key{Kind: "k", ID: "a"})
		h.is(err, state.ErrNotFound)
		_, err = h.store.Get(h.Context(), state.Key{Kind: "other", ID: "a"})
		h.is(err, state.ErrNotFound)
	}},
	{"list is by kind and prefix, ordered by id", func(h *harness) {
		for _, id := range []string{"b/2", "b/10", "a", "b", "c"} {
			h.apply(put(id, "", state.Any))
		}
		h.apply(state.Change{Key: state.Key{Kind: "k2", ID: "b/3"}, If: state.Any})
		h.holds("k", "", "a@1=", "b@1=", "b/10@1=", "b/2@1=", "c@1=")
		h.holds("k", "b/", "b/10@1=", "b/2@1=")
		h.holds("k2", "", "b/3@1=")
		h.holds("none", "")
	}},
	{"values are copied", func(h *harness) {
		value := []byte("before")
		h.apply(state.Change{Key: state.Key{Kind: "k", ID: "a"}, If: state.Any, Value: value})
		copy(value, "after!")
		h.holds("k", "", "a@1=before")
	}},
	{"keys outside the rules are invalid", func(h *harness) {
		for _, key := range []state.Key{
			{Kind: "", ID: "a"},
			{Kind: "K", ID: "a"},
			{Kind: "a_b", ID: "a"},
			{Kind: strings.Repeat("k", 65), ID: "a"},
			{Kind: "k", ID: ""},
			{Kind: "k", ID: strings.Repeat("i", 513)},
		} {
			_, err := h.store.Apply(h.Context(), state.Change{Key: key, If: state.Any})
			h.is(err, state.ErrInvalid)
		}
		widest := state.Key{Kind: strings.Repeat("k-9", 21) + "z", ID: strings.Repeat("\x00\xff", 256)}
		h.apply(state.Change{Key: widest, If: state.Any, Value: []byte("v")})
		d, err := h.store.Get(h.Context(), widest)
		h.must(err)
		h.equal("value", string(d.Value), "v")
	}},
	{"a document is not changed twice at once", func(h *harness) {
		for _, changes := range [][]state.Change{
			{put("a", "one", state.Any), put("b", "one", state.Any), put("a", "two", state.Any)},
			{put("a", "one", state.Absent), remove("a", 1)},
		} {
			_, err := h.store.Apply(h.Context(), changes...)
			h.is(err, state.ErrInvalid)
		}
		h.holds("k", "")
	}},
	{"a value may be large and not larger", func(h *harness) {
		large := strings.Repeat("x", 1<<20)
		h.apply(put("a", large, state.Any))
		_, err := h.store.Apply(h.Context(), put("b", "", state.Any), put("a", strings.Repeat("x", state.MaxValue+1), state.Any))
		h.is(err, state.ErrTooLarge)
		h.holds("k", "", "a@1="+large)
	}},
	{"of concurrent changes at one version one wins", func(h *harness) {
		h.apply(put("a", "0", state.Any))
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				if _, err := h.store.Apply(h.Context(), put("a", fmt.Sprint(i), 1)); err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		h.equal("winners", won.Load(), 1)
		d, err := h.store.Get(h.Context(), state.Key{Kind: "k", ID: "a"})
		h.must(err)
		h.equal("version", d.Version, 2)
	}},
	{"who lost finds the winner's version", func(h *harness) {
		h.apply(put("a", "0", state.Any))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for changed := 0; changed < 16; {
					d, err := h.store.Get(h.Context(), state.Key{Kind: "k", ID: "a"})
					if err != nil {
						h.Error(err)
						return
					}
					_, err = h.store.Apply(h.Context(), put("a", fmt.Sprint(d.Version), d.Version))
					switch now, getErr := h.store.Get(h.Context(), d.Key); {
					case getErr != nil || now.Version <= d.Version:
						h.Errorf("version %d (%v) after Apply at %d answered %v", now.Version, getErr, d.Version, err)
						return
					case err == nil:
						changed++
					case !errors.Is(err, state.ErrConflict):
						h.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		h.holds("k", "", "a@129=128")
	}},
	{"a closed store says so", func(h *harness) {
		if h.options.Close == nil {
			h.Skip("the suite cannot close the store")
		}
		h.options.Close(h, h.store)
		_, err := h.store.Apply(h.Context(), put("a", "x", state.Any))
		h.is(err, state.ErrClosed)
		_, err = h.store.Acquire(h.Context(), "l", "me", patience)
		h.is(err, state.ErrClosed)
	}},
}

var restartCases = []testCase{
	{"documents and leases outlive a restart", func(h *harness) {
		if h.options.Reopen == nil {
			h.Skip("the suite cannot reopen the store")
		}
		h.apply(put("a", "one", state.Any), put("b", "one", state.Any))
		h.apply(put("a", "two", 1), remove("b", 1))
		held, err := h.store.Acquire(h.Context(), "l", "me", patience)
		h.must(err)
		h.store = h.options.Reopen(h, h.store)
		h.holds("k", "", "a@2=two")
		_, err = h.store.Acquire(h.Context(), "l", "you", patience)
		h.is(err, state.ErrHeld)
		renewed, err := h.store.Renew(h.Context(), held, patience)
		h.must(err)
		h.must(h.store.Release(h.Context(), renewed))
		h.store = h.options.Reopen(h, h.store)
		taken, err := h.store.Acquire(h.Context(), "l", "you", patience)
		h.must(err)
		if taken.Epoch <= held.Epoch {
			h.Fatalf("epoch %d after %d", taken.Epoch, held.Epoch)
		}
	}},
}
