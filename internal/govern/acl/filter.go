package acl

import "strings"

// Filter selects bindings. Nil texts match every text, and the numbers that mean any match every one.
type Filter struct {
	Resource   Resource
	Pattern    Pattern
	Name       *string
	Principal  *string
	Host       *string
	Operation  Operation
	Permission Permission
}

// Every is the filter that matches all bindings.
var Every = Filter{Resource: AnyResource, Pattern: AnyPattern, Operation: AnyOperation, Permission: AnyPermission}

// Check returns ErrInvalid with a reason if f has numbers that mean nothing.
func (f *Filter) Check() error {
	switch {
	case f.Resource < AnyResource || f.Resource > User:
		return invalid("Unknown resourceType %d", f.Resource)
	case f.Pattern < AnyPattern || f.Pattern > Prefixed:
		return invalid("Unknown patternType %d", f.Pattern)
	case f.Operation < AnyOperation || f.Operation > TwoPhaseCommit:
		return invalid("Unknown operation %d", f.Operation)
	case f.Permission < AnyPermission || f.Permission > Allow:
		return invalid("Unknown permissionType %d", f.Permission)
	}
	return nil
}

// Matches says whether f selects b.
func (f *Filter) Matches(b Binding) bool {
	return (f.Resource == AnyResource || f.Resource == b.Resource) &&
		(f.Operation == AnyOperation || f.Operation == b.Operation) &&
		(f.Permission == AnyPermission || f.Permission == b.Permission) &&
		matchesText(f.Principal, b.Principal) && matchesText(f.Host, b.Host) && f.matchesName(b)
}

func matchesText(want *string, have string) bool { return want == nil || *want == have }

func (f *Filter) matchesName(b Binding) bool {
	switch {
	case f.Pattern == Literal || f.Pattern == Prefixed:
		return f.Pattern == b.Pattern && matchesText(f.Name, b.Name)
	case f.Pattern == AnyPattern || f.Name == nil:
		return matchesText(f.Name, b.Name)
	case b.Pattern == Literal:
		return b.Name == *f.Name || b.Name == Wildcard
	}
	return strings.HasPrefix(*f.Name, b.Name)
}
