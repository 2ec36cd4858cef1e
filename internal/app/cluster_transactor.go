package app

import (
	"context"

	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/state"
	statespace "github.com/freshet/freshet/internal/state/namespace"
	"github.com/freshet/freshet/internal/stream"
	streamspace "github.com/freshet/freshet/internal/stream/namespace"
)

// clusterTransactor ends the transactions of a namespace: its cursors and documents have other names in the node's log.
type clusterTransactor struct {
	outer kafka.Transactor
	log   *streamspace.Log
	store *statespace.Store
}

// Transact implements kafka.Transactor.
func (t clusterTransactor) Transact(ctx context.Context, entries []stream.Append, cursors []stream.OwnedCursors, changes []state.Change) ([]stream.Appended, []int64, error) {
	owned := make([]stream.OwnedCursors, len(cursors))
	for i, o := range cursors {
		owned[i] = stream.OwnedCursors{Owner: t.log.Owner(o.Owner), Cursors: o.Cursors}
	}
	outer, err := t.store.Changes(ctx, changes)
	if err != nil {
		return nil, nil, err
	}
	return t.outer.Transact(ctx, entries, owned, outer)
}
