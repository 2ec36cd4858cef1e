package acl_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/govern/acl"
)

const (
	alice = "User:alice"
	home  = "192.0.2.1"
)

// rule reads a binding from words: allow|deny operation kind literal|prefixed name [principal [host]].
func rule(permission acl.Permission, op acl.Operation, kind acl.Resource, pattern acl.Pattern, name string, more ...string) acl.Binding {
	b := acl.Binding{Resource: kind, Pattern: pattern, Name: name, Principal: alice, Host: acl.Wildcard, Operation: op, Permission: permission}
	if len(more) > 0 {
		b.Principal = more[0]
	}
	if len(more) > 1 {
		b.Host = more[1]
	}
	return b
}

func index(bindings ...acl.Binding) *acl.Index {
	x := acl.NewIndex()
	for _, b := range bindings {
		if err := b.Check(); err != nil {
			panic(err)
		}
		x.Add(b)
	}
	return x
}

func TestAuthorize(t *testing.T) {
	const (
		topic, literal, prefixed = acl.Topic, acl.Literal, acl.Prefixed
		deny, allow              = acl.Deny, acl.Allow
	)
	for _, row := range []struct {
		name  string
		rules []acl.Binding
		op    acl.Operation
		open  bool
		want  bool
	}{
		{"no rule", nil, acl.Read, false, false},
		{"no rule, open", nil, acl.Read, true, true},
		{"a rule for somebody else closes", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1", "User:bob")}, acl.Read, true, false},
		{"a rule of another topic does not close", []acl.Binding{rule(allow, acl.Read, topic, literal, "t2")}, acl.Read, true, true},
		{"a rule of another kind does not close", []acl.Binding{rule(allow, acl.Read, acl.Group, literal, "t1")}, acl.Read, true, true},
		{"a prefix for somebody else closes", []acl.Binding{rule(allow, acl.Read, topic, prefixed, "t", "User:bob")}, acl.Read, true, false},
		{"literal", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1")}, acl.Read, false, true},
		{"literal of another name", []acl.Binding{rule(allow, acl.Read, topic, literal, "t")}, acl.Read, false, false},
		{"prefix", []acl.Binding{rule(allow, acl.Read, topic, prefixed, "t")}, acl.Read, false, true},
		{"prefix that is the name", []acl.Binding{rule(allow, acl.Read, topic, prefixed, "t1")}, acl.Read, false, true},
		{"prefix longer than the name", []acl.Binding{rule(allow, acl.Read, topic, prefixed, "t11")}, acl.Read, false, false},
		{"wildcard", []acl.Binding{rule(allow, acl.Read, topic, literal, "*")}, acl.Read, false, true},
		{"a prefixed star is a letter", []acl.Binding{rule(allow, acl.Read, topic, prefixed, "*")}, acl.Read, false, false},
		{"everyone", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1", acl.Everyone)}, acl.Read, false, true},
		{"host", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1", alice, home)}, acl.Read, false, true},
		{"other host", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1", alice, "192.0.2.2")}, acl.Read, false, false},
		{"all", []acl.Binding{rule(allow, acl.All, topic, literal, "t1")}, acl.AlterConfigs, false, true},
		{"read implies describe", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1")}, acl.Describe, false, true},
		{"write implies describe", []acl.Binding{rule(allow, acl.Write, topic, literal, "t1")}, acl.Describe, false, true},
		{"delete implies describe", []acl.Binding{rule(allow, acl.Delete, topic, literal, "t1")}, acl.Describe, false, true},
		{"alter implies describe", []acl.Binding{rule(allow, acl.Alter, topic, literal, "t1")}, acl.Describe, false, true},
		{"create does not", []acl.Binding{rule(allow, acl.Create, topic, literal, "t1")}, acl.Describe, false, false},
		{"alter configs implies describe configs", []acl.Binding{rule(allow, acl.AlterConfigs, topic, literal, "t1")}, acl.DescribeConfigs, false, true},
		{"but not describe", []acl.Binding{rule(allow, acl.AlterConfigs, topic, literal, "t1")}, acl.Describe, false, false},
		{"describe implies nothing", []acl.Binding{rule(allow, acl.Describe, topic, literal, "t1")}, acl.Read, false, false},
		{"deny first", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1"), rule(deny, acl.Read, topic, prefixed, "t")}, acl.Read, false, false},
		{"a wildcard's deny", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1"), rule(deny, acl.Read, topic, literal, "*")}, acl.Read, false, false},
		{"deny of all", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1"), rule(deny, acl.All, topic, literal, "t1", acl.Everyone)}, acl.Read, false, false},
		{"deny for another host", []acl.Binding{rule(allow, acl.Read, topic, literal, "t1"), rule(deny, acl.Read, topic, literal, "t1", alice, "192.0.2.9")}, acl.Read, false, true},
		{"denied read leaves describe", []acl.Binding{rule(allow, acl.All, topic, literal, "t1"), rule(deny, acl.Read, topic, literal, "t1")}, acl.Describe, false, true},
		{"denied describe leaves read", []acl.Binding{rule(allow, acl.All, topic, literal, "t1"), rule(deny, acl.Describe, topic, literal, "t1")}, acl.Read, false, true},
	} {
		if got := index(row.rules...).Authorize(acl.Subject{Principal: alice, Host: home}, row.op, topic, "t1", row.open); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

func TestAuthorizeAny(t *testing.T) {
	const (
		topic, literal, prefixed = acl.Topic, acl.Literal, acl.Prefixed
		deny, allow              = acl.Deny, acl.Allow
	)
	for _, row := range []struct {
		name  string
		rules []acl.Binding
		want  bool
	}{
		{"nothing", nil, false},
		{"literal", []acl.Binding{rule(allow, acl.Write, topic, literal, "t")}, true},
		{"all", []acl.Binding{rule(allow, acl.All, topic, prefixed, "t")}, true},
		{"another operation", []acl.Binding{rule(allow, acl.Read, topic, literal, "t")}, false},
		{"another kind", []acl.Binding{rule(allow, acl.Write, acl.Group, literal, "t")}, false},
		{"somebody else", []acl.Binding{rule(allow, acl.Write, topic, literal, "t", "User:bob")}, false},
		{"everyone", []acl.Binding{rule(allow, acl.Write, topic, literal, "t", acl.Everyone)}, true},
		{"another host", []acl.Binding{rule(allow, acl.Write, topic, literal, "t", alice, "192.0.2.9")}, false},
		{"wildcard, though some are denied", []acl.Binding{rule(allow, acl.Write, topic, literal, "*"), rule(deny, acl.Write, topic, prefixed, "t")}, true},
		{"denied wildcard", []acl.Binding{rule(allow, acl.Write, topic, literal, "t"), rule(deny, acl.Write, topic, literal, "*")}, false},
		{"the same name denied", []acl.Binding{rule(allow, acl.Write, topic, literal, "t"), rule(deny, acl.All, topic, literal, "t")}, false},
		{"a shorter prefix denied", []acl.Binding{rule(allow, acl.Write, topic, prefixed, "team-a"), rule(deny, acl.Write, topic, prefixed, "team")}, false},
		{"the same prefix denied", []acl.Binding{rule(allow, acl.Write, topic, prefixed, "team"), rule(deny, acl.Write, topic, prefixed, "team")}, false},
		{"a longer prefix denied", []acl.Binding{rule(allow, acl.Write, topic, prefixed, "team"), rule(deny, acl.Write, topic, prefixed, "team-a")}, true},
		{"a literal denied within a prefix", []acl.Binding{rule(allow, acl.Write, topic, prefixed, "t"), rule(deny, acl.Write, topic, literal, "t")}, true},
		{"one of two denied", []acl.Binding{
			rule(allow, acl.Write, topic, literal, "a"), rule(deny, acl.Write, topic, literal, "a"), rule(allow, acl.Write, topic, literal, "b"),
		}, true},
	} {
		if got := index(row.rules...).AuthorizeAny(acl.Subject{Principal: alice, Host: home}, acl.Write, topic); got != row.want {
			t.Errorf("%s: %t", row.name, got)
		}
	}
}

// model is a set of bindings that looks at each of them.
type model []acl.Binding

func (m model) authorize(who acl.Subject, op acl.Operation, kind acl.Resource, name string, open bool) bool {
	found, granted := false, false
	for _, b := range m {
		about := b.Pattern == acl.Literal && (b.Name == name || b.Name == "*") || b.Pattern == acl.Prefixed && strings.HasPrefix(name, b.Name)
		if b.Resource != kind || !about {
			continue
		}
		found = true
		if b.Principal != who.Principal && b.Principal != acl.Everyone || b.Host != "*" && b.Host != who.Host {
			continue
		}
		implied := op == acl.Describe && slices.Contains([]acl.Operation{acl.Read, acl.Write, acl.Delete, acl.Alter}, b.Operation) ||
			op == acl.DescribeConfigs && b.Operation == acl.AlterConfigs
		named := b.Operation == op || b.Operation == acl.All
		if b.Permission == acl.Deny && named {
			return false
		}
		granted = granted || b.Permission == acl.Allow && (named || implied)
	}
	return granted || !found && open
}

// drawn draws from few values each, so that rules meet.
func drawn(r *rand.Rand) acl.Binding {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	return acl.Binding{
		Resource: acl.Topic + acl.Resource(r.IntN(2)), Pattern: acl.Literal + acl.Pattern(r.IntN(2)), Name: pick("*", "a", "ab", "abc", "b"),
		Principal: pick(alice, "User:bob", acl.Everyone), Host: pick("*", home, "192.0.2.2"),
		Operation: acl.All + acl.Operation(r.IntN(int(acl.TwoPhaseCommit-acl.All)+1)), Permission: acl.Deny + acl.Permission(min(1, r.IntN(4))),
	}
}

// TestIndexAgreesWithAModel adds and removes bindings, and asks the index and a plain list the same questions.
func TestIndexAgreesWithAModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		x, m := acl.NewIndex(), model{}
		for range 40 {
			if b := drawn(r); r.IntN(3) > 0 || len(m) == 0 {
				x.Add(b)
				if !slices.Contains(m, b) {
					m = append(m, b)
				}
			} else {
				b := m[r.IntN(len(m))]
				x.Remove(b)
				m = slices.DeleteFunc(m, func(o acl.Binding) bool { return o == b })
			}
			if x.Len() != len(m) {
				t.Fatalf("%d bindings, want %d", x.Len(), len(m))
			}
			ask := drawn(r)
			who, open := acl.Subject{Principal: ask.Principal, Host: ask.Host}, r.IntN(2) == 0
			got, want := x.Authorize(who, ask.Operation, ask.Resource, ask.Name, open), m.authorize(who, ask.Operation, ask.Resource, ask.Name, open)
			if got != want {
				t.Fatalf("%+v, open %t: %t, want %t\n%+v", ask, open, got, want, m)
			}
		}
	}
}

// BenchmarkAuthorize asks an index of 10,000 bindings.
func BenchmarkAuthorize(b *testing.B) {
	x := acl.NewIndex()
	for i := range 10_000 {
		pattern := acl.Literal
		if i%4 == 0 {
			pattern = acl.Prefixed
		}
		x.Add(rule(acl.Allow, acl.Read, acl.Topic, pattern, fmt.Sprintf("team-%d.topic-%d", i%100, i), fmt.Sprintf("User:u%d", i%50)))
	}
	who := acl.Subject{Principal: "User:u1", Host: home}
	b.ReportAllocs()
	for b.Loop() {
		if !x.Authorize(who, acl.Read, acl.Topic, "team-1.topic-1", false) || x.Authorize(who, acl.Read, acl.Topic, "team-2.topic-2", false) {
			b.Fatal("wrong answer")
		}
	}
}
