package jwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/jwt/jwttest"
)

var (
	start = time.Unix(1_900_000_000, 0)
	quiet = slog.New(slog.DiscardHandler)
)

func file(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fileOf(t testing.TB, i *jwttest.Issuer) Keys {
	t.Helper()
	keys, err := FileKeys(file(t, i.JWKS(t)), clock.NewVirtual(start), quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// claims are good ones, with changes; nil takes one out.
func claims(change map[string]any) map[string]any {
	all := map[string]any{"sub": "alice", "iss": "https://issuer.example", "aud": []string{"kafka", "other"}, "exp": start.Unix() + 600, "iat": start.Unix(), "scope": "read write"}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func TestWhomTokensClaimToBeOf(t *testing.T) {
	issuer := jwttest.New(t, "1")
	late := issuer.Sign(t, jose.RS256, "", claims(map[string]any{"exp": start.Unix() - 600, "name": "bob"}))
	signed := strings.LastIndexByte(late, '.')
	for token, want := range map[string]string{
		late: "alice", late[:signed] + ".x": "alice", late[:signed+1]: "alice", late[:signed]: "", late + ".x": "", "": "", "..": "", "x.?.x": "",
		issuer.Sign(t, jose.RS256, "", claims(map[string]any{"sub": 1})): "", late + strings.Repeat("x", MaxToken): "",
	} {
		if got := New(Config{}).Claimed(token); got != want {
			t.Errorf("%.100s claims to be of %q, want %q", token, got, want)
		}
	}
	if got := New(Config{SubjectClaim: "name"}).Claimed(late); got != "bob" {
		t.Errorf("by another claim it is of %q", got)
	}
}

func TestTokensOfEachAlgorithm(t *testing.T) {
	issuer, other := jwttest.New(t, "1"), jwttest.New(t, "1")
	v := New(Config{Keys: fileOf(t, issuer), Clock: clock.NewVirtual(start)})
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA} {
		got, err := v.Verify(t.Context(), issuer.Sign(t, algorithm, "", claims(nil)))
		if err != nil || got.Name != "alice" || !got.Expires.Equal(start.Add(10*time.Minute)) {
			t.Errorf("%s: %+v, %v", algorithm, got, err)
		}
		if _, err := v.Verify(t.Context(), other.Sign(t, algorithm, "", claims(nil))); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s of another issuer whose keys have the same ids: %v", algorithm, err)
		}
	}
	// The key says RS256, so that it is for no other.
	if _, err := v.Verify(t.Context(), issuer.Sign(t, jose.PS256, "", claims(nil))); !errors.Is(err, ErrInvalid) {
		t.Errorf("PS256: %v", err)
	}
}

func TestClaimsAreChecked(t *testing.T) {
	issuer, at := jwttest.New(t, ""), clock.NewVirtual(start)
	v := New(Config{
		Keys: fileOf(t, issuer), Issuer: "https://issuer.example", Audience: []string{"kafka", "streams"}, Scopes: []string{"write"}, Skew: 30 * time.Second, Clock: at,
	})
	for name, row := range map[string]struct {
		change map[string]any
		reason string // "" = good
	}{
		"good":                      {nil, ""},
		"one audience":              {map[string]any{"aud": "streams"}, ""},
		"scopes in a list":          {map[string]any{"scope": []string{"write"}}, ""},
		"scopes by their old name":  {map[string]any{"scope": nil, "scp": []string{"write"}}, ""},
		"a fraction of a second":    {map[string]any{"exp": float64(start.Unix()) + 0.5}, ""},
		"expired, within the skew":  {map[string]any{"exp": start.Unix() - 29}, ""},
		"expired":                   {map[string]any{"exp": start.Unix() - 30}, "expired"},
		"never expires":             {map[string]any{"exp": nil}, "no time of expiry"},
		"expires at a word":         {map[string]any{"exp": "never"}, "no time of expiry"},
		"expires beyond all time":   {map[string]any{"exp": 1e300}, "no time of expiry"},
		"not yet, within the skew":  {map[string]any{"nbf": start.Unix() + 30}, ""},
		"not yet":                   {map[string]any{"nbf": start.Unix() + 31}, "not good yet"},
		"issued in the future":      {map[string]any{"iat": start.Unix() + 31}, "not good yet"},
		"issued at a word":          {map[string]any{"iat": "now"}, "not good yet"},
		"another issuer":            {map[string]any{"iss": "https://issuer.example/"}, "issuer"},
		"no issuer":                 {map[string]any{"iss": nil}, "issuer"},
		"another audience":          {map[string]any{"aud": []string{"kafka2"}}, "audience"},
		"no audience":               {map[string]any{"aud": nil}, "audience"},
		"no scope":                  {map[string]any{"scope": nil}, "scope"},
		"another scope":             {map[string]any{"scope": "writer read"}, "scope"},
		"nobody":                    {map[string]any{"sub": nil}, "names nobody"},
		"a blank name":              {map[string]any{"sub": " "}, "names nobody"},
		"a number instead of names": {map[string]any{"sub": 7}, "names nobody"},
	} {
		_, err := v.Verify(t.Context(), issuer.Sign(t, jose.ES256, "", claims(row.change)))
		if row.reason == "" && err != nil || row.reason != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), row.reason)) {
			t.Errorf("%s: %v, want %q", name, err, row.reason)
		}
	}
	v = New(Config{Keys: fileOf(t, issuer), SubjectClaim: "client_id", Clock: at})
	if got, err := v.Verify(t.Context(), issuer.Sign(t, jose.ES256, "", claims(map[string]any{"client_id": "app"}))); err != nil || got.Name != "app" {
		t.Errorf("%+v, %v", got, err)
	}
}

// bare is a token without signature.
func bare(t testing.TB, algorithm string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+algorithm+`"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}

func TestUnsignedTokensAreForDevelopment(t *testing.T) {
	issuer, at := jwttest.New(t, ""), clock.NewVirtual(start)
	token := bare(t, "none", claims(nil))
	if _, err := New(Config{Keys: fileOf(t, issuer), Clock: at}).Verify(t.Context(), token); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
	v := New(Config{Unsecured: true, Clock: at})
	if got, err := v.Verify(t.Context(), token); err != nil || got.Name != "alice" {
		t.Errorf("%+v, %v", got, err)
	}
	signed := issuer.Sign(t, jose.ES256, "", claims(nil))
	for name, token := range map[string]string{
		"expired":                   bare(t, "none", claims(map[string]any{"exp": start.Unix() - 1})),
		"cut off":                   signed[:strings.LastIndex(signed, ".")+1],
		"signed, and nobody checks": signed,
		"of an algorithm":           bare(t, "HS256", claims(nil)),
		"nothing":                   ".",
		"more parts":                token + ".",
	} {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensSignedWithASharedSecretAreRefused(t *testing.T) {
	issuer := jwttest.New(t, "")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: issuer.JWKS(t)}, nil) // with what is public
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{"sub":"alice","exp":1900000600}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Keys: fileOf(t, issuer), Clock: clock.NewVirtual(start)}).Verify(t.Context(), token); !errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "x", "no keys": "{}", "a secret": `{"keys":[{"kty":"oct","k":"AAAA"}]}`, "too many": `{"keys":[` + strings.Repeat("{},", maxKeys) + "{}]}",
		"too much":                     `{"keys":[]}` + strings.Repeat(" ", maxKeysSize),
		"for encryption":               `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		"a private one":                `{"keys":[{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		"an RSA key that is too short": `{"keys":[{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(append([]byte{0xc0}, make([]byte, 127)...)) + `"}]}`,
	} {
		if _, err := FileKeys(file(t, []byte(text)), clock.NewVirtual(start), quiet, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := parseSet([]byte(`{"keys":[{"kty":"unheard of"},{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)); err != nil {
		t.Errorf("a key beside one of an unknown kind: %v", err)
	}
}

func TestKeysAtAURLAreFetchedAsSeldomAsCanBe(t *testing.T) {
	first, second := jwttest.New(t, "1"), jwttest.New(t, "2")
	var fetches, status atomic.Int64
	var served atomic.Pointer[[]byte]
	serve := func(i *jwttest.Issuer) { text := i.JWKS(t); served.Store(&text) }
	serve(first)
	status.Store(http.StatusOK)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		if r.URL.Path == "/moved" {
			t.Error("keys are fetched from where the issuer's URL leads")
		}
		w.Header().Set("Location", "/moved")
		w.WriteHeader(int(status.Load()))
		w.Write(*served.Load())
	}))
	defer s.Close()
	at := clock.NewVirtual(start)
	v := New(Config{Keys: URLKeys(s.URL, &http.Transport{DisableKeepAlives: true}, at, quiet), Clock: at, Skew: 24 * time.Hour})
	check := func(what string, i *jwttest.Issuer, good bool, want int64) {
		t.Helper()
		_, err := v.Verify(t.Context(), i.Sign(t, jose.ES256, "", claims(nil)))
		if (err == nil) != good || fetches.Load() != want {
			t.Errorf("%s: %v after %d fetches, want good %v after %d", what, err, fetches.Load(), good, want)
		}
	}
	status.Store(http.StatusServiceUnavailable)
	check("the issuer is down", first, false, 1)
	status.Store(http.StatusOK)
	check("it is not asked again at once", first, false, 1)
	at.Advance(fetchPause)
	check("it is up", first, true, 2)
	check("the keys are known", first, true, 2)
	at.Advance(fetchPause)
	check("a key is not known", second, false, 3)
	check("it is not asked again for each", second, false, 3)
	serve(second)
	at.Advance(fetchPause)
	check("the keys were changed", second, true, 4)
	check("an old key", first, false, 4)
	at.Advance(refreshEach)
	check("the keys are old", second, true, 5)
	status.Store(http.StatusServiceUnavailable)
	at.Advance(refreshEach)
	check("the keys are old, and the issuer is down", second, true, 6)
	status.Store(http.StatusMovedPermanently)
	at.Advance(refreshEach)
	check("the issuer is somewhere else", second, true, 7)
}

func FuzzVerify(f *testing.F) {
	issuer := jwttest.New(f, "")
	v := New(Config{Keys: fileOf(f, issuer), Unsecured: true, Clock: clock.NewVirtual(start)})
	good := issuer.Sign(f, jose.ES256, "", claims(nil))
	f.Add(good)
	f.Add(bare(f, "none", claims(nil)))
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), token)
		if err != nil && !errors.Is(err, ErrInvalid) || err == nil && (got.Name == "" || !got.Expires.After(start)) {
			t.Errorf("%q: %+v, %v", token, got, err)
		}
	})
}

func FuzzJWKS(f *testing.F) {
	f.Add(jwttest.New(f, "").JWKS(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		if keys, err := parseSet(text); err == nil && len(keys) == 0 {
			t.Error("no keys, and no error")
		}
	})
}
