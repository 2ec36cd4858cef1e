// Package namespace is a state.Store inside another one: its documents and leases are the outer store's under names of their own, and it sees no
// others. New makes one; Drop removes all its documents, and the leases run out by themselves.
package namespace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/state"
)

// MaxName is the longest name of a namespace: the kinds of its documents begin with it.
const MaxName = 32

// maxKind is the longest kind of a document.
const maxKind = 64

// registry is the outer kind of the documents that say which kinds a namespace has: NAMESPACE/KIND.
const registry = "namespace-kind"

// Store is a namespace. It is safe for concurrent use.
type Store struct {
	outer state.Store
	name  string

	mu    sync.Mutex      // guards known
	known map[string]bool // kinds that the registry has
}

// New returns the namespace of a name, 1 to MaxName of [a-z0-9-], in outer.
func New(outer state.Store, name string) (*Store, error) {
	if len(name) > MaxName {
		return nil, fmt.Errorf("%w: namespace %q must have 1 to %d characters", state.ErrInvalid, name, MaxName)
	}
	if err := (state.Key{Kind: name, ID: "x"}).Check(); err != nil {
		return nil, err
	}
	return &Store{outer: outer, name: name, known: map[string]bool{}}, nil
}

// kind returns what a kind is called outside: NAMESPACE-KIND, or with a digest where that would be too long.
func (s *Store) kind(kind string) string {
	if len(s.name)+1+len(kind) <= maxKind {
		return s.name + "-" + kind
	}
	digest := sha256.Sum256([]byte(kind))
	return s.name + "-" + hex.EncodeToString(digest[:15])
}

// lease returns what a lease is called outside.
func (s *Store) lease(name string) string {
	outer := "namespace/" + s.name + "/" + name
	if len(outer) <= state.MaxID {
		return outer
	}
	digest := sha256.Sum256([]byte(name))
	return "namespace/" + s.name + "#" + hex.EncodeToString(digest[:])
}

// Changes returns changes as they are outside, and registers the kinds that are new.
func (s *Store) Changes(ctx context.Context, changes []state.Change) ([]state.Change, error) {
	outer := make([]state.Change, len(changes))
	for i, c := range changes {
		if err := c.Key.Check(); err != nil {
			return nil, err
		}
		if err := s.register(ctx, c.Key.Kind); err != nil {
			return nil, err
		}
		outer[i] = c
		outer[i].Key.Kind = s.kind(c.Key.Kind)
	}
	return outer, nil
}

// register writes down that the namespace has documents of a kind before there are any.
func (s *Store) register(ctx context.Context, kind string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[kind] {
		return nil
	}
	key := state.Key{Kind: registry, ID: s.name + "/" + kind}
	if _, err := s.outer.Apply(ctx, state.Change{Key: key, If: state.Any, Value: []byte(kind)}); err != nil {
		return err
	}
	s.known[kind] = true
	return nil
}

// Apply implements state.Store.
func (s *Store) Apply(ctx context.Context, changes ...state.Change) ([]int64, error) {
	outer, err := s.Changes(ctx, changes)
	if err != nil {
		return nil, err
	}
	return s.outer.Apply(ctx, outer...)
}

// Get implements state.Store.
func (s *Store) Get(ctx context.Context, key state.Key) (state.Document, error) {
	doc, err := s.outer.Get(ctx, state.Key{Kind: s.kind(key.Kind), ID: key.ID})
	if err == nil {
		doc.Key = key
	}
	return doc, err
}

// List implements state.Store.
func (s *Store) List(ctx context.Context, kind, prefix string) ([]state.Document, error) {
	docs, err := s.outer.List(ctx, s.kind(kind), prefix)
	for i := range docs {
		docs[i].Kind = kind
	}
	return docs, err
}

// Watch implements state.Store.
func (s *Store) Watch(ctx context.Context, kind string) <-chan string {
	return s.outer.Watch(ctx, s.kind(kind))
}

// Acquire implements state.Store.
func (s *Store) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (state.Lease, error) {
	if err := state.CheckLease(name, owner); err != nil {
		return state.Lease{}, err
	}
	lease, err := s.outer.Acquire(ctx, s.lease(name), owner, ttl)
	lease.Name = name
	return lease, err
}

// Renew implements state.Store.
func (s *Store) Renew(ctx context.Context, lease state.Lease, ttl time.Duration) (state.Lease, error) {
	name := lease.Name
	lease.Name = s.lease(name)
	lease, err := s.outer.Renew(ctx, lease, ttl)
	lease.Name = name
	return lease, err
}

// Release implements state.Store.
func (s *Store) Release(ctx context.Context, lease state.Lease) error {
	lease.Name = s.lease(lease.Name)
	return s.outer.Release(ctx, lease)
}

// dropped is how many documents Drop deletes at a time.
const dropped = 500

// Drop deletes all documents of the namespace, and then what the registry has of it. It can be called again if it fails half-way.
func (s *Store) Drop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	kinds, err := s.outer.List(ctx, registry, s.name+"/")
	if err != nil {
		return err
	}
	for _, registered := range kinds {
		kind := strings.TrimPrefix(registered.ID, s.name+"/")
		docs, err := s.outer.List(ctx, s.kind(kind), "")
		if err != nil {
			return err
		}
		changes := make([]state.Change, 0, len(docs)+1)
		for _, doc := range docs {
			changes = append(changes, state.Change{Key: doc.Key, If: state.Any, Delete: true})
		}
		changes = append(changes, state.Change{Key: registered.Key, If: state.Any, Delete: true}) // last of all
		for len(changes) > 0 {
			n := min(dropped, len(changes))
			if _, err := s.outer.Apply(ctx, changes[:n]...); err != nil {
				return fmt.Errorf("drop documents of namespace %s: %w", s.name, err)
			}
			changes = changes[n:]
		}
		delete(s.known, kind)
	}
	return nil
}
