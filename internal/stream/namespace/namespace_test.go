package namespace

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

func seeded() io.Reader { return rand.NewChaCha8([32]byte{7}) }

func outerLog(t testing.TB) (*memlog.Log, *clock.Virtual) {
	t.Helper()
	c := clock.NewVirtual(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	return memlog.New(c, seeded()), c
}

func within(t testing.TB, outer stream.Log, name string) *Log {
	t.Helper()
	l, err := New(outer, name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What the outer log keeps of the contract, a namespace keeps, beside another that does the same.
func TestANamespaceIsALog(t *testing.T) {
	clocks := map[stream.Log]*clock.Virtual{}
	streamtest.Log(t, func(t *testing.T) stream.Log {
		outer, c := outerLog(t)
		other := within(t, outer, "other")
		for _, name := range []stream.Name{"s", "a", "b", "orders"} {
			if _, err := other.Create(t.Context(), stream.Spec{Name: name, Shards: 1}); err != nil {
				t.Fatal(err)
			}
		}
		l := within(t, outer, "mine")
		clocks[l] = c
		return l
	}, streamtest.Options{
		Clock:  func(l stream.Log) *clock.Virtual { return clocks[l] },
		Retain: func(_ testing.TB, l stream.Log) { l.(*Log).Log.(*memlog.Log).Retain() },
	})
}

func create(t *testing.T, l stream.Log, name stream.Name, labels map[string]string) *stream.Stream {
	t.Helper()
	st, err := l.Create(t.Context(), stream.Spec{Name: name, Shards: 2, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	ctx := t.Context()
	outer, _ := outerLog(t)
	a, b := within(t, outer, "a"), within(t, outer, "a-b")
	mine := create(t, a, "orders", map[string]string{"k": "v"})
	yours, plain := create(t, b, "orders", nil), create(t, outer, "orders", nil)
	if mine.Name != "orders" || len(mine.Labels) != 1 || mine.Internal() || mine.ID == yours.ID {
		t.Errorf("%+v", mine)
	}
	for _, id := range []stream.ID{yours.ID, plain.ID} {
		if _, err := a.StreamByID(ctx, id); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("another's stream is found by id: %v", err)
		}
		if _, err := a.Alter(ctx, id, stream.Change{Shards: new(int32(3))}); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("another's stream is altered: %v", err)
		}
		if err := a.Delete(ctx, id); !errors.Is(err, stream.ErrNotFound) {
			t.Errorf("another's stream is deleted: %v", err)
		}
	}
	all, err := a.Streams(ctx)
	if err != nil || len(all) != 1 || all[0] != mine {
		t.Errorf("streams %v, %v", all, err)
	}
	outside, err := outer.StreamByID(ctx, mine.ID)
	if err != nil || !outside.Internal() {
		t.Errorf("outside it is %+v, %v", outside, err)
	}
	for _, l := range []stream.Log{a, b, outer} {
		st, err := l.Stream(ctx, "orders")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Commit(ctx, "group/g", []stream.Cursor{{Shard: st.Shard(0), Next: 1}}); err != nil {
			t.Fatal(err)
		}
		if owners, err := l.Owners(ctx, "group/"); err != nil || len(owners) != 1 || owners[0] != "group/g" {
			t.Errorf("owners %v, %v", owners, err)
		}
	}
}

func TestLabelsAreTheNamespacesOwn(t *testing.T) {
	ctx := t.Context()
	outer, _ := outerLog(t)
	l := within(t, outer, "n")
	st := create(t, l, "kept", map[string]string{stream.LabelInternal: "txn", "k": "v"})
	if !st.Internal() || st.Labels[stream.LabelInternal] != "txn" || len(st.Labels) != 2 {
		t.Errorf("created with %v", st.Labels)
	}
	st, err := l.Alter(ctx, st.ID, stream.Change{Labels: map[string]string{"k": "w"}})
	if err != nil || st.Internal() || len(st.Labels) != 1 || st.Labels["k"] != "w" || st.Name != "kept" {
		t.Errorf("altered to %+v, %v", st, err)
	}
	if outside, err := outer.StreamByID(ctx, st.ID); err != nil || !outside.Internal() {
		t.Errorf("outside it is %+v, %v", outside, err)
	}
}

func TestLongNamesHaveRoom(t *testing.T) {
	ctx := t.Context()
	outer, _ := outerLog(t)
	l := within(t, outer, strings.Repeat("n", MaxName))
	for _, name := range []stream.Name{stream.Name(strings.Repeat("a", 249)), stream.Name(strings.Repeat("a", 248) + "b"), stream.Name(strings.Repeat("a", 216)), stream.Name(strings.Repeat("a", 217))} {
		create(t, l, name, nil)
		if st, err := l.Stream(ctx, name); err != nil || st.Name != name {
			t.Errorf("%d characters: %v, %v", len(name), st, err)
		}
	}
	if _, err := l.Create(ctx, stream.Spec{Name: stream.Name(strings.Repeat("a", 250)), Shards: 1}); !errors.Is(err, stream.ErrInvalid) {
		t.Error(err)
	}
	for _, name := range []string{"", "A", "a.b", strings.Repeat("n", MaxName+1)} {
		if _, err := New(outer, name); !errors.Is(err, stream.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestDropLeavesNothing(t *testing.T) {
	ctx := t.Context()
	outer, _ := outerLog(t)
	l, other := within(t, outer, "n"), within(t, outer, "o")
	for _, log := range []stream.Log{l, other} {
		st := create(t, log, "a", nil)
		create(t, log, "b", map[string]string{stream.LabelInternal: "txn"})
		if err := log.Commit(ctx, "group/g", []stream.Cursor{{Shard: st.Shard(0)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Drop(ctx); err != nil {
		t.Fatal(err)
	}
	all, err := outer.Streams(ctx)
	if err != nil || len(all) != 2 {
		t.Errorf("streams %v, %v", all, err)
	}
	if owners, err := outer.Owners(ctx, ""); err != nil || len(owners) != 1 || owners[0] != other.Owner("group/g") {
		t.Errorf("owners %v, %v", owners, err)
	}
	create(t, l, "a", nil)
}
