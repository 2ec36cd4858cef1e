package delegation

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/state"
)

// The kinds of documents: tokens by id, and the key of their secrets.
const (
	kind    = "delegation-token"
	keyKind = "delegation-token-key"
)

// keyBytes is the length of the key, which is that of the hash.
const keyBytes = sha512.Size

// idBytes is the length of the random part of an id.
const idBytes = 16

// maxChanges bounds the documents removed together.
const maxChanges = 1000

// Deps are what a Book is made with.
type Deps struct {
	Store  state.Store
	Clock  clock.Clock
	Random io.Reader
	Logger *slog.Logger
}

// Book is all tokens of a node. Safe for concurrent use.
type Book struct {
	config Config
	deps   Deps
	key    []byte

	writing sync.Mutex // serialises changes: the store first, then what is below

	mu     sync.RWMutex
	byID   map[string]*Token            // guarded by mu; a Token in it is never written to
	byHMAC map[[sha512.Size]byte]*Token // guarded by mu
	made   map[principal.Principal]int  // guarded by mu: how many are a requester's
}

// Open returns the book with all tokens that were kept. The first time it makes the key of their secrets.
func Open(ctx context.Context, config Config, deps Deps) (*Book, error) {
	orDefault(&config.MaxLifetime, DefaultMaxLifetime)
	orDefault(&config.Lifetime, DefaultLifetime)
	orDefault(&config.MaxTokens, DefaultMaxTokens)
	orDefault(&config.MaxMade, DefaultMaxMade)
	b := &Book{config: config, deps: deps, byID: map[string]*Token{}, byHMAC: map[[sha512.Size]byte]*Token{}, made: map[principal.Principal]int{}}
	var err error
	if b.key, err = openKey(ctx, deps); err != nil {
		return nil, err
	}
	docs, err := deps.Store.List(ctx, kind, "")
	if err != nil {
		return nil, fmt.Errorf("load delegation tokens: %w", err)
	}
	for _, doc := range docs {
		t := &Token{}
		if err := json.Unmarshal(doc.Value, t); err != nil {
			return nil, fmt.Errorf("load delegation token %s: %w", doc.ID, err)
		}
		t.ID, t.HMAC = doc.ID, b.secret(doc.ID)
		b.put(t)
	}
	return b, nil
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func openKey(ctx context.Context, deps Deps) ([]byte, error) {
	at := state.Key{Kind: keyKind, ID: "hmac-sha512"}
	doc, err := deps.Store.Get(ctx, at)
	if err == nil {
		return doc.Value, nil
	}
	if !errors.Is(err, state.ErrNotFound) {
		return nil, fmt.Errorf("read the key of delegation tokens: %w", err)
	}
	key := make([]byte, keyBytes)
	if _, err = io.ReadFull(deps.Random, key); err != nil {
		return nil, fmt.Errorf("make the key of delegation tokens: %w", err)
	}
	if _, err = deps.Store.Apply(ctx, state.Change{Key: at, If: state.Absent, Value: key}); err != nil {
		return nil, fmt.Errorf("keep the key of delegation tokens: %w", err)
	}
	return key, nil
}

func (b *Book) secret(id string) []byte {
	h := hmac.New(sha512.New, b.key)
	io.WriteString(h, id)
	return h.Sum(nil)
}

// put adds a token, or puts it in the place of the one of its id.
func (b *Book) put(t *Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID[t.ID] == nil {
		b.made[t.Requester]++
	}
	b.byID[t.ID] = t
	b.byHMAC[[sha512.Size]byte(t.HMAC)] = t
}

func (b *Book) drop(t *Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, t.ID)
	delete(b.byHMAC, [sha512.Size]byte(t.HMAC))
	if b.made[t.Requester]--; b.made[t.Requester] == 0 {
		delete(b.made, t.Requester)
	}
}

// Len returns how many tokens there are, expired ones that are not yet removed among them.
func (b *Book) Len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.byID)
}

// Lookup returns the token of an id that has not expired.
func (b *Book) Lookup(id string) (Token, bool) {
	b.mu.RLock()
	t := b.byID[id]
	b.mu.RUnlock()
	if t == nil || t.Expired(b.now()) {
		return Token{}, false
	}
	return *t, true
}

// List returns the tokens that one of owners has or renews, all of them if owners is nil, ordered by when they were made.
func (b *Book) List(owners []principal.Principal) []Token {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []Token
	for _, t := range b.byID {
		if owners == nil || slices.ContainsFunc(owners, t.Of) {
			all = append(all, *t)
		}
	}
	slices.SortFunc(all, func(x, y Token) int {
		if c := x.Issued.Compare(y.Issued); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return all
}

func (b *Book) now() time.Time { return b.deps.Clock.Now().UTC().Truncate(time.Millisecond) }

// Create makes a token for owner that renewers may renew, too, durable when it returns. lifetime is how long it may be renewed at most, if it is
// shorter than the book's; 0 and less = as long as the book's. ErrInvalid, ErrTooMany.
func (b *Book) Create(ctx context.Context, owner, requester principal.Principal, renewers []principal.Principal, lifetime time.Duration) (Token, error) {
	if len(renewers) > MaxRenewers {
		return Token{}, fmt.Errorf("%w: it has more than %d renewers", ErrInvalid, MaxRenewers)
	}
	for _, p := range append([]principal.Principal{owner, requester}, renewers...) {
		if err := check(p); err != nil {
			return Token{}, err
		}
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := b.room(requester); err != nil {
		return Token{}, err
	}
	if lifetime <= 0 {
		lifetime = b.config.MaxLifetime
	}
	lifetime = min(lifetime, b.config.MaxLifetime)
	now := b.now()
	t := &Token{
		Owner: owner, Requester: requester, Renewers: slices.Clone(renewers), Issued: now, Max: now.Add(lifetime), Expires: now.Add(min(lifetime, b.config.Lifetime)),
		Credentials: map[scram.Mechanism]scram.Credential{},
	}
	var err error
	if t.ID, err = b.newID(); err != nil {
		return Token{}, err
	}
	t.HMAC = b.secret(t.ID)
	for _, m := range scram.Mechanisms {
		if t.Credentials[m], err = scram.Of(m, t.Password(), scram.MinIterations, b.deps.Random); err != nil {
			return Token{}, err
		}
	}
	if err = b.keep(ctx, t, state.Absent); err != nil {
		return Token{}, err
	}
	return *t, nil
}

// room returns ErrTooMany if a principal can make no further token.
func (b *Book) room(requester principal.Principal) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	switch {
	case len(b.byID) >= b.config.MaxTokens:
		return fmt.Errorf("%w: there are %d, the most that are kept", ErrTooMany, b.config.MaxTokens)
	case b.made[requester] >= b.config.MaxMade:
		return fmt.Errorf("%w: %s has made %d, the most that one may", ErrTooMany, requester, b.config.MaxMade)
	}
	return nil
}

// newID returns an id as Apache Kafka's UUIDs are written: never with a dash in front, which tools would take for a flag's.
func (b *Book) newID() (string, error) {
	for {
		var id [idBytes]byte
		if _, err := io.ReadFull(b.deps.Random, id[:]); err != nil {
			return "", fmt.Errorf("make a delegation token: %w", err)
		}
		if text := base64.RawURLEncoding.EncodeToString(id[:]); text[0] != '-' {
			return text, nil
		}
	}
}

// keep makes a token durable, then visible.
func (b *Book) keep(ctx context.Context, t *Token, expect int64) error {
	value, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keep delegation token %s: %w", t.ID, err)
	}
	if _, err = b.deps.Store.Apply(ctx, state.Change{Key: state.Key{Kind: kind, ID: t.ID}, If: expect, Value: value}); err != nil {
		return err
	}
	b.put(t)
	return nil
}

// find returns the token of a secret, nil if there is none.
func (b *Book) find(secret []byte) *Token {
	if len(secret) != sha512.Size {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.byHMAC[[sha512.Size]byte(secret)]
}

// Renew lets the token of a secret expire later, by at most lifetime from now (0 and less = as long as the book says), and never after its end.
// ErrNotFound, ErrExpired, ErrNotOwner, looked for in this order.
func (b *Book) Renew(ctx context.Context, who principal.Principal, secret []byte, lifetime time.Duration) (Token, error) {
	if lifetime <= 0 {
		lifetime = b.config.Lifetime
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	t := b.find(secret)
	switch {
	case t == nil:
		return Token{}, ErrNotFound
	case t.Expired(b.now()):
		return Token{}, ErrExpired
	case !t.Renews(who):
		return Token{}, ErrNotOwner
	}
	return b.expireLocked(ctx, *t, min(lifetime, b.config.Lifetime))
}

// Expire lets the token of a secret expire in a period from now, and never after its end. ErrNotFound, ErrNotOwner, ErrExpired, looked for in this order.
func (b *Book) Expire(ctx context.Context, who principal.Principal, secret []byte, period time.Duration) (Token, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	t := b.find(secret)
	switch {
	case t == nil:
		return Token{}, ErrNotFound
	case !t.Renews(who):
		return Token{}, ErrNotOwner
	case t.Expired(b.now()):
		return Token{}, ErrExpired
	}
	return b.expireLocked(ctx, *t, period)
}

// expireLocked sets when a token expires. The caller holds writing.
func (b *Book) expireLocked(ctx context.Context, t Token, period time.Duration) (Token, error) {
	now := b.now()
	t.Expires = now.Add(min(period, t.Max.Sub(now)))
	return t, b.keep(ctx, &t, state.Any)
}

// Remove ends the token of a secret at once, also one that has expired, and returns it with the time of its end. ErrNotFound, ErrNotOwner.
func (b *Book) Remove(ctx context.Context, who principal.Principal, secret []byte) (Token, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	t := b.find(secret)
	switch {
	case t == nil:
		return Token{}, ErrNotFound
	case !t.Renews(who):
		return Token{}, ErrNotOwner
	}
	gone := *t
	gone.Expires = b.now()
	return gone, b.removeLocked(ctx, []*Token{t})
}

// removeLocked removes tokens. The caller holds writing.
func (b *Book) removeLocked(ctx context.Context, tokens []*Token) error {
	changes := make([]state.Change, len(tokens))
	for i, t := range tokens {
		changes[i] = state.Change{Key: state.Key{Kind: kind, ID: t.ID}, If: state.Any, Delete: true}
	}
	if _, err := b.deps.Store.Apply(ctx, changes...); err != nil {
		return err
	}
	for _, t := range tokens {
		b.drop(t)
	}
	return nil
}

// Run removes tokens that have expired, now and then, until ctx ends.
func (b *Book) Run(ctx context.Context) {
	ticker := b.deps.Clock.NewTicker(SweepEach)
	defer ticker.Stop()
	for {
		if n, err := b.sweep(ctx); err != nil && ctx.Err() == nil {
			b.deps.Logger.Error("expired delegation tokens cannot be removed", "error", err)
		} else if n > 0 {
			b.deps.Logger.Info("expired delegation tokens removed", "tokens", n)
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
	}
}

// sweep removes what has expired and returns how many tokens that were.
func (b *Book) sweep(ctx context.Context) (int, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	now := b.now()
	var gone []*Token
	b.mu.RLock()
	for _, t := range b.byID {
		if t.Expired(now) {
			gone = append(gone, t)
		}
	}
	b.mu.RUnlock()
	for some := range slices.Chunk(gone, maxChanges) {
		if err := b.removeLocked(ctx, some); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}
