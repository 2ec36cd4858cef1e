package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/govern/scram"
	"github.com/freshet/freshet/internal/state/memstate"
)

// users are alice, whose password is hunter2.
func users(t testing.TB) *scram.Users {
	t.Helper()
	u, err := scram.Open(context.Background(), memstate.New(clock.NewVirtual(time.Unix(1e9, 0))), rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Make(context.Background(), "alice", "hunter2"); err != nil {
		t.Fatal(err)
	}
	return u
}

// failed checks that an exchange has failed, for a reason that tells no secret.
func failed(t *testing.T, name string, err error, reason, user string) {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) || !strings.Contains(f.Reason, reason) || f.User != user || f.Text == "" {
		t.Errorf("%s: %+v, want a failure of %q: %q", name, err, user, reason)
		return
	}
	if strings.Contains(f.Reason+f.Text, "hunter") {
		t.Errorf("%s: tells a password: %+v", name, f)
	}
}

func TestPlain(t *testing.T) {
	m := Plain(users(t))
	for message, want := range map[string]struct{ reason, user string }{
		"\x00alice\x00hunter2":         {},
		"alice\x00alice\x00hunter2":    {},
		"\x00alice\x00hunter3":         {"wrong user or password", "alice"},
		"\x00bob\x00hunter2":           {"wrong user or password", "bob"},
		"bob\x00alice\x00hunter2":      {"authorization id", "alice"},
		"\x00\x00hunter2":              {"no user", ""},
		"\x00alice\x00":                {"no password", "alice"},
		"alice\x00hunter2":             {"expected 3 tokens", ""},
		"\x00alice\x00hunter2\x00more": {"expected 3 tokens", ""},
		"":                             {"expected 3 tokens", ""},
		"\x00al\xffice\x00hunter2":     {"expected 3 tokens", ""},
	} {
		answer, who, err := m.Begin(Peer{}).Step(t.Context(), []byte(message))
		if want.reason != "" {
			failed(t, fmt.Sprintf("%q", message), err, want.reason, want.user)
		} else if err != nil || who == nil || who.Principal != principal.Of("alice") || !who.Expires.IsZero() || answer == nil || len(answer) != 0 {
			t.Errorf("%q: %q, %+v, %v", message, answer, who, err)
		}
	}
}

// client is the other end of SCRAM.
type client struct {
	kind           scram.Mechanism
	user, password string
	header         string // "" = n,,
	extension      string // with a comma in front
	signature      string // that the server must send
}

func (c *client) first() string { return c.gs2() + c.bare() }
func (c *client) bare() string  { return "n=" + c.user + ",r=fyko+d2lbbFgONRv9qkxdawL" + c.extension }

func (c *client) gs2() string {
	if c.header == "" {
		return "n,,"
	}
	return c.header
}

func (c *client) mac(key []byte, data string) []byte {
	h := hmac.New(c.kind.Hash(), key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// final answers the server's first message.
func (c *client) final(t *testing.T, server string) string {
	t.Helper()
	parts := strings.Split(server, ",")
	if len(parts) != 3 {
		t.Fatalf("%q", server)
	}
	salt, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(parts[1], "s="))
	if err != nil {
		t.Fatal(err)
	}
	iterations, err := strconv.Atoi(strings.TrimPrefix(parts[2], "i="))
	if err != nil {
		t.Fatal(err)
	}
	salted, err := pbkdf2.Key(c.kind.Hash(), c.password, salt, iterations, c.kind.Hash()().Size())
	if err != nil {
		t.Fatal(err)
	}
	without := "c=" + base64.StdEncoding.EncodeToString([]byte(c.gs2())) + "," + parts[0]
	messages := c.bare() + "," + server + "," + without
	key := c.mac(salted, "Client Key")
	stored := c.kind.Hash()()
	stored.Write(key)
	proof := c.mac(stored.Sum(nil), messages)
	for i := range proof {
		proof[i] ^= key[i]
	}
	c.signature = "v=" + base64.StdEncoding.EncodeToString(c.mac(c.mac(salted, "Server Key"), messages))
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof)
}

func TestScram(t *testing.T) {
	u := users(t)
	for _, kind := range scram.Mechanisms {
		m := Scram(kind, u, nil, rand.NewChaCha8([32]byte{3}))
		for name, row := range map[string]struct {
			client client
			edit   func(final string) string
			reason string
		}{
			"right":                   {client: client{user: "alice", password: "hunter2"}},
			"as oneself":              {client: client{user: "alice", password: "hunter2", header: "n,a=alice,"}},
			"could bind a channel":    {client: client{user: "alice", password: "hunter2", header: "y,,"}},
			"wrong password":          {client: client{user: "alice", password: "hunter3"}, reason: "wrong user or password"},
			"nobody":                  {client: client{user: "bob", password: "hunter2"}, reason: "wrong user or password"},
			"another nonce":           {client{user: "alice", password: "hunter2"}, func(s string) string { return strings.Replace(s, ",r=", ",r=x", 1) }, "nonce"},
			"another channel binding": {client{user: "alice", password: "hunter2"}, func(s string) string { return strings.Replace(s, "c=biws", "c=eSws", 1) }, "channel binding"},
			"an extension not proved": {client{user: "alice", password: "hunter2"}, func(s string) string { return strings.Replace(s, ",p=", ",x=y,p=", 1) }, "wrong user or password"},
			"no proof":                {client{user: "alice", password: "hunter2"}, func(s string) string { return s[:strings.Index(s, ",p=")] }, "no proof"},
			"an empty proof":          {client{user: "alice", password: "hunter2"}, func(s string) string { return s[:strings.Index(s, ",p=")+3] }, "wrong user or password"},
		} {
			row.client.kind = kind
			x := m.Begin(Peer{})
			answer, who, err := x.Step(t.Context(), []byte(row.client.first()))
			if err != nil || who != nil {
				t.Fatalf("%s: %v", name, err)
			}
			final := row.client.final(t, string(answer))
			if row.edit != nil {
				final = row.edit(final)
			}
			answer, who, err = x.Step(t.Context(), []byte(final))
			if row.reason != "" {
				failed(t, name, err, row.reason, row.client.user)
			} else if err != nil || who == nil || who.Principal != principal.Of("alice") || string(answer) != row.client.signature {
				t.Errorf("%s: %q, %+v, %v", name, answer, who, err)
			}
		}
	}
}

// issued is one delegation token, the secret of which is hunter2, and which alice has.
type issued struct{ token delegation.Token }

func (i issued) Lookup(id string) (delegation.Token, bool) { return i.token, id == i.token.ID }

func TestScramTakesDelegationTokens(t *testing.T) {
	u, expires := users(t), time.Unix(2e9, 0)
	one := delegation.Token{ID: "bob", Owner: principal.Of("carol"), Expires: expires, Credentials: map[scram.Mechanism]scram.Credential{}}
	for _, kind := range scram.Mechanisms {
		var err error
		if one.Credentials[kind], err = scram.Of(kind, "hunter2", scram.MinIterations, rand.NewChaCha8([32]byte{5})); err != nil {
			t.Fatal(err)
		}
	}
	const yes, no = ",tokenauth=true", ",tokenauth=false"
	for _, kind := range scram.Mechanisms {
		for name, row := range map[string]struct {
			client client
			tokens Delegations
			owner  string // "" = it is refused
			reason string
		}{
			"a token":                       {client{user: "bob", password: "hunter2", extension: yes}, issued{one}, "carol", ""},
			"with the token's id, too":      {client{user: "bob", password: "hunter2", extension: yes, header: "n,a=bob,"}, issued{one}, "carol", ""},
			"a token with a wrong secret":   {client{user: "bob", password: "hunter3", extension: yes}, issued{one}, "", "delegation token"},
			"a token that is not there":     {client{user: "bob2", password: "hunter2", extension: yes}, issued{one}, "", "delegation token"},
			"a token where none are taken":  {client{user: "bob", password: "hunter2", extension: yes}, nil, "", "delegation token"},
			"a token as a user":             {client{user: "bob", password: "hunter2"}, issued{one}, "", "wrong user"},
			"a token as a user, explicitly": {client{user: "bob", password: "hunter2", extension: no}, issued{one}, "", "wrong user"},
			"a user as a token":             {client{user: "alice", password: "hunter2", extension: yes}, issued{one}, "", "delegation token"},
			"a user":                        {client{user: "alice", password: "hunter2", extension: no}, issued{one}, "alice", ""},
		} {
			c := row.client
			c.kind = kind
			x := Scram(kind, u, row.tokens, rand.NewChaCha8([32]byte{3})).Begin(Peer{})
			answer, _, err := x.Step(t.Context(), []byte(c.first()))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_, who, err := x.Step(t.Context(), []byte(c.final(t, string(answer))))
			if row.owner == "" {
				failed(t, name, err, row.reason, c.user)
				continue
			}
			delegated := c.extension == yes
			if err != nil || who.Principal != principal.Of(row.owner) || who.Delegated != delegated || who.Expires.Equal(expires) != delegated {
				t.Errorf("%s: %+v, %v", name, who, err)
			}
		}
	}
}

// TestScramTellsNotWhoIsThere compares what is said about a user and about nobody.
func TestScramTellsNotWhoIsThere(t *testing.T) {
	m := Scram(scram.SHA256, users(t), nil, rand.NewChaCha8([32]byte{3}))
	var texts []string
	for _, name := range []string{"alice", "nobody"} {
		c := client{kind: scram.SHA256, user: name, password: "wrong"}
		x := m.Begin(Peer{})
		answer, _, err := x.Step(t.Context(), []byte(c.first()))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = x.Step(t.Context(), []byte(c.final(t, string(answer))))
		var f *Failure
		if !errors.As(err, &f) {
			t.Fatal(err)
		}
		texts = append(texts, fmt.Sprint(len(answer), f.Text))
	}
	if texts[0] != texts[1] {
		t.Errorf("%q", texts)
	}
}

func TestScramRefusesWhatIsNoFirstMessage(t *testing.T) {
	m := Scram(scram.SHA256, users(t), nil, rand.NewChaCha8([32]byte{3}))
	for message, reason := range map[string]string{
		"":                                     "does not begin",
		"n":                                    "does not begin",
		"x,,n=alice,r=abc":                     "does not begin",
		"p=tls-unique,,n=alice,r=abc":          "channel binding",
		"n,,":                                  "no user",
		"n,,n=alice":                           "no user",
		"n,,m=ext,n=alice,r=abc":               "no user",
		"n,,n=,r=abc":                          "user is none",
		"n,,n=al=ice,r=abc":                    "user is none",
		"n,,n=alice,r=":                        "nonce",
		"n,,n=alice,r=a b":                     "nonce",
		"n,b=alice,n=alice,r=abc":              "authorization id is none",
		"n,a=al=ice,n=alice,r=abc":             "authorization id is none",
		"n,a=bob,n=alice,r=abc":                "different from username",
		"n,,n=alice,r=abc,=true":               "extension",
		"n,,n=alice,r=abc,ext":                 "extension",
		"n,,n=al\xffice,r=abc":                 "UTF-8",
		"n,,n=" + strings.Repeat("x", 100_000): "no user",
	} {
		_, who, err := m.Begin(Peer{}).Step(t.Context(), []byte(message))
		var f *Failure
		if who != nil || !errors.As(err, &f) || !strings.Contains(f.Reason, reason) {
			t.Errorf("%.60q: %v, want %q", message, err, reason)
		}
	}
	if name, ok := unescapeName("a=2Cb=3Dc"); name != "a,b=c" || !ok {
		t.Errorf("%q", name)
	}
}

func TestAttemptsAreLimited(t *testing.T) {
	c := clock.NewVirtual(time.Unix(1e9, 0))
	a := NewAttempts(c)
	for i := range userBurst {
		if w := a.Wait("h", "alice"); w != 0 {
			t.Fatalf("attempt %d waits %s", i, w)
		}
		a.Failed("h", "alice")
	}
	if w := a.Wait("h", "alice"); w != userEach {
		t.Errorf("after %d failures: wait %s, want %s", userBurst, w, userEach)
	}
	if a.Wait("h", "bob") != 0 || a.Wait("h", "") != 0 || a.Wait("i", "alice") != 0 {
		t.Error("others wait, too")
	}
	c.Advance(userEach)
	if w := a.Wait("h", "alice"); w != 0 {
		t.Errorf("after %s: wait %s", userEach, w)
	}
	a.Failed("h", "alice")
	if w := a.Wait("h", "alice"); w != userEach {
		t.Errorf("after one more: wait %s", w)
	}
	for i := range hostBurst {
		a.Failed("h", fmt.Sprint("user", i))
	}
	if w := a.Wait("h", "bob"); w <= 0 || w > 20*time.Second {
		t.Errorf("of an address that guesses: wait %s", w)
	}
	c.Advance(hostBurst*hostEach + userBurst*userEach)
	if a.Wait("h", "alice") != 0 || a.Wait("h", "bob") != 0 {
		t.Error("failures are not forgotten")
	}
}

func TestAttemptsAreRememberedOfSoMany(t *testing.T) {
	c := clock.NewVirtual(time.Unix(1e9, 0))
	a := NewAttempts(c)
	for i := range maxTracked {
		a.Failed(fmt.Sprint(i), "")
	}
	a.Failed("one more", "")
	if len(a.failed) > maxTracked {
		t.Errorf("%d are remembered", len(a.failed))
	}
	if a.failed[attempt{host: "one more"}] == nil {
		t.Error("the newest is not remembered")
	}
	c.Advance(time.Hour)
	for i := range maxTracked {
		a.Failed("new", fmt.Sprint(i))
	}
	if len(a.failed) > maxTracked {
		t.Errorf("%d are remembered", len(a.failed))
	}
}

func TestPasswordsAreNotLookedAtTooOften(t *testing.T) {
	u, limit := users(t), NewAttempts(clock.NewVirtual(time.Unix(1e9, 0)))
	peer := Peer{Host: "h", Attempts: limit}
	for range userBurst {
		limit.Failed("h", "alice")
	}
	_, _, err := Plain(u).Begin(peer).Step(t.Context(), []byte("\x00alice\x00hunter2"))
	failed(t, "PLAIN", err, "too many attempts", "alice")
	_, _, err = Scram(scram.SHA256, u, nil, rand.NewChaCha8([32]byte{3})).Begin(peer).Step(t.Context(), []byte("n,,n=alice,r=abc"))
	failed(t, "SCRAM", err, "too many attempts", "alice")
	if _, who, err := Plain(u).Begin(Peer{Host: "i", Attempts: limit}).Step(t.Context(), []byte("\x00alice\x00hunter2")); who == nil {
		t.Errorf("another address: %v", err)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add([]byte("a\x00b\x00c"))
	f.Fuzz(func(t *testing.T, message []byte) {
		if user, password, failure := parsePlain(message); failure == nil && (user == "" || password == "") {
			t.Errorf("%q is %q, %q", message, user, password)
		}
	})
}

func FuzzScram(f *testing.F) {
	m := Scram(scram.SHA256, users(f), issued{}, rand.NewChaCha8([32]byte{3}))
	f.Add("n,,n=alice,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("n,,n=token,r=abc,tokenauth=true", "c=biws,r=abc,p=AAAA")
	f.Add("y,a=a=2Cb,n=a=2Cb,r=abc,x=y", "c=eSxhPWE9MkNiLA==,r=abc,x=y,p=AAAA")
	f.Fuzz(func(t *testing.T, first, final string) {
		x := m.Begin(Peer{})
		if _, who, err := x.Step(context.Background(), []byte(first)); err != nil || who != nil {
			return
		}
		if _, who, err := x.Step(context.Background(), []byte(final)); err == nil || who != nil {
			t.Errorf("%q, %q: nobody knows the password", first, final)
		}
	})
}
