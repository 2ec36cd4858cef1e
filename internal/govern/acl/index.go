package acl

import (
	"maps"
	"slices"
	"strings"
)

// Index answers for a set of bindings. A question costs a few look-ups by name, and one for each length of prefix that rules of the kind have, not
// the number of rules. It is not safe for concurrent use.
type Index struct {
	bindings map[Binding]struct{}
	kinds    [User + 1]kindIndex
}

// kindIndex is the rules about one kind of resource.
type kindIndex struct {
	literal  map[string]rules
	prefixed map[string]rules
	lengths  []prefixLength // of the names in prefixed, ascending
}

type prefixLength struct{ bytes, names int }

// rules are those about one pattern, by the principal that they are for.
type rules map[string][]entry

type entry struct {
	host       string
	operation  Operation
	permission Permission
}

// NewIndex returns an index without bindings.
func NewIndex() *Index { return &Index{bindings: map[Binding]struct{}{}} }

// Len returns the number of bindings.
func (x *Index) Len() int { return len(x.bindings) }

// Has says whether b is in the set.
func (x *Index) Has(b Binding) bool {
	_, ok := x.bindings[b]
	return ok
}

// Add adds a binding, which must have been checked; one that is there already changes nothing.
func (x *Index) Add(b Binding) {
	if x.Has(b) {
		return
	}
	x.bindings[b] = struct{}{}
	k := &x.kinds[b.Resource]
	by := k.patterns(b.Pattern)
	of := by[b.Name]
	if of == nil {
		of = rules{}
		by[b.Name] = of
		if b.Pattern == Prefixed {
			k.countLength(len(b.Name), 1)
		}
	}
	of[b.Principal] = append(of[b.Principal], entry{b.Host, b.Operation, b.Permission})
}

// Remove removes a binding; one that is not there changes nothing.
func (x *Index) Remove(b Binding) {
	if !x.Has(b) {
		return
	}
	delete(x.bindings, b)
	k := &x.kinds[b.Resource]
	by := k.patterns(b.Pattern)
	of := by[b.Name]
	left := slices.DeleteFunc(of[b.Principal], func(e entry) bool { return e == entry{b.Host, b.Operation, b.Permission} })
	if of[b.Principal] = left; len(left) > 0 {
		return
	}
	if delete(of, b.Principal); len(of) > 0 {
		return
	}
	delete(by, b.Name)
	if b.Pattern == Prefixed {
		k.countLength(len(b.Name), -1)
	}
}

func (k *kindIndex) patterns(p Pattern) map[string]rules {
	if k.literal == nil {
		k.literal, k.prefixed = map[string]rules{}, map[string]rules{}
	}
	if p == Prefixed {
		return k.prefixed
	}
	return k.literal
}

func (k *kindIndex) countLength(bytes, change int) {
	at, ok := slices.BinarySearchFunc(k.lengths, bytes, func(l prefixLength, n int) int { return l.bytes - n })
	if !ok {
		k.lengths = slices.Insert(k.lengths, at, prefixLength{bytes: bytes})
	}
	if k.lengths[at].names += change; k.lengths[at].names == 0 {
		k.lengths = slices.Delete(k.lengths, at, at+1)
	}
}

// verdict is what rules say: the largest of what each says holds.
type verdict int

const (
	noRule   verdict = iota // there is none about the resource, whoever it is for
	silent                  // none matches
	allowed                 //
	refusing                // one denies
)

// Authorize says whether who may do op to the resource of a kind and name; open is the answer where no rule is about the resource.
func (x *Index) Authorize(who Subject, op Operation, kind Resource, name string, open bool) bool {
	if kind < Topic || kind > User {
		return false
	}
	switch x.kinds[kind].judge(who, op, name) {
	case noRule:
		return open
	case allowed:
		return true
	}
	return false
}

func (k *kindIndex) judge(who Subject, op Operation, name string) verdict {
	v := max(k.literal[name].judge(who, op), k.literal[Wildcard].judge(who, op))
	for _, l := range k.lengths {
		if l.bytes > len(name) || v == refusing {
			break
		}
		v = max(v, k.prefixed[name[:l.bytes]].judge(who, op))
	}
	return v
}

func (r rules) judge(who Subject, op Operation) verdict {
	if r == nil {
		return noRule
	}
	v := judge(r[who.Principal], who.Host, op)
	if who.Principal != Everyone {
		v = max(v, judge(r[Everyone], who.Host, op))
	}
	return v
}

func judge(entries []entry, host string, op Operation) verdict {
	v := silent
	for i := range entries {
		e := &entries[i]
		switch {
		case e.host != Wildcard && e.host != host:
		case e.permission == Deny && denies(e.operation, op):
			return refusing
		case e.permission == Allow && allows(e.operation, op):
			v = allowed
		}
	}
	return v
}

// AuthorizeAny says whether there may be a resource of a kind to which who may do op: whether some rule allows it that none with a shorter or equal
// pattern takes back (Kafka's Authorizer.authorizeByResourceType). Rules must name op, or All: nothing is implied here.
func (x *Index) AuthorizeAny(who Subject, op Operation, kind Resource) bool {
	if kind < Topic || kind > User {
		return false
	}
	k := &x.kinds[kind]
	if k.literal[Wildcard].gives(who, op, Deny) {
		return false
	}
	if k.literal[Wildcard].gives(who, op, Allow) {
		return true
	}
	for name, r := range k.prefixed {
		if r.gives(who, op, Allow) && !k.takenBack(who, op, name) {
			return true
		}
	}
	for name, r := range k.literal {
		if r.gives(who, op, Allow) && !r.gives(who, op, Deny) && !k.takenBack(who, op, name) {
			return true
		}
	}
	return false
}

// takenBack says whether a prefix of name is denied.
func (k *kindIndex) takenBack(who Subject, op Operation, name string) bool {
	return slices.ContainsFunc(k.lengths, func(l prefixLength) bool {
		return l.bytes <= len(name) && k.prefixed[name[:l.bytes]].gives(who, op, Deny)
	})
}

func (r rules) gives(who Subject, op Operation, permission Permission) bool {
	match := func(e entry) bool {
		return e.permission == permission && denies(e.operation, op) && (e.host == Wildcard || e.host == who.Host)
	}
	return slices.ContainsFunc(r[who.Principal], match) || slices.ContainsFunc(r[Everyone], match)
}

// Find returns the bindings that a filter matches, ordered by resource, pattern, name and then the rest.
func (x *Index) Find(f Filter) []Binding {
	var found []Binding
	for b := range maps.Keys(x.bindings) {
		if f.Matches(b) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, compare)
	return found
}

func compare(a, b Binding) int {
	for _, c := range [...]int{
		int(a.Resource) - int(b.Resource), int(a.Pattern) - int(b.Pattern), strings.Compare(a.Name, b.Name), strings.Compare(a.Principal, b.Principal),
		strings.Compare(a.Host, b.Host), int(a.Operation) - int(b.Operation),
	} {
		if c != 0 {
			return c
		}
	}
	return int(a.Permission) - int(b.Permission)
}
