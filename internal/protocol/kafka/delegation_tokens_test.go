package kafka_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	clientscram "github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/protocol/kafka"
)

// tokens adds delegation tokens to a server's config. It must come after what sets the clock.
func tokens(t *testing.T, config delegation.Config) func(*kafka.Config) {
	return func(c *kafka.Config) {
		t.Helper()
		var err error
		if c.Tokens, err = delegation.Open(t.Context(), config, delegation.Deps{Store: c.State, Clock: c.Clock, Random: rand.NewChaCha8([32]byte{4}), Logger: c.Logger}); err != nil {
			t.Fatal(err)
		}
	}
}

// present proves by SCRAM to have a token.
func (r *raw) present(t *testing.T, id string, hmac []byte, sha512 bool) *kmsg.SASLAuthenticateResponse {
	t.Helper()
	auth := clientscram.Auth{User: id, Pass: base64.StdEncoding.EncodeToString(hmac), IsToken: true}
	m := auth.AsSha256Mechanism()
	if sha512 {
		m = auth.AsSha512Mechanism()
	}
	session, message, err := m.Authenticate(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if h := r.handshake(1, m.Name()); h.ErrorCode != 0 {
		t.Fatalf("%+v", h)
	}
	for {
		resp := r.authenticate(2, string(message))
		if resp.ErrorCode != 0 {
			return resp
		}
		done, next, err := session.Challenge(resp.SASLAuthBytes)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return resp
		}
		message = next
	}
}

// tokenScript goes through what can become of tokens, and keeps what is answered, without what is another each time. The server knows alice, who may
// do nothing, and root, who may do everything.
type tokenScript struct {
	t         *testing.T
	root      string      // root's name
	anonymous func() *raw // of a listener that authenticates nobody
	guest     func() *raw // of the listener with SASL, before it proves anything
	login     func(root bool) *raw
	grant     func(rights ...right) // makes these all that alice may
	lines     []string

	alice, admin        *raw // who are alice and root
	own, brief, private *kmsg.CreateDelegationTokenResponse
	shared              *kmsg.CreateDelegationTokenResponse // root's, which alice may renew
	given               *kmsg.CreateDelegationTokenResponse // which alice has made for another
}

func (s *tokenScript) note(what, format string, args ...any) {
	s.lines = append(s.lines, what+": "+strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// who names a principal alike on every side.
func (s *tokenScript) who(kind, name string) string {
	if name == s.root {
		name = "root"
	}
	return kind + ":" + name
}

func (s *tokenScript) create(what string, r *raw, version int16, fill func(*kmsg.CreateDelegationTokenRequest)) *kmsg.CreateDelegationTokenResponse {
	req := kmsg.NewPtrCreateDelegationTokenRequest()
	req.MaxLifetimeMillis = -1
	if fill != nil {
		fill(req)
	}
	resp := ask[*kmsg.CreateDelegationTokenResponse](r, version, req)
	s.note(what, "%d %s by %s, expires %d, ends %d, issued %d, id %d, secret %d", resp.ErrorCode, s.who(resp.PrincipalType, resp.PrincipalName),
		s.who(resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName), resp.ExpiryTimestamp-resp.IssueTimestamp, resp.MaxTimestamp-resp.IssueTimestamp,
		min(resp.IssueTimestamp, 1), len(resp.TokenID), len(resp.HMAC))
	return resp
}

// left says when a token expires, to a minute: a slow machine takes seconds for the script.
func left(expiry int64) string {
	if expiry <= 0 {
		return strconv.FormatInt(expiry, 10)
	}
	return fmt.Sprintf("in %.0f s", math.Abs(time.Until(time.UnixMilli(expiry)).Round(time.Minute).Seconds()))
}

func (s *tokenScript) renew(what string, r *raw, hmac []byte, millis int64) {
	resp := ask[*kmsg.RenewDelegationTokenResponse](r, 2, &kmsg.RenewDelegationTokenRequest{HMAC: hmac, RenewTimeMillis: millis})
	s.note("renews "+what, "%d %s", resp.ErrorCode, left(resp.ExpiryTimestamp))
}

func (s *tokenScript) expire(what string, r *raw, hmac []byte, millis int64) {
	resp := ask[*kmsg.ExpireDelegationTokenResponse](r, 2, &kmsg.ExpireDelegationTokenRequest{HMAC: hmac, ExpiryPeriodMillis: millis})
	s.note("ends "+what, "%d %s", resp.ErrorCode, left(resp.ExpiryTimestamp))
}

// describe asks for the tokens of owners: nil = of everybody.
func (s *tokenScript) describe(what string, r *raw, owners []string) {
	req := kmsg.NewPtrDescribeDelegationTokenRequest()
	if owners != nil {
		req.Owners = []kmsg.DescribeDelegationTokenRequestOwner{}
	}
	for _, o := range owners {
		req.Owners = append(req.Owners, kmsg.DescribeDelegationTokenRequestOwner{PrincipalType: "User", PrincipalName: o})
	}
	resp := ask[*kmsg.DescribeDelegationTokenResponse](r, 3, req)
	seen := map[string]int{}
	for _, d := range resp.TokenDetails {
		text := s.who(d.PrincipalType, d.PrincipalName) + " by " + s.who(d.TokenRequesterPrincipalType, d.TokenRequesterPrincipalName)
		for _, x := range d.Renewers {
			text += " for " + s.who(x.PrincipalType, x.PrincipalName)
		}
		if len(d.HMAC) != 64 {
			text += " without secret"
		}
		seen[text]++
	}
	var texts []string
	for text, n := range seen {
		texts = append(texts, fmt.Sprintf("%d of %s", n, text))
	}
	slices.Sort(texts)
	s.note("describes "+what, "%d %s", resp.ErrorCode, strings.Join(texts, ", "))
}

func forOwner(name string) func(*kmsg.CreateDelegationTokenRequest) {
	return func(r *kmsg.CreateDelegationTokenRequest) {
		r.OwnerPrincipalType, r.OwnerPrincipalName = kmsg.StringPtr("User"), kmsg.StringPtr(name)
	}
}

func renewedBy(kind, name string) func(*kmsg.CreateDelegationTokenRequest) {
	return func(r *kmsg.CreateDelegationTokenRequest) {
		r.Renewers = []kmsg.CreateDelegationTokenRequestRenewer{{PrincipalType: kind, PrincipalName: name}}
	}
}

func lasting(millis int64) func(*kmsg.CreateDelegationTokenRequest) {
	return func(r *kmsg.CreateDelegationTokenRequest) { r.MaxLifetimeMillis = millis }
}

const hourMillis = 3_600_000

// run goes through all of it.
func (s *tokenScript) run() {
	s.grant()
	s.alice, s.admin = s.login(false), s.login(true)
	s.every("nobody", s.anonymous(), []byte("none"))
	s.make()
	eventually(s.t, "the tokens are known", func() bool {
		return len(ask[*kmsg.DescribeDelegationTokenResponse](s.admin, 3, kmsg.NewPtrDescribeDelegationTokenRequest()).TokenDetails) == 9
	})
	s.see()
	s.change()
	s.present()
	s.end()
}

// every sends each request by who may send none.
func (s *tokenScript) every(what string, r *raw, hmac []byte) {
	s.create(what+" creates", r, 3, nil)
	s.create(what+" creates for another", r, 3, forOwner("other"))
	s.renew("as "+what, r, hmac, -1)
	s.expire("as "+what, r, hmac, -1)
	s.describe("as "+what, r, nil)
}

func (s *tokenScript) make() {
	s.create("alice creates, v1", s.alice, 1, nil)
	s.own = s.create("with a renewer", s.alice, 3, renewedBy("User", "carol"))
	s.brief = s.create("for an hour, v2", s.alice, 2, lasting(hourMillis))
	s.create("for a year", s.alice, 3, lasting(365*24*hourMillis))
	s.create("with a group as renewer", s.alice, 3, renewedBy("Group", "x"))
	s.create("for another", s.alice, 3, forOwner("other"))
	s.create("for an empty name", s.alice, 3, forOwner(""))
	s.create("for herself", s.alice, 3, forOwner("alice"))
	s.grant(right{acl.CreateTokens, acl.User, "User:other", noToken})
	s.given = s.create("for another, with the right", s.alice, 3, forOwner("other"))
	s.grant()
	s.shared = s.create("root creates", s.admin, 3, renewedBy("User", "alice"))
	s.private = s.create("root creates without renewers", s.admin, 3, nil)
}

func (s *tokenScript) see() {
	s.describe("all", s.alice, nil)
	s.describe("her own", s.alice, []string{"alice"})
	s.describe("root's", s.alice, []string{s.root})
	s.describe("nobody's", s.alice, []string{})
	s.describe("another's", s.alice, []string{"other"})
	s.describe("all as root", s.admin, nil)
	s.describe("a renewer's as root", s.admin, []string{"carol"})
	s.grant(right{acl.Describe, acl.DelegationToken, s.private.TokenID, noToken})
	s.describe("root's with the right on the token", s.alice, []string{s.root})
	s.grant(right{acl.DescribeTokens, acl.User, "User:" + s.root, noToken})
	s.describe("root's with the right on root", s.alice, []string{s.root})
	s.grant()
}

func (s *tokenScript) change() {
	s.renew("her own", s.alice, s.own.HMAC, -1)
	s.renew("for a minute", s.alice, s.own.HMAC, 60_000)
	s.renew("for a year", s.alice, s.own.HMAC, 365*24*hourMillis)
	s.renew("past the end", s.alice, s.brief.HMAC, 2*hourMillis)
	s.renew("for zero", s.alice, s.own.HMAC, 0)
	s.renew("as its renewer", s.alice, s.shared.HMAC, 60_000)
	s.renew("somebody else's", s.alice, s.private.HMAC, 60_000)
	s.renew("somebody else's as root", s.admin, s.own.HMAC, 60_000)
	s.renew("what she made for another", s.alice, s.given.HMAC, 60_000)
	s.renew("none", s.alice, []byte("none"), 60_000)
	s.renew("an empty one", s.alice, []byte{}, 60_000)
	s.expire("somebody else's", s.alice, s.private.HMAC, 60_000)
	s.expire("somebody else's at once", s.alice, s.private.HMAC, -1)
	s.expire("none", s.alice, []byte("none"), -1)
	s.expire("past the end", s.alice, s.brief.HMAC, 2*hourMillis)
	s.expire("in a minute", s.alice, s.own.HMAC, 60_000)
}

// present comes in by tokens.
func (s *tokenScript) present() {
	for _, sha512 := range []bool{false, true} {
		var by *raw
		var resp *kmsg.SASLAuthenticateResponse
		eventually(s.t, "the token is taken", func() bool {
			by = s.guest()
			resp = by.present(s.t, s.own.TokenID, s.own.HMAC, sha512)
			return resp.ErrorCode == 0 && resp.SessionLifetimeMillis <= 60_000
		})
		s.note("presented", "%d, for %d0 s", resp.ErrorCode, (resp.SessionLifetimeMillis+9_999)/10_000)
		s.every("who has a token", by, s.own.HMAC)
		s.note("metadata", "%d brokers", len(ask[*kmsg.MetadataResponse](by, 9, kmsg.NewPtrMetadataRequest()).Brokers))
	}
	for _, wrong := range []struct {
		what, id string
		hmac     []byte
	}{{"another secret", s.own.TokenID, s.private.HMAC}, {"no token's id", "none", s.own.HMAC}} {
		resp := s.guest().present(s.t, wrong.id, wrong.hmac, true)
		s.note("presented with "+wrong.what, "%d %s", resp.ErrorCode, *resp.ErrorMessage)
	}
}

func (s *tokenScript) end() {
	s.expire("at once", s.alice, s.own.HMAC, -1)
	s.expire("again", s.alice, s.own.HMAC, -1)
	s.renew("what is gone", s.alice, s.own.HMAC, -1)
	eventually(s.t, "the token is not taken", func() bool {
		return s.guest().present(s.t, s.own.TokenID, s.own.HMAC, false).ErrorCode != 0
	})
	s.expire("in a millisecond", s.alice, s.brief.HMAC, 1)
	began := time.Now()
	eventually(s.t, "some milliseconds pass", func() bool { return time.Since(began) > 20*time.Millisecond })
	s.renew("what has expired", s.alice, s.brief.HMAC, -1)
	s.renew("what has expired, of another", s.admin, s.brief.HMAC, -1)
	s.expire("what has expired", s.alice, s.brief.HMAC, 60_000)
	s.expire("what has expired, of another", s.admin, s.brief.HMAC, 60_000)
	s.expire("what has expired, of another, at once", s.admin, s.brief.HMAC, -1)
	s.expire("what has expired, at once", s.alice, s.brief.HMAC, -1)
}

// TestTokensAreApacheKafkas goes through the script here.
func TestTokensAreApacheKafkas(t *testing.T) {
	t.Parallel()
	book, with := authorizer(t, acl.Config{SuperUsers: []string{"User:bob"}})
	g := startGuarded(t, with, func(c *kafka.Config) { c.FailureDelay = 1 })
	s := &tokenScript{
		t: t, root: "bob",
		anonymous: func() *raw { return g.node.raw(t) },
		guest:     func() *raw { return g.raw(t) },
		login: func(root bool) *raw {
			r := g.raw(t)
			if !root {
				r.login(t)
				return r
			}
			r.handshake(1, "PLAIN")
			if resp := r.authenticate(2, "\x00bob\x00hunter3"); resp.ErrorCode != 0 {
				t.Fatalf("%+v", resp)
			}
			return r
		},
		grant: func(rights ...right) { reset(t, book, rights...) },
	}
	s.run()
	if got := strings.Join(s.lines, "\n"); got != tokenAnswers {
		t.Errorf("answered\n%s", got)
	}
	log := g.log.String()
	for _, secret := range [][]byte{s.own.HMAC, s.private.HMAC} {
		for _, form := range []string{base64.StdEncoding.EncodeToString(secret), fmt.Sprintf("%x", secret), fmt.Sprint(secret), string(secret)} {
			if strings.Contains(log, form) {
				t.Error("a secret is logged")
			}
		}
	}
	if !strings.Contains(log, "delegation token created") || !strings.Contains(log, "delegation token removed") || !strings.Contains(log, "user="+s.own.TokenID) {
		t.Errorf("log %s", log)
	}
}

// TestApacheKafkaHasTokensAlike goes through the script with an Apache Kafka, as TestApacheKafkaRefusesAlike, which has a delegation.token.secret.key and
// knows admin, a super user.
func TestApacheKafkaHasTokensAlike(t *testing.T) {
	super, sasl := os.Getenv("FRESHET_KAFKA_ACL_PEER"), os.Getenv("FRESHET_KAFKA_ACL_PEER_SASL")
	if super == "" || sasl == "" {
		t.Skip("no Apache Kafka with ACLs is named")
	}
	root := dial(t, super)
	s := &tokenScript{
		t: t, root: "admin",
		anonymous: func() *raw { return dial(t, super) },
		guest:     func() *raw { return dial(t, sasl) },
		login: func(root bool) *raw {
			if !root {
				return asAlice(t, sasl)
			}
			r := dial(t, sasl)
			r.handshake(1, "PLAIN")
			if resp := r.authenticate(1, "\x00admin\x00admin-secret"); resp.ErrorCode != 0 {
				t.Fatalf("%+v", resp)
			}
			return r
		},
		grant: func(rights ...right) { grantPeer(t, root, rights) },
	}
	for _, d := range ask[*kmsg.DescribeDelegationTokenResponse](s.login(true), 3, kmsg.NewPtrDescribeDelegationTokenRequest()).TokenDetails {
		t.Fatalf("it has tokens already, as %s", d.TokenID)
	}
	s.run()
	if got := strings.Join(s.lines, "\n"); got != tokenAnswers {
		t.Errorf("answered\n%s", got)
	}
}

// tokenAnswers are what is answered to the script.
const tokenAnswers = `nobody creates: 64 User:ANONYMOUS by User:ANONYMOUS, expires 0, ends 0, issued -1, id 0, secret 0
nobody creates for another: 64 User:other by User:ANONYMOUS, expires 0, ends 0, issued -1, id 0, secret 0
renews as nobody: 64 -1
ends as nobody: 64 -1
describes as nobody: 64
alice creates, v1: 0 User:alice by :, expires 86400000, ends 604800000, issued 1, id 22, secret 64
with a renewer: 0 User:alice by User:alice, expires 86400000, ends 604800000, issued 1, id 22, secret 64
for an hour, v2: 0 User:alice by :, expires 3600000, ends 3600000, issued 1, id 22, secret 64
for a year: 0 User:alice by User:alice, expires 86400000, ends 604800000, issued 1, id 22, secret 64
with a group as renewer: 67 User:alice by User:alice, expires 0, ends 0, issued -1, id 0, secret 0
for another: 65 User:other by User:alice, expires 0, ends 0, issued -1, id 0, secret 0
for an empty name: 0 User:alice by User:alice, expires 86400000, ends 604800000, issued 1, id 22, secret 64
for herself: 0 User:alice by User:alice, expires 86400000, ends 604800000, issued 1, id 22, secret 64
for another, with the right: 0 User:other by User:alice, expires 86400000, ends 604800000, issued 1, id 22, secret 64
root creates: 0 User:root by User:root, expires 86400000, ends 604800000, issued 1, id 22, secret 64
root creates without renewers: 0 User:root by User:root, expires 86400000, ends 604800000, issued 1, id 22, secret 64
describes all: 0 1 of User:alice by User:alice for User:carol, 1 of User:other by User:alice, 1 of User:root by User:root for User:alice, 5 of User:alice by User:alice
describes her own: 0 1 of User:alice by User:alice for User:carol, 1 of User:other by User:alice, 1 of User:root by User:root for User:alice, 5 of User:alice by User:alice
describes root's: 0 1 of User:root by User:root for User:alice
describes nobody's: 0
describes another's: 0 1 of User:other by User:alice
describes all as root: 0 1 of User:alice by User:alice for User:carol, 1 of User:other by User:alice, 1 of User:root by User:root, 1 of User:root by User:root for User:alice, 5 of User:alice by User:alice
describes a renewer's as root: 0 1 of User:alice by User:alice for User:carol
describes root's with the right on the token: 0 1 of User:root by User:root, 1 of User:root by User:root for User:alice
describes root's with the right on root: 0 1 of User:root by User:root, 1 of User:root by User:root for User:alice
renews her own: 0 in 86400 s
renews for a minute: 0 in 60 s
renews for a year: 0 in 86400 s
renews past the end: 0 in 3600 s
renews for zero: 0 in 86400 s
renews as its renewer: 0 in 60 s
renews somebody else's: 63 0
renews somebody else's as root: 63 0
renews what she made for another: 63 0
renews none: 62 0
renews an empty one: 62 0
ends somebody else's: 63 0
ends somebody else's at once: 63 0
ends none: 62 0
ends past the end: 0 in 3600 s
ends in a minute: 0 in 60 s
presented: 0, for 60 s
who has a token creates: 64 User:alice by User:alice, expires 0, ends 0, issued -1, id 0, secret 0
who has a token creates for another: 64 User:other by User:alice, expires 0, ends 0, issued -1, id 0, secret 0
renews as who has a token: 64 -1
ends as who has a token: 64 -1
describes as who has a token: 64
metadata: 1 brokers
presented: 0, for 60 s
who has a token creates: 64 User:alice by User:alice, expires 0, ends 0, issued -1, id 0, secret 0
who has a token creates for another: 64 User:other by User:alice, expires 0, ends 0, issued -1, id 0, secret 0
renews as who has a token: 64 -1
ends as who has a token: 64 -1
describes as who has a token: 64
metadata: 1 brokers
presented with another secret: 58 Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512
presented with no token's id: 58 Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512
ends at once: 0 in 0 s
ends again: 62 0
renews what is gone: 62 0
ends in a millisecond: 0 in 0 s
renews what has expired: 66 0
renews what has expired, of another: 66 0
ends what has expired: 66 0
ends what has expired, of another: 63 0
ends what has expired, of another, at once: 63 0
ends what has expired, at once: 0 in 0 s`

// TestSessionsEndWithTheirToken lets a client stay as long as its token is good: it is told how long, and proves it again once it is renewed.
func TestSessionsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	virtual := clock.NewVirtual(time.Unix(1e9, 0))
	g := startGuarded(t, func(c *kafka.Config) {
		c.Clock, c.FailureDelay = virtual, -1
		c.Limits.IdleTimeout, c.Limits.StallTimeout = -1, 1000*time.Hour // no clock is moved so far in one step but this one
	})
	owner := g.raw(t)
	owner.login(t)
	made := ask[*kmsg.CreateDelegationTokenResponse](owner, 3, kmsg.NewPtrCreateDelegationTokenRequest())
	meta := func(r *raw) { ask[*kmsg.MetadataResponse](r, 9, kmsg.NewPtrMetadataRequest()) }
	day := delegation.DefaultLifetime.Milliseconds()

	r := g.raw(t)
	if resp := r.present(t, made.TokenID, made.HMAC, true); resp.ErrorCode != 0 || resp.SessionLifetimeMillis != day {
		t.Fatalf("%+v", resp)
	}
	virtual.Advance(20 * time.Hour)
	meta(r)
	ask[kmsg.Response](owner, 2, &kmsg.RenewDelegationTokenRequest{HMAC: made.HMAC, RenewTimeMillis: -1})
	if resp := r.present(t, made.TokenID, made.HMAC, true); resp.ErrorCode != 0 || resp.SessionLifetimeMillis != day {
		t.Errorf("renewed: %+v", resp)
	}
	virtual.Advance(20 * time.Hour)
	meta(r)
	virtual.Advance(5 * time.Hour)
	r.send(9, kmsg.NewPtrMetadataRequest())
	r.expectClosed()
	if resp := g.raw(t).present(t, made.TokenID, made.HMAC, true); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code {
		t.Errorf("presented after its end: %+v", resp)
	}
}
