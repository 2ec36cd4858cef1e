package txn

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// coordinatorEpoch is in all markers: there is one coordinator, which never moves.
const coordinatorEpoch = 0

// end ends e's transaction: markers, group offsets and change become durable and readable together. What it touched of streams that are deleted by
// now is left out.
func (c *Coordinator) end(ctx context.Context, e *entry, how *End, change state.Change) error {
	shards := e.txn.Touched()
	var offsets map[Offset]stream.Cursor
	if how.Commit {
		offsets = maps.Clone(e.txn.Offsets)
	}
	for {
		owned := c.owned(offsets)
		err := c.Groups.Committing(owned, func() error {
			_, _, err := c.Log.Transact(ctx, c.markers(how, shards), owned, []state.Change{change})
			return err
		})
		if !errors.Is(err, stream.ErrNotFound) && !errors.Is(err, stream.ErrFenced) && !errors.Is(err, stream.ErrCoordinator) {
			return err
		}
		before := len(shards) + len(offsets)
		var failed error
		shards, failed = c.present(ctx, how.Marker, shards, offsets)
		if failed != nil {
			return failed
		}
		if len(shards)+len(offsets) == before {
			return err
		}
	}
}

func (c *Coordinator) markers(how *End, shards []stream.Shard) []stream.Append {
	now := c.Clock.Now()
	entries := make([]stream.Append, len(shards))
	bytes := make([]byte, 0, len(shards)*batch.MarkerSize)
	for i, s := range shards {
		from := len(bytes)
		bytes = batch.AppendMarker(bytes, batch.Marker{
			ProducerID: how.Marker.ID, Epoch: how.Marker.Epoch, Commit: how.Commit, CoordinatorEpoch: coordinatorEpoch, Time: now,
		})
		entries[i] = stream.Append{Shard: s, Batch: bytes[from:]}
	}
	return entries
}

// owned returns offsets as cursors by their groups.
func (c *Coordinator) owned(offsets map[Offset]stream.Cursor) (owned []stream.OwnedCursors) {
	group := ""
	for _, o := range slices.SortedFunc(maps.Keys(offsets), compareOffsets) {
		if len(owned) == 0 || group != o.Group {
			group = o.Group
			owned = append(owned, stream.OwnedCursors{Owner: c.Groups.Owner(o.Group)})
		}
		to := &owned[len(owned)-1]
		cursor := offsets[o]
		cursor.Committed = c.Clock.Now()
		to.Cursors = append(to.Cursors, cursor)
	}
	return owned
}

// present returns the shards that exist and whose log takes a marker of p: one that has a newer epoch of it has seen the transaction's end, which an
// administrator wrote. It removes the offsets of shards that do not exist.
func (c *Coordinator) present(ctx context.Context, p Producer, shards []stream.Shard, offsets map[Offset]stream.Cursor) ([]stream.Shard, error) {
	var left []stream.Shard
	for _, s := range shards {
		producers, err := c.Log.Producers(ctx, s)
		switch {
		case errors.Is(err, stream.ErrNotFound):
			continue
		case err != nil:
			return nil, err
		}
		at := slices.IndexFunc(producers, func(known stream.Producer) bool { return known.ID == p.ID })
		if at >= 0 && (producers[at].Epoch > p.Epoch || producers[at].CoordinatorEpoch > coordinatorEpoch) {
			c.Logger.Warn("a partition has seen a newer producer or coordinator: its transaction was ended by someone else",
				"stream", s.Stream, "partition", s.Index, "producer", p.ID, "epoch", p.Epoch)
			continue
		}
		left = append(left, s)
	}
	for o := range offsets {
		st, err := c.Log.StreamByID(ctx, o.Shard.Stream)
		if err != nil && !errors.Is(err, stream.ErrNotFound) {
			return nil, err
		}
		if err != nil || o.Shard.Index >= st.Shards {
			delete(offsets, o)
		}
	}
	return left, nil
}
