package statetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/state"
)

// anyChange changes one of a few documents, at a version that is often the right one.
var anyChange = rapid.Custom(func(t *rapid.T) state.Change {
	return state.Change{
		Key:    state.Key{Kind: "k", ID: rapid.SampledFrom([]string{"a", "b", "b/c", "b/d", "e"}).Draw(t, "id")},
		If:     rapid.SampledFrom([]int64{state.Any, state.Any, state.Absent, 1, 2, 3}).Draw(t, "if"),
		Value:  []byte(rapid.StringN(0, 5, -1).Draw(t, "value")),
		Delete: rapid.IntRange(0, 4).Draw(t, "delete") == 0,
	}
})

// step is one call of Apply, perhaps after a restart. No key appears twice.
type step struct {
	reopen  bool
	changes []state.Change
}

var anyStep = rapid.Custom(func(t *rapid.T) step {
	return step{
		reopen:  rapid.IntRange(0, 9).Draw(t, "reopen") == 0,
		changes: rapid.SliceOfNDistinct(anyChange, 1, 3, func(c state.Change) string { return c.Key.ID }).Draw(t, "changes"),
	}
})

// againstMap runs random changes on a store and on a map. rapid prints the seed and the shortest failing run.
func againstMap(t *testing.T, open func(t *testing.T) state.Store, o Options) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(anyStep, 1, 40).Draw(rt, "steps")
		passed := t.Run("run", func(t *testing.T) {
			h := &harness{T: t, store: open(t), options: o}
			model := map[string]state.Document{}
			for _, s := range steps {
				if s.reopen && o.Reopen != nil {
					h.store = o.Reopen(t, h.store)
				}
				h.step(model, s)
			}
		})
		if !passed {
			rt.Fatalf("the run above failed")
		}
	})
}

func (h *harness) step(model map[string]state.Document, s step) {
	h.Helper()
	next, want := maps.Clone(model), []int64{}
	for _, c := range s.changes {
		d := model[c.Key.ID]
		if c.If != state.Any && c.If != d.Version {
			_, err := h.store.Apply(h.Context(), s.changes...)
			h.is(err, state.ErrConflict)
			h.agrees(model)
			return
		}
		if delete(next, c.Key.ID); !c.Delete {
			next[c.Key.ID] = state.Document{Version: d.Version + 1, Value: c.Value}
		}
		want = append(want, next[c.Key.ID].Version)
	}
	h.equal("versions", h.apply(s.changes...), want)
	clear(model)
	maps.Copy(model, next)
	h.agrees(model)
}

func (h *harness) agrees(model map[string]state.Document) {
	h.Helper()
	for _, prefix := range []string{"", "b"} {
		var want []string
		for _, id := range slices.Sorted(maps.Keys(model)) {
			if strings.HasPrefix(id, prefix) {
				want = append(want, fmt.Sprintf("%s@%d=%s", id, model[id].Version, model[id].Value))
			}
		}
		h.holds("k", prefix, want...)
	}
}
