// Package sasl holds what clients and the server say to each other to prove who the client is: a Mechanism begins an Exchange for a connection, which
// answers the client's messages one by one, until it has an Identity or a Failure. Attempts slow down who guesses.
//
// It refuses to know how the messages are carried, and what an identity may do.
package sasl

import (
	"context"
	"errors"
	"time"

	"github.com/freshet/freshet/internal/govern/principal"
)

// Mechanism is a way to prove who one is. Its methods are called from many goroutines.
type Mechanism interface {
	// Name returns the name that clients ask for, as PLAIN.
	Name() string
	// Begin starts an exchange with a client.
	Begin(peer Peer) Exchange
}

// Exchange is one client's proof. It is used by one goroutine at a time.
type Exchange interface {
	// Step answers a message of the client. An identity ends the exchange well, after the answer is sent. A *Failure ends it, too: its text is
	// for the client. Any other error is the server's own, and ends it without the client's having done wrong.
	Step(ctx context.Context, message []byte) (answer []byte, who *Identity, err error)
}

// Peer is the client at the other end.
type Peer struct {
	Host string // where it comes from, for Attempts
	// Attempts, if set, is asked before a password, token or signature is looked at.
	Attempts *Attempts
}

// Identity is who a client has proved to be.
type Identity struct {
	Principal principal.Principal
	Expires   time.Time // when the proof is worth nothing any more; zero: never
	Delegated bool      // it was proved by a delegation token, which may make no further ones
}

// Failure says why a client is not who it says it is.
type Failure struct {
	Text   string // for the client: it tells nothing that helps to guess
	Reason string // for the log: without secrets
	User   string // whom the client wants to be, where it has said so; "" = not known
	Unseen bool   // the attempt was not looked at, because too many have failed: see TooMany
}

// Error is the reason, for the log.
func (f *Failure) Error() string { return f.Reason }

// TooMany refuses an attempt unseen: the peer has failed too often to try again before wait is over.
func TooMany(wait time.Duration, user string) *Failure {
	return &Failure{
		Text:   "Authentication failed: too many attempts have failed, try again in " + wait.Round(time.Second).String(),
		Reason: "too many attempts have failed", User: user, Unseen: true,
	}
}

// admit asks whether the peer may try once more to be a user.
func (p *Peer) admit(user string) error {
	if p.Attempts == nil {
		return nil
	}
	if wait := p.Attempts.Wait(p.Host, user); wait > 0 {
		return TooMany(wait, user)
	}
	return nil
}

// ofUser notes in a *Failure which user has failed, unless it says so itself. Other errors are left as they are.
func ofUser(err error, user string) error {
	if failure := (*Failure)(nil); errors.As(err, &failure) && failure.User == "" {
		failure.User = user
	}
	return err
}
