package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// principalPattern is one principal of a statement.
type principalPattern struct {
	everyone bool
	account  string // all of an account
	arn      string // one user or session, or all sessions of a role
}

var (
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
	principalARN = regexp.MustCompile(`^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:[^*?]+$`)
)

// parsePrincipals reads the element Principal: "*", or {"AWS": one or many of "*", an account, an ARN}.
func parsePrincipals(text json.RawMessage) ([]principalPattern, error) {
	if text == nil {
		return nil, errors.New(`it must have a Principal, as {"AWS": "arn:aws:iam::111122223333:role/Example"}`)
	}
	if string(text) == `"*"` {
		return []principalPattern{{everyone: true}}, nil
	}
	var kinds struct {
		AWS many[string] `json:"AWS"`
	}
	if err := strict(text, &kinds); err != nil {
		return nil, fmt.Errorf("principal: %w", err)
	}
	if len(kinds.AWS) == 0 {
		return nil, errors.New("it has no principal")
	}
	var all []principalPattern
	for _, name := range kinds.AWS {
		switch {
		case name == "*":
			all = append(all, principalPattern{everyone: true})
		case accountID.MatchString(name):
			all = append(all, principalPattern{account: name})
		case !principalARN.MatchString(name):
			return nil, fmt.Errorf("principal %q is neither *, an account nor the ARN of one", name)
		case strings.HasSuffix(name, ":root"):
			all = append(all, principalPattern{account: strings.Split(name, ":")[4]})
		default:
			all = append(all, principalPattern{arn: name})
		}
	}
	return all, nil
}

// is says whether arn, of a user or a session, is meant.
func (p *principalPattern) is(arn string) bool {
	if p.everyone || p.arn == arn {
		return true
	}
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return false
	}
	if p.account != "" {
		return parts[4] == p.account
	}
	// arn:aws:sts::111122223333:assumed-role/Example/session is the role arn:aws:iam::111122223333:role/path/Example.
	assumed, ok := strings.CutPrefix(parts[5], "assumed-role/")
	role, _, session := strings.Cut(assumed, "/")
	mine := strings.SplitN(p.arn, ":", 6)
	if !ok || !session || mine[1] != parts[1] || mine[4] != parts[4] {
		return false
	}
	path, ok := strings.CutPrefix(mine[5], "role/")
	return ok && path[strings.LastIndexByte(path, '/')+1:] == role
}

// IsPrincipal says whether a name is that of a principal of AWS.
func IsPrincipal(name string) bool { return strings.HasPrefix(name, "arn:aws") }
