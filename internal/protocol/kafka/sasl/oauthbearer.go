package sasl

import (
	"context"
	"errors"
	"regexp"
	"strings"
)

// Tokens says whose a bearer token is. An error that is a *Failure says that it is not good.
type Tokens interface {
	Verify(ctx context.Context, token string) (*Identity, error)
	// Claimed returns whose a token says it is, whether or not that is so, for Attempts; "" = it does not say.
	Claimed(token string) string
}

// oauthBearer is RFC 7628: the client sends a token that someone else has given it.
type oauthBearer struct{ tokens Tokens }

// OAuthBearer returns the mechanism OAUTHBEARER.
func OAuthBearer(t Tokens) Mechanism { return &oauthBearer{t} }

// Name implements Mechanism.
func (*oauthBearer) Name() string { return "OAUTHBEARER" }

// Begin implements Mechanism.
func (o *oauthBearer) Begin(peer Peer) Exchange { return &oauthExchange{oauthBearer: o, peer: peer} }

type oauthExchange struct {
	*oauthBearer
	peer    Peer
	refused *Failure // the token was not good; the client has been told, and acknowledges it
}

// refusedToken is what a client is told of a token that is not good (RFC 7628, 3.2.2).
const refusedToken = `{"status":"invalid_token"}`

// Step implements Exchange. A bad token is answered with a reason, which the client acknowledges; only then the exchange has failed.
func (o *oauthExchange) Step(ctx context.Context, message []byte) ([]byte, *Identity, error) {
	if o.refused != nil {
		return nil, nil, o.refused
	}
	token, as, failure := parseBearer(string(message))
	if failure != nil {
		return nil, nil, failure
	}
	user := o.tokens.Claimed(token)
	if err := o.peer.admit(user); err != nil {
		return nil, nil, err
	}
	who, err := o.tokens.Verify(ctx, token)
	if err != nil {
		err = ofUser(err, user)
		if errors.As(err, &o.refused) {
			return []byte(refusedToken), nil, nil
		}
		return nil, nil, err
	}
	if as != "" && as != who.Principal.Name {
		const text = "Authentication failed: Client requested an authorization id that is different from the token's principal name"
		return nil, nil, &Failure{Text: text, Reason: text, User: user}
	}
	return []byte{}, who, nil
}

// Refused returns why the token was not good, nil if none was refused.
func (o *oauthExchange) Refused() *Failure { return o.refused }

// refuse makes an error of verifying a token a *Failure. The client is told the reason in JSON, as Apache Kafka does.
func refuse(reason string) *Failure {
	return &Failure{Text: refusedToken, Reason: reason}
}

var (
	extensionName  = regexp.MustCompile(`^[A-Za-z]+$`)
	extensionValue = regexp.MustCompile(`^[\x21-\x7E \t\r\n]*$`)
)

func malformedBearer(reason string) *Failure {
	return &Failure{Text: "Invalid OAUTHBEARER client first message: " + reason, Reason: "malformed OAUTHBEARER message: " + reason}
}

// parseBearer reads n,[a=authzid],^Aauth=Bearer TOKEN^A[key=value^A]^A. Extensions are read and not used.
func parseBearer(message string) (token, as string, failure *Failure) {
	header, rest, ok := strings.Cut(message, "\x01")
	parts := strings.Split(header, ",")
	if !ok || len(parts) != 3 || parts[0] != "n" && parts[0] != "y" || parts[2] != "" {
		return "", "", malformedBearer("it does not begin as one")
	}
	if parts[1] != "" {
		name, found := strings.CutPrefix(parts[1], "a=")
		if as, ok = unescapeName(name); !found || !ok || as == "" {
			return "", "", malformedBearer("its authorization id is none")
		}
	}
	rest, ok = strings.CutSuffix(rest, "\x01\x01")
	if !ok {
		return "", "", malformedBearer("it does not end as one")
	}
	found := false
	for pair := range strings.SplitSeq(rest, "\x01") {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || !extensionName.MatchString(name) || !extensionValue.MatchString(value):
			return "", "", malformedBearer("it has an extension that is none")
		case name == "auth" && found:
			return "", "", malformedBearer("it has two tokens")
		case name == "auth":
			found = true
			scheme, given, _ := strings.Cut(value, " ")
			if token = strings.TrimLeft(given, " "); !strings.EqualFold(scheme, "bearer") || token == "" {
				return "", "", malformedBearer("it has no bearer token")
			}
		}
	}
	if !found {
		return "", "", malformedBearer("it has no token")
	}
	return token, as, nil
}
