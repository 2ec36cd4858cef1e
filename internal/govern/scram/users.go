package scram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/freshet/freshet/internal/state"
)

// The kinds of documents: a user's credentials by name, the secret that makes those of nobody, and which users were made at first starts.
const (
	usersKind  = "scram-user"
	secretKind = "scram-secret"
	madeKind   = "scram-user-made"
)

// MaxUsers bounds how many there may be, MaxName the bytes of a name.
const (
	MaxUsers = 10_000
	MaxName  = state.MaxID
)

// The errors of changing users.
var (
	ErrNoCredential = errors.New("no such credential")
	ErrTooMany      = fmt.Errorf("more than %d users", MaxUsers)
	ErrName         = fmt.Errorf("a user's name must have 1 to %d bytes", MaxName)
)

// Users are those whom a node knows. Safe for concurrent use.
type Users struct {
	store  state.Store
	random io.Reader
	secret []byte

	mu sync.Mutex // serialises changes, so that their number is known
}

// User is a name with its credentials.
type User struct {
	Name        string
	Credentials map[Mechanism]Credential
}

// Open returns the users that a store keeps. The first time it makes the secret that Pretend needs.
func Open(ctx context.Context, store state.Store, random io.Reader) (*Users, error) {
	key := state.Key{Kind: secretKind, ID: "pretend"}
	for {
		doc, err := store.Get(ctx, key)
		if err == nil {
			return &Users{store: store, random: random, secret: doc.Value}, nil
		}
		if !errors.Is(err, state.ErrNotFound) {
			return nil, fmt.Errorf("read users' secret: %w", err)
		}
		secret := make([]byte, 32)
		if _, err = io.ReadFull(random, secret); err != nil {
			return nil, fmt.Errorf("make users' secret: %w", err)
		}
		if _, err = store.Apply(ctx, state.Change{Key: key, If: state.Absent, Value: secret}); err != nil && !errors.Is(err, state.ErrConflict) {
			return nil, fmt.Errorf("keep users' secret: %w", err)
		}
	}
}

// Get returns a user. state.ErrNotFound.
func (u *Users) Get(ctx context.Context, name string) (User, error) {
	if name == "" || len(name) > MaxName {
		return User{}, state.ErrNotFound
	}
	user, _, err := u.read(ctx, name)
	return user, err
}

func (u *Users) read(ctx context.Context, name string) (User, int64, error) {
	doc, err := u.store.Get(ctx, state.Key{Kind: usersKind, ID: name})
	if err != nil {
		return User{Name: name}, state.Absent, err
	}
	user, err := parse(doc)
	return user, doc.Version, err
}

func parse(doc state.Document) (User, error) {
	user := User{Name: doc.ID}
	if err := json.Unmarshal(doc.Value, &user.Credentials); err != nil {
		return User{}, fmt.Errorf("credentials of user %q: %w", doc.ID, err)
	}
	return user, nil
}

// List returns all users, ordered by name.
func (u *Users) List(ctx context.Context) ([]User, error) {
	docs, err := u.store.List(ctx, usersKind, "")
	if err != nil {
		return nil, err
	}
	all := make([]User, len(docs))
	for i, doc := range docs {
		if all[i], err = parse(doc); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Pretend returns a credential of which nobody has the password, always the same for a name: whoever asks for the salt of a name does not learn
// whether there is such a user.
func (u *Users) Pretend(m Mechanism, name string) Credential {
	make := func(what string) []byte { return mac(m, u.secret, []byte(m.String()+" "+what+" "+name)) }
	return Credential{Iterations: MinIterations, Salt: make("salt")[:saltBytes], StoredKey: make("stored key"), ServerKey: make("server key")}
}

// Alter sets a user's credentials, and removes those that are nil. A user without credentials is none. ErrName, ErrTooMany, and ErrNoCredential if
// one that is to be removed is not there: then nothing is changed.
func (u *Users) Alter(ctx context.Context, name string, changes map[Mechanism]*Credential) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.alterLocked(ctx, name, changes)
}

func (u *Users) alterLocked(ctx context.Context, name string, changes map[Mechanism]*Credential, more ...state.Change) error {
	if name == "" || len(name) > MaxName {
		return ErrName
	}
	user, version, err := u.read(ctx, name)
	switch {
	case errors.Is(err, state.ErrNotFound):
		user.Credentials = map[Mechanism]Credential{}
		if err := u.roomLocked(ctx); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	for m, c := range changes {
		if c != nil {
			user.Credentials[m] = *c
			continue
		}
		if _, there := user.Credentials[m]; !there {
			return ErrNoCredential
		}
		delete(user.Credentials, m)
	}
	change := state.Change{Key: state.Key{Kind: usersKind, ID: name}, If: version}
	if change.Delete = len(user.Credentials) == 0; !change.Delete {
		if change.Value, err = json.Marshal(user.Credentials); err != nil {
			return err
		}
	}
	_, err = u.store.Apply(ctx, append(more, change)...)
	return err
}

// roomLocked returns ErrTooMany if there can be no further user.
func (u *Users) roomLocked(ctx context.Context) error {
	docs, err := u.store.List(ctx, usersKind, "")
	if err == nil && len(docs) >= MaxUsers {
		err = ErrTooMany
	}
	return err
}

// Make makes a user with a password, for all mechanisms, unless it was made in this way before or is there already: so a password that was changed
// since stays, and a user who was removed stays away. It says whether it made one.
func (u *Users) Make(ctx context.Context, name, password string) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	mark := state.Key{Kind: madeKind, ID: name}
	if _, err := u.store.Get(ctx, mark); !errors.Is(err, state.ErrNotFound) {
		return false, err
	}
	if _, err := u.Get(ctx, name); !errors.Is(err, state.ErrNotFound) {
		return false, err
	}
	changes := map[Mechanism]*Credential{}
	for _, m := range Mechanisms {
		c, err := Of(m, password, MinIterations, u.random)
		if err != nil {
			return false, err
		}
		changes[m] = &c
	}
	err := u.alterLocked(ctx, name, changes, state.Change{Key: mark, If: state.Absent})
	return err == nil, err
}

// Check says whether a user has a password: whether there is such a user takes as long to find out as whether the password is right.
func (u *Users) Check(ctx context.Context, name, password string) (bool, error) {
	user, err := u.Get(ctx, name)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return false, err
	}
	for _, m := range []Mechanism{SHA512, SHA256} {
		if c, there := user.Credentials[m]; there {
			return c.Matches(m, password), nil
		}
	}
	nobody := u.Pretend(SHA512, name)
	nobody.Matches(SHA512, password)
	return false, nil
}

// String hides the salts and keys from logs.
func (u User) String() string {
	var has []string
	for _, m := range Mechanisms {
		if _, there := u.Credentials[m]; there {
			has = append(has, m.String())
		}
	}
	return u.Name + " (" + strings.Join(has, ", ") + ")"
}
