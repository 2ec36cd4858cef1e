// Package memstate is a state.Store in memory, for tests: the simplest body of the contract. Store is its one type; New makes one.
//
// It forgets everything with the process, so it refuses to be a node's store.
package memstate

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/watches"
)

var _ state.Store = (*Store)(nil)

// Store keeps documents and leases in memory.
type Store struct {
	clock   clock.Clock
	watches watches.Set

	mu        sync.Mutex // guards everything below
	closed    bool
	documents map[state.Key]state.Document
	leases    map[string]state.Lease // also lost ones, for their epochs
}

// New returns an empty store on a clock, by which leases expire.
func New(c clock.Clock) *Store {
	return &Store{
		clock:     c,
		documents: map[state.Key]state.Document{},
		leases:    map[string]state.Lease{},
	}
}

// Close makes every later call fail with state.ErrClosed, and ends the watches.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.watches.Close()
	return nil
}

// Watch implements state.Store.
func (s *Store) Watch(ctx context.Context, kind string) <-chan string {
	return s.watches.Watch(ctx, kind)
}

// Apply implements state.Store.
func (s *Store) Apply(_ context.Context, changes ...state.Change) ([]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, state.ErrClosed
	}
	versions := make([]int64, len(changes))
	staged := map[state.Key]state.Document{} // version 0 = absent
	for i, c := range changes {
		if err := c.Key.Check(); err != nil {
			return nil, err
		}
		if _, twice := staged[c.Key]; twice {
			return nil, fmt.Errorf("%w: %s %q is changed twice at once", state.ErrInvalid, c.Key.Kind, c.Key.ID)
		}
		if len(c.Value) > state.MaxValue {
			return nil, fmt.Errorf("%w: %s %q of %d bytes, at most %d", state.ErrTooLarge, c.Key.Kind, c.Key.ID, len(c.Value), state.MaxValue)
		}
		d := s.documents[c.Key]
		if c.If != state.Any && c.If != d.Version {
			return nil, fmt.Errorf("%s %q: %w: expected version %d, it has %d", c.Key.Kind, c.Key.ID, state.ErrConflict, c.If, d.Version)
		}
		if c.Delete {
			d = state.Document{Key: c.Key}
		} else {
			d = state.Document{Key: c.Key, Version: d.Version + 1, Value: bytes.Clone(c.Value)}
		}
		staged[c.Key], versions[i] = d, d.Version
	}
	for key, d := range staged {
		s.putLocked(key, d)
	}
	return versions, nil
}

func (s *Store) putLocked(key state.Key, d state.Document) {
	if d.Version == 0 {
		if _, ok := s.documents[key]; !ok {
			return
		}
		delete(s.documents, key)
	} else {
		s.documents[key] = d
	}
	s.watches.Changed(key.Kind, key.ID)
}

// Get implements state.Store.
func (s *Store) Get(_ context.Context, key state.Key) (state.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.Document{}, state.ErrClosed
	}
	d, ok := s.documents[key]
	if !ok {
		return state.Document{}, fmt.Errorf("%s %q: %w", key.Kind, key.ID, state.ErrNotFound)
	}
	return d, nil
}

// List implements state.Store.
func (s *Store) List(_ context.Context, kind, prefix string) ([]state.Document, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, state.ErrClosed
	}
	var all []state.Document
	for key, d := range s.documents {
		if key.Kind == kind && strings.HasPrefix(key.ID, prefix) {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b state.Document) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Acquire implements state.Store.
func (s *Store) Acquire(_ context.Context, name, owner string, ttl time.Duration) (state.Lease, error) {
	if err := state.CheckLease(name, owner); err != nil {
		return state.Lease{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.Lease{}, state.ErrClosed
	}
	now := s.clock.Now()
	l := s.leases[name]
	held := l.Expires.After(now)
	if held && l.Owner != owner {
		return state.Lease{}, fmt.Errorf("lease %q: %w: %q until %s", name, state.ErrHeld, l.Owner, l.Expires)
	}
	if !held {
		l.Epoch++
	}
	l.Name, l.Owner, l.Expires = name, owner, now.Add(ttl)
	s.leases[name] = l
	return l, nil
}

// Renew implements state.Store.
func (s *Store) Renew(_ context.Context, lease state.Lease, ttl time.Duration) (state.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.Lease{}, state.ErrClosed
	}
	now := s.clock.Now()
	l := s.leases[lease.Name]
	if l.Owner != lease.Owner || l.Epoch != lease.Epoch || !l.Expires.After(now) {
		return state.Lease{}, fmt.Errorf("lease %q of %q epoch %d: %w", lease.Name, lease.Owner, lease.Epoch, state.ErrLost)
	}
	l.Expires = now.Add(ttl)
	s.leases[lease.Name] = l
	return l, nil
}

// Release implements state.Store.
func (s *Store) Release(_ context.Context, lease state.Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return state.ErrClosed
	}
	if l := s.leases[lease.Name]; l.Owner == lease.Owner && l.Epoch == lease.Epoch {
		l.Expires = time.Time{}
		s.leases[lease.Name] = l
	}
	return nil
}
