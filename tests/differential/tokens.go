package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// users are who both sides know, and their passwords.
var users = map[string]string{"alice": "alice-secret", "bob": "bob-secret"}

// tokens makes, shows, renews, presents and ends delegation tokens (KIP-48). Neither side holds clients to ACLs here.
func tokens(p *pair) error {
	p.tokenRequests("nobody", []byte("none"))
	alice, bob := p.as(password("alice")), p.as(password("bob"))
	defer alice.leave()
	defer bob.leave()
	if err := alice.makeTokens(); err != nil {
		return err
	}
	alice.showTokens("alice")
	bob.showTokens("bob")
	alice.changeTokens(bob)
	p.presentTokens()
	alice.endTokens(bob)
	alice.showTokens("in the end, alice")
	alice.each("with nobody as renewer", newToken(renewedBy("User", "")))
	return nil
}

// as is the pair on other connections, through the listeners with SASL; they are to be left.
func (p *pair) as(login func(*side) error) *pair {
	q := *p
	q.kafka, q.freshet = p.kafka.as(login), p.freshet.as(login)
	return &q
}

func (p *pair) leave() {
	p.kafka.close()
	p.freshet.close()
}

// tokenRequests sends each request, in every version, by who may send none.
func (p *pair) tokenRequests(who string, hmac []byte) {
	p.each(who+" creates", newToken(nil))
	p.each(who+" renews", func(*side, int16) kmsg.Request { return renewal(hmac, -1) })
	p.each(who+" ends", func(*side, int16) kmsg.Request { return expiry(hmac, -1) })
	p.each(who+" describes", func(*side, int16) kmsg.Request { return tokensOf(nil) })
}

func newToken(fill func(*kmsg.CreateDelegationTokenRequest)) func(*side, int16) kmsg.Request {
	return func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrCreateDelegationTokenRequest()
		req.MaxLifetimeMillis = -1
		if fill != nil {
			fill(req)
		}
		return req
	}
}

func renewal(hmac []byte, millis int64) *kmsg.RenewDelegationTokenRequest {
	return &kmsg.RenewDelegationTokenRequest{HMAC: hmac, RenewTimeMillis: millis}
}

func expiry(hmac []byte, millis int64) *kmsg.ExpireDelegationTokenRequest {
	return &kmsg.ExpireDelegationTokenRequest{HMAC: hmac, ExpiryPeriodMillis: millis}
}

// tokensOf asks for the tokens of owners; nil = of everybody.
func tokensOf(owners []string) *kmsg.DescribeDelegationTokenRequest {
	req := kmsg.NewPtrDescribeDelegationTokenRequest()
	if owners != nil {
		req.Owners = []kmsg.DescribeDelegationTokenRequestOwner{}
	}
	for _, o := range owners {
		req.Owners = append(req.Owners, kmsg.DescribeDelegationTokenRequestOwner{PrincipalType: "User", PrincipalName: o})
	}
	return req
}

func renewedBy(kind, name string) func(*kmsg.CreateDelegationTokenRequest) {
	return func(r *kmsg.CreateDelegationTokenRequest) {
		r.Renewers = []kmsg.CreateDelegationTokenRequestRenewer{{PrincipalType: kind, PrincipalName: name}}
	}
}

// token is what a scenario remembers of one.
type token struct {
	id   string
	hmac []byte
}

const hour = int64(time.Hour / time.Millisecond)

// makeTokens makes those that later steps name, and some that nobody may make.
func (p *pair) makeTokens() error {
	lasting := func(millis int64) func(*kmsg.CreateDelegationTokenRequest) {
		return func(r *kmsg.CreateDelegationTokenRequest) { r.MaxLifetimeMillis = millis }
	}
	owner := func(kind, name string) func(*kmsg.CreateDelegationTokenRequest) {
		return func(r *kmsg.CreateDelegationTokenRequest) {
			r.OwnerPrincipalType, r.OwnerPrincipalName = kmsg.StringPtr(kind), kmsg.StringPtr(name)
		}
	}
	p.each("in every version", newToken(nil))
	for _, row := range []struct {
		name string
		fill func(*kmsg.CreateDelegationTokenRequest)
	}{
		{"with a renewer", renewedBy("User", "bob")},
		{"for an hour", lasting(hour)},
		{"for a year", lasting(365 * 24 * hour)},
		{"for no time", lasting(0)},
		{"for less than no time", lasting(-2)},
		{"with a group as renewer", renewedBy("Group", "x")},
		{"for another", owner("User", "carol")},
		{"for bob", owner("User", "bob")},
		{"for a group", owner("Group", "x")},
		{"for an empty name", owner("User", "")},
		{"for herself", owner("User", "alice")},
	} {
		build := newToken(row.fill)
		answers := p.newestOf(row.name, func(s *side) kmsg.Request { return build(s, 0) })
		if err := remember(p, row.name, answers, func(r *kmsg.CreateDelegationTokenResponse) token { return token{r.TokenID, r.HMAC} }); err != nil {
			return err
		}
	}
	return nil
}

// showTokens compares which tokens of whom are shown. Kafka's broker hears of changes a moment later.
func (p *pair) showTokens(who string) {
	p.settled(who+" describes those of everybody", same(func() kmsg.Request { return tokensOf(nil) }))
	for _, owners := range [][]string{{}, {"alice"}, {"bob"}, {"carol"}, {"alice", "carol"}, {"nobody"}, {""}} {
		p.settled(fmt.Sprintf("%s describes those of %q", who, owners), same(func() kmsg.Request { return tokensOf(owners) }))
	}
	p.each(who+" describes all", func(*side, int16) kmsg.Request { return tokensOf(nil) })
}

// changeTokens renews tokens and lets them expire, as alice and as bob, who renews one of hers and has one that she made.
func (p *pair) changeTokens(bob *pair) {
	for _, by := range []struct {
		who string
		as  *pair
	}{{"alice", p}, {"bob", bob}} {
		for _, name := range []string{"with a renewer", "for an hour", "for bob", "for another", "none", "with a group as renewer"} {
			for _, millis := range []int64{-1, 60_000, 365 * 24 * hour, 2 * hour, 0, -2} {
				by.as.each(fmt.Sprintf("%s renews the one %s for %d ms", by.who, name, millis), func(s *side, _ int16) kmsg.Request {
					return renewal(recall[token](s, name).hmac, millis)
				})
			}
			for _, millis := range []int64{2 * hour, 60_000, 365 * 24 * hour, 2 * hour} {
				by.as.each(fmt.Sprintf("%s lets the one %s expire in %d ms", by.who, name, millis), func(s *side, _ int16) kmsg.Request {
					return expiry(recall[token](s, name).hmac, millis)
				})
			}
		}
	}
}

// presentTokens comes in by tokens, and does what who has proved a token may not.
func (p *pair) presentTokens() {
	for _, row := range [][2]string{
		{"with a renewer", "with a renewer"}, {"for an hour", "for an hour"}, {"for bob", "for bob"}, {"with a renewer", "for an hour"}, {"with a renewer", "none"},
	} {
		p.present(fmt.Sprintf("the id of the one %s, the secret of the one %s", row[0], row[1]), row[0], row[1])
	}
	worker := p.as(func(s *side) error {
		t := recall[token](s, "with a renewer")
		resp, err := s.prove(t.id, t.hmac)
		if err == nil && resp.ErrorCode != 0 {
			err = fmt.Errorf("%s refuses a token: %+v", s.name, resp)
		}
		return err
	})
	defer worker.leave()
	worker.tokenRequests("who has a token", []byte("none"))
	worker.each("who has a token asks for brokers", func(*side, int16) kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() })
}

// present compares what is answered to a proof.
func (p *pair) present(step, id, secret string) {
	p.settle(step, func() (string, []difference) {
		var lines [2][]line
		for i, s := range p.sides() {
			c := s.as(nil)
			resp, err := c.prove(recall[token](s, id).id, recall[token](s, secret).hmac)
			c.close()
			if err != nil {
				lines[i] = []line{{"", err.Error()}}
				continue
			}
			resp.SASLAuthBytes = nil
			lines[i] = flatten(s, resp)
		}
		return "SASLAuthenticate v2", compare(lines)
	})
}

// endTokens ends tokens, and does with them what is only possible before.
func (p *pair) endTokens(bob *pair) {
	for _, name := range []string{"with a renewer", "for bob", "for an hour", "for another", "none"} {
		secret := func(s *side) []byte { return recall[token](s, name).hmac }
		bob.newestOf("bob ends the one "+name, func(s *side) kmsg.Request { return expiry(secret(s), -1) })
		p.newestOf("alice ends the one "+name, func(s *side) kmsg.Request { return expiry(secret(s), -1) })
		p.newestOf("alice ends again the one "+name, func(s *side) kmsg.Request { return expiry(secret(s), -1) })
		p.newestOf("alice renews what is gone, the one "+name, func(s *side) kmsg.Request { return renewal(secret(s), -1) })
		p.present("presented after its end, the one "+name, name, name)
	}
	expired := func(s *side) []byte { return recall[token](s, "for herself").hmac }
	p.newestOf("alice lets one expire", func(s *side) kmsg.Request { return expiry(expired(s), 1) })
	p.present("presented when it has expired", "for herself", "for herself") // takes more than a millisecond
	p.newestOf("alice renews what has expired", func(s *side) kmsg.Request { return renewal(expired(s), -1) })
	p.newestOf("alice lets expire what has", func(s *side) kmsg.Request { return expiry(expired(s), hour) })
	bob.newestOf("bob renews what has expired", func(s *side) kmsg.Request { return renewal(expired(s), -1) })
	p.newestOf("alice ends what has expired", func(s *side) kmsg.Request { return expiry(expired(s), -1) })
}

// password proves by PLAIN who one is.
func password(user string) func(*side) error {
	return func(s *side) error {
		if err := s.choose("PLAIN"); err != nil {
			return err
		}
		resp, err := s.answerTo([]byte("\x00" + user + "\x00" + users[user]))
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	}
}

// prove proves by SCRAM to have a token, and returns the last answer, which says how that went.
func (s *side) prove(id string, hmac []byte) (*kmsg.SASLAuthenticateResponse, error) {
	mechanism := scram.Auth{User: id, Pass: base64.StdEncoding.EncodeToString(hmac), IsToken: true}.AsSha256Mechanism()
	session, message, err := mechanism.Authenticate(context.Background(), "")
	if err != nil {
		return nil, err
	}
	if err := s.choose(mechanism.Name()); err != nil {
		return nil, err
	}
	for {
		resp, err := s.answerTo(message)
		if err != nil || resp.ErrorCode != 0 {
			return resp, err
		}
		done, next, err := session.Challenge(resp.SASLAuthBytes)
		if err != nil || done {
			return resp, err
		}
		message = next
	}
}

func (s *side) choose(mechanism string) error {
	resp, err := s.exchange(1, &kmsg.SASLHandshakeRequest{Mechanism: mechanism})
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.SASLHandshakeResponse).ErrorCode)
}

func (s *side) answerTo(proof []byte) (*kmsg.SASLAuthenticateResponse, error) {
	resp, err := s.exchange(2, &kmsg.SASLAuthenticateRequest{SASLAuthBytes: proof})
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.SASLAuthenticateResponse), nil
}
