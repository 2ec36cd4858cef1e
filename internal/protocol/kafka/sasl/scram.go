package sasl

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/state"
)

// Users finds the credentials of users.
type Users interface {
	Get(ctx context.Context, name string) (scram.User, error)
	// Pretend returns a credential of a user who is not there.
	Pretend(m scram.Mechanism, name string) scram.Credential
}

// Delegations finds delegation tokens that have not expired.
type Delegations interface {
	Lookup(id string) (delegation.Token, bool)
}

// scramMechanism is RFC 5802 without channel binding: client and server prove to each other that they know the password.
type scramMechanism struct {
	kind   scram.Mechanism
	users  Users
	tokens Delegations // nil: none are taken
	random io.Reader
}

// Scram returns a mechanism of the SCRAM family. Clients that say so prove that they have one of tokens, by its id and its secret, rather than that
// they are one of users (KIP-48); nil = nobody has one.
func Scram(kind scram.Mechanism, users Users, tokens Delegations, random io.Reader) Mechanism {
	return &scramMechanism{kind, users, tokens, random}
}

// Name implements Mechanism.
func (s *scramMechanism) Name() string { return s.kind.String() }

// Begin implements Mechanism.
func (s *scramMechanism) Begin(peer Peer) Exchange {
	return &scramExchange{scramMechanism: s, peer: peer}
}

// scramExchange is the server's part of
//
//	client  n,[a=authzid],n=user,r=nonce[,tokenauth=true]
//	server  r=nonce+more,s=salt,i=iterations
//	client  c=base64("n,[a=authzid],"),r=nonce+more,p=proof
//	server  v=signature
type scramExchange struct {
	*scramMechanism
	peer Peer

	first      *clientFirst // nil: the client has not begun
	nonce      string       // of both
	begun      string       // the server's first message
	credential scram.Credential
	who        *Identity // whose credential it is; nil: it was made up, as there is no such user
}

// nonceBytes is how much randomness the server adds.
const nonceBytes = 24

// Step implements Exchange.
func (s *scramExchange) Step(ctx context.Context, message []byte) ([]byte, *Identity, error) {
	if s.first == nil {
		answer, err := s.begin(ctx, string(message))
		return answer, nil, err
	}
	return s.finish(string(message))
}

func (s *scramExchange) begin(ctx context.Context, message string) ([]byte, error) {
	first, failure := parseClientFirst(message)
	if failure != nil {
		return nil, failure
	}
	if err := s.peer.admit(first.user); err != nil {
		return nil, err
	}
	if err := s.identify(ctx, first); err != nil {
		return nil, err
	}
	more := make([]byte, nonceBytes)
	if _, err := io.ReadFull(s.random, more); err != nil {
		return nil, err
	}
	s.first, s.nonce = first, first.nonce+base64.RawStdEncoding.EncodeToString(more)
	s.begun = "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(s.credential.Salt) + ",i=" + strconv.Itoa(s.credential.Iterations)
	return []byte(s.begun), nil
}

// identify finds the credential of a user, or of a token, or makes one up.
func (s *scramExchange) identify(ctx context.Context, first *clientFirst) error {
	var real bool
	if first.token {
		if s.tokens != nil {
			t, there := s.tokens.Lookup(first.user)
			if s.credential, real = t.Credentials[s.kind]; there && real {
				s.who = &Identity{Principal: t.Owner, Expires: t.Expires, Delegated: true}
			}
		}
	} else {
		user, err := s.users.Get(ctx, first.user)
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return err
		}
		if s.credential, real = user.Credentials[s.kind]; real {
			s.who = &Identity{Principal: principal.Of(first.user)}
		}
	}
	if !real {
		s.credential = s.users.Pretend(s.kind, first.user)
	}
	return nil
}

func (s *scramExchange) finish(message string) ([]byte, *Identity, error) {
	final, failure := parseClientFinal(message)
	if failure == nil && final.nonce != s.nonce {
		failure = malformed("the nonce is not the one that was agreed on")
	}
	if failure == nil && final.binding != s.first.header {
		failure = malformed("the channel binding is not the one of the first message")
	}
	if failure != nil {
		failure.User = s.first.user
		return nil, nil, failure
	}
	messages := []byte(s.first.bare + "," + s.begun + "," + final.withoutProof)
	if right := s.credential.Prove(s.kind, messages, final.proof); !right || s.who == nil {
		reason := "wrong user or password"
		if s.first.token {
			reason = "wrong or expired delegation token"
		}
		return nil, nil, &Failure{
			Text:   "Authentication failed during authentication due to invalid credentials with SASL mechanism " + s.Name(),
			Reason: reason, User: s.first.user,
		}
	}
	answer := "v=" + base64.StdEncoding.EncodeToString(s.credential.Sign(s.kind, messages))
	return []byte(answer), s.who, nil
}

// clientFirst is what a client says at first.
type clientFirst struct {
	header string // how it binds the channel, and as whom it wants to act
	bare   string // the rest of the message
	user   string
	nonce  string
	token  bool // the user is the id of a delegation token
}

func malformed(reason string) *Failure {
	return &Failure{Text: "Invalid SCRAM message: " + reason, Reason: "malformed SCRAM message: " + reason}
}

// parseClientFirst reads the first message of a client (RFC 5802, 7).
func parseClientFirst(message string) (*clientFirst, *Failure) {
	if !utf8.ValidString(message) {
		return nil, malformed("it is not in UTF-8")
	}
	binding, rest, _ := strings.Cut(message, ",")
	as, bare, ok := strings.Cut(rest, ",")
	switch {
	case strings.HasPrefix(binding, "p="):
		return nil, malformed("channel binding is not supported")
	case !ok || binding != "n" && binding != "y":
		return nil, malformed("it does not begin as one")
	}
	first := &clientFirst{header: binding + "," + as + ",", bare: bare}
	attributes := strings.Split(bare, ",")
	if len(attributes) < 2 || !strings.HasPrefix(attributes[0], "n=") || !strings.HasPrefix(attributes[1], "r=") {
		return nil, malformed("it has no user or no nonce, or an extension that must be known")
	}
	var fine bool
	if first.user, fine = unescapeName(attributes[0][2:]); !fine || first.user == "" {
		return nil, malformed("its user is none")
	}
	if first.nonce = attributes[1][2:]; first.nonce == "" || !printable(first.nonce) {
		return nil, malformed("its nonce is none")
	}
	if as != "" {
		name, fine := unescapeName(strings.TrimPrefix(as, "a="))
		if !fine || !strings.HasPrefix(as, "a=") {
			return nil, malformed("its authorization id is none")
		}
		if name != first.user {
			const text = "Authentication failed: Client requested an authorization id that is different from username"
			return nil, &Failure{Text: text, Reason: text, User: first.user}
		}
	}
	for _, extension := range attributes[2:] {
		name, value, ok := strings.Cut(extension, "=")
		if !ok || name == "" {
			return nil, malformed("it has an extension without a name")
		}
		if name == "tokenauth" {
			first.token = strings.EqualFold(value, "true") // as Java reads it
		}
	}
	return first, nil
}

// unescapeName undoes what stands for a comma and an equals sign in names.
func unescapeName(name string) (string, bool) {
	var b strings.Builder
	for rest := name; rest != ""; {
		before, after, found := strings.Cut(rest, "=")
		b.WriteString(before)
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		rest = after[2:]
	}
	return b.String(), true
}

func printable(nonce string) bool {
	for i := range len(nonce) {
		if c := nonce[i]; c < 0x21 || c > 0x7e || c == ',' {
			return false
		}
	}
	return true
}

// clientFinal is what a client says at last.
type clientFinal struct {
	binding      string // decoded
	nonce        string
	proof        []byte
	withoutProof string
}

func parseClientFinal(message string) (*clientFinal, *Failure) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return nil, malformed("it has no proof")
	}
	final := &clientFinal{withoutProof: message[:at]}
	var err error
	if final.proof, err = base64.StdEncoding.DecodeString(message[at+3:]); err != nil {
		return nil, malformed("its proof is not in base 64")
	}
	attributes := strings.Split(final.withoutProof, ",")
	if len(attributes) < 2 || !strings.HasPrefix(attributes[0], "c=") || !strings.HasPrefix(attributes[1], "r=") {
		return nil, malformed("it has no channel binding or no nonce")
	}
	binding, err := base64.StdEncoding.DecodeString(attributes[0][2:])
	if err != nil {
		return nil, malformed("its channel binding is not in base 64")
	}
	final.binding, final.nonce = string(binding), attributes[1][2:]
	return final, nil
}
