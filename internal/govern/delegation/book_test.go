package delegation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

var (
	alice = principal.Of("alice")
	bob   = principal.Of("bob")
	carol = principal.Of("carol")
)

// rig is a book with the clock and the store under it.
type rig struct {
	*Book
	clock *clock.Virtual
	store state.Store
	text  *strings.Builder // what is logged
}

func newRig(t testing.TB) *rig {
	c := clock.NewVirtual(time.UnixMilli(1_000_000_000_123))
	return &rig{clock: c, store: memstate.New(c), text: &strings.Builder{}}
}

// open opens the book, anew if it was open.
func (r *rig) open(t testing.TB, config Config) *rig {
	t.Helper()
	var err error
	r.Book, err = Open(context.Background(), config, Deps{Store: r.store, Clock: r.clock, Random: rand.NewChaCha8([32]byte{1}), Logger: slog.New(slog.NewTextHandler(r.text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) make(t testing.TB, owner principal.Principal, renewers ...principal.Principal) Token {
	t.Helper()
	made, err := r.Create(context.Background(), owner, owner, renewers, 0)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestATokenExpiresUnlessItIsRenewedAndAtLastAllTheSame(t *testing.T) {
	r := newRig(t).open(t, Config{})
	made := r.make(t, alice, bob)
	if made.Expires.Sub(made.Issued) != DefaultLifetime || made.Max.Sub(made.Issued) != DefaultMaxLifetime {
		t.Fatalf("%s", made)
	}
	for day := range 7 {
		r.clock.Advance(23 * time.Hour)
		renewed, err := r.Renew(t.Context(), bob, made.HMAC, 0)
		if err != nil || renewed.Expires.After(made.Max) {
			t.Fatalf("day %d: %s, %v", day, renewed, err)
		}
	}
	if last, _ := r.Lookup(made.ID); !last.Expires.Equal(made.Max) {
		t.Errorf("at last %s, want %s", last.Expires, made.Max)
	}
	r.clock.Advance(8 * time.Hour)
	if _, there := r.Lookup(made.ID); there {
		t.Error("taken after its end")
	}
	if _, err := r.Renew(t.Context(), alice, made.HMAC, 0); !errors.Is(err, ErrExpired) {
		t.Errorf("renewed after its end: %v", err)
	}
	if _, err := r.Expire(t.Context(), alice, made.HMAC, time.Hour); !errors.Is(err, ErrExpired) {
		t.Errorf("set to expire after its end: %v", err)
	}
	if _, err := r.Expire(t.Context(), carol, made.HMAC, time.Hour); !errors.Is(err, ErrNotOwner) {
		t.Errorf("set to expire after its end, by somebody else: %v", err)
	}
	if gone, err := r.Remove(t.Context(), alice, made.HMAC); err != nil || r.Len() != 0 || !gone.Expires.Equal(r.now()) {
		t.Errorf("removed after its end: %v, %d left, %s", err, r.Len(), gone)
	}
}

func TestOnlyOwnersAndRenewersChangeAToken(t *testing.T) {
	r := newRig(t).open(t, Config{})
	var made Token
	var err error // bob makes it for alice, and has no more of it than that
	if made, err = r.Create(t.Context(), alice, bob, []principal.Principal{principal.Of("dave")}, 0); err != nil {
		t.Fatal(err)
	}
	if !made.Of(alice) || !made.Of(bob) || !made.Of(principal.Of("dave")) || made.Of(carol) {
		t.Error("it is somebody else's to see")
	}
	for _, who := range []principal.Principal{bob, carol, principal.Anonymous, {}} {
		if _, err := r.Renew(t.Context(), who, made.HMAC, 0); !errors.Is(err, ErrNotOwner) {
			t.Errorf("%s renews: %v", who, err)
		}
		if _, err := r.Expire(t.Context(), who, made.HMAC, 0); !errors.Is(err, ErrNotOwner) {
			t.Errorf("%s expires: %v", who, err)
		}
		if _, err := r.Remove(t.Context(), who, made.HMAC); !errors.Is(err, ErrNotOwner) {
			t.Errorf("%s removes: %v", who, err)
		}
	}
	for _, secret := range [][]byte{nil, {}, []byte(made.ID), made.HMAC[:63], append([]byte{0}, made.HMAC...), make([]byte, 64)} {
		if _, err := r.Renew(t.Context(), alice, secret, 0); !errors.Is(err, ErrNotFound) {
			t.Errorf("renewed by a secret of %d bytes: %v", len(secret), err)
		}
	}
	for _, who := range []principal.Principal{alice, principal.Of("dave")} {
		if _, err := r.Expire(t.Context(), who, made.HMAC, time.Minute); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
}

// TestTokensSurviveARestart opens a book again: what was answered is there, what was removed is not, and the key is the same.
func TestTokensSurviveARestart(t *testing.T) {
	r := newRig(t).open(t, Config{})
	kept, gone := r.make(t, alice, bob), r.make(t, alice)
	kept, err := r.Renew(t.Context(), bob, kept.HMAC, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Remove(t.Context(), alice, gone.HMAC); err != nil {
		t.Fatal(err)
	}
	r.open(t, Config{})
	found, there := r.Lookup(kept.ID)
	if !there || found.Password() != kept.Password() || found.String() != kept.String() || !found.Of(bob) || found.Of(carol) || !found.Max.Equal(kept.Max) {
		t.Errorf("%v %t, want %v", found, there, kept)
	}
	for _, m := range scram.Mechanisms {
		if c := found.Credentials[m]; !c.Matches(m, kept.Password()) {
			t.Errorf("%s does not know its secret", m)
		}
	}
	if _, there := r.Lookup(gone.ID); there || r.Len() != 1 {
		t.Errorf("%d tokens, the one removed among them: %t", r.Len(), there)
	}
	if _, err := r.Renew(t.Context(), alice, kept.HMAC, 0); err != nil {
		t.Error(err)
	}
}

func TestTokensAreBounded(t *testing.T) {
	r := newRig(t).open(t, Config{MaxTokens: 3, MaxMade: 2})
	first := r.make(t, alice)
	r.make(t, alice)
	if _, err := r.Create(t.Context(), bob, alice, nil, 0); !errors.Is(err, ErrTooMany) {
		t.Errorf("a third of one principal: %v", err)
	}
	r.make(t, bob)
	if _, err := r.Create(t.Context(), carol, carol, nil, 0); !errors.Is(err, ErrTooMany) {
		t.Errorf("a fourth of all: %v", err)
	}
	if _, err := r.Remove(t.Context(), alice, first.HMAC); err != nil {
		t.Fatal(err)
	}
	r.make(t, alice)
	long := principal.Of(strings.Repeat("x", MaxName+1))
	for name, err := range map[string]error{
		"a long owner":    second(r.Create(t.Context(), long, carol, nil, 0)),
		"a long renewer":  second(r.Create(t.Context(), carol, carol, []principal.Principal{long}, 0)),
		"nobody's":        second(r.Create(t.Context(), principal.Principal{Type: "User"}, carol, nil, 0)),
		"without a type":  second(r.Create(t.Context(), principal.Principal{Name: "x"}, carol, nil, 0)),
		"for a multitude": second(r.Create(t.Context(), carol, carol, make([]principal.Principal, MaxRenewers+1), 0)),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ Token, err error) error { return err }

// TestExpiredTokensAreRemoved lets a book run for a day and more.
func TestExpiredTokensAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.store = memstate.New(clock.Real())
		book, err := Open(t.Context(), Config{}, Deps{Store: r.store, Clock: clock.Real(), Random: rand.NewChaCha8([32]byte{1}), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		r.Book = book
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); book.Run(ctx) }()
		r.make(t, alice)
		kept := r.make(t, bob)
		time.Sleep(20 * time.Hour)
		if _, err := r.Renew(t.Context(), bob, kept.HMAC, 0); err != nil || r.Len() != 2 {
			t.Fatalf("%v, %d tokens", err, r.Len())
		}
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		if _, there := r.Lookup(kept.ID); !there || r.Len() != 1 {
			t.Errorf("%d tokens are left", r.Len())
		}
		if docs, err := r.store.List(t.Context(), kind, ""); err != nil || len(docs) != 1 {
			t.Errorf("%d are kept, %v", len(docs), err)
		}
		stop()
		<-done
	})
}

// TestTokensDoNotShowTheirSecrets prints and logs one in every way.
func TestTokensDoNotShowTheirSecrets(t *testing.T) {
	r := newRig(t).open(t, Config{})
	made := r.make(t, alice)
	r.deps.Logger.Info("token", "t", made, "p", &made)
	slog.New(slog.NewJSONHandler(r.text, nil)).Info("token", "t", made, "p", &made)
	text := fmt.Sprintf("%v %+v %#v %s %v", made, made, made, made, &made) + r.text.String()
	for _, secret := range []string{made.Password(), fmt.Sprint(made.HMAC), fmt.Sprintf("%x", made.HMAC), string(made.HMAC), "storedKey"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows %q", text, secret)
		}
	}
}

// failing is a store whose changes fail.
type failing struct{ state.Store }

func (failing) Apply(context.Context, ...state.Change) ([]int64, error) {
	return nil, state.ErrFull
}

func TestWhatCannotBeKeptIsNotThere(t *testing.T) {
	r := newRig(t).open(t, Config{})
	made := r.make(t, alice)
	r.deps.Store = failing{r.store}
	if _, err := r.Create(t.Context(), alice, alice, nil, 0); !errors.Is(err, state.ErrFull) {
		t.Error(err)
	}
	if _, err := r.Renew(t.Context(), alice, made.HMAC, time.Minute); !errors.Is(err, state.ErrFull) {
		t.Error(err)
	}
	if _, err := r.Remove(t.Context(), alice, made.HMAC); !errors.Is(err, state.ErrFull) {
		t.Error(err)
	}
	if found, there := r.Lookup(made.ID); !there || !found.Expires.Equal(made.Expires) || r.Len() != 1 {
		t.Errorf("%v, %d tokens", found, r.Len())
	}
}

// FuzzSecrets lets anybody try anything on a token: only its secret, in the hands of its owner, changes it.
func FuzzSecrets(f *testing.F) {
	r := newRig(f).open(f, Config{})
	made := r.make(f, alice, bob)
	f.Add("alice", made.HMAC, int64(1000))
	f.Add("carol", made.HMAC, int64(-1))
	f.Add("alice", []byte(made.Password()), int64(1)<<62)
	f.Fuzz(func(t *testing.T, name string, secret []byte, period int64) {
		who, right := principal.Of(name), string(secret) == string(made.HMAC)
		for what, change := range map[string]func() (Token, error){
			"renewed": func() (Token, error) { return r.Renew(t.Context(), who, secret, time.Duration(period)) },
			"expires": func() (Token, error) { return r.Expire(t.Context(), who, secret, time.Duration(max(1, period))) },
		} {
			changed, err := change()
			if want := right && (who == alice || who == bob); (err == nil) != want {
				t.Errorf("%s by %s: %v", what, who, err)
			}
			if err == nil && (changed.Expires.After(made.Max) || changed.Expires.Before(made.Issued)) {
				t.Errorf("%s until %s", what, changed.Expires)
			}
		}
		if _, err := r.Remove(t.Context(), who, secret); (err == nil) != (right && (who == alice || who == bob)) {
			t.Errorf("removed by %s: %v", who, err)
		} else if err == nil {
			r.deps.Random = rand.NewChaCha8([32]byte{1}) // the same token again
			made = r.make(t, alice, bob)
		}
	})
}
