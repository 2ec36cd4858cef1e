// Package lint is the rules of the tree as tests: which package may import which, who may read the wall clock, that nobody uses global
// randomness, how imports are grouped, and that every package says what it is. forbidden holds the arrows.
//
// It refuses to judge what gofmt, vet and the linters judge.
package lint

import "strings"

// rooms are the parts of the tree; the first prefix that matches decides. A room may import itself, the contracts, and what it names.
var rooms = []struct {
	prefix string
	may    []string
}{
	{"cmd/", []string{"internal/"}},
	{"internal/app", []string{"internal/"}},
	// The agent is a client of any endpoint, ours or not.
	{"internal/agent", nil},
	// So is what copies between clusters.
	{"internal/transfer", nil},
	{"internal/engine", []string{"internal/vfs"}},
	{"internal/backend/", []string{"internal/vfs"}},
	{"internal/vfs", nil},
	{"internal/protocol/kafka", []string{"internal/govern/"}},
	{"internal/protocol/aws", []string{"internal/tlsca", "internal/govern/"}},
	{"internal/tlsca", []string{"internal/vfs"}},
	{"internal/watchfile", nil},
	{"internal/tlsfiles", []string{"internal/watchfile"}},
	// Who asks, and what they may do: for every protocol and service.
	{"internal/govern/", []string{"internal/govern/principal", "internal/govern/acl", "internal/govern/scram", "internal/watchfile"}},
	{"internal/service/", []string{"internal/protocol/aws", "internal/flow", "internal/govern/"}},
	{"internal/flow", nil},
	{"internal/tier", nil},
	{"internal/lint", nil},
}

// contracts may be imported by everyone. They import each other from right to left only, and nothing else.
var contracts = []string{"internal/clock", "internal/batch", "internal/stream", "internal/state", "internal/object"}

// forbidden returns why the package in directory from may not import the one in directory to, or "".
func forbidden(from, to string) string {
	if level := contractLevel(from); level >= 0 {
		if to := contractLevel(to); to >= 0 && to <= level {
			return ""
		}
		return "a contract knows only the contracts before it"
	}
	if contractLevel(to) >= 0 {
		return ""
	}
	if !strings.HasPrefix(from, "internal/") && !strings.HasPrefix(from, "cmd/") {
		if strings.HasPrefix(to, "cmd/") {
			return "a command is not a library"
		}
		return "" // tools, interop and bench look at everything
	}
	for _, r := range rooms {
		if !within(from, r.prefix) {
			continue
		}
		if own := ownRoom(from, r.prefix); within(to, own) {
			return ""
		}
		for _, p := range r.may {
			if within(to, p) {
				return ""
			}
		}
		return r.prefix + " may import the contracts and " + strings.Join(append([]string{"itself"}, r.may...), ", ")
	}
	return "the importing package has no room in the list of arrows"
}

// ownRoom returns the part of the tree that counts as the package itself: of a family such as internal/service/ one member.
func ownRoom(from, prefix string) string {
	if !strings.HasSuffix(prefix, "/") {
		return prefix
	}
	member, _, _ := strings.Cut(strings.TrimPrefix(from, prefix), "/")
	return prefix + member
}

func within(dir, prefix string) bool {
	return dir == prefix || strings.HasPrefix(dir, strings.TrimSuffix(prefix, "/")+"/")
}

// contractLevel returns the place of the contract that dir belongs to, with its in-memory body and its suite, or -1.
func contractLevel(dir string) int {
	for i, c := range contracts {
		if within(dir, c) {
			return i
		}
	}
	return -1
}
