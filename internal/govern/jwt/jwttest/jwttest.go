// Package jwttest issues tokens for tests: Issuer has a key of each kind, their public halves as a JWKS, and signs claims.
package jwttest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Issuer issues tokens.
type Issuer struct{ keys []jose.JSONWebKey }

// New returns an issuer whose keys have the ids rsa, ec and ed with a suffix.
func New(t testing.TB, suffix string) *Issuer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Issuer{[]jose.JSONWebKey{
		{Key: r, KeyID: "rsa" + suffix, Algorithm: "RS256", Use: "sig"}, {Key: e, KeyID: "ec" + suffix, Use: "sig"}, {Key: d, KeyID: "ed" + suffix},
	}}
}

// JWKS returns the public keys.
func (i *Issuer) JWKS(t testing.TB) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, key := range i.keys {
		set.Keys = append(set.Keys, key.Public())
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Sign returns a token with claims, signed with an algorithm by the first key that fits; key, if not "", is named in the header instead of its id.
func (i *Issuer) Sign(t testing.TB, algorithm jose.SignatureAlgorithm, key string, claims map[string]any) string {
	t.Helper()
	n := map[jose.SignatureAlgorithm]int{jose.ES256: 1, jose.EdDSA: 2}[algorithm]
	with := i.keys[n]
	with.Algorithm = string(algorithm)
	if key != "" {
		with.KeyID = key
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: with}, nil)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
