package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Start says where in its stream a new flow begins. The zero Start is the earliest record.
type Start struct {
	latest  bool
	at      time.Time
	offsets []stream.Offset
}

// Earliest begins with the first record the log still has.
func Earliest() Start { return Start{} }

// Latest begins with the first record appended after Place.
func Latest() Start { return Start{latest: true} }

// From begins with the first record that has a timestamp of t or later.
func From(t time.Time) Start { return Start{at: t} }

// At begins shard i at offsets[i], and shards without one at their beginning.
func At(offsets []stream.Offset) Start { return Start{offsets: offsets} }

// Ends returns where each shard of a stream ends now: what At takes to begin with the first record appended after this call, whenever the flow
// is placed. Records from the first open transaction on count as appended when they can be read. stream.ErrNotFound.
func Ends(ctx context.Context, log stream.Log, source stream.ID) ([]stream.Offset, error) {
	s, err := log.StreamByID(ctx, source)
	if err != nil {
		return nil, fmt.Errorf("find the ends of stream %s: %w", source, err)
	}
	ends := make([]stream.Offset, s.Shards)
	for i := range ends {
		bounds, err := log.Bounds(ctx, s.Shard(int32(i)))
		if err != nil {
			return nil, fmt.Errorf("find the end of shard %d: %w", i, err)
		}
		ends[i] = bounds.LastStable
	}
	return ends, nil
}

// Place puts the cursors of a new flow on every shard that its stream has, durable when it returns: what is appended from then on is
// delivered, whenever the flow first runs. Shards added later are read from their beginning. Placing a flow again moves it only if nothing
// was delivered yet. stream.ErrNotFound.
func Place(ctx context.Context, log stream.Log, name string, source stream.ID, start Start) error {
	s, err := log.StreamByID(ctx, source)
	if err != nil {
		return fmt.Errorf("place flow %s: %w", name, err)
	}
	cursors := make([]stream.Cursor, s.Shards)
	for i := range cursors {
		shard := s.Shard(int32(i))
		at, err := start.in(ctx, log, shard)
		if err != nil {
			return fmt.Errorf("place flow %s in shard %d: %w", name, i, err)
		}
		cursors[i] = stream.Cursor{Shard: shard, Next: at, Epoch: -1}
	}
	if err := log.Commit(ctx, CursorOwner(name), cursors); err != nil {
		return fmt.Errorf("place flow %s: %w", name, err)
	}
	return nil
}

func (s Start) in(ctx context.Context, log stream.Log, shard stream.Shard) (stream.Offset, error) {
	bounds, err := log.Bounds(ctx, shard)
	if err != nil || s.latest {
		return bounds.LastStable, err
	}
	if int(shard.Index) < len(s.offsets) {
		return max(s.offsets[shard.Index], bounds.Start), nil
	}
	if s.at.IsZero() {
		return bounds.Start, nil
	}
	at, _, ok, err := log.OffsetAt(ctx, shard, s.at)
	if err != nil || ok {
		return at, err
	}
	return bounds.End, nil
}

// Remove forgets a flow that no longer runs: its cursors and its plan.
func Remove(ctx context.Context, log stream.Log, store state.Store, name string) error {
	err := log.Forget(ctx, CursorOwner(name), nil)
	if errors.Is(err, stream.ErrNotFound) {
		err = nil
	}
	_, e := store.Apply(ctx, state.Change{Key: state.Key{Kind: Kind, ID: name}, If: state.Any, Delete: true})
	if errors.Is(e, state.ErrNotFound) {
		e = nil
	}
	if err := errors.Join(err, e); err != nil {
		return fmt.Errorf("remove flow %s: %w", name, err)
	}
	return nil
}
