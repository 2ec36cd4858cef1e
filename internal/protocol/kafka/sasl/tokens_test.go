package sasl

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/principal"
)

// oneToken is a Tokens that knows the token "good", which is alice's.
type oneToken struct{}

func (oneToken) Verify(_ context.Context, token string) (*Identity, error) {
	switch token {
	case "good":
		return &Identity{Principal: principal.Of("alice"), Expires: time.Unix(2e9, 0)}, nil
	case "down":
		return nil, errors.New("the issuer does not answer")
	}
	return nil, refuse("it is not good")
}

// Claimed says that every token is alice's.
func (oneToken) Claimed(string) string { return "alice" }

func TestOAuthBearer(t *testing.T) {
	m := OAuthBearer(oneToken{})
	for message, reason := range map[string]string{
		"n,,\x01auth=Bearer good\x01\x01":                                      "",
		"y,,\x01auth=bearer  good\x01\x01":                                     "",
		"n,a=alice,\x01auth=Bearer good\x01logicalCluster=lkc-1\x01x=\x01\x01": "",
		"n,a=bob,\x01auth=Bearer good\x01\x01":                                 "authorization id",
		"n,b=bob,\x01auth=Bearer good\x01\x01":                                 "authorization id is none",
		"n,,auth=Bearer good\x01\x01":                                          "does not begin",
		"p=x,,\x01auth=Bearer good\x01\x01":                                    "does not begin",
		"n,,\x01auth=Bearer good\x01":                                          "does not end",
		"n,,\x01\x01\x01":                                                      "extension",
		"n,,\x01host=h\x01\x01":                                                "no token",
		"n,,\x01auth=Basic good\x01\x01":                                       "no bearer token",
		"n,,\x01auth=Bearer \x01\x01":                                          "no bearer token",
		"n,,\x01auth=Bearer good\x01auth=Bearer good\x01\x01":                  "two tokens",
		"n,,\x01auth=Bearer good\x01a1=b\x01\x01":                              "extension",
		"n,,\x01auth=Bearer good\x01a=\xc3\xa9\x01\x01":                        "extension",
		"": "does not begin",
	} {
		answer, who, err := m.Begin(Peer{}).Step(t.Context(), []byte(message))
		if reason == "" {
			if err != nil || who == nil || who.Principal != principal.Of("alice") || !who.Expires.Equal(time.Unix(2e9, 0)) || len(answer) != 0 {
				t.Errorf("%q: %q, %+v, %v", message, answer, who, err)
			}
			continue
		}
		var f *Failure
		if who != nil || !errors.As(err, &f) || !strings.Contains(f.Reason, reason) {
			t.Errorf("%q: %v, want %q", message, err, reason)
		}
	}
}

func TestABadTokenIsAcknowledged(t *testing.T) {
	x := OAuthBearer(oneToken{}).Begin(Peer{})
	answer, who, err := x.Step(t.Context(), []byte("n,,\x01auth=Bearer bad\x01\x01"))
	if string(answer) != refusedToken || who != nil || err != nil {
		t.Fatalf("%q, %+v, %v", answer, who, err)
	}
	if f := x.(*oauthExchange).Refused(); f == nil || f.Reason != "it is not good" {
		t.Errorf("%+v", f)
	}
	for _, message := range []string{"\x01", "n,,\x01auth=Bearer good\x01\x01"} { // there is no second chance
		_, who, err = x.Step(t.Context(), []byte(message))
		var f *Failure
		if who != nil || !errors.As(err, &f) || f.Reason != "it is not good" || f.Text != refusedToken {
			t.Errorf("%q: %+v, %v", message, who, err)
		}
	}
	_, _, err = OAuthBearer(oneToken{}).Begin(Peer{}).Step(t.Context(), []byte("n,,\x01auth=Bearer down\x01\x01"))
	if f := (*Failure)(nil); err == nil || errors.As(err, &f) {
		t.Errorf("an issuer that does not answer is the client's fault: %v", err)
	}
}

// holder is an AccessKeys with one key.
type holder struct{}

func (holder) Find(id string) (secret, arn string, known bool) {
	return "hunter2", "arn:aws:iam::000000000000:user/alice", id == "AKIDEXAMPLE"
}

var signedAt = time.Date(2026, 11, 29, 8, 30, 0, 0, time.UTC)

// signIAM returns the parameters of a signed request to connect, by their names in lower case.
func signIAM(t testing.TB, target string, token string) (signed string, members map[string]string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := sha256.Sum256(nil)
	credentials := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "hunter2", SessionToken: token}
	signed, _, err = v4.NewSigner().PresignHTTP(context.Background(), credentials, r, hex.EncodeToString(empty[:]), "kafka-cluster", "eu-west-1", signedAt)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	members = map[string]string{"version": iamVersion, "host": u.Host, "user-agent": "test"}
	for name, values := range u.Query() {
		members[strings.ToLower(name)] = values[0]
	}
	return signed, members
}

const toConnect = "https://broker.example/?Action=kafka-cluster%3AConnect&X-Amz-Expires=900"

func TestMSKIAM(t *testing.T) {
	for name, row := range map[string]struct {
		target, session string
		edit            func(members map[string]string)
		after           time.Duration
		reason          string // "" = good
	}{
		"good":                       {after: 14 * time.Minute},
		"with a session token":       {session: "FwoGZXIvYXdzE//+=="},
		"late":                       {after: 15*time.Minute + time.Second, reason: "Signature expired"},
		"early":                      {after: -6 * time.Minute, reason: "not yet current"},
		"another action":             {target: "https://broker.example/?Action=kafka-cluster%3AReadData&X-Amz-Expires=900", reason: "not kafka-cluster:Connect"},
		"good for too long":          {target: "https://broker.example/?Action=kafka-cluster%3AConnect&X-Amz-Expires=3600", reason: "good for longer"},
		"another host":               {edit: func(m map[string]string) { m["host"] = "other.example" }, reason: "not made with"},
		"another date":               {edit: func(m map[string]string) { m["x-amz-date"] = "20261129T083001Z" }, reason: "not made with"},
		"a session token not signed": {edit: func(m map[string]string) { m["x-amz-security-token"] = "x" }, reason: "not made with"},
		"another key": {edit: func(m map[string]string) {
			m["x-amz-credential"] = strings.Replace(m["x-amz-credential"], "AKIDEXAMPLE", "AKIDOTHER", 1)
		}, reason: "not known"},
		"another service": {edit: func(m map[string]string) {
			m["x-amz-credential"] = strings.Replace(m["x-amz-credential"], "kafka-cluster", "kafka", 1)
		}, reason: "correct service"},
		"another version":               {edit: func(m map[string]string) { m["version"] = "2020_10_23" }, reason: "another version"},
		"no host":                       {edit: func(m map[string]string) { delete(m, "host") }, reason: "no host"},
		"no signature":                  {edit: func(m map[string]string) { delete(m, "x-amz-signature") }, reason: "must include 'X-Amz-Signature'"},
		"the host not signed":           {edit: func(m map[string]string) { m["x-amz-signedheaders"] = "date" }, reason: "'Host' must be"},
		"another algorithm":             {edit: func(m map[string]string) { m["x-amz-algorithm"] = "AWS4-ECDSA-P256-SHA256" }, reason: "Unsupported"},
		"a signature that is nothing":   {edit: func(m map[string]string) { m["x-amz-signature"] = "" }, reason: "must include"},
		"a member nobody knows":         {edit: func(m map[string]string) { m["x"] = "y" }},
		"a member in different letters": {edit: func(m map[string]string) { m["Action"] = "kafka-cluster:Connect"; delete(m, "action") }, reason: "not kafka-cluster:Connect"},
	} {
		target := row.target
		if target == "" {
			target = toConnect
		}
		_, members := signIAM(t, target, row.session)
		if row.edit != nil {
			row.edit(members)
		}
		message, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		at := clock.NewVirtual(signedAt.Add(row.after))
		answer, who, err := MSKIAM(holder{}, at, rand.NewChaCha8([32]byte{1})).Begin(Peer{}).Step(t.Context(), message)
		if row.reason != "" {
			var f *Failure
			if who != nil || !errors.As(err, &f) || !strings.Contains(f.Reason, row.reason) || f.Text != "Access denied" || strings.Contains(f.Reason, "hunter2") {
				t.Errorf("%s: %+v, %v, want %q", name, who, err, row.reason)
			}
			continue
		}
		var told map[string]string
		if err != nil || who == nil || who.Principal.String() != "User:arn:aws:iam::000000000000:user/alice" || !who.Expires.IsZero() ||
			json.Unmarshal(answer, &told) != nil || told["version"] != iamVersion || len(told["request-id"]) != 32 {
			t.Errorf("%s: %s, %+v, %v", name, answer, who, err)
		}
	}
	for _, message := range []string{"", "{}", "[]", `{"version":"2020_10_22","host":"h"}`, `{"version":1}`} {
		_, who, err := MSKIAM(holder{}, clock.NewVirtual(signedAt), nil).Begin(Peer{}).Step(t.Context(), []byte(message))
		if f := (*Failure)(nil); who != nil || !errors.As(err, &f) {
			t.Errorf("%q: %+v, %v", message, who, err)
		}
	}
}

func TestTokensOfMSKsSigners(t *testing.T) {
	const regional = "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Expires=900"
	signed, _ := signIAM(t, regional, "")
	elsewhere, _ := signIAM(t, toConnect, "")
	tokens := Either(IAMTokens(holder{}, clock.NewVirtual(signedAt.Add(time.Minute))), oneToken{})
	for name, row := range map[string]struct{ url, reason string }{
		"as signed":              {signed, ""},
		"with the signer's name": {signed + "&User-Agent=aws-msk-iam-sasl-signer-js%2F1.0.0", ""},
		"with more":              {signed + "&Action2=x", "not made with"},
		"with a second action":   {signed + "&Action=kafka-cluster%3AReadData", "not kafka-cluster:Connect"},
		"another region":         {strings.Replace(signed, "kafka.eu-west-1", "kafka.eu-west-2", 1), "not made with"},
		"not encrypted":          {strings.Replace(signed, "https", "http", 1), "not good"}, // is taken for another kind of token
		"of a user":              {strings.Replace(signed, "https://kafka.", "https://kafka.x@kafka.", 1), "no URL of a regional"},
		"of another path":        {strings.Replace(signed, "/?", "/x?", 1), "no URL of a regional"},
		"elsewhere":              {strings.Replace(elsewhere, "https://", "https://kafka.", 1), "for the host kafka.broker.example"},
	} {
		who, err := tokens.Verify(t.Context(), base64.RawURLEncoding.EncodeToString([]byte(row.url)))
		if row.reason == "" {
			if err != nil || who.Principal.String() != "User:arn:aws:iam::000000000000:user/alice" || !who.Expires.Equal(signedAt.Add(15*time.Minute)) {
				t.Errorf("%s: %+v, %v", name, who, err)
			}
			continue
		}
		if f := (*Failure)(nil); who != nil || !errors.As(err, &f) || !strings.Contains(f.Reason, row.reason) || f.Text != refusedToken {
			t.Errorf("%s: %+v, %v, want %q", name, who, err, row.reason)
		}
	}
	if who, err := tokens.Verify(t.Context(), "good"); err != nil || who.Principal != principal.Of("alice") {
		t.Errorf("a token of the issuer's: %+v, %v", who, err)
	}
	if who, err := tokens.Verify(t.Context(), base64.URLEncoding.EncodeToString([]byte(signed+"&User-Agent=a"))); err != nil { // with padding
		t.Errorf("%+v, %v", who, err)
	}
	for _, none := range []Tokens{Either(nil, oneToken{}), Either(nil, nil)} {
		if who, err := none.Verify(t.Context(), base64.RawURLEncoding.EncodeToString([]byte(signed))); err == nil {
			t.Errorf("%+v", who)
		}
	}
}

// failures steps one message of a new exchange each, until it is refused unseen, and returns how many were looked at.
func failures(t *testing.T, m Mechanism, peer Peer, message []byte, user string) (seen int) {
	t.Helper()
	for range 2 * userBurst {
		x := m.Begin(peer)
		_, _, err := x.Step(t.Context(), message)
		if o, ok := x.(*oauthExchange); ok && err == nil {
			err = o.Refused()
		}
		f := (*Failure)(nil)
		if !errors.As(err, &f) || f.User != user {
			t.Fatalf("%+v, %v; want a failure of %s", f, err, user)
		}
		if f.Unseen {
			return seen
		}
		peer.Attempts.Failed(peer.Host, f.User)
		seen++
	}
	return seen
}

func TestTokensAndSignaturesAreNotLookedAtTooOften(t *testing.T) {
	at := clock.NewVirtual(signedAt)
	peer := Peer{Host: "h", Attempts: NewAttempts(at)}
	iam := MSKIAM(holder{}, at, rand.NewChaCha8([32]byte{1}))
	message := func(edit func(members map[string]string)) []byte {
		_, members := signIAM(t, toConnect, "")
		edit(members)
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := message(func(map[string]string) {})
	wrong := message(func(m map[string]string) { m["host"] = "other.example" })
	if n := failures(t, OAuthBearer(oneToken{}), peer, []byte("n,,\x01auth=Bearer bad\x01\x01"), "alice"); n != userBurst {
		t.Errorf("%d tokens were looked at", n)
	}
	if _, who, err := OAuthBearer(oneToken{}).Begin(Peer{"i", peer.Attempts}).Step(t.Context(), []byte("n,,\x01auth=Bearer good\x01\x01")); who == nil {
		t.Errorf("another address: %v", err)
	}
	if _, who, err := iam.Begin(peer).Step(t.Context(), good); who == nil {
		t.Errorf("a neighbour: %v", err)
	}
	if n := failures(t, iam, peer, wrong, "AKIDEXAMPLE"); n != userBurst {
		t.Errorf("%d signatures were looked at", n)
	}
	late := Peer{"j", peer.Attempts}
	if n := failures(t, MSKIAM(holder{}, clock.NewVirtual(signedAt.Add(time.Hour)), nil), late, good, "AKIDEXAMPLE"); n != userBurst {
		t.Errorf("%d signatures that came too late were looked at", n)
	}
	signed, _ := signIAM(t, "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Expires=900", "")
	tokens := OAuthBearer(Either(IAMTokens(holder{}, at), nil))
	bearer := "n,,\x01auth=Bearer " + base64.RawURLEncoding.EncodeToString([]byte(signed+"&More=x")) + "\x01\x01"
	if n := failures(t, tokens, Peer{"k", peer.Attempts}, []byte(bearer), "AKIDEXAMPLE"); n != userBurst {
		t.Errorf("%d signers' tokens were looked at", n)
	}
}

func TestLongNamesAreNotKept(t *testing.T) {
	a := NewAttempts(clock.NewVirtual(signedAt))
	name := strings.Repeat("x", 1<<16)
	for range userBurst {
		a.Failed("h", name)
	}
	if a.Wait("h", name) == 0 || a.Wait("h", name+"y") != 0 {
		t.Error("long names are not told apart")
	}
	for key := range a.failed {
		if len(key.user) > maxName {
			t.Errorf("%d bytes of a name are kept", len(key.user))
		}
	}
}

func FuzzOAuthBearer(f *testing.F) {
	f.Add("n,a=a=2Cb,\x01auth=Bearer abc\x01x=y\x01\x01")
	f.Fuzz(func(t *testing.T, message string) {
		if token, _, failure := parseBearer(message); failure == nil && (token == "" || strings.ContainsRune(token, 1)) {
			t.Errorf("%q has the token %q", message, token)
		}
	})
}

func FuzzMSKIAM(f *testing.F) {
	_, members := signIAM(f, toConnect, "token")
	message, err := json.Marshal(members)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	m := MSKIAM(holder{}, clock.NewVirtual(signedAt), rand.NewChaCha8([32]byte{1}))
	f.Fuzz(func(t *testing.T, message []byte) {
		_, who, err := m.Begin(Peer{}).Step(context.Background(), message)
		if who == nil && err == nil || who != nil && err != nil {
			t.Errorf("%q: %+v, %v", message, who, err)
		}
	})
}

func FuzzIAMToken(f *testing.F) {
	signed, _ := signIAM(f, "https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&X-Amz-Expires=900", "")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(signed)))
	tokens := IAMTokens(holder{}, clock.NewVirtual(signedAt))
	f.Fuzz(func(t *testing.T, token string) {
		who, err := tokens.Verify(context.Background(), token)
		if who == nil && err == nil || who != nil && err != nil {
			t.Errorf("%q: %+v, %v", token, who, err)
		}
	})
}
