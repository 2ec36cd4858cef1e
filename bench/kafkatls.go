package main

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
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// secrets are a certificate with its key, the same for every server, and what clients need to trust it.
type secrets struct {
	file   string // both, in PEM
	client *tls.Config
}

// makeSecrets makes a certificate that signs itself, as strong as those of freshet's own authority.
func makeSecrets(dir string) (*secrets, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
	s := &secrets{file: filepath.Join(dir, "server.pem"), client: &tls.Config{RootCAs: x509.NewCertPool()}}
	s.client.RootCAs.AppendCertsFromPEM(certificate)
	return s, os.WriteFile(s.file, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), certificate...), 0o600)
}

// throughTLS is how a Go client finds the server's address with TLS.
func (t *kafkaTurn) throughTLS() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(t.server.secured()), kgo.DialTLSConfig(t.tls.client)}
}

// encrypted produces and consumes through TLS.
func (t *kafkaTurn) encrypted() error {
	s := spray{name: "TLS, a Go producer", producers: 1, partitions: 6, bytes: t.options.bytes, records: t.records, linger: sprayLinger, tls: true}
	if err := t.sprayRow(s); err != nil {
		return err
	}
	began := time.Now()
	cost, err := t.cost(func() error { return t.read(t.ctx, s.topic(), s.sent(), nil, t.throughTLS()...) })
	if err != nil {
		return err
	}
	gib := t.gib(s.sent())
	t.row("consume, TLS, a Go consumer", gib*1024/time.Since(began).Seconds(), "MiB/s")
	t.row("consume, TLS, a Go consumer, server CPU", cost.Seconds()/gib, "s/GiB")
	return nil
}
