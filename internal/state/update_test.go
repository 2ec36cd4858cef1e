package state_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

var counter = state.Key{Kind: "counter", ID: "c"}

// add adds 1 to the counter; before runs between reading and writing.
func add(t *testing.T, store state.Store, before func()) error {
	_, err := state.Update(t.Context(), store, func() (state.Document, error) {
		d, err := store.Get(t.Context(), counter)
		if errors.Is(err, state.ErrNotFound) {
			err = nil
		}
		return d, err
	}, func(d state.Document) (state.Change, error) {
		before()
		n, _ := strconv.Atoi(string(d.Value))
		return state.Change{Key: counter, If: d.Version, Value: []byte(strconv.Itoa(n + 1))}, nil
	})
	return err
}

func value(t *testing.T, store state.Store) string {
	t.Helper()
	d, err := store.Get(t.Context(), counter)
	if err != nil {
		t.Fatal(err)
	}
	return string(d.Value)
}

func TestUpdatesOfManyAllCount(t *testing.T) {
	store := memstate.New(clock.NewVirtual(time.Unix(0, 0)))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := add(t, store, func() {}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := value(t, store); got != "8" {
		t.Errorf("counted to %s", got)
	}
}

func TestAnUpdateBeginsAnewAndEnds(t *testing.T) {
	store := memstate.New(clock.NewVirtual(time.Unix(0, 0)))
	faster := 0 // how often somebody else is
	tries := 0
	interfere := func() {
		if tries++; tries <= faster {
			if err := add(t, store, func() {}); err != nil {
				t.Error(err)
			}
		}
	}
	faster = 3
	if err := add(t, store, interfere); err != nil || tries != 4 || value(t, store) != "4" {
		t.Errorf("after %d tries %s, %v", tries, value(t, store), err)
	}
	tries, faster = 0, state.MaxTries+1
	if err := add(t, store, interfere); !errors.Is(err, state.ErrConflict) || tries != state.MaxTries {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

func TestAnUpdateEndsWithAnyOtherError(t *testing.T) {
	store := memstate.New(clock.NewVirtual(time.Unix(0, 0)))
	mistake := errors.New("mistake")
	fine := func() (int, error) { return 0, nil }
	for what, try := range map[string]func() error{
		"read": func() error {
			_, err := state.Update(t.Context(), store, func() (int, error) { return 0, mistake }, func(int) (state.Change, error) { panic("edits what was not read") })
			return err
		},
		"edit": func() error {
			_, err := state.Update(t.Context(), store, fine, func(int) (state.Change, error) { return state.Change{}, mistake })
			return err
		},
	} {
		if err := try(); !errors.Is(err, mistake) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := state.Update(t.Context(), store, fine, func(int) (state.Change, error) { return state.Change{}, nil }); !errors.Is(err, state.ErrInvalid) {
		t.Errorf("apply: %v", err)
	}
}
