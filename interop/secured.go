package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/freshet/freshet/tests/process"
)

// secure gives a node listeners of every kind, and returns what clients need in their environment to come through them:
//
//	TLS, MTLS, PASSWORDS, TOKENS, IAM   host:port of a listener each
//	CA                                  the certificate that they trust
//	CLIENT_CERT, CLIENT_KEY, CLIENT_PEM a certificate for MTLS, its key, both
//	TOKEN, TOKEN_FILE                   a token for TOKENS, and a file with it
//	USER_NAME, USER_PASSWORD            for PASSWORDS
//	AWS_ACCESS_KEY_ID and so on         for IAM
//	AUTHORITY_ARN                       by which clusters name the authority of CLIENT_CERT
//
// ACLs hold back whoever is not a super user from what a rule is about; there is none until a client adds one.
func secure(node *process.Node, work string) ([]string, error) {
	names := []string{"TLS", "MTLS", "PASSWORDS", "TOKENS", "IAM"}
	addresses, err := process.FreeAddresses(len(names))
	if err != nil {
		return nil, err
	}
	var listeners, env []string
	for i, name := range names {
		listeners = append(listeners, name+"://"+addresses[i])
		env = append(env, name+"="+strings.Replace(addresses[i], "127.0.0.1", "localhost", 1)) // a name, which Java looks for in certificates
	}
	c := &wallet{dir: work}
	c.certificate()
	c.token()
	if c.err != nil {
		return nil, c.err
	}
	const authority = "arn:aws:acm-pca:us-east-1:000000000000:certificate-authority/0f8fad5b-d9cb-469f-a165-70867728950e"
	const password, secret = "it-is-secret", "0123456789abcdef0123456789abcdef01234567"
	node.Args = append(node.Args,
		"--kafka-listeners", strings.Join(listeners, ","),
		"--kafka-security-protocols", "TLS:SSL,MTLS:SSL,PASSWORDS:SASL_SSL,TOKENS:SASL_SSL,IAM:SASL_SSL",
		"--kafka-sasl-mechanisms", "PASSWORDS:PLAIN+SCRAM-SHA-256+SCRAM-SHA-512,TOKENS:OAUTHBEARER,IAM:AWS_MSK_IAM+OAUTHBEARER",
		"--kafka-acls", "open", "--kafka-super-users", "User:ANONYMOUS;User:judge",
		"--kafka-client-certificates", "MTLS:required", "--tls-client-ca", c.path("client.crt"), "--kafka-users", "judge:"+password,
		"--kafka-oauth-jwks", c.path("jwks.json"), "--kafka-oauth-audience", "kafka", "--access-keys", "AKIAJUDGE:"+secret, "--kafka-max-reauth", "10m", "--msk-authorities", authority+"="+c.path("client.crt"))
	return append(env, "CA="+filepath.Join(node.Data, "tls", "ca.pem"), "CLIENT_CERT="+c.path("client.crt"), "CLIENT_KEY="+c.path("client.key"),
		"CLIENT_PEM="+c.path("client.pem"), "TOKEN="+c.signed, "TOKEN_FILE="+c.path("token"), "USER_NAME=judge", "AUTHORITY_ARN="+authority, "USER_PASSWORD="+password,
		"AWS_ACCESS_KEY_ID=AKIAJUDGE", "AWS_SECRET_ACCESS_KEY="+secret), nil
}

// wallet holds credentials that are made in a directory. After an error nothing more is done.
type wallet struct {
	dir    string
	signed string // the token
	err    error
}

func (c *wallet) path(name string) string { return filepath.Join(c.dir, name) }

func (c *wallet) write(name string, content []byte) {
	if c.err == nil {
		c.err = os.WriteFile(c.path(name), content, 0o600)
	}
}

func (c *wallet) key() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.err = err
	}
	return key
}

// certificate makes one that signs itself, so that it is its own authority.
func (c *wallet) certificate() {
	key := c.key()
	if c.err != nil {
		return
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "judge", Organization: []string{"interop"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), crypto.Signer(key))
	if err != nil {
		c.err = err
		return
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.err = err
		return
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
	c.write("client.crt", certificate)
	c.write("client.key", private)
	c.write("client.pem", append(private, certificate...))
}

// token makes an issuer's key and a token signed with it.
func (c *wallet) token() {
	key := c.key()
	if c.err != nil {
		return
	}
	private := jose.JSONWebKey{Key: key, KeyID: "judge", Algorithm: string(jose.ES256), Use: "sig"}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	if err != nil {
		c.err = err
		return
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
	if err != nil {
		c.err = err
		return
	}
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"sub": "judge", "aud": "kafka", "iat": now, "exp": now + 3600, "scope": "kafka"})
	if err != nil {
		c.err = err
		return
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		c.err = err
		return
	}
	if c.signed, c.err = signed.CompactSerialize(); c.err == nil {
		c.write("jwks.json", set)
		c.write("token", []byte(c.signed))
	}
}
