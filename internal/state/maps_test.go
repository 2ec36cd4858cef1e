package state_test

import (
	"fmt"
	"testing"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

func TestMapsAreKeptAsDocuments(t *testing.T) {
	store := memstate.New(clock.Real())
	put := func(id string, m map[string]string) {
		t.Helper()
		if err := state.PutMap(t.Context(), store, state.Key{Kind: "kind", ID: id}, m); err != nil {
			t.Fatal(err)
		}
	}
	want := func(text string) {
		t.Helper()
		if all, err := state.ListMaps(t.Context(), store, "kind", "a/"); err != nil || fmt.Sprint(all) != text {
			t.Errorf("%v, %v, want %s", all, err, text)
		}
	}
	want("map[]")
	put("a/x", map[string]string{"k": "v", "l": ""})
	put("a/y", map[string]string{"k": "w"})
	put("b/z", map[string]string{"k": "other"})
	want("map[x:map[k:v l:] y:map[k:w]]")
	put("a/x", map[string]string{"m": "1"})
	put("a/y", nil)
	put("a/none", nil)
	want("map[x:map[m:1]]")

	if _, err := store.Apply(t.Context(), state.Change{Key: state.Key{Kind: "kind", ID: "a/x"}, If: state.Any, Value: []byte("[]")}); err != nil {
		t.Fatal(err)
	}
	if all, err := state.ListMaps(t.Context(), store, "kind", "a/"); err == nil {
		t.Errorf("a document that is no object is %v", all)
	}
}
