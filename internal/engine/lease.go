package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/state"
)

// leaseKind is the kind of the documents that leases are kept in; no caller can name it.
const leaseKind = ".lease"

// A lease's document is: owner, epoch, and the time it expires in nanoseconds since 1970. A released lease keeps its document, without
// owner, because the next owner's epoch must be larger.

func encodeLease(l *state.Lease) []byte {
	b := appendString(nil, l.Owner)
	b = appendInt(b, l.Epoch)
	return appendInt(b, l.Expires.UnixNano())
}

func decodeLease(name string, b []byte) state.Lease {
	r := reader{b: b}
	return state.Lease{Name: name, Owner: r.string(), Epoch: r.int(), Expires: time.Unix(0, r.int())}
}

// leaseLocked returns the lease as it is once everything taken so far is durable; its zero value if there never was one.
func (e *Engine) leaseLocked(name string) state.Lease {
	key := state.Key{Kind: leaseKind, ID: name}
	d := e.ahead[key]
	if d == nil {
		e.view.RLock()
		d = e.tables.documents[leaseKind][name]
		e.view.RUnlock()
	}
	if d == nil {
		return state.Lease{Name: name}
	}
	return decodeLease(name, d.value)
}

// lease replaces the lease of name by what change makes of it, durably. change runs under the lock; its error is returned.
func (e *Engine) lease(ctx context.Context, name string, change func(old state.Lease, now time.Time) (state.Lease, error)) (state.Lease, error) {
	if name == "" || len(name) > 512 {
		return state.Lease{}, fmt.Errorf("%w: lease name of %d bytes must have 1 to 512", state.ErrInvalid, len(name))
	}
	if err := e.enter(ctx, 2*kib+format.EntrySize, 0, false); err != nil {
		return state.Lease{}, stateError(err)
	}
	l, err := change(e.leaseLocked(name), e.cfg.Clock.Now())
	if err != nil {
		e.mu.Unlock()
		return state.Lease{}, err
	}
	d := &document{key: state.Key{Kind: leaseKind, ID: name}, value: encodeLease(&l)}
	d.version = e.versionLocked(d.key) + 1
	e.changeDocumentLocked(d, e.nowLocked())
	r := e.receiptLocked()
	e.mu.Unlock()
	return l, stateError(r.wait(ctx))
}

// Acquire implements state.Store.
func (s *store) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (state.Lease, error) {
	if owner == "" || len(owner) > kib {
		return state.Lease{}, fmt.Errorf("%w: lease owner of %d bytes must have 1 to %d", state.ErrInvalid, len(owner), kib)
	}
	return s.engine().lease(ctx, name, func(old state.Lease, now time.Time) (state.Lease, error) {
		held := now.Before(old.Expires)
		if held && old.Owner != owner {
			return state.Lease{}, fmt.Errorf("%w: %s by %s until %s", state.ErrHeld, name, old.Owner, old.Expires)
		}
		if !held {
			old.Epoch++ // also for the owner who let it expire: someone else may have had it meanwhile, for all its old worker knows
		}
		old.Owner, old.Expires = owner, now.Add(ttl)
		return old, nil
	})
}

func lost(l *state.Lease) error {
	return fmt.Errorf("%w: %s, epoch %d", state.ErrLost, l.Name, l.Epoch)
}

// Renew implements state.Store.
func (s *store) Renew(ctx context.Context, l state.Lease, ttl time.Duration) (state.Lease, error) {
	return s.engine().lease(ctx, l.Name, func(old state.Lease, now time.Time) (state.Lease, error) {
		if old.Owner != l.Owner || old.Epoch != l.Epoch || !now.Before(old.Expires) {
			return state.Lease{}, lost(&l)
		}
		old.Expires = now.Add(ttl)
		return old, nil
	})
}

// Release implements state.Store.
func (s *store) Release(ctx context.Context, l state.Lease) error {
	_, err := s.engine().lease(ctx, l.Name, func(old state.Lease, now time.Time) (state.Lease, error) {
		if old.Owner != l.Owner || old.Epoch != l.Epoch {
			return state.Lease{}, errNotHeld
		}
		old.Owner, old.Expires = "", now // who comes next finds it expired
		return old, nil
	})
	if err == errNotHeld {
		return nil
	}
	return err
}

var errNotHeld = fmt.Errorf("%w: released already", state.ErrLost)
