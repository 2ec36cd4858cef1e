package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// store is the engine as a state.Store: documents are changes in the log like all others, and wholly in memory.
type store Engine

func (s *store) engine() *Engine { return (*Engine)(s) }

// prepareDocuments checks changes and copies their values. size is the room they need in a group.
func prepareDocuments(changes []state.Change) (documents []*document, size int, err error) {
	seen := map[state.Key]bool{}
	for _, c := range changes {
		if err := c.Key.Check(); err != nil {
			return nil, 0, err
		}
		if len(c.Value) > state.MaxValue {
			return nil, 0, fmt.Errorf("%w: document %s/%s of %d bytes, at most %d", stream.ErrTooLarge, c.Key.Kind, c.Key.ID, len(c.Value), state.MaxValue)
		}
		if seen[c.Key] {
			return nil, 0, fmt.Errorf("%w: document %s/%s is changed twice at once", state.ErrInvalid, c.Key.Kind, c.Key.ID)
		}
		seen[c.Key] = true
		d := &document{key: c.Key, expects: c.If, deletes: c.Delete}
		if !c.Delete {
			d.value = append([]byte{}, c.Value...)
		}
		documents = append(documents, d)
		size += format.EntrySize + d.bound()
	}
	return documents, size, nil
}

// bound returns the most bytes that the document's encoding can have.
func (c *document) bound() int { return len(c.key.Kind) + len(c.key.ID) + len(c.value) + 3*10 }

// versionLocked returns the version that a document has once everything taken so far is durable, 0 if there is none.
func (e *Engine) versionLocked(key state.Key) int64 {
	if d := e.ahead[key]; d != nil {
		return d.version
	}
	e.view.RLock()
	defer e.view.RUnlock()
	if d := e.tables.documents[key.Kind][key.ID]; d != nil {
		return d.version
	}
	return 0
}

// checkDocumentsLocked compares versions, sets the documents' new ones and returns them.
func (e *Engine) checkDocumentsLocked(documents []*document) ([]int64, error) {
	versions := make([]int64, len(documents))
	for i, d := range documents {
		now := e.versionLocked(d.key)
		if d.expects != state.Any && d.expects != now {
			return nil, fmt.Errorf("%w: %s/%s is at version %d, not %d", state.ErrConflict, d.key.Kind, d.key.ID, now, d.expects)
		}
		if !d.deletes {
			versions[i] = now + 1
		}
	}
	for i, d := range documents {
		d.version = versions[i]
	}
	return versions, nil
}

// isAheadLocked says whether one of the documents is changed by what is not published yet: who lost to that change waits for it, because
// Get, with which it begins again, shows what is published.
func (e *Engine) isAheadLocked(documents []*document) bool {
	return slices.ContainsFunc(documents, func(d *document) bool { return e.ahead[d.key] != nil })
}

// changeDocumentLocked puts a checked document into the open group.
func (e *Engine) changeDocumentLocked(d *document, now int64) {
	e.open.addChange(d, d.encode(nil), now)
	e.ahead[d.key] = d
}

// Apply implements state.Store.
func (s *store) Apply(ctx context.Context, changes ...state.Change) ([]int64, error) {
	_, versions, err := s.engine().Transact(ctx, nil, nil, changes)
	return versions, stateError(err)
}

// stateError says with the sentinels of package state what the log has said with its own.
func stateError(err error) error {
	for _, e := range []struct{ of, is error }{
		{stream.ErrClosed, state.ErrClosed}, {stream.ErrTooLarge, state.ErrTooLarge}, {stream.ErrFull, state.ErrFull}, {stream.ErrUnavailable, state.ErrUnavailable},
	} {
		if errors.Is(err, e.of) {
			return fmt.Errorf("%w: %w", e.is, err)
		}
	}
	return err
}

// Get implements state.Store.
func (s *store) Get(_ context.Context, key state.Key) (state.Document, error) {
	e := s.engine()
	e.view.RLock()
	defer e.view.RUnlock()
	if e.closed {
		return state.Document{}, state.ErrClosed
	}
	d := e.tables.documents[key.Kind][key.ID]
	if d == nil || key.Kind == leaseKind {
		return state.Document{}, fmt.Errorf("%w: %s/%s", state.ErrNotFound, key.Kind, key.ID)
	}
	return d.public(), nil
}

// Watch implements state.Store.
func (s *store) Watch(ctx context.Context, kind string) <-chan string {
	return s.engine().watches.Watch(ctx, kind)
}

// List implements state.Store.
func (s *store) List(_ context.Context, kind, prefix string) ([]state.Document, error) {
	e := s.engine()
	e.view.RLock()
	if e.closed {
		e.view.RUnlock()
		return nil, state.ErrClosed
	}
	var found []state.Document
	for id, d := range e.tables.documents[kind] {
		if strings.HasPrefix(id, prefix) && kind != leaseKind {
			found = append(found, d.public())
		}
	}
	e.view.RUnlock()
	sort.Slice(found, func(i, j int) bool { return found[i].ID < found[j].ID })
	return found, nil
}
