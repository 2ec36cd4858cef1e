// Package state is the contract for control state: what exists and who works on what. Store keeps versioned documents and leases.
//
// Documents are small and few (thousands, kilobytes): streams' settings, groups, deliveries. It refuses to be a database: there are no
// queries beyond a kind and a key prefix.
package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The errors a caller can decide by.
var (
	ErrInvalid     = errors.New("invalid change of state")
	ErrNotFound    = errors.New("document not found")
	ErrConflict    = errors.New("document version conflict") // the document is not at the version the change expects
	ErrTooLarge    = errors.New("document too large")
	ErrHeld        = errors.New("lease held by another owner")
	ErrLost        = errors.New("lease lost") // expired, released or taken over since
	ErrFull        = errors.New("state store full")
	ErrUnavailable = errors.New("state store unavailable") // whether the change was made is not known
	ErrClosed      = errors.New("state store closed")
)

// The bounds of what a store takes, in bytes.
const (
	MaxID    = 512     // of a document's id, and of a lease's name
	MaxOwner = 1 << 10 // of the name of a lease's owner
	MaxValue = 8 << 20 // of a document's value: state is small
)

// Key names a document: a kind, [a-z0-9-]{1,64}, and an id of 1..MaxID bytes within it.
type Key struct {
	Kind string
	ID   string
}

// Check returns ErrInvalid with a reason if k cannot name a document.
func (k Key) Check() error {
	if len(k.Kind) < 1 || len(k.Kind) > 64 || strings.IndexFunc(k.Kind, func(r rune) bool { return !strings.ContainsRune(kindCharacters, r) }) >= 0 {
		return fmt.Errorf("%w: kind %q must have 1 to 64 of the characters %s", ErrInvalid, k.Kind, kindCharacters)
	}
	if len(k.ID) < 1 || len(k.ID) > MaxID {
		return fmt.Errorf("%w: id of %d bytes must have 1 to %d", ErrInvalid, len(k.ID), MaxID)
	}
	return nil
}

const kindCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-"

// Document is one versioned value. Value must not be written to.
type Document struct {
	Key
	Version int64 // 1 at creation, +1 with each change; a deleted and recreated document starts again at 1
	Value   []byte
}

// What a Change may expect of the document's version, beside an exact one.
const (
	Any    int64 = -1 // whatever it is, also absent
	Absent int64 = 0
)

// Change is one write: it puts Value, or deletes the document if Delete is set, if the document is at version If.
type Change struct {
	Key    Key
	If     int64
	Value  []byte
	Delete bool
	// Frees says that the caller can give back disk space once this is stored. A store on the disk that it is about may take what is small and only
	// such while it refuses other changes with ErrFull.
	Frees bool
}

// Store keeps documents and leases. All methods are safe for concurrent use and may block on disk or network; what they changed is
// durable when they return. The acceptance suite of every implementation is in package statetest.
type Store interface {
	// Apply makes all changes or, if one finds another version than it expects, none: then ErrConflict, and Get shows that other version, so
	// that the caller can begin again with it. It returns the new versions, 0 for a deleted document. The store copies the values. ErrInvalid
	// for a key that cannot be or is changed twice at once, ErrTooLarge for a value of more than MaxValue or more at once than the store can
	// take, ErrFull, ErrUnavailable, ErrClosed; the last three go for leases too.
	Apply(ctx context.Context, changes ...Change) ([]int64, error)
	// Get returns a document. ErrNotFound.
	Get(ctx context.Context, key Key) (Document, error)
	// List returns the documents of a kind whose id begins with prefix, ordered by id.
	List(ctx context.Context, kind, prefix string) ([]Document, error)
	// Watch sends the id of each changed or deleted document of a kind until ctx ends or the store is closed, then closes the channel. A slow
	// receiver sees each id at least once after its last change, not every change. Bodies keep it with package watches.
	Watch(ctx context.Context, kind string) <-chan string

	// Acquire takes the lease of name for owner until ttl from now, or renews it if owner holds it. ErrHeld while another owner's is unexpired,
	// ErrInvalid for a name of not 1..MaxID bytes or an owner of not 1..MaxOwner.
	// The epoch grows with each change of owner, and when an owner takes up again what it had lost: a worker hands it to what it writes, so
	// that an older worker can be told apart.
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (Lease, error)
	// Renew extends a lease that is still held with the same epoch. ErrLost.
	Renew(ctx context.Context, lease Lease, ttl time.Duration) (Lease, error)
	// Release gives a lease up at once. Releasing a lost lease does nothing.
	Release(ctx context.Context, lease Lease) error
}

// Lease says that an owner may work on name until it expires.
type Lease struct {
	Name    string
	Owner   string
	Epoch   int64
	Expires time.Time
}

// CheckLease returns ErrInvalid with a reason if there can be no lease of name for owner.
func CheckLease(name, owner string) error {
	if name == "" || len(name) > MaxID {
		return fmt.Errorf("%w: lease name of %d bytes must have 1 to %d", ErrInvalid, len(name), MaxID)
	}
	if owner == "" || len(owner) > MaxOwner {
		return fmt.Errorf("%w: lease owner of %d bytes must have 1 to %d", ErrInvalid, len(owner), MaxOwner)
	}
	return nil
}
