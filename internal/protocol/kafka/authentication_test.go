package kafka_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	clientsasl "github.com/twmb/franz-go/pkg/sasl"
	clientplain "github.com/twmb/franz-go/pkg/sasl/plain"
	clientscram "github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
	"github.com/freshet/freshet/internal/state/memstate"
)

// guarded is a server whose second listener wants SASL.
type guarded struct {
	*node
	secured string // the listener's address
	log     *lines
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startGuarded runs a server that knows alice, whose password is hunter2, and bob, whose is hunter3.
func startGuarded(t *testing.T, change ...func(*kafka.Config)) *guarded {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{secured: l.Addr().String(), log: &lines{}}
	g.node = start(t, func(c *kafka.Config) {
		for _, f := range change {
			f(c)
		}
		c.State = memstate.New(c.Clock)
		c.Logger = slog.New(slog.NewTextHandler(g.log, nil))
		tokens(t, delegation.Config{})(c)
		users, err := scram.Open(t.Context(), c.State, rand.NewChaCha8([32]byte{1}))
		if err != nil {
			t.Fatal(err)
		}
		for name, password := range map[string]string{"alice": "hunter2", "bob": "hunter3"} {
			if _, err := users.Make(t.Context(), name, password); err != nil {
				t.Fatal(err)
			}
		}
		c.Listeners = []kafka.Listener{{Name: "CLIENTS", Net: l, Mechanisms: []sasl.Mechanism{
			sasl.Plain(users), sasl.Scram(scram.SHA256, users, c.Tokens, rand.NewChaCha8([32]byte{2})), sasl.Scram(scram.SHA512, users, c.Tokens, rand.NewChaCha8([32]byte{3})),
			sasl.OAuthBearer(noTokens{}),
		}}}
	})
	return g
}

// raw connects to the listener that wants SASL.
func (g *guarded) raw(t *testing.T) *raw {
	t.Helper()
	return (&node{addr: g.secured}).raw(t)
}

func (r *raw) handshake(version int16, mechanism string) *kmsg.SASLHandshakeResponse {
	r.t.Helper()
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = mechanism
	return ask[*kmsg.SASLHandshakeResponse](r, version, req)
}

func (r *raw) authenticate(version int16, message string) *kmsg.SASLAuthenticateResponse {
	r.t.Helper()
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = []byte(message)
	return ask[*kmsg.SASLAuthenticateResponse](r, version, req)
}

// plainAs proves to be alice by PLAIN.
const plainAs = "\x00alice\x00hunter2"

func (r *raw) login(t *testing.T) *kmsg.SASLAuthenticateResponse {
	t.Helper()
	if h := r.handshake(1, "PLAIN"); h.ErrorCode != 0 {
		t.Fatalf("%+v", h)
	}
	resp := r.authenticate(2, plainAs)
	if resp.ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	return resp
}

func TestClientsProveWhoTheyAre(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	served := map[string]int{}
	g := startGuarded(t, func(c *kafka.Config) {
		c.Observe = func(o kafka.Observation) {
			mu.Lock()
			defer mu.Unlock()
			if o.API == "Metadata" {
				served[o.Principal.String()+" "+o.Listener]++
			}
		}
	})
	connect := func(m clientsasl.Mechanism) error {
		cl, err := kgo.NewClient(kgo.SeedBrokers(g.secured), kgo.SASL(m), kgo.RequestRetries(0), kgo.RetryTimeout(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		brokers, err := kadm.NewClient(cl).ListBrokers(t.Context())
		if err == nil && (len(brokers) != 1 || brokers[0].Host != "127.0.0.1" || net.JoinHostPort("127.0.0.1", strconv.Itoa(int(brokers[0].Port))) != g.secured) {
			t.Errorf("the client is told of %+v, want %s", brokers, g.secured)
		}
		return err
	}
	for name, m := range map[string]clientsasl.Mechanism{
		"PLAIN":         clientplain.Auth{User: "alice", Pass: "hunter2"}.AsMechanism(),
		"SCRAM-SHA-256": clientscram.Auth{User: "alice", Pass: "hunter2"}.AsSha256Mechanism(),
		"SCRAM-SHA-512": clientscram.Auth{User: "alice", Pass: "hunter2"}.AsSha512Mechanism(),
	} {
		if err := connect(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]clientsasl.Mechanism{
		"PLAIN":         clientplain.Auth{User: "alice", Pass: "hunter3"}.AsMechanism(),
		"SCRAM-SHA-256": clientscram.Auth{User: "nobody", Pass: "hunter2"}.AsSha256Mechanism(),
		"SCRAM-SHA-512": clientscram.Auth{User: "alice", Pass: "hunter3"}.AsSha512Mechanism(),
	} {
		if err := connect(m); err == nil || !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") {
			t.Errorf("%s with a wrong password: %v", name, err)
		}
	}
	eventually(t, "three are served as alice", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return served["User:alice CLIENTS"] == 3 && len(served) == 1
	})
	log := g.log.String()
	if strings.Contains(log, "hunter") || !strings.Contains(log, "authentication failed") || !strings.Contains(log, "user=nobody") {
		t.Errorf("log %s", log)
	}
}

func TestNothingIsServedBeforeAuthentication(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	for _, req := range []kmsg.Request{kmsg.NewPtrMetadataRequest(), kmsg.NewPtrSASLAuthenticateRequest(), kmsg.NewPtrProduceRequest(), kmsg.NewPtrFetchRequest(), kmsg.NewPtrFindCoordinatorRequest()} {
		r := g.raw(t)
		if len(r.versions(3).ApiKeys) < 30 || len(r.versions(0).ApiKeys) < 30 {
			t.Error("ApiVersions is not answered")
		}
		r.send(4, req)
		r.expectClosed()
	}
	r := g.raw(t)
	r.handshake(1, "SCRAM-SHA-256")
	r.send(1, kmsg.NewPtrMetadataRequest())
	r.expectClosed()
	r = g.raw(t)
	if h := r.handshake(1, "GSSAPI"); h.ErrorCode != kerr.UnsupportedSaslMechanism.Code || strings.Join(h.SupportedMechanisms, " ") != "PLAIN SCRAM-SHA-256 SCRAM-SHA-512 OAUTHBEARER" {
		t.Errorf("%+v", h)
	}
	r.expectClosed()
	r = g.raw(t)
	r.send(1, kmsg.NewPtrSASLHandshakeRequest()) // no mechanism
	r.receive()
	r.expectClosed()
}

func TestAWrongPasswordIsAnsweredAndCloses(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	r := g.raw(t)
	r.handshake(1, "PLAIN")
	began := time.Now()
	resp := r.authenticate(2, "\x00alice\x00hunter3")
	if resp.ErrorCode != kerr.SaslAuthenticationFailed.Code || resp.ErrorMessage == nil || *resp.ErrorMessage != "Authentication failed: Invalid username or password" || len(resp.SASLAuthBytes) > 0 {
		t.Errorf("%+v", resp)
	}
	if took := time.Since(began); took < kafka.DefaultFailureDelay {
		t.Errorf("answered after %s", took)
	}
	r.expectClosed()
}

func TestGuessingIsHeldUp(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, func(c *kafka.Config) { c.FailureDelay = 1 })
	try := func(message string) string {
		t.Helper()
		r := g.raw(t)
		r.handshake(1, "PLAIN")
		if resp := r.authenticate(1, message); resp.ErrorCode != 0 {
			return *resp.ErrorMessage
		}
		return ""
	}
	idle := g.raw(t)
	idle.handshake(1, "PLAIN")
	guesses := 0
	for !strings.Contains(try("\x00alice\x00guess"), "too many attempts") {
		if guesses++; guesses > 50 {
			t.Fatal("nobody holds it up")
		}
	}
	if text := try(plainAs); !strings.Contains(text, "too many attempts") {
		t.Errorf("the right password at last: %q", text)
	}
	for range 200 { // as a client that nobody has told of its new password
		try("\x00alice\x00guess")
		guesses++
	}
	if text := try("\x00bob\x00hunter3"); text != "" {
		t.Errorf("another user at the same address: %q", text)
	}
	eventually(t, "all that have failed are counted, and who waits", func() bool {
		pending, failed := g.Authentications()
		return pending == 1 && failed == int64(guesses)+2
	})
}

// TestBareTokens authenticates as clients did before SaslAuthenticate.
func TestBareTokens(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, func(c *kafka.Config) { c.FailureDelay = 1 })
	token := func(r *raw, message string) {
		t.Helper()
		if _, err := r.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)); err != nil {
			t.Fatal(err)
		}
	}
	r := g.raw(t)
	r.handshake(0, "PLAIN")
	token(r, plainAs)
	if answer := r.receive(); len(answer) != 0 {
		t.Errorf("%q", answer)
	}
	if resp := ask[*kmsg.MetadataResponse](r, 1, kmsg.NewPtrMetadataRequest()); len(resp.Brokers) != 1 {
		t.Errorf("%+v", resp)
	}
	r = g.raw(t)
	r.handshake(0, "SCRAM-SHA-256")
	token(r, "n,,n=alice,r=abc")
	if answer := string(r.receive()); !strings.HasPrefix(answer, "r=abc") {
		t.Errorf("%q", answer)
	}
	token(r, "c=biws,r=abc,p=AAAA")
	r.expectClosed()
	r = g.raw(t)
	r.handshake(0, "PLAIN")
	r.send(1, kmsg.NewPtrMetadataRequest()) // is taken for a token
	r.expectClosed()
}

func TestSASLIsNotExpectedWhereThereIsNone(t *testing.T) {
	t.Parallel()
	r := start(t).raw(t)
	if h := r.handshake(1, "PLAIN"); h.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("%+v", h)
	}
	if resp := r.authenticate(2, plainAs); resp.ErrorCode != kerr.IllegalSaslState.Code || resp.ErrorMessage == nil {
		t.Errorf("%+v", resp)
	}
}

func TestSessionsAreRenewed(t *testing.T) {
	t.Parallel()
	virtual := clock.NewVirtual(time.Unix(1e9, 0))
	g := startGuarded(t, func(c *kafka.Config) { c.Clock, c.MaxReauth, c.FailureDelay = virtual, time.Minute, -1 })
	r := g.raw(t)
	if resp := r.login(t); resp.SessionLifetimeMillis != 60_000 {
		t.Errorf("%+v", resp)
	}
	if h := r.handshake(1, "PLAIN"); h.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("renewed at once: %+v", h)
	}
	for range 3 { // alive for two minutes in the end
		virtual.Advance(40 * time.Second)
		if resp := r.login(t); resp.SessionLifetimeMillis != 60_000 {
			t.Errorf("%+v", resp)
		}
		ask[*kmsg.MetadataResponse](r, 1, kmsg.NewPtrMetadataRequest())
	}
	virtual.Advance(61 * time.Second)
	r.login(t) // late, and yet before any other request
	ask[*kmsg.MetadataResponse](r, 1, kmsg.NewPtrMetadataRequest())
	virtual.Advance(61 * time.Second)
	r.send(1, kmsg.NewPtrMetadataRequest())
	r.expectClosed()

	r = g.raw(t)
	r.login(t)
	virtual.Advance(30 * time.Second)
	r.handshake(1, "PLAIN")
	if resp := r.authenticate(2, "\x00bob\x00hunter3"); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code || !strings.Contains(*resp.ErrorMessage, "Cannot change principals") {
		t.Errorf("%+v", resp)
	}
	r.expectClosed()

	r = g.raw(t)
	r.login(t)
	virtual.Advance(30 * time.Second)
	if h := r.handshake(1, "SCRAM-SHA-256"); h.ErrorCode != kerr.UnsupportedSaslMechanism.Code {
		t.Errorf("renewed by another mechanism: %+v", h)
	}
	r.expectClosed()

	r = g.raw(t)
	r.login(t)
	virtual.Advance(30 * time.Second)
	r.handshake(1, "PLAIN")
	r.send(1, kmsg.NewPtrMetadataRequest()) // amid the renewal
	r.expectClosed()
}

func TestLargeRequestsWaitForAuthentication(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	r := g.raw(t)
	r.handshake(1, "PLAIN")
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = make([]byte, 600<<10)
	req.SetVersion(2)
	_, _ = r.conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)) // it may be reset amid the writing
	if n, err := r.conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a large message is answered")
	}
	r = g.raw(t)
	r.login(t)
	if resp := r.authenticate(2, strings.Repeat("x", 600<<10)); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("%+v", resp)
	}
}

func TestScramCredentialsAreAlteredAndDescribed(t *testing.T) {
	t.Parallel()
	g := startGuarded(t)
	admin := kadm.NewClient(g.client(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	salted := func(name string, mechanism int8, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
		return kmsg.AlterUserSCRAMCredentialsRequestUpsertion{Name: name, Mechanism: mechanism, Iterations: iterations, Salt: []byte("salt"), SaltedPassword: []byte("x")}
	}
	req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	req.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "bob", Mechanism: 1}, {Name: "ghost", Mechanism: 1}, {Name: "both", Mechanism: 1}}
	req.Upsertions = []kmsg.AlterUserSCRAMCredentialsRequestUpsertion{
		salted("few", 1, 4095), salted("many", 1, 16385), salted("half", 1, 4096), salted("half", 3, 4096), salted("twice", 1, 4096), salted("twice", 1, 4096),
		salted("both", 1, 4096), salted("", 1, 4096), salted("dave", 1, 4096),
	}
	want := map[string]int16{
		"bob": 0, "dave": 0, "ghost": kerr.ResourceNotFound.Code, "few": kerr.UnacceptableCredential.Code, "many": kerr.UnacceptableCredential.Code,
		"half": kerr.UnsupportedSaslMechanism.Code, "twice": kerr.DuplicateResource.Code, "both": kerr.DuplicateResource.Code, "": kerr.UnacceptableCredential.Code,
	}
	altered := ask[*kmsg.AlterUserSCRAMCredentialsResponse](g.node.raw(t), 0, req)
	for _, r := range altered.Results {
		if code, there := want[r.User]; !there || code != r.ErrorCode || (code != 0) != (r.ErrorMessage != nil) {
			t.Errorf("%q: %d, want %d", r.User, r.ErrorCode, code)
		}
	}
	if len(altered.Results) != len(want) {
		t.Errorf("%d results, want %d", len(altered.Results), len(want))
	}
	if set, err := admin.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: "dave", Mechanism: kadm.ScramSha256}}, []kadm.UpsertSCRAM{
		{User: "carol", Mechanism: kadm.ScramSha512, Iterations: 8192, Password: "hunter4"},
	}); err != nil || !set.Ok() {
		t.Fatal(set, err)
	}
	all, err := admin.DescribeUserSCRAMs(ctx)
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	if c := all["carol"].CredInfos; len(c) != 1 || c[0].Mechanism != kadm.ScramSha512 || c[0].Iterations != 8192 {
		t.Errorf("carol %+v", c)
	}
	if c := all["bob"].CredInfos; len(c) != 1 || c[0].Mechanism != kadm.ScramSha512 {
		t.Errorf("bob %+v", c)
	}
	some, err := admin.DescribeUserSCRAMs(ctx, "alice", "ghost")
	if err != nil || len(some["alice"].CredInfos) != 2 || some["ghost"].Err != kerr.ResourceNotFound {
		t.Errorf("%+v, %v", some, err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(g.secured), kgo.SASL(clientscram.Auth{User: "carol", Pass: "hunter4"}.AsSha512Mechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil {
		t.Errorf("carol: %v", err)
	}
}

// TestABadTokenIsNotedAtOnce has a client that never acknowledges the refusal, and one that does.
func TestABadTokenIsNotedAtOnce(t *testing.T) {
	t.Parallel()
	g := startGuarded(t, func(c *kafka.Config) { c.FailureDelay = 1 })
	for _, acknowledges := range []bool{false, true} {
		r := g.raw(t)
		r.handshake(1, "OAUTHBEARER")
		if resp := r.authenticate(2, "n,,\x01auth=Bearer bad\x01\x01"); resp.ErrorCode != 0 || string(resp.SASLAuthBytes) != `{"status":"invalid_token"}` {
			t.Errorf("%+v", resp)
		}
		if acknowledges {
			if resp := r.authenticate(2, "\x01"); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code || *resp.ErrorMessage != `{"status":"invalid_token"}` {
				t.Errorf("%+v", resp)
			}
		} else {
			r.send(1, kmsg.NewPtrMetadataRequest())
		}
		r.expectClosed()
	}
	if n := strings.Count(g.log.String(), "authentication failed"); n != 2 {
		t.Errorf("noted %d times, want 2:\n%s", n, g.log)
	}
}

// noTokens is a sasl.Tokens to which none is good.
type noTokens struct{}

func (noTokens) Verify(context.Context, string) (*sasl.Identity, error) {
	return nil, &sasl.Failure{Text: `{"status":"invalid_token"}`, Reason: "none is good"}
}

// Claimed says of none whose it is.
func (noTokens) Claimed(string) string { return "" }
