package acl_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/govern/acl"
)

func TestFilters(t *testing.T) {
	text := func(s string) *string { return &s }
	all := []acl.Binding{
		rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "*"),
		rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "t1"),
		rule(acl.Deny, acl.Write, acl.Topic, acl.Literal, "t1", "User:bob", home),
		rule(acl.Allow, acl.Read, acl.Topic, acl.Prefixed, "t"),
		rule(acl.Allow, acl.Read, acl.Group, acl.Prefixed, "t1"),
	}
	x := index(all...)
	for _, row := range []struct {
		name string
		edit func(*acl.Filter)
		want []int
	}{
		{"everything", func(*acl.Filter) {}, []int{0, 1, 2, 3, 4}},
		{"kind", func(f *acl.Filter) { f.Resource = acl.Group }, []int{4}},
		{"name of any pattern", func(f *acl.Filter) { f.Name = text("t1") }, []int{1, 2, 4}},
		{"literal name", func(f *acl.Filter) { f.Name, f.Pattern = text("t1"), acl.Literal }, []int{1, 2}},
		{"all literal", func(f *acl.Filter) { f.Pattern = acl.Literal }, []int{0, 1, 2}},
		{"literal wildcard is the wildcard alone", func(f *acl.Filter) { f.Name, f.Pattern = text("*"), acl.Literal }, []int{0}},
		{"prefixed name", func(f *acl.Filter) { f.Name, f.Pattern = text("t1"), acl.Prefixed }, []int{4}},
		{"what matches a name", func(f *acl.Filter) { f.Name, f.Pattern = text("t1"), acl.MatchPattern }, []int{0, 1, 2, 3, 4}},
		{"what matches another name", func(f *acl.Filter) { f.Name, f.Pattern = text("t"), acl.MatchPattern }, []int{0, 3}},
		{"match without a name", func(f *acl.Filter) { f.Pattern = acl.MatchPattern }, []int{0, 1, 2, 3, 4}},
		{"principal", func(f *acl.Filter) { f.Principal = text("User:bob") }, []int{2}},
		{"host", func(f *acl.Filter) { f.Host = text(home) }, []int{2}},
		{"a host is not a wildcard", func(f *acl.Filter) { f.Host = text("*") }, []int{0, 1, 3, 4}},
		{"operation", func(f *acl.Filter) { f.Operation = acl.Write }, []int{2}},
		{"permission", func(f *acl.Filter) { f.Permission = acl.Deny }, []int{2}},
		{"nothing", func(f *acl.Filter) { f.Operation = acl.All }, nil},
	} {
		f := acl.Every
		row.edit(&f)
		var want []acl.Binding
		for _, i := range row.want {
			want = append(want, all[i])
		}
		if got := x.Find(f); !slices.Equal(got, want) {
			t.Errorf("%s: %+v", row.name, got)
		}
	}
}

// FuzzFilter gives a filter any numbers and texts: it is refused, or selects what a description of it in other words selects.
func FuzzFilter(f *testing.F) {
	f.Add(int8(1), int8(1), int8(1), int8(1), "", "", "", byte(0))
	f.Add(int8(2), int8(2), int8(3), int8(3), "t1", alice, home, byte(7))
	f.Add(int8(7), int8(4), int8(15), int8(2), "t", "User:bob", "*", byte(1))
	f.Add(int8(-1), int8(0), int8(16), int8(4), "x", "y", "z", byte(7))
	all := []acl.Binding{
		rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "*"), rule(acl.Allow, acl.Read, acl.Topic, acl.Literal, "t1"),
		rule(acl.Deny, acl.Write, acl.Topic, acl.Literal, "t1", "User:bob", home), rule(acl.Allow, acl.Read, acl.Topic, acl.Prefixed, "t"),
		rule(acl.Allow, acl.All, acl.User, acl.Literal, "User:bob"), rule(acl.Allow, acl.All, acl.Cluster, acl.Literal, acl.ClusterName, acl.Everyone),
	}
	x := index(all...)
	f.Fuzz(func(t *testing.T, resource, pattern, op, permission int8, name, principal, host string, set byte) {
		filter := acl.Filter{
			Resource: acl.Resource(resource), Pattern: acl.Pattern(pattern), Operation: acl.Operation(op), Permission: acl.Permission(permission),
		}
		for i, text := range []**string{&filter.Name, &filter.Principal, &filter.Host} {
			if set&(1<<i) != 0 {
				*text = &[]string{name, principal, host}[i]
			}
		}
		if err := filter.Check(); err != nil {
			if !errors.Is(err, acl.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		found := x.Find(filter)
		for _, b := range all {
			want := (resource == 1 || b.Resource == filter.Resource) && (op == 1 || b.Operation == filter.Operation) &&
				(permission == 1 || b.Permission == filter.Permission) &&
				(set&2 == 0 || b.Principal == principal) && (set&4 == 0 || b.Host == host)
			if set&1 != 0 {
				same := b.Name == name
				matching := b.Pattern == acl.Literal && (same || b.Name == "*") || b.Pattern == acl.Prefixed && strings.HasPrefix(name, b.Name)
				want = want && (filter.Pattern == acl.MatchPattern && matching || filter.Pattern != acl.MatchPattern && same)
			}
			want = want && (filter.Pattern <= acl.MatchPattern || filter.Pattern == b.Pattern)
			if got := slices.Contains(found, b); got != want {
				t.Errorf("%+v selects %+v: %t, want %t", filter, b, got, want)
			}
		}
	})
}
