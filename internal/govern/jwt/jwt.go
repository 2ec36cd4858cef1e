// Package jwt verifies JSON Web Tokens (RFC 7519) that others issue: Verifier checks who signed one, for whom, until when, and tells its Subject. Keys
// are where the issuer's public keys come from, a JWKS (RFC 7517) in a file or at a URL.
//
// It refuses to issue tokens, symmetric keys, and encrypted tokens.
package jwt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/freshet/freshet/internal/clock"
)

// algorithms are those of signatures that are accepted: with public keys, as nobody shares a secret with the node.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// MaxToken bounds a token, in bytes.
const MaxToken = 64 << 10

// Keys are public keys.
type Keys interface {
	// Find returns the keys that may have signed a token whose header names a key, "" if it names none. An error that is ErrInvalid says that there is none.
	Find(ctx context.Context, id string) ([]jose.JSONWebKey, error)
}

// Config says which tokens are good. Zero values of what is a string or a list mean that it is not looked at.
type Config struct {
	Keys     Keys // nil: no signed token is good
	Issuer   string
	Audience []string // one of which a token must be for
	Scopes   []string // all of which a token must have
	// SubjectClaim is the claim that says who has the token; "" = sub.
	SubjectClaim string
	// Skew is how far the issuer's clock may be from ours.
	Skew time.Duration
	// Unsecured accepts tokens without any signature (RFC 7515, appendix A.5), whoever made them. For development alone.
	Unsecured bool
	Clock     clock.Clock
}

// ErrInvalid is of every token that is not good. Any other error is of whoever keeps the keys.
var ErrInvalid = errors.New("invalid token")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Verifier verifies tokens. Safe for concurrent use.
type Verifier struct{ config Config }

// New returns a verifier.
func New(c Config) *Verifier {
	if c.SubjectClaim == "" {
		c.SubjectClaim = "sub"
	}
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
	return &Verifier{c}
}

// Subject is what a good token says.
type Subject struct {
	Name    string
	Expires time.Time
}

// Verify returns whose a token is. ErrInvalid.
func (v *Verifier) Verify(ctx context.Context, token string) (Subject, error) {
	if len(token) > MaxToken {
		return Subject{}, invalid("it has %d bytes, more than %d", len(token), MaxToken)
	}
	payload, err := v.payload(ctx, token)
	if err != nil {
		return Subject{}, err
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Subject{}, invalid("its claims are no JSON object")
	}
	return v.check(claims)
}

// Claimed returns whom a token says it is of, whether or not that is so; "" = nobody.
func (v *Verifier) Claimed(token string) string {
	parts := strings.SplitN(token, ".", 4)
	if len(token) > MaxToken || len(parts) != 3 {
		return ""
	}
	var claims map[string]any
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	name, _ := claims[v.config.SubjectClaim].(string)
	return name
}

// payload returns what was signed.
func (v *Verifier) payload(ctx context.Context, token string) ([]byte, error) {
	if v.config.Unsecured && strings.HasSuffix(token, ".") {
		return unsecured(token)
	}
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, invalid("%s", err)
	}
	if v.config.Keys == nil {
		return nil, invalid("no signature can be checked")
	}
	header := signed.Signatures[0].Protected
	keys, err := v.config.Keys.Find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	for i := range keys {
		if a := keys[i].Algorithm; a != "" && a != header.Algorithm {
			continue
		}
		if payload, err := signed.Verify(keys[i].Key); err == nil {
			return payload, nil
		}
	}
	return nil, invalid("no known key has signed it")
}

// unsecured returns the payload of a token that says of itself that nobody has signed it.
func unsecured(token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, invalid("it has %d parts", len(parts))
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || json.Unmarshal(text, &header) != nil || header.Algorithm != "none" {
		return nil, invalid("it has no signature, and its header does not say so")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, invalid("its claims are not in base 64")
	}
	return payload, nil
}

func (v *Verifier) check(claims map[string]any) (Subject, error) {
	c, now := &v.config, v.config.Clock.Now()
	expires, ok := date(claims["exp"])
	switch {
	case !ok:
		return Subject{}, invalid("it has no time of expiry")
	case !now.Before(expires.Add(c.Skew)):
		return Subject{}, invalid("it expired at %s", expires.UTC().Format(time.RFC3339))
	}
	for _, name := range []string{"nbf", "iat"} {
		from, ok := date(claims[name])
		if claims[name] != nil && (!ok || now.Add(c.Skew).Before(from)) {
			return Subject{}, invalid("it is not good yet: %s is %v", name, claims[name])
		}
	}
	if c.Issuer != "" && claims["iss"] != c.Issuer {
		return Subject{}, invalid("its issuer is %.100q", fmt.Sprint(claims["iss"]))
	}
	if audience := list(claims["aud"], false); len(c.Audience) > 0 && !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(c.Audience, a) }) {
		return Subject{}, invalid("its audience is %.100q", fmt.Sprint(claims["aud"]))
	}
	scopes := list(claims["scope"], true)
	if claims["scope"] == nil {
		scopes = list(claims["scp"], true)
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(scopes, scope) {
			return Subject{}, invalid("it has not the scope %q", scope)
		}
	}
	name, _ := claims[c.SubjectClaim].(string)
	if strings.TrimSpace(name) == "" {
		return Subject{}, invalid("its claim %q names nobody", c.SubjectClaim)
	}
	if !now.Before(expires) { // good for as long as the clocks may differ
		expires = expires.Add(c.Skew)
	}
	return Subject{name, expires}, nil
}

// maxSeconds is the year 9999: later ones are of no use and overflow.
const maxSeconds = 253402300799

// date reads a NumericDate: seconds since 1970, which may have a fraction.
func date(claim any) (time.Time, bool) {
	seconds, ok := claim.(float64)
	if !ok || seconds < 0 || seconds > maxSeconds {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(seconds * 1000)), true
}

// list reads a claim that is a text or a list of texts. Scopes in one text have blanks between them (RFC 8693, 4.2).
func list(claim any, blanks bool) []string {
	switch c := claim.(type) {
	case string:
		if blanks {
			return strings.Fields(c)
		}
		return []string{c}
	case []any:
		var all []string
		for _, part := range c {
			if text, ok := part.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}
