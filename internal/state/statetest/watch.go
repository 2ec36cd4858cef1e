package statetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/state"
)

var watchCases = []testCase{
	{"watch sends what changes in its kind", func(h *harness) {
		h.apply(put("before", "x", state.Any))
		ids := h.store.Watch(h.Context(), "k")
		h.apply(state.Change{Key: state.Key{Kind: "other", ID: "unseen"}, If: state.Any})
		h.apply(put("a", "x", state.Any))
		h.sends(ids, "a")
		h.apply(put("a", "y", state.Any))
		h.sends(ids, "a")
		h.apply(remove("a", state.Any), put("b", "x", state.Any))
		h.sends(ids, "a", "b")
	}},
	{"a refused change is not sent", func(h *harness) {
		ids := h.store.Watch(h.Context(), "k")
		_, err := h.store.Apply(h.Context(), put("refused", "x", state.Any), put("b", "x", 9))
		h.is(err, state.ErrConflict)
		h.apply(put("last", "x", state.Any))
		h.sends(ids, "last")
	}},
	{"a slow receiver sees each id after its last change", func(h *harness) {
		ids := h.store.Watch(h.Context(), "k")
		const documents, changes = 20, 50
		for range changes {
			for i := range documents {
				h.apply(put(fmt.Sprint(i), "x", state.Any))
			}
		}
		last := map[string]int64{}
		for len(last) < documents || slices.Min(slices.Collect(maps.Values(last))) < changes {
			id := h.receive(ids)
			d, err := h.store.Get(h.Context(), state.Key{Kind: "k", ID: id})
			h.must(err)
			last[id] = d.Version
		}
	}},
	{"the channel is closed when the context ends", func(h *harness) {
		ctx, cancel := context.WithCancel(h.Context())
		ids := h.store.Watch(ctx, "k")
		h.apply(put("a", "x", state.Any))
		cancel()
		h.ends(ids)
		h.apply(put("a", "x", state.Any))
	}},
	{"the channel is closed when the store is", func(h *harness) {
		if h.options.Close == nil {
			h.Skip("no Close")
		}
		before := h.store.Watch(h.Context(), "k")
		h.apply(put("a", "x", state.Any))
		h.options.Close(h, h.store)
		h.ends(before)
		h.ends(h.store.Watch(h.Context(), "k"))
	}},
}

// sends waits for ids in any order. An id may come more than once.
func (h *harness) sends(ids <-chan string, want ...string) {
	h.Helper()
	missing := map[string]bool{}
	for _, id := range want {
		missing[id] = true
	}
	for len(missing) > 0 {
		id := h.receive(ids)
		if !slices.Contains(want, id) {
			h.Fatalf("sent %q, want %q", id, want)
		}
		delete(missing, id)
	}
}

// ends waits for the end of a watch, whatever it still sends.
func (h *harness) ends(ids <-chan string) {
	h.Helper()
	late := time.After(patience)
	for {
		select {
		case _, open := <-ids:
			if !open {
				return
			}
		case <-late:
			h.Fatalf("the channel is still open after %s", patience)
		}
	}
}

func (h *harness) receive(ids <-chan string) string {
	h.Helper()
	select {
	case id, open := <-ids:
		if !open {
			h.Fatal("the channel is closed")
		}
		return id
	case <-time.Tick(patience):
		h.Fatalf("nothing was sent in %s", patience)
	}
	return ""
}
