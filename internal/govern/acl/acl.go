// Package acl decides who may do what by access control lists, as Apache Kafka's authorizer does (KIP-11, KIP-290). Binding is one rule; Index
// answers for a set of them; Book is a set that is kept in the state store, with super users and what goes for resources without rules.
//
// An operation is refused if any rule that denies it matches, then allowed if any that allows it does. To be allowed Read, Write, Delete or Alter is
// to be allowed Describe, and AlterConfigs implies DescribeConfigs; nothing is implied by a refusal.
//
// It refuses to know requests and connections: who asks is a principal, as "User:alice", and an address.
package acl

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Resource is a kind of what is protected, by the number that the protocol has for it.
type Resource int8

// The kinds of resources.
const (
	AnyResource     Resource = 1 // in filters
	Topic           Resource = 2
	Group           Resource = 3
	Cluster         Resource = 4 // there is one, ClusterName
	TransactionalID Resource = 5
	DelegationToken Resource = 6
	User            Resource = 7
)

// Pattern says how a binding's name is compared with that of a resource.
type Pattern int8

// The patterns.
const (
	AnyPattern   Pattern = 1 // in filters: literal and prefixed ones of that name
	MatchPattern Pattern = 2 // in filters: those that match a resource of that name
	Literal      Pattern = 3 // the name itself, or Wildcard for all
	Prefixed     Pattern = 4 // all names that begin with it
)

// Operation is what is done to a resource.
type Operation int8

// The operations.
const (
	AnyOperation    Operation = 1 // in filters
	All             Operation = 2 // in bindings: every one of them
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
	CreateTokens    Operation = 13
	DescribeTokens  Operation = 14
	TwoPhaseCommit  Operation = 15
)

// Permission says what a binding does.
type Permission int8

// The permissions.
const (
	AnyPermission Permission = 1 // in filters
	Deny          Permission = 2
	Allow         Permission = 3
)

const (
	// Wildcard is the name of a literal pattern that matches every resource, and the host from which everyone comes.
	Wildcard = "*"
	// Everyone is the principal that every client is.
	Everyone = "User:*"
	// ClusterName is the name of the one resource of the kind Cluster.
	ClusterName = "kafka-cluster"
)

// The bounds of a binding's texts, in bytes.
const (
	MaxName      = 4 << 10
	MaxPrincipal = 4 << 10
	MaxHost      = 256
)

// Binding is one rule: what it is about, for whom it goes, and what it does.
type Binding struct {
	Resource   Resource   `json:"resource"`
	Pattern    Pattern    `json:"pattern"`
	Name       string     `json:"name"`
	Principal  string     `json:"principal"`
	Host       string     `json:"host"` // the client's IP address, or Wildcard
	Operation  Operation  `json:"operation"`
	Permission Permission `json:"permission"`
}

// ErrInvalid is what errors are about bindings and filters that cannot be.
var ErrInvalid = errors.New("invalid ACL")

// invalidError says what is wrong, and is ErrInvalid.
type invalidError string

func (e invalidError) Error() string { return string(e) }

// Is implements errors.Is.
func (invalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }

// Check returns ErrInvalid with a reason if b cannot be a rule.
func (b *Binding) Check() error {
	switch {
	case b.Resource < Topic || b.Resource > User:
		return invalid("Invalid resourceType %d", b.Resource)
	case b.Pattern != Literal && b.Pattern != Prefixed:
		return invalid("Invalid patternType %d", b.Pattern)
	case b.Permission != Deny && b.Permission != Allow:
		return invalid("Invalid permissionType %d", b.Permission)
	case b.Operation < All || b.Operation > TwoPhaseCommit:
		return invalid("Invalid operation %d", b.Operation)
	case b.Name == "":
		return invalid("Invalid empty resource name")
	case b.Resource == Cluster && b.Name != ClusterName:
		return invalid("The only valid name for the CLUSTER resource is %s", ClusterName)
	case len(b.Name) > MaxName || len(b.Principal) > MaxPrincipal || len(b.Host) > MaxHost:
		return invalid("Name, principal and host must not be longer than %d, %d and %d bytes", MaxName, MaxPrincipal, MaxHost)
	case b.Host == "":
		return invalid("Invalid empty host")
	case !utf8.ValidString(b.Name) || !utf8.ValidString(b.Principal) || !utf8.ValidString(b.Host):
		return invalid("Name, principal and host must be UTF-8")
	}
	return CheckPrincipal(b.Principal)
}

// CheckPrincipal returns ErrInvalid if p is not of the form type:name, as "User:alice".
func CheckPrincipal(p string) error {
	if kind, name, ok := strings.Cut(p, ":"); !ok || kind == "" || name == "" {
		return invalid("Could not parse principal from %q: it has the form TYPE:NAME, as User:alice", p)
	}
	return nil
}

// Subject is who asks.
type Subject struct {
	Principal string // as "User:alice"
	Host      string // the client's IP address
}

// operations are what can be done to resources of a kind, which is what a client can be told that it may do.
var operations = map[Resource][]Operation{
	Topic:           {Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs},
	Group:           {Read, Delete, Describe, DescribeConfigs, AlterConfigs},
	Cluster:         {Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite},
	TransactionalID: {Write, Describe, TwoPhaseCommit},
	DelegationToken: {Describe},
	User:            {CreateTokens, DescribeTokens},
}

// Operations returns what can be done to resources of a kind. It must not be written to.
func Operations(kind Resource) []Operation { return operations[kind] }

// allows says whether a rule that allows the operation given allows op.
func allows(given, op Operation) bool {
	if given == op || given == All {
		return true
	}
	switch op {
	case Describe:
		return given == Read || given == Write || given == Delete || given == Alter
	case DescribeConfigs:
		return given == AlterConfigs
	}
	return false
}

// denies says whether a rule that denies the operation given denies op.
func denies(given, op Operation) bool { return given == op || given == All }
