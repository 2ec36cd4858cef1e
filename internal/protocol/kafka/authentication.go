package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// authentication is how far a client of a listener with SASL has come in proving who it is. It does so before anything else, and again before what
// it has proved expires (KIP-368).
type authentication struct {
	stage     stage
	mechanism sasl.Mechanism // that the client chose
	exchange  sasl.Exchange  // nil: none is going on
	noted     bool           // that it has failed
	began     time.Time      // of the last exchange
	expires   time.Time      // of what was proved; zero: never
}

type stage int8

const (
	unproved stage = iota // nothing is proved yet
	proving               // an exchange is going on
	proved
)

// renewEach is the shortest time between two proofs on a connection, as in Apache Kafka: each costs a CPU more than it costs the client.
const renewEach = time.Second

var errExpired = errors.New("the session has expired and was not renewed")

// admit returns why a request may not be served at this stage: the connection ends.
func (a *authentication) admit(r *wire.Request, now time.Time) error {
	key := kmsg.Key(r.Key)
	switch {
	case a.stage == unproved && key != kmsg.ApiVersions && key != kmsg.SASLHandshake:
		return fmt.Errorf("%s before authentication", key.Name())
	case a.stage == proving && key != kmsg.SASLAuthenticate && !r.Token:
		return fmt.Errorf("%s amid authentication", key.Name())
	case a.stage == proved && !a.expires.IsZero() && now.After(a.expires) && key != kmsg.SASLHandshake:
		return errExpired
	}
	return nil
}

// begin starts an exchange.
func (a *authentication) begin(m sasl.Mechanism, peer sasl.Peer, now time.Time) {
	a.stage, a.mechanism, a.exchange, a.noted, a.began = proving, m, m.Begin(peer), false, now
}

// mayRenew says whether a client that has proved who it is may do so once more.
func (a *authentication) mayRenew(now time.Time) bool {
	return a.stage == proved && !a.expires.IsZero() && now.Sub(a.began) >= renewEach
}

// step takes a message of the client. done says that it has proved who it is; an error that is a *sasl.Failure that it has not.
func (c *Client) step(ctx context.Context, message []byte) (answer []byte, done bool, err error) {
	s, a := c.server, c.auth
	host := c.conn.Place()
	if wait := s.attempts.Wait(host, ""); wait > 0 {
		err = sasl.TooMany(wait, "")
	} else {
		var who *sasl.Identity
		if answer, who, err = a.exchange.Step(ctx, message); err == nil && who == nil {
			return answer, false, c.noteRefusal(ctx, host)
		}
		if err == nil {
			err = c.prove(who)
		}
	}
	a.exchange = nil
	if err == nil {
		return answer, true, nil
	}
	return nil, false, c.fail(ctx, host, err)
}

// prove makes the client who it has proved to be.
func (c *Client) prove(who *sasl.Identity) error {
	s, a := c.server, c.auth
	if c.proved && c.principal != who.Principal {
		const text = "Cannot change principals during re-authentication"
		return &sasl.Failure{Text: text, Reason: fmt.Sprintf("%s from %s to %s", text, c.principal, who.Principal)}
	}
	a.stage, a.expires = proved, who.Expires
	if s.cfg.MaxReauth > 0 {
		if most := s.clock.Now().Add(s.cfg.MaxReauth); a.expires.IsZero() || most.Before(a.expires) {
			a.expires = most
		}
	}
	c.delegated = who.Delegated
	if !c.proved {
		c.principal, c.proved = who.Principal, true
		c.conn.Admit()
	}
	s.logger.Debug("client authenticated", "principal", c.principal, "mechanism", a.mechanism.Name(), "delegated", c.delegated, "listener", c.listener.Name,
		"peer", c.Addr, "client", c.ID)
	return nil
}

// fail notes that an exchange has failed and, if that is the client's fault, lets it wait.
func (c *Client) fail(ctx context.Context, host string, err error) error {
	s := c.server
	failure := (*sasl.Failure)(nil)
	if !errors.As(err, &failure) {
		s.logger.Error("authentication could not be checked", "mechanism", c.auth.mechanism.Name(), "peer", c.Addr, "error", err)
		return &sasl.Failure{Text: "Authentication could not be checked, try again later", Reason: err.Error()}
	}
	if c.auth.noted { // when the client was told, which has only acknowledged it now
		return err
	}
	if stopped := c.note(ctx, host, failure); stopped != nil {
		return stopped
	}
	return err
}

// noteRefusal notes a failure of which the client is told before the exchange ends, as by OAUTHBEARER: some clients never end it.
func (c *Client) noteRefusal(ctx context.Context, host string) error {
	exchange, tells := c.auth.exchange.(interface{ Refused() *sasl.Failure })
	if !tells || exchange.Refused() == nil {
		return nil
	}
	c.auth.noted = true
	return c.note(ctx, host, exchange.Refused())
}

// note counts and logs a failure, and lets the client wait.
func (c *Client) note(ctx context.Context, host string, failure *sasl.Failure) error {
	s := c.server
	if failure.Unseen {
		s.attempts.Refused()
	} else {
		s.attempts.Failed(host, failure.User)
	}
	s.logger.Warn("authentication failed", "mechanism", c.auth.mechanism.Name(), "listener", c.listener.Name, "peer", c.Addr, "user", failure.User, "client", c.ID, "reason", failure.Reason)
	return clock.Sleep(ctx, s.clock, s.cfg.FailureDelay)
}

// lifetime returns how long what was just proved holds, in milliseconds; 0 = for ever.
func (c *Client) lifetime() int64 {
	if c.auth.expires.IsZero() {
		return 0
	}
	return max(0, c.auth.expires.Sub(c.server.clock.Now()).Milliseconds())
}

// serveToken serves a bare token, as clients send them that agreed on a mechanism by SaslHandshake v0. Who fails gets no answer.
func (c *Client) serveToken(ctx context.Context, r *wire.Request) (wire.Answer, error) {
	answer, done, err := c.step(ctx, r.Body)
	if err != nil {
		return nil, err
	}
	if !done {
		c.conn.ExpectToken()
	}
	t := &token{bytes: answer}
	t.begin(c, r)
	t.request.Key = kmsg.SASLAuthenticate.Int16()
	return t, nil
}

// token is the answer to a bare token.
type token struct {
	observed
	bytes []byte
}

// Ready implements wire.Answer: there is nothing to wait for.
func (t *token) Ready() <-chan struct{} { return nil }

// Encode implements wire.Answer.
func (t *token) Encode(f *wire.Frame) error {
	f.Buf = append(f.Buf, t.bytes...)
	return nil
}

// Done implements wire.Answer.
func (t *token) Done(written int, err error) { t.end(written, 0, err) }
