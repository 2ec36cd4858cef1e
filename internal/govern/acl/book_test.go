package acl_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

func open(t *testing.T, store state.Store, config acl.Config) *acl.Book {
	t.Helper()
	b, err := acl.Open(t.Context(), store, config)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBookKeepsBindings(t *testing.T) {
	store := memstate.New(clock.Real())
	first := open(t, store, acl.Config{})
	one := rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "t")
	other := rule(acl.Deny, acl.All, acl.Group, acl.Prefixed, "g", acl.Everyone, home)
	who := acl.Subject{Principal: alice, Host: home}
	before := first.Version()
	if errs := first.Create(t.Context(), []acl.Binding{one, other, one}); errors.Join(errs...) != nil {
		t.Fatal(errs)
	}
	if !first.Authorize(who, acl.Describe, acl.Topic, "t") || first.Authorize(who, acl.Read, acl.Group, "g1") || first.Version() == before {
		t.Error("the rules do not hold")
	}
	second := open(t, store, acl.Config{})
	if found, err := second.Find(acl.Every); err != nil || !slices.Equal(found, []acl.Binding{one, other}) {
		t.Errorf("after a restart: %+v, %v", found, err)
	}
	name := "t"
	filter := acl.Every
	filter.Name = &name
	before = second.Version()
	removed := second.Delete(t.Context(), []acl.Filter{filter, acl.Every, {}})
	if !slices.Equal(removed[0].Bindings, []acl.Binding{one}) || !slices.Equal(removed[1].Bindings, []acl.Binding{one, other}) {
		t.Errorf("removed %+v", removed)
	}
	if !errors.Is(removed[2].Err, acl.ErrInvalid) || second.Len() != 0 || second.Version() == before {
		t.Errorf("error %v, %d left", removed[2].Err, second.Len())
	}
	if third := open(t, store, acl.Config{}); third.Len() != 0 {
		t.Errorf("%d after another restart", third.Len())
	}
}

func TestBookIsBounded(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), acl.Config{MaxBindings: 2})
	var all []acl.Binding
	for i := range 3 {
		all = append(all, rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, fmt.Sprint("t", i)))
	}
	errs := b.Create(t.Context(), all)
	if errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], acl.ErrTooMany) || b.Len() != 2 {
		t.Errorf("%v, %d bindings", errs, b.Len())
	}
	if errs = b.Create(t.Context(), all[:2]); errors.Join(errs...) != nil {
		t.Errorf("again: %v", errs)
	}
}

func TestBookRefusesWhatCannotBeARule(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), acl.Config{})
	good := rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "t")
	for name, edit := range map[string]func(*acl.Binding){
		"resource":       func(b *acl.Binding) { b.Resource = acl.AnyResource },
		"resource 8":     func(b *acl.Binding) { b.Resource = 8 },
		"pattern":        func(b *acl.Binding) { b.Pattern = acl.MatchPattern },
		"operation":      func(b *acl.Binding) { b.Operation = acl.AnyOperation },
		"permission":     func(b *acl.Binding) { b.Permission = acl.AnyPermission },
		"name":           func(b *acl.Binding) { b.Name = "" },
		"cluster's name": func(b *acl.Binding) { b.Resource = acl.Cluster },
		"host":           func(b *acl.Binding) { b.Host = "" },
		"principal":      func(b *acl.Binding) { b.Principal = "alice" },
		"UTF-8":          func(b *acl.Binding) { b.Name = "\xff" },
		"length":         func(b *acl.Binding) { b.Name = string(make([]byte, acl.MaxName+1)) },
	} {
		bad := good
		edit(&bad)
		if errs := b.Create(t.Context(), []acl.Binding{bad}); !errors.Is(errs[0], acl.ErrInvalid) {
			t.Errorf("%s: %v", name, errs[0])
		}
	}
	if b.Len() != 0 {
		t.Errorf("%d bindings", b.Len())
	}
}

func TestSuperUsersMayDoEverything(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), acl.Config{SuperUsers: []string{alice}})
	b.Create(t.Context(), []acl.Binding{rule(acl.Deny, acl.All, acl.Topic, acl.Literal, "*", acl.Everyone)})
	root, bob := acl.Subject{Principal: alice, Host: home}, acl.Subject{Principal: "User:bob", Host: home}
	if !b.Authorize(root, acl.Delete, acl.Topic, "t") || !b.AuthorizeAny(root, acl.Write, acl.Topic) {
		t.Error("the super user is denied")
	}
	if b.Authorize(bob, acl.Read, acl.Topic, "t") || b.AuthorizeAny(bob, acl.Write, acl.Topic) {
		t.Error("somebody else is allowed")
	}
	if _, err := acl.Open(t.Context(), memstate.New(clock.Real()), acl.Config{SuperUsers: []string{"alice"}}); !errors.Is(err, acl.ErrInvalid) {
		t.Errorf("a super user without type: %v", err)
	}
}

func TestOpenBookAllowsWhatNoRuleIsAbout(t *testing.T) {
	b := open(t, memstate.New(clock.Real()), acl.Config{Open: true})
	who := acl.Subject{Principal: alice, Host: home}
	if !b.Authorize(who, acl.Read, acl.Topic, "t") || !b.AuthorizeAny(who, acl.Write, acl.Topic) {
		t.Error("an open resource is closed")
	}
	b.Create(t.Context(), []acl.Binding{rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "*", "User:bob")})
	if b.Authorize(who, acl.Read, acl.Topic, "t") || b.AuthorizeAny(who, acl.Write, acl.Topic) {
		t.Error("a closed resource is open")
	}
}

// broken fails every Apply.
type broken struct{ state.Store }

func (broken) Apply(context.Context, ...state.Change) ([]int64, error) { return nil, state.ErrFull }

func TestNothingChangesThatIsNotKept(t *testing.T) {
	store := memstate.New(clock.Real())
	one := rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "t")
	open(t, store, acl.Config{}).Create(t.Context(), []acl.Binding{one})
	b := open(t, broken{store}, acl.Config{})
	other := rule(acl.Allow, acl.Write, acl.Topic, acl.Literal, "t")
	if errs := b.Create(t.Context(), []acl.Binding{other}); !errors.Is(errs[0], state.ErrFull) {
		t.Error(errs)
	}
	if removed := b.Delete(t.Context(), []acl.Filter{acl.Every}); !errors.Is(removed[0].Err, state.ErrFull) || removed[0].Bindings != nil {
		t.Errorf("%+v", removed)
	}
	if found, err := b.Find(acl.Every); err != nil || !slices.Equal(found, []acl.Binding{one}) {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestNames(t *testing.T) {
	if got, want := fmt.Sprint(rule(acl.Deny, acl.TwoPhaseCommit, acl.User, acl.Prefixed, "x")), "DENY User:alice from * TWO_PHASE_COMMIT PREFIXED USER x"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := acl.Resource(-3).String() + acl.Operation(99).String(); got != "-399" {
		t.Error(got)
	}
}
