package scram

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

func decode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExampleOfRFC7677 proves and signs what RFC 7677, 3 shows.
func TestExampleOfRFC7677(t *testing.T) {
	salt := decode(t, "W22ZaJ0SNY7soEsUEjb6gQ==")
	key, err := salted(SHA256, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	c, err := OfSalted(SHA256, salt, key, 4096)
	if err != nil {
		t.Fatal(err)
	}
	const messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096," +
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	proof := decode(t, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if !c.Prove(SHA256, []byte(messages), proof) {
		t.Error("the proof is refused")
	}
	if got := base64.StdEncoding.EncodeToString(c.Sign(SHA256, []byte(messages))); got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("signature %s", got)
	}
	proof[3] ^= 1
	if c.Prove(SHA256, []byte(messages), proof) || c.Prove(SHA256, []byte(messages+"x"), proof) || c.Prove(SHA256, []byte(messages), proof[:31]) {
		t.Error("another proof is taken")
	}
}

func TestCredentialsMatchTheirPasswordAlone(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	for _, m := range Mechanisms {
		c, err := Of(m, "hunter2", MinIterations, random)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Matches(m, "hunter2") || c.Matches(m, "hunter3") || c.Matches(m, "") {
			t.Errorf("%s: matches what it should not, or not what it should", m)
		}
		again, err := Of(m, "hunter2", MinIterations, random)
		if err != nil || string(again.Salt) == string(c.Salt) {
			t.Errorf("%s: the same salt twice, %v", m, err)
		}
	}
}

func TestCredentialsHaveBounds(t *testing.T) {
	for _, row := range []struct {
		salt, salted []byte
		iterations   int
		want         error
	}{
		{[]byte("s"), []byte("p"), MinIterations - 1, ErrFewIterations},
		{[]byte("s"), []byte("p"), MaxIterations + 1, ErrManyIterations},
		{nil, []byte("p"), MinIterations, ErrSalt},
		{[]byte("s"), nil, MinIterations, ErrSalt},
		{make([]byte, maxBytes+1), []byte("p"), MinIterations, ErrSalt},
		{[]byte("s"), make([]byte, maxBytes+1), MinIterations, ErrSalt},
		{[]byte("s"), []byte("p"), MaxIterations, nil},
	} {
		if _, err := OfSalted(SHA512, row.salt, row.salted, row.iterations); !errors.Is(err, row.want) {
			t.Errorf("%d bytes, %d bytes, %d iterations: %v, want %v", len(row.salt), len(row.salted), row.iterations, err, row.want)
		}
	}
}

func open(t *testing.T, store state.Store) *Users {
	t.Helper()
	u, err := Open(t.Context(), store, rand.NewChaCha8([32]byte{2}))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newStore() state.Store { return memstate.New(clock.NewVirtual(time.Unix(1e9, 0))) }

func TestUsersAreAlteredAsAWhole(t *testing.T) {
	u, ctx := open(t, newStore()), t.Context()
	one, err := Of(SHA256, "one", MinIterations, u.random)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Alter(ctx, "alice", map[Mechanism]*Credential{SHA256: &one}); err != nil {
		t.Fatal(err)
	}
	if err := u.Alter(ctx, "alice", map[Mechanism]*Credential{SHA256: nil, SHA512: nil}); !errors.Is(err, ErrNoCredential) {
		t.Errorf("removing one that is not there: %v", err)
	}
	if user, err := u.Get(ctx, "alice"); err != nil || !user.Credentials[SHA256].same(one) {
		t.Errorf("%v, %v: a change that failed has changed something", user, err)
	}
	if err := u.Alter(ctx, "alice", map[Mechanism]*Credential{SHA256: nil}); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Get(ctx, "alice"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("a user without credentials: %v", err)
	}
	for _, name := range []string{"", strings.Repeat("x", MaxName+1)} {
		if err := u.Alter(ctx, name, map[Mechanism]*Credential{SHA256: &one}); !errors.Is(err, ErrName) {
			t.Errorf("name of %d bytes: %v", len(name), err)
		}
	}
}

func (c Credential) same(d Credential) bool { return fmt.Sprint(c) == fmt.Sprint(d) }

func TestUsersAreBounded(t *testing.T) {
	store := newStore()
	u, ctx := open(t, store), t.Context()
	for i := range MaxUsers {
		if _, err := store.Apply(ctx, state.Change{Key: state.Key{Kind: usersKind, ID: fmt.Sprint("u", i)}, Value: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	c := u.Pretend(SHA256, "x")
	if err := u.Alter(ctx, "one too many", map[Mechanism]*Credential{SHA256: &c}); !errors.Is(err, ErrTooMany) {
		t.Errorf("%v", err)
	}
	if err := u.Alter(ctx, "u7", map[Mechanism]*Credential{SHA256: &c}); err != nil {
		t.Errorf("changing one that is there: %v", err)
	}
}

func TestAUserIsMadeOnce(t *testing.T) {
	store := newStore()
	u, ctx := open(t, store), t.Context()
	check := func(password string, want bool) {
		t.Helper()
		if got, err := u.Check(ctx, "alice", password); got != want || err != nil {
			t.Errorf("password %q: %v, %v", password, got, err)
		}
	}
	made := func(want bool) {
		t.Helper()
		if got, err := u.Make(ctx, "alice", "first"); got != want || err != nil {
			t.Errorf("made %v, %v", got, err)
		}
	}
	made(true)
	made(false)
	check("first", true)
	other, err := Of(SHA512, "second", MinIterations, u.random)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Alter(ctx, "alice", map[Mechanism]*Credential{SHA256: nil, SHA512: &other}); err != nil {
		t.Fatal(err)
	}
	u = open(t, store) // as after a restart
	made(false)
	check("first", false)
	check("second", true)
	if err := u.Alter(ctx, "alice", map[Mechanism]*Credential{SHA512: nil}); err != nil {
		t.Fatal(err)
	}
	made(false)
	check("second", false)
}

func TestNobodyLooksLikeSomebody(t *testing.T) {
	store := newStore()
	first := open(t, store).Pretend(SHA256, "nobody")
	if again := open(t, store).Pretend(SHA256, "nobody"); !again.same(first) {
		t.Error("another salt after a restart")
	}
	u := open(t, store)
	if u.Pretend(SHA512, "nobody").same(first) || u.Pretend(SHA256, "nobody2").same(first) || open(t, newStore()).Pretend(SHA256, "x").same(first) {
		t.Error("the same salt for others")
	}
	real, err := Of(SHA256, "x", MinIterations, u.random)
	if err != nil || len(real.Salt) != len(first.Salt) || real.Iterations != first.Iterations {
		t.Errorf("a salt of %d bytes, a real one has %d; %v", len(first.Salt), len(real.Salt), err)
	}
	if right, err := u.Check(context.Background(), "nobody", "anything"); right || err != nil {
		t.Errorf("%v, %v", right, err)
	}
}

func TestUsersDoNotShowTheirKeys(t *testing.T) {
	u := open(t, newStore())
	if _, err := u.Make(t.Context(), "alice", "hunter2"); err != nil {
		t.Fatal(err)
	}
	user, err := u.Get(t.Context(), "alice")
	if got := fmt.Sprintf("%v %+v", user, user); err != nil || got != "alice (SCRAM-SHA-256, SCRAM-SHA-512) alice (SCRAM-SHA-256, SCRAM-SHA-512)" {
		t.Errorf("%s, %v", got, err)
	}
}
