package engine

import (
	"errors"
	"testing"

	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestMaxShards: no more shards are made than may be, and what there is of them already is opened all the same.
func TestMaxShards(t *testing.T) {
	ctx := t.Context()
	c := tiny(vfs.NewMem())
	c.MaxShards = 5
	e := mustOpen(t, c)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 3})
	must(t, err)
	if _, err := e.Create(ctx, stream.Spec{Name: "more", Shards: 3}); !errors.Is(err, stream.ErrTooMany) {
		t.Errorf("create: %v", err)
	}
	shards := int32(6)
	if _, err := e.Alter(ctx, s.ID, stream.Change{Shards: &shards}); !errors.Is(err, stream.ErrTooMany) {
		t.Errorf("alter: %v", err)
	}
	shards = 5
	_, err = e.Alter(ctx, s.ID, stream.Change{Shards: &shards})
	must(t, err)
	must(t, e.Close())
	c.MaxShards = 4
	e = mustOpen(t, c)
	closing(t, e)
	_, err = e.Alter(ctx, s.ID, stream.Change{Shards: &shards, Labels: map[string]string{"a": "b"}})
	must(t, err)
	must(t, e.Delete(ctx, s.ID))
	_, err = e.Create(ctx, stream.Spec{Name: "more", Shards: 3})
	must(t, err)
}
