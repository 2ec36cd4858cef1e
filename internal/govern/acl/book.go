package acl

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/internal/state"
)

// kind is that of the documents of bindings, one each. A document's id is the hash of its value.
const kind = "kafka-acl"

// Config says what a Book answers beside its bindings. Zero values mean the defaults.
type Config struct {
	SuperUsers  []string // principals that may do everything
	Open        bool     // everyone may do everything to resources that no rule is about (allow.everyone.if.no.acl.found)
	MaxBindings int      // 0 = DefaultMaxBindings
}

// DefaultMaxBindings bounds the rules of a Book. One takes about half a kilobyte of memory.
const DefaultMaxBindings = 20_000

// maxRemoved bounds what one call of Delete removes, as in Apache Kafka (AclControlManager).
const maxRemoved = 10_000

// maxChanges bounds the documents written together.
const maxChanges = 1000

// ErrTooMany says that there is no room for more bindings, or that a Delete would remove too many at once.
var ErrTooMany = errors.New("too many ACLs")

// Book is a set of bindings that survives restarts. It is safe for concurrent use.
type Book struct {
	config  Config
	store   state.Store
	super   map[string]bool
	version atomic.Uint64

	writing sync.Mutex // serialises changes: the store first, then the index

	mu    sync.RWMutex
	index *Index // guarded by mu
}

// Open returns the book with all bindings that were kept.
func Open(ctx context.Context, store state.Store, config Config) (*Book, error) {
	if config.MaxBindings == 0 {
		config.MaxBindings = DefaultMaxBindings
	}
	b := &Book{config: config, store: store, super: map[string]bool{}, index: NewIndex()}
	for _, p := range config.SuperUsers {
		if err := CheckPrincipal(p); err != nil {
			return nil, fmt.Errorf("super user: %w", err)
		}
		b.super[p] = true
	}
	docs, err := store.List(ctx, kind, "")
	if err != nil {
		return nil, fmt.Errorf("load ACLs: %w", err)
	}
	for _, d := range docs {
		binding, err := decode(d.Value)
		if err != nil {
			return nil, fmt.Errorf("load ACL %s: %w", d.ID, err)
		}
		b.index.Add(binding)
	}
	return b, nil
}

func decode(value []byte) (Binding, error) {
	var b Binding
	if err := json.Unmarshal(value, &b); err != nil {
		return b, err
	}
	return b, b.Check()
}

func document(b Binding) (state.Key, []byte) {
	value, err := json.Marshal(b)
	if err != nil {
		panic(fmt.Sprintf("acl: a binding of texts and numbers cannot be encoded: %v", err))
	}
	sum := sha256.Sum256(value)
	return state.Key{Kind: kind, ID: hex.EncodeToString(sum[:])}, value
}

// Super says whether no rule holds a principal back.
func (b *Book) Super(principal string) bool { return b.super[principal] }

// Authorize says whether who may do op to the resource of a kind and name.
func (b *Book) Authorize(who Subject, op Operation, kind Resource, name string) bool {
	if b.super[who.Principal] {
		return true
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.index.Authorize(who, op, kind, name, b.config.Open)
}

// someName stands for a resource that no rule names, to learn what goes for those.
const someName = "\x00"

// AuthorizeAny says whether who may do op to any resource of a kind.
func (b *Book) AuthorizeAny(who Subject, op Operation, kind Resource) bool {
	if b.super[who.Principal] {
		return true
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.index.AuthorizeAny(who, op, kind) || b.index.Authorize(who, op, kind, someName, b.config.Open)
}

// Version changes with every change of the rules: what was decided before it may be wrong then.
func (b *Book) Version() uint64 { return b.version.Load() }

// Len returns the number of bindings.
func (b *Book) Len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.index.Len()
}

// Find returns the bindings that a filter matches, in order. ErrInvalid.
func (b *Book) Find(f Filter) ([]Binding, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.index.Find(f), nil
}

// Create adds bindings, durable when it returns, and says of each what is wrong with it: ErrInvalid, ErrTooMany, or an error of the store. One
// that is there already is no error.
func (b *Book) Create(ctx context.Context, bindings []Binding) []error {
	b.writing.Lock()
	defer b.writing.Unlock()
	errs := make([]error, len(bindings))
	var fresh []int // which of bindings are to be written, each once
	seen := map[Binding]bool{}
	for i, binding := range bindings {
		if errs[i] = binding.Check(); errs[i] != nil || seen[binding] || b.has(binding) {
			continue
		}
		if b.Len()+len(fresh) >= b.config.MaxBindings {
			errs[i] = fmt.Errorf("%w: there are %d, the most that are kept", ErrTooMany, b.config.MaxBindings)
			continue
		}
		seen[binding] = true
		fresh = append(fresh, i)
	}
	for some := range slices.Chunk(fresh, maxChanges) {
		added := make([]Binding, 0, len(some))
		for _, i := range some {
			added = append(added, bindings[i])
		}
		if err := b.write(ctx, added, false); err != nil {
			for _, i := range some {
				errs[i] = err
			}
		}
	}
	return errs
}

func (b *Book) has(binding Binding) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.index.Has(binding)
}

// Removed is what became of one filter of a Delete.
type Removed struct {
	Bindings []Binding
	Err      error // ErrInvalid, ErrTooMany, or an error of the store: then nothing that only this filter selects was removed
}

// Delete removes the bindings that any of the filters matches, durable when it returns. A binding that several match is told for each.
func (b *Book) Delete(ctx context.Context, filters []Filter) []Removed {
	b.writing.Lock()
	defer b.writing.Unlock()
	results := make([]Removed, len(filters))
	gone := map[Binding]bool{}
	var order []Binding
	for i, f := range filters {
		r := &results[i]
		if r.Bindings, r.Err = b.Find(f); r.Err != nil {
			continue
		}
		if len(gone)+len(r.Bindings) > maxRemoved {
			*r = Removed{Err: fmt.Errorf("%w: more than %d would be removed at once", ErrTooMany, maxRemoved)}
			continue
		}
		for _, binding := range r.Bindings {
			if !gone[binding] {
				gone[binding] = true
				order = append(order, binding)
			}
		}
	}
	for some := range slices.Chunk(order, maxChanges) {
		err := b.write(ctx, some, true)
		if err == nil {
			continue
		}
		for i := range results {
			if slices.ContainsFunc(results[i].Bindings, func(binding Binding) bool { return slices.Contains(some, binding) }) {
				results[i] = Removed{Err: err}
			}
		}
	}
	return results
}

// write makes one change durable, then visible. The caller holds writing.
func (b *Book) write(ctx context.Context, bindings []Binding, remove bool) error {
	changes := make([]state.Change, 0, len(bindings))
	for _, binding := range bindings {
		key, value := document(binding)
		change := state.Change{Key: key, If: state.Any, Value: value}
		if remove {
			change = state.Change{Key: key, If: state.Any, Delete: true}
		}
		changes = append(changes, change)
	}
	if _, err := b.store.Apply(ctx, changes...); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, binding := range bindings {
		if remove {
			b.index.Remove(binding)
		} else {
			b.index.Add(binding)
		}
	}
	b.version.Add(1)
	return nil
}
