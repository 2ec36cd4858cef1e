// Package statetest is the acceptance suite of state.Store: every sentence of the contract's comments as a case, and a random run against a
// map. Store runs it; Options says what more an implementation lets the suite do.
//
// It refuses to test what one implementation promises beyond the contract.
package statetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
)

// patience is how long a case waits for a watch before it says that the store hangs.
const patience = 20 * time.Second

// Options are the handles that an implementation offers the suite. Cases that need a missing one are skipped.
type Options struct {
	// Clock returns the virtual clock that a store made by open runs on.
	Clock func(s state.Store) *clock.Virtual
	// Reopen stops the store, cleanly or not, and opens it anew on what was durable.
	Reopen func(t testing.TB, s state.Store) state.Store
	// Close stops the store for good: every later call answers state.ErrClosed.
	Close func(t testing.TB, s state.Store)
}

// Store runs the suite. open returns a new, empty store, and has it closed by t.Cleanup.
func Store(t *testing.T, open func(t *testing.T) state.Store, options ...Options) {
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	for _, cases := range [][]testCase{documentCases, watchCases, leaseCases, restartCases} {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				h := &harness{T: t, store: open(t), options: o}
				if o.Clock != nil {
					h.clock = o.Clock(h.store)
				}
				c.run(h)
			})
		}
	}
	t.Run("random operations agree with a map", func(t *testing.T) { againstMap(t, open, o) })
}

type testCase struct {
	name string
	run  func(h *harness)
}

type harness struct {
	*testing.T
	store   state.Store
	options Options
	clock   *clock.Virtual // nil if the store runs on another
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) is(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("error %v, want %v", err, want)
	}
}

func (h *harness) equal(what string, got, want any) {
	h.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		h.Fatalf("%s: got %s, want %s", what, g, w)
	}
}

// apply makes changes that must be taken and returns the versions.
func (h *harness) apply(changes ...state.Change) []int64 {
	h.Helper()
	versions, err := h.store.Apply(h.Context(), changes...)
	h.must(err)
	return versions
}

// holds checks what documents of a kind there are, as "id@version=value".
func (h *harness) holds(kind, prefix string, want ...string) {
	h.Helper()
	all, err := h.store.List(h.Context(), kind, prefix)
	h.must(err)
	var got []string
	for _, d := range all {
		got = append(got, fmt.Sprintf("%s@%d=%s", d.ID, d.Version, d.Value))
		one, err := h.store.Get(h.Context(), state.Key{Kind: kind, ID: d.ID})
		h.must(err)
		h.equal("document got alone", fmt.Sprintf("%+v", one), fmt.Sprintf("%+v", d))
	}
	h.equal("documents of "+kind, got, want)
}

func put(id, value string, version int64) state.Change {
	return state.Change{Key: state.Key{Kind: "k", ID: id}, If: version, Value: []byte(value)}
}

func remove(id string, version int64) state.Change {
	return state.Change{Key: state.Key{Kind: "k", ID: id}, If: version, Delete: true}
}
