// Package principal names who asks: a Principal is what authentication found out and what access control decides about. It is the same for every
// protocol, in Apache Kafka's form of a type and a name, as User:alice.
//
// It refuses to know how somebody proved to be a principal, and what a principal may do.
package principal

import (
	"fmt"
	"strings"
)

// User is the type of all principals that authentication makes.
const User = "User"

// Principal is who asks. Two are the same if type and name are, in each letter's case.
type Principal struct {
	Type string // User, or another word of whoever writes access rules
	Name string // as alice, CN=alice,O=example or arn:aws:iam::000000000000:user/alice
}

// Anonymous is whoever did not authenticate.
var Anonymous = Principal{User, "ANONYMOUS"}

// Of returns the user of a name.
func Of(user string) Principal { return Principal{User, user} }

// Parse reads what String wrote: the type ends at the first colon, and neither part is empty.
func Parse(text string) (Principal, error) {
	kind, name, found := strings.Cut(text, ":")
	if !found || kind == "" || name == "" {
		return Principal{}, fmt.Errorf("%q is no principal: it has the form TYPE:NAME, as User:alice", text)
	}
	return Principal{kind, name}, nil
}

// String returns the principal as User:alice.
func (p Principal) String() string { return p.Type + ":" + p.Name }
