// Package delegation keeps delegation tokens (KIP-48): what a client that has proved who it is hands to others, as the workers of a job, so that they come
// in as its owner without having the owner's password. Token is one of them, Book is all of them, durable in a state.Store.
//
// A token has an id and a secret, the HMAC of the id with a key that the node has made and keeps. The secret is the password of the id in SCRAM; it is
// told to those who may see the token, and never logged.
//
// It refuses to know the requests and messages in which tokens travel, and who may see or make one for somebody else.
package delegation

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/scram"
)

// Config bounds the tokens of a Book. Zero values mean the defaults.
type Config struct {
	MaxLifetime time.Duration // from when a token is made until nobody can renew it any more; 0 = DefaultMaxLifetime
	Lifetime    time.Duration // until it expires unless it is renewed; 0 = DefaultLifetime
	MaxTokens   int           // of all; 0 = DefaultMaxTokens
	MaxMade     int           // by one principal; 0 = DefaultMaxMade
}

// The defaults of Config: times are those of Apache Kafka (delegation.token.max.lifetime.ms, delegation.token.expiry.time.ms).
const (
	DefaultMaxLifetime = 7 * 24 * time.Hour
	DefaultLifetime    = 24 * time.Hour
	DefaultMaxTokens   = 10_000
	DefaultMaxMade     = 1000
)

// SweepEach is how often tokens are removed that have expired (delegation.token.expiry.check.interval.ms).
const SweepEach = time.Hour

// The bounds of what a token holds: Renewers, and the bytes of a principal's type or name.
const (
	MaxRenewers = 100
	MaxName     = 4096
)

// The errors of a Book.
var (
	ErrNotFound = errors.New("there is no such delegation token")
	ErrExpired  = errors.New("the delegation token has expired")
	ErrNotOwner = errors.New("the principal neither has the delegation token nor may renew it")
	ErrTooMany  = errors.New("too many delegation tokens")
	ErrInvalid  = errors.New("invalid delegation token")
)

// Token says whose it is and until when. Times are whole milliseconds.
type Token struct {
	ID        string                `json:"-"`
	Owner     principal.Principal   `json:"owner"`
	Requester principal.Principal   `json:"requester"` // who made it: the owner, or who may for the owner
	Renewers  []principal.Principal `json:"renewers,omitempty"`
	Issued    time.Time             `json:"issued"`
	Expires   time.Time             `json:"expires"`
	Max       time.Time             `json:"max"` // when it ends however often it is renewed

	// Credentials are of the secret as a password. They are kept because each takes a CPU milliseconds to make.
	Credentials map[scram.Mechanism]scram.Credential `json:"credentials"`
	// HMAC is the secret.
	HMAC []byte `json:"-"`
}

// Renews says whether p has the token or may renew it.
func (t *Token) Renews(p principal.Principal) bool {
	return t.Owner == p || slices.Contains(t.Renewers, p)
}

// Of says whether the token is p's to see: p has, has made or renews it.
func (t *Token) Of(p principal.Principal) bool { return t.Renews(p) || t.Requester == p }

// Expired says whether the token is worth nothing any more.
func (t *Token) Expired(now time.Time) bool { return t.Expires.Before(now) || t.Max.Before(now) }

// Password returns the secret as clients have it in SCRAM.
func (t *Token) Password() string { return base64.StdEncoding.EncodeToString(t.HMAC) }

// String hides the secret from logs.
func (t Token) String() string {
	return fmt.Sprintf("%s of %s until %s", t.ID, t.Owner, t.Expires.UTC().Format(time.RFC3339))
}

// LogValue hides it from structured logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// GoString hides the secret, too.
func (t Token) GoString() string { return t.String() }

func check(p principal.Principal) error {
	if p.Type == "" || p.Name == "" || len(p.Type) > MaxName || len(p.Name) > MaxName {
		return fmt.Errorf("%w: type and name of a principal must have 1 to %d bytes", ErrInvalid, MaxName)
	}
	return nil
}
