package namespace

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/state/statetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func within(t testing.TB, outer state.Store, name string) *Store {
	t.Helper()
	s, err := New(outer, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the outer store keeps of the contract, a namespace keeps.
func TestANamespaceIsAStore(t *testing.T) {
	clocks := map[state.Store]*clock.Virtual{}
	statetest.Store(t, func(t *testing.T) state.Store {
		c := clock.NewVirtual(start)
		s := within(t, memstate.New(c), "mine")
		clocks[s] = c
		return s
	}, statetest.Options{Clock: func(s state.Store) *clock.Virtual { return clocks[s] }})
}

func put(t *testing.T, s state.Store, kind, id string) {
	t.Helper()
	if _, err := s.Apply(t.Context(), state.Change{Key: state.Key{Kind: kind, ID: id}, If: state.Absent, Value: []byte(id)}); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s state.Store, kind string) int {
	t.Helper()
	docs, err := s.List(t.Context(), kind, "")
	if err != nil {
		t.Fatal(err)
	}
	return len(docs)
}

func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	ctx, outer := t.Context(), memstate.New(clock.NewVirtual(start))
	a, b := within(t, outer, "a"), within(t, outer, strings.Repeat("b", MaxName))
	long := strings.Repeat("k", 64)
	for _, s := range []state.Store{a, b, outer} {
		put(t, s, "kind", "x")
		put(t, s, long, "x")
		if _, err := s.Acquire(ctx, "lease", "me", time.Second); err != nil {
			t.Error(err)
		}
		if _, err := s.Acquire(ctx, strings.Repeat("l", state.MaxID), "me", time.Second); err != nil {
			t.Error(err)
		}
		if _, err := s.Acquire(ctx, strings.Repeat("l", state.MaxID), "you", time.Second); !errors.Is(err, state.ErrHeld) {
			t.Error(err)
		}
	}
	for _, s := range []state.Store{a, b, outer} {
		if n, m := count(t, s, "kind"), count(t, s, long); n != 1 || m != 1 {
			t.Errorf("%d and %d documents", n, m)
		}
	}
	if doc, err := a.Get(ctx, state.Key{Kind: "kind", ID: "x"}); err != nil || doc.Kind != "kind" || doc.Version != 1 {
		t.Errorf("%+v, %v", doc, err)
	}
	for _, name := range []string{"", "A", strings.Repeat("n", MaxName+1)} {
		if _, err := New(outer, name); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Drop knows the kinds that were written before a restart.
func TestDropLeavesNothing(t *testing.T) {
	ctx, outer := t.Context(), memstate.New(clock.NewVirtual(start))
	before := within(t, outer, "a")
	for i := range dropped + 1 {
		put(t, before, "kind", fmt.Sprint(i))
	}
	put(t, before, strings.Repeat("k", 64), "x")
	put(t, within(t, outer, "ab"), "kind", "x")
	after := within(t, outer, "a")
	if err := after.Drop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"kind", strings.Repeat("k", 64)} {
		if n := count(t, after, kind); n != 0 {
			t.Errorf("%d documents of %s are left", n, kind)
		}
	}
	if n, m := count(t, within(t, outer, "ab"), "kind"), count(t, outer, registry); n != 1 || m != 1 {
		t.Errorf("another namespace has %d documents, and the registry %d", n, m)
	}
	put(t, after, "kind", "new")
	if n := count(t, outer, registry); n != 2 {
		t.Errorf("the registry has %d kinds", n)
	}
}
