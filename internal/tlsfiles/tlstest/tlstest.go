// Package tlstest makes certificates for tests: Pair one that signs itself, which serves as its own authority.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Pair returns a certificate for localhost and 127.0.0.1 whose subject is name, valid for a day around at, and its key, both in PEM.
func Pair(t testing.TB, name pkix.Name, at time.Time) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name, NotBefore: at.Add(-12 * time.Hour), NotAfter: at.Add(12 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// Keys returns what Pair made as crypto/tls has it.
func Keys(t testing.TB, certificate, key []byte) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Pool returns the certificates as those of authorities.
func Pool(t testing.TB, certificates ...[]byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	for _, c := range certificates {
		if !pool.AppendCertsFromPEM(c) {
			t.Fatal("no certificate in PEM")
		}
	}
	return pool
}
