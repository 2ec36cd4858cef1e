package engine

import (
	"bytes"
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/freshet/freshet/internal/stream"
)

// maxOwnerBytes bounds the name of a cursors' owner.
const maxOwnerBytes = 1 * kib

// Commit implements stream.Cursors.
func (e *Engine) Commit(ctx context.Context, owner string, cursors []stream.Cursor) error {
	if err := e.checkCursors(owner, cursors); err != nil || len(cursors) == 0 {
		return err
	}
	return e.propose(ctx, false, &cursorsChange{owner: owner, cursors: append([]stream.Cursor(nil), cursors...)})
}

// checkCursors says whether cursors of an owner may be stored.
func (e *Engine) checkCursors(owner string, cursors []stream.Cursor) error {
	if owner == "" || len(owner) > maxOwnerBytes {
		return fmt.Errorf("%w: cursor owner of %d bytes must have 1 to %d", stream.ErrInvalid, len(owner), maxOwnerBytes)
	}
	e.view.RLock()
	defer e.view.RUnlock()
	for i := range cursors {
		if id := cursors[i].Shard; e.tables.shards[id] == nil {
			return e.noShardLocked(id)
		}
	}
	return nil
}

// Committed implements stream.Cursors.
func (e *Engine) Committed(_ context.Context, owner string) ([]stream.Cursor, error) {
	e.view.RLock()
	if err := e.closedLocked(); err != nil {
		e.view.RUnlock()
		return nil, err
	}
	var found []stream.Cursor
	for _, c := range e.tables.cursors[owner] {
		found = append(found, c)
	}
	e.view.RUnlock()
	sort.Slice(found, func(i, j int) bool {
		a, b := found[i].Shard, found[j].Shard
		if c := bytes.Compare(a.Stream[:], b.Stream[:]); c != 0 {
			return c < 0
		}
		return a.Index < b.Index
	})
	return found, nil
}

// Forget implements stream.Cursors.
func (e *Engine) Forget(ctx context.Context, owner string, shards []stream.Shard) error {
	e.view.RLock()
	_, known := e.tables.cursors[owner]
	err := e.closedLocked()
	e.view.RUnlock()
	if err != nil {
		return err
	}
	if !known || shards != nil && len(shards) == 0 {
		return nil
	}
	return e.propose(ctx, true, &forgetting{owner: owner, all: shards == nil, shards: append([]stream.Shard(nil), shards...)})
}

// Owners implements stream.Cursors.
func (e *Engine) Owners(_ context.Context, prefix string) ([]string, error) {
	e.view.RLock()
	if err := e.closedLocked(); err != nil {
		e.view.RUnlock()
		return nil, err
	}
	var owners []string
	for owner := range e.tables.cursors {
		if strings.HasPrefix(owner, prefix) {
			owners = append(owners, owner)
		}
	}
	e.view.RUnlock()
	sort.Strings(owners)
	return owners, nil
}
