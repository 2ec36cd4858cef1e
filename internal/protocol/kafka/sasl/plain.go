package sasl

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/govern/principal"
)

// Passwords says whether a user has a password.
type Passwords interface {
	Check(ctx context.Context, user, password string) (bool, error)
}

// maxHashing bounds how many passwords are being checked at once: each takes milliseconds of a CPU, which others want, too.
const maxHashing = 2

// plain is RFC 4616: the client sends its password.
type plain struct {
	passwords Passwords
	hashing   chan struct{} // has one for each password being checked
}

// Plain returns the mechanism PLAIN.
func Plain(p Passwords) Mechanism { return &plain{p, make(chan struct{}, maxHashing)} }

// Name implements Mechanism.
func (*plain) Name() string { return "PLAIN" }

// Begin implements Mechanism.
func (p *plain) Begin(peer Peer) Exchange { return &plainExchange{p, peer} }

type plainExchange struct {
	*plain
	peer Peer
}

// plainFailed is all that a client learns, in Apache Kafka's words.
const plainFailed = "Authentication failed: Invalid username or password"

// Step implements Exchange.
func (p *plainExchange) Step(ctx context.Context, message []byte) ([]byte, *Identity, error) {
	user, password, failure := parsePlain(message)
	if failure != nil {
		return nil, nil, failure
	}
	if err := p.peer.admit(user); err != nil {
		return nil, nil, err
	}
	select {
	case p.hashing <- struct{}{}:
		defer func() { <-p.hashing }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	right, err := p.passwords.Check(ctx, user, password)
	if err != nil {
		return nil, nil, err
	}
	if !right {
		return nil, nil, &Failure{Text: plainFailed, Reason: "wrong user or password", User: user}
	}
	return []byte{}, &Identity{Principal: principal.Of(user)}, nil
}

// parsePlain reads authzid NUL user NUL password.
func parsePlain(message []byte) (user, password string, failure *Failure) {
	parts := bytes.Split(message, []byte{0})
	if len(parts) != 3 || !utf8.Valid(message) {
		const text = "Invalid SASL/PLAIN response: expected 3 tokens in UTF-8, separated by NUL"
		return "", "", &Failure{Text: text, Reason: text}
	}
	as, user, password := string(parts[0]), string(parts[1]), string(parts[2])
	switch {
	case user == "":
		return "", "", &Failure{Text: "Authentication failed: username not specified", Reason: "no user is named"}
	case password == "":
		return "", "", &Failure{Text: "Authentication failed: password not specified", Reason: "no password is given", User: user}
	case as != "" && as != user:
		const text = "Authentication failed: Client requested an authorization id that is different from username"
		return "", "", &Failure{Text: text, Reason: text, User: user}
	}
	return user, password, nil
}
