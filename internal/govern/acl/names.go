package acl

import (
	"fmt"
	"strconv"
)

var resourceNames = [...]string{1: "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER"}

var patternNames = [...]string{1: "ANY", "MATCH", "LITERAL", "PREFIXED"}

var operationNames = [...]string{
	1: "ANY", "ALL", "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "CLUSTER_ACTION", "DESCRIBE_CONFIGS", "ALTER_CONFIGS",
	"IDEMPOTENT_WRITE", "CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT",
}

var permissionNames = [...]string{1: "ANY", "DENY", "ALLOW"}

// String returns the name that Apache Kafka has for r.
func (r Resource) String() string { return named(resourceNames[:], int(r)) }

// String returns the name that Apache Kafka has for p.
func (p Pattern) String() string { return named(patternNames[:], int(p)) }

// String returns the name that Apache Kafka has for o.
func (o Operation) String() string { return named(operationNames[:], int(o)) }

// String returns the name that Apache Kafka has for p.
func (p Permission) String() string { return named(permissionNames[:], int(p)) }

func named(names []string, n int) string {
	if n < 1 || n >= len(names) {
		return strconv.Itoa(n)
	}
	return names[n]
}

// String returns b in one line, for logs: ALLOW User:alice from * READ LITERAL TOPIC t.
func (b Binding) String() string {
	return fmt.Sprintf("%s %s from %s %s %s %s %s", b.Permission, b.Principal, b.Host, b.Operation, b.Pattern, b.Resource, b.Name)
}
