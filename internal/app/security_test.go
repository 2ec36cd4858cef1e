package app_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/go-jose/go-jose/v4"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	awsiam "github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/govern/jwt/jwttest"
	"github.com/freshet/freshet/internal/tlsca"
	"github.com/freshet/freshet/internal/tlsfiles/tlstest"
)

// at returns the address of a node's listener.
func at(t *testing.T, n running, name string) string {
	t.Helper()
	for _, l := range n.Addresses().Listeners {
		if l.Name == name {
			return l.Address
		}
	}
	t.Fatalf("no listener %s in %+v", name, n.Addresses().Listeners)
	return ""
}

// clientAt returns a client of one of a node's listeners that does not try for long.
func clientAt(t *testing.T, n running, name string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(at(t, n, name)), kgo.AllowAutoTopicCreation(), kgo.RetryTimeout(10 * time.Second), kgo.RequestRetries(2),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// told returns the only broker that a client is told of.
func told(t *testing.T, c *kgo.Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	brokers, err := kadm.NewClient(c).ListBrokers(ctx)
	if err != nil || len(brokers) != 1 {
		t.Fatalf("%v, %v", brokers, err)
	}
	b := brokers[0]
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

// safeBuffer may be written and read at the same time.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// asked collects the principals of a node's requests.
type asked struct {
	mu  sync.Mutex
	who []string // guarded by mu
}

func (a *asked) access(access app.Access) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.who, access.Principal) {
		a.who = append(a.who, access.Principal)
	}
}

func (a *asked) has(who string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.who, who)
}

func TestKafkaOverTLSWithTheNodesOwnAuthority(t *testing.T) {
	data := t.TempDir()
	n := start(t, app.Config{
		Data: data, KafkaListeners: []string{"SSL://127.0.0.1:0", "OUT://127.0.0.1:0"}, KafkaSecurityProtocols: []string{"OUT:SSL"},
		KafkaAdvertisedListeners: []string{"OUT://broker.example:9"},
	}, app.Deps{})
	authority, err := os.ReadFile(filepath.Join(app.AuthorityDir(data), tlsca.CertificateFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := tlstest.Pool(t, authority)
	secure := clientAt(t, n, "SSL", kgo.DialTLSConfig(&tls.Config{RootCAs: roots, ServerName: "localhost"}), kgo.ConsumeTopics("clicks"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ProducerBatchMaxBytes(1<<20))
	if got, want := told(t, secure), at(t, n, "SSL"); got != want {
		t.Errorf("clients of SSL are told %s, want %s", got, want)
	}
	if got := told(t, clientAt(t, n, "PLAINTEXT")); got != n.Addresses().Kafka {
		t.Errorf("clients of PLAINTEXT are told %s, want %s", got, n.Addresses().Kafka)
	}
	outside, err := kadm.NewClient(clientAt(t, n, "PLAINTEXT")).DescribeBrokerConfigs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range outside[0].Configs {
		if c.Key == "advertised.listeners" && !strings.HasSuffix(*c.Value, ",OUT://broker.example:9") {
			t.Errorf("%s = %s", c.Key, *c.Value)
		}
	}
	const records, size = 300, 10_000
	for range records {
		secure.Produce(t.Context(), &kgo.Record{Topic: "clicks", Value: bytes.Repeat([]byte("x"), size)}, nil)
	}
	if err := secure.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < records; {
		fetches := secure.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if got++; !bytes.Equal(r.Value, bytes.Repeat([]byte("x"), size)) {
				t.Errorf("record of %d bytes", len(r.Value))
			}
		})
	}
	if err := clientAt(t, n, "SSL", kgo.DialTLSConfig(&tls.Config{ServerName: "localhost"})).Ping(t.Context()); err == nil {
		t.Error("a client that does not trust the authority is connected")
	}
}

func TestClientsAreTheirCertificates(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server, serverKey := tlstest.Pair(t, pkix.Name{CommonName: "server"}, now)
	alice, aliceKey := tlstest.Pair(t, pkix.Name{CommonName: "Alice", OrganizationalUnit: []string{"ops"}}, now)
	bob, bobKey := tlstest.Pair(t, pkix.Name{CommonName: "bob", Country: []string{"DE"}}, now)
	eve, eveKey := tlstest.Pair(t, pkix.Name{CommonName: "eve"}, now)
	var who asked
	n := start(t, app.Config{
		KafkaListeners: []string{"SSL://127.0.0.1:0", "ANY://127.0.0.1:0"}, KafkaSecurityProtocols: []string{"ANY:SSL"},
		KafkaClientCertificates: []string{"SSL:required", "ANY:requested"}, KafkaPrincipalRules: "RULE:^CN=([^,]+),OU=ops$/$1/L,RULE:^.*C=DE$/German/,RULE:^CN=eve$/$0/",
		TLSCertificate: file("cert.pem", server), TLSKey: file("key.pem", serverKey), TLSClientCA: file("clients.pem", append(alice, bob...)),
	}, app.Deps{Access: who.access})
	connect := func(listener string, pairs ...[]byte) error {
		config := &tls.Config{RootCAs: tlstest.Pool(t, server)}
		if pairs != nil {
			own := tlstest.Keys(t, pairs[0], pairs[1])
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return clientAt(t, n, listener, kgo.DialTLSConfig(config)).Ping(ctx)
	}
	for name, row := range map[string]struct {
		listener string
		pairs    [][]byte
		want     string // "" = refused
	}{
		"a rule's name":         {"SSL", [][]byte{alice, aliceKey}, "User:alice"},
		"another rule's":        {"ANY", [][]byte{bob, bobKey}, "User:German"},
		"none, where none must": {"ANY", nil, "User:ANONYMOUS"},
		"none":                  {"SSL", nil, ""},
		"of an unknown signer":  {"SSL", [][]byte{eve, eveKey}, ""},
		"the same, if any":      {"ANY", [][]byte{eve, eveKey}, ""},
	} {
		if err := connect(row.listener, row.pairs...); (err == nil) != (row.want != "") {
			t.Errorf("%s: %v", name, err)
		}
		if row.want != "" {
			clocktest.Eventually(t, name+" is "+row.want, func() bool { return who.has(row.want) })
		}
	}
	if who.has("User:eve") || who.has("User:CN=eve") {
		t.Error("eve was served")
	}
}

func TestAClientWhoseNameHasNoRuleIsNotServed(t *testing.T) {
	now, log := time.Now(), &safeBuffer{}
	alice, aliceKey := tlstest.Pair(t, pkix.Name{CommonName: "alice"}, now)
	path := filepath.Join(t.TempDir(), "clients.pem")
	if err := os.WriteFile(path, alice, 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, app.Config{
		KafkaListeners: []string{"SSL://127.0.0.1:0"}, KafkaClientCertificates: []string{"SSL:required"}, TLSClientCA: path, KafkaPrincipalRules: "RULE:^CN=bob$/b/",
	}, app.Deps{Logger: slog.New(slog.NewTextHandler(log, nil))})
	c := clientAt(t, n, "SSL", kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{tlstest.Keys(t, alice, aliceKey)}}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Ping(ctx); err == nil {
		t.Error("served")
	}
	clocktest.Eventually(t, "the log says why", func() bool { return strings.Contains(log.String(), "no mapping rule is for the name") })
}

func TestPasswordsOutliveTheNode(t *testing.T) {
	data := t.TempDir()
	c := app.Config{Data: data, KafkaListeners: []string{"SASL_SSL://127.0.0.1:0"}, KafkaUsers: []string{"alice:hunter2"}, KafkaSASLMechanisms: []string{"SASL_SSL:PLAIN+SCRAM-SHA-512"}}
	login := func(n running, password string) error {
		authority, err := os.ReadFile(filepath.Join(app.AuthorityDir(data), tlsca.CertificateFile))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		trust := kgo.DialTLSConfig(&tls.Config{RootCAs: tlstest.Pool(t, authority)})
		return errors.Join(
			clientAt(t, n, "SASL_SSL", trust, kgo.SASL(plain.Auth{User: "alice", Pass: password}.AsMechanism())).Ping(ctx),
			clientAt(t, n, "SASL_SSL", trust, kgo.SASL(scram.Auth{User: "alice", Pass: password}.AsSha512Mechanism())).Ping(ctx),
		)
	}
	first := start(t, c, app.Deps{})
	if err := login(first, "hunter2"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	altered, err := kadm.NewClient(kafkaClient(t, first)).AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
		{User: "alice", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "hunter3"},
	})
	if err != nil || !altered.Ok() {
		t.Fatal(altered, err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, c, app.Deps{})
	if err := login(second, "hunter3"); err != nil {
		t.Errorf("the password that was set before the restart: %v", err)
	}
	if err := login(second, "hunter2"); err == nil {
		t.Error("the password of the configuration counts again")
	}
}

// login is a way to prove who one is, and what the node makes of it.
type login struct {
	mechanism sasl.Mechanism
	who       string // "" = refused
}

// TestClientsHaveTokensAndKeys connects by OAUTHBEARER, with tokens of an issuer and of MSK's signers, and by AWS_MSK_IAM.
func TestClientsHaveTokensAndKeys(t *testing.T) {
	issuer, other := jwttest.New(t, ""), jwttest.New(t, "")
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, issuer.JWKS(t), 0o600); err != nil {
		t.Fatal(err)
	}
	token := func(i *jwttest.Issuer, audience string) sasl.Mechanism {
		claims := map[string]any{"sub": "app", "aud": audience, "exp": time.Now().Unix() + 600}
		return oauth.Auth{Token: i.Sign(t, jose.RS256, "", claims)}.AsMechanism()
	}
	key := func(id, secret string) sasl.Mechanism {
		return awsiam.Auth{AccessKey: id, SecretKey: secret}.AsManagedStreamingIAMMechanism()
	}
	signed := func(id, secret string, edit ...string) sasl.Mechanism {
		return oauth.Auth{Token: mskToken(t, id, secret, edit...)}.AsMechanism()
	}
	var who asked
	n := start(t, app.Config{
		KafkaListeners:      []string{"SASL_PLAINTEXT://127.0.0.1:0", "TOKENS://127.0.0.1:0"},
		KafkaSASLMechanisms: []string{"SASL_PLAINTEXT:AWS_MSK_IAM+OAUTHBEARER", "TOKENS:OAUTHBEARER"}, KafkaSecurityProtocols: []string{"TOKENS:SASL_PLAINTEXT"},
		KafkaOAuthJWKS: path, KafkaOAuthAudience: []string{"kafka"}, AccessKeys: []string{"AKIDALICE:secret1", "AKIDROOT:secret2"}, AccessKeyUsers: []string{"AKIDALICE:alice"},
	}, app.Deps{Access: who.access})
	t.Setenv("AWS_REGION", "eu-west-1")
	for name, row := range map[string]login{
		"SASL_PLAINTEXT a token":                       {token(issuer, "kafka"), "User:app"},
		"SASL_PLAINTEXT a token for others":            {token(issuer, "other"), ""},
		"SASL_PLAINTEXT a token of others":             {token(other, "kafka"), ""},
		"SASL_PLAINTEXT a user's key":                  {key("AKIDALICE", "secret1"), "User:arn:aws:iam::000000000000:user/alice"},
		"SASL_PLAINTEXT the root's key":                {key("AKIDROOT", "secret2"), "User:arn:aws:iam::000000000000:root"},
		"SASL_PLAINTEXT another secret":                {key("AKIDALICE", "secret2"), ""},
		"SASL_PLAINTEXT an unknown key":                {key("AKIDEVE", "secret1"), ""},
		"SASL_PLAINTEXT a signed URL":                  {signed("AKIDALICE", "secret1"), "User:arn:aws:iam::000000000000:user/alice"},
		"SASL_PLAINTEXT one signed with other secrets": {signed("AKIDALICE", "secret2"), ""},
		"SASL_PLAINTEXT one edited":                    {signed("AKIDALICE", "secret1", "eu-west-1", "eu-west-2"), ""},
		"TOKENS a token":                               {token(issuer, "kafka"), "User:app"},
		"TOKENS a signed URL":                          {signed("AKIDROOT", "secret2"), ""},
		"TOKENS a key":                                 {key("AKIDROOT", "secret2"), ""},
	} {
		listener, _, _ := strings.Cut(name, " ")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := clientAt(t, n, listener, kgo.SASL(row.mechanism)).Ping(ctx)
		cancel()
		if (err == nil) != (row.who != "") {
			t.Errorf("%s: %v", name, err)
		}
		if row.who != "" {
			clocktest.Eventually(t, name+" is "+row.who, func() bool { return who.has(row.who) })
		}
	}
}

// mskToken returns a token as MSK's signers make them, with a part of the signed URL replaced.
func mskToken(t *testing.T, id, secret string, edit ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Expires=900", nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := sha256.Sum256(nil)
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, r, hex.EncodeToString(empty[:]), "kafka-cluster", "eu-west-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		signed = strings.Replace(signed, edit[0], edit[1], 1)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(signed + "&User-Agent=aws-msk-iam-sasl-signer-go%2F1.0.0"))
}

// TestDelegationTokensOutliveTheNode makes a token, and comes in by it at the next start; at the one after that the node has none.
func TestDelegationTokensOutliveTheNode(t *testing.T) {
	data, off := t.TempDir(), false
	var token kadm.DelegationToken
	for _, row := range []struct {
		name    string
		tokens  *bool
		present bool
	}{{"first start", nil, false}, {"second start", nil, true}, {"without tokens", &off, false}} {
		t.Run(row.name, func(t *testing.T) {
			n := start(t, app.Config{
				Data: data, KafkaListeners: []string{"SASL_PLAINTEXT://127.0.0.1:0"}, KafkaUsers: []string{"alice:alice-secret"}, KafkaDelegationTokens: row.tokens,
			}, app.Deps{})
			alice := kadm.NewClient(clientAt(t, n, "SASL_PLAINTEXT", kgo.SASL(scram.Auth{User: "alice", Pass: "alice-secret"}.AsSha256Mechanism())))
			if token.TokenID != "" {
				password := base64.StdEncoding.EncodeToString(token.HMAC)
				worker := kadm.NewClient(clientAt(t, n, "SASL_PLAINTEXT", kgo.SASL(scram.Auth{User: token.TokenID, Pass: password, IsToken: true}.AsSha512Mechanism())))
				if _, err := worker.ListTopics(t.Context()); (err == nil) != row.present {
					t.Errorf("by the token: %v", err)
				}
				if row.present {
					if _, err := worker.CreateDelegationToken(t.Context(), kadm.CreateDelegationToken{}); !errors.Is(err, kerr.DelegationTokenRequestNotAllowed) {
						t.Errorf("a token by a token: %v", err)
					}
				}
			}
			made, err := alice.CreateDelegationToken(t.Context(), kadm.CreateDelegationToken{MaxLifetime: time.Hour})
			if row.tokens != nil {
				if !errors.Is(err, kerr.DelegationTokenAuthDisabled) {
					t.Errorf("made a token: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			token = made
		})
	}
}
