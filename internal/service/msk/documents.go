package msk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/state"
)

// table keeps the documents of one kind of resource as JSON. A document's id begins with owner.
type table[T any] struct {
	store state.Store
	kind  string
}

// owner begins the ids of a caller's documents: what other accounts and regions have is not theirs to see.
func owner(account, region string) string { return account + "/" + region + "/" }

func ownerOf(call *aws.Call) string { return owner(call.Account, call.Region) }

// get returns a document and its version. state.ErrNotFound.
func (t table[T]) get(ctx context.Context, id string) (*T, int64, error) {
	if len(id) > state.MaxID { // of no document: a client may name what it likes
		return nil, 0, state.ErrNotFound
	}
	doc, err := t.store.Get(ctx, state.Key{Kind: t.kind, ID: id})
	if err != nil {
		return nil, 0, err
	}
	v := new(T)
	if err := json.Unmarshal(doc.Value, v); err != nil {
		return nil, 0, fmt.Errorf("document %s %s: %w", t.kind, id, err)
	}
	return v, doc.Version, nil
}

// list returns the documents whose id begins with prefix, ordered by id.
func (t table[T]) list(ctx context.Context, prefix string) ([]*T, error) {
	docs, err := t.store.List(ctx, t.kind, prefix)
	if err != nil {
		return nil, err
	}
	all := make([]*T, len(docs))
	for i, doc := range docs {
		all[i] = new(T)
		if err := json.Unmarshal(doc.Value, all[i]); err != nil {
			return nil, fmt.Errorf("document %s %s: %w", t.kind, doc.ID, err)
		}
	}
	return all, nil
}

// put returns the change that stores v if the document is at version, state.Absent for a new one.
func (t table[T]) put(id string, v *T, version int64) (state.Change, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return state.Change{}, fmt.Errorf("document %s %s: %w", t.kind, id, err)
	}
	return state.Change{Key: state.Key{Kind: t.kind, ID: id}, If: version, Value: raw}, nil
}

// remove returns the change that deletes a document.
func (t table[T]) remove(id string) state.Change {
	return state.Change{Key: state.Key{Kind: t.kind, ID: id}, If: state.Any, Delete: true}
}

// save stores v at once.
func (t table[T]) save(ctx context.Context, id string, v *T, version int64) error {
	change, err := t.put(id, v, version)
	if err != nil {
		return err
	}
	_, err = t.store.Apply(ctx, change)
	return stored(err)
}

// stored turns what a store may say of a change into what a client sees.
func stored(err error) error {
	switch {
	case errors.Is(err, state.ErrTooLarge):
		return badRequest("", "The request is too large to be stored.")
	case errors.Is(err, state.ErrFull), errors.Is(err, state.ErrUnavailable), errors.Is(err, state.ErrClosed):
		return fault("ServiceUnavailableException", "", "Nothing was changed: %s.", strings.TrimSuffix(err.Error(), "."))
	}
	return err
}
