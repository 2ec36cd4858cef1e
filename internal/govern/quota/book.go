package quota

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/state"
)

// document's kind. There is one per entity, under the hash of it.
const kind = "kafka-quota"

// Config bounds a Book. Zero values mean the defaults.
type Config struct {
	MaxEntities int // with limits; 0 = DefaultMaxEntities
	MaxMeters   int // clients measured at a time; 0 = DefaultMaxMeters
}

// The defaults of Config.
const (
	DefaultMaxEntities = 10_000
	DefaultMaxMeters   = 10_000
)

// ErrTooMany says that there is no room for limits of more entities.
var ErrTooMany = errors.New("too many quotas")

// Values are the limits of an entity.
type Values map[Kind]float64

// Entry is an entity with its limits.
type Entry struct {
	Entity Entity
	Values Values
}

// Book is the limits that were set. It is safe for concurrent use.
type Book struct {
	config  Config
	store   state.Store
	version atomic.Uint64
	active  [kinds]atomic.Bool // whether there is a limit of a kind

	writing sync.Mutex // serialises changes: the store first, then entries

	mu      sync.RWMutex
	entries map[Entity]Values // guarded by mu; the maps are not changed

	meters  meters
	tallies tallies
}

// stored is a document.
type stored struct {
	Entity Entity             `json:"entity"`
	Values map[string]float64 `json:"values"`
}

// Open returns the book with all limits that were kept.
func Open(ctx context.Context, store state.Store, config Config) (*Book, error) {
	config.MaxEntities = cmp.Or(config.MaxEntities, DefaultMaxEntities)
	b := &Book{config: config, store: store, entries: map[Entity]Values{}}
	b.tallies.all = map[meter]*tally{}
	b.meters.init(cmp.Or(config.MaxMeters, DefaultMaxMeters))
	docs, err := store.List(ctx, kind, "")
	if err != nil {
		return nil, fmt.Errorf("load quotas: %w", err)
	}
	for _, d := range docs {
		e, err := decode(d.Value)
		if err != nil {
			return nil, fmt.Errorf("load quota %s: %w", d.ID, err)
		}
		b.entries[e.Entity] = e.Values
	}
	b.activate()
	return b, nil
}

func decode(value []byte) (Entry, error) {
	var s stored
	if err := json.Unmarshal(value, &s); err != nil {
		return Entry{}, err
	}
	e := Entry{s.Entity, Values{}}
	if err := e.Entity.Check(); err != nil {
		return e, err
	}
	for name, limit := range s.Values {
		k, err := e.Entity.checkLimit(name, limit)
		if err != nil {
			return e, err
		}
		e.Values[k] = limit
	}
	return e, nil
}

// activate notes of which kinds there are limits. Nobody else changes entries.
func (b *Book) activate() {
	var any [kinds]bool
	for _, values := range b.entries {
		for k := range values {
			any[k] = true
		}
	}
	for k := range any {
		b.active[k].Store(any[k])
	}
	b.version.Add(1)
}

// Active says whether anybody has a limit of a kind.
func (b *Book) Active(k Kind) bool { return b.active[k].Load() }

// Version changes with every change of limits: Limits from before may be wrong then.
func (b *Book) Version() uint64 { return b.version.Load() }

// Change sets one limit of an entity, or removes it. A limit that is not there, of any name, can be removed.
type Change struct {
	Name   string
	Limit  float64
	Remove bool
}

// Alter changes the limits of an entity, durable when it returns: all, or none if it returns an error: ErrInvalid, ErrTooMany, or one of the store.
// If validate is set it only looks whether it could.
func (b *Book) Alter(ctx context.Context, entity Entity, changes []Change, validate bool) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := entity.Check(); err != nil {
		return err
	}
	b.mu.RLock()
	values, has := maps.Clone(b.entries[entity]), len(b.entries)
	b.mu.RUnlock()
	known := values != nil
	if !known {
		values = Values{}
	}
	named := map[string]bool{}
	for _, c := range changes {
		if named[c.Name] {
			return invalid("Duplicate quota key %s", c.Name)
		}
		named[c.Name] = true
		if c.Remove {
			if k, ok := KindOf(c.Name); ok {
				delete(values, k)
			}
			continue
		}
		k, err := entity.checkNew(c.Name, c.Limit)
		if err != nil {
			return err
		}
		values[k] = c.Limit
	}
	switch {
	case !known && len(values) > 0 && has >= b.config.MaxEntities:
		return fmt.Errorf("%w: there are limits for %d entities, the most that are kept", ErrTooMany, has)
	case validate || !known && len(values) == 0:
		return nil
	}
	return b.write(ctx, entity, values)
}

func (b *Book) write(ctx context.Context, entity Entity, values Values) error {
	id, err := json.Marshal(entity)
	if err != nil {
		return fmt.Errorf("encode entity: %w", err)
	}
	sum := sha256.Sum256(id)
	change := state.Change{Key: state.Key{Kind: kind, ID: hex.EncodeToString(sum[:])}, If: state.Any, Delete: len(values) == 0}
	if !change.Delete {
		doc := stored{entity, map[string]float64{}}
		for k, limit := range values {
			doc.Values[k.String()] = limit
		}
		if change.Value, err = json.Marshal(doc); err != nil {
			return fmt.Errorf("encode quota: %w", err)
		}
	}
	if _, err = b.store.Apply(ctx, change); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if change.Delete {
		delete(b.entries, entity)
	} else {
		b.entries[entity] = values
	}
	b.activate()
	return nil
}

// Entries returns the entities that a filter lets pass, with their limits, in an order that stays the same.
func (b *Book) Entries(pass func(Entity) bool) []Entry {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []Entry
	for entity, values := range b.entries {
		if pass(entity) {
			all = append(all, Entry{entity, values})
		}
	}
	slices.SortFunc(all, func(x, y Entry) int {
		return cmp.Or(x.Entity.User.compare(y.Entity.User), x.Entity.Client.compare(y.Entity.Client), x.Entity.IP.compare(y.Entity.IP))
	})
	return all
}

func (p Part) compare(o Part) int {
	rank := func(p Part) int {
		switch {
		case !p.Set:
			return 0
		case p.Default:
			return 1
		}
		return 2
	}
	return cmp.Or(rank(p)-rank(o), cmp.Compare(p.Name, o.Name))
}

// precedence is where a limit of a user with a client id is looked for, first match first (KIP-13, KIP-546).
func precedence(user, client string) [8]Entity {
	u, c := Named(user), Named(client)
	return [...]Entity{
		{User: u, Client: c},
		{User: u, Client: Everyone},
		{User: u},
		{User: Everyone, Client: c},
		{User: Everyone, Client: Everyone},
		{User: Everyone},
		{Client: c},
		{Client: Everyone},
	}
}

// limit finds the limit of a kind for a user with a client id, and who shares in it: where users are meant all clients of that user, where client ids are meant
// all users with it, and where both are meant each pair alone.
func (b *Book) limit(k Kind, user, client string) (limit float64, who Entity, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, e := range precedence(user, client) {
		limit, ok = b.entries[e][k]
		if !ok {
			continue
		}
		if e.User.Set {
			who.User = Named(user)
		}
		if e.Client.Set {
			who.Client = Named(client)
		}
		return limit, who, true
	}
	return 0, Entity{}, false
}

// Connect notes that a connection was opened from an address, and returns how long that address must wait if it opens more than it may: then the
// connection does not count.
func (b *Book) Connect(address string, now time.Time) time.Duration {
	if !b.Active(Connections) {
		return 0
	}
	b.mu.RLock()
	who := Entity{IP: Named(address)}
	limit, ok := b.entries[who][Connections]
	if !ok {
		limit, ok = b.entries[Entity{IP: Everyone}][Connections]
	}
	b.mu.RUnlock()
	if !ok {
		return 0
	}
	wait := min(b.meters.rate(Connections, who, now).TakeIf(1, limit, now), maxConnectionWait)
	if wait > 0 {
		b.tallies.note(Connections, who, wait, limit, now)
	}
	return wait
}

// maxConnectionWait bounds how long a connection is held that was one too many, as in Apache Kafka: one window.
const maxConnectionWait = sampleTime
