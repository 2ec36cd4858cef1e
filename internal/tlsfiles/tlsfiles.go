// Package tlsfiles serves certificates from PEM files that others write and renew: Certificate is a server's own with its key, Authorities are
// those whose clients it trusts. Both count as their files are now: see package watchfile.
//
// It refuses to make or renew certificates; package tlsca makes those of a node that has none.
package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/watchfile"
)

// Certificate is a server's certificate, with those that lead to its authority behind it, and its key.
type Certificate struct {
	files *watchfile.Value[*tls.Certificate]
}

// OpenCertificate reads a certificate and its key from files, which may be the same one.
func OpenCertificate(certificate, key string, c clock.Clock, logger *slog.Logger, counts *watchfile.Counts) (*Certificate, error) {
	files, err := watchfile.Open([]string{certificate, key}, c, logger, counts, func(contents [][]byte) (*tls.Certificate, error) {
		pair, err := tls.X509KeyPair(contents[0], contents[1])
		if err != nil {
			return nil, fmt.Errorf("%s and %s: %w", certificate, key, err)
		}
		return &pair, nil
	})
	if err != nil {
		return nil, err
	}
	return &Certificate{files}, nil
}

// Get is a tls.Config's GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.files.Current(), nil
}

// Authorities are those that sign the certificates of trusted clients.
type Authorities struct {
	files *watchfile.Value[*x509.CertPool]
}

// OpenAuthorities reads the certificates of authorities from files: those of all of them.
func OpenAuthorities(paths []string, c clock.Clock, logger *slog.Logger, counts *watchfile.Counts) (*Authorities, error) {
	files, err := watchfile.Open(paths, c, logger, counts, func(contents [][]byte) (*x509.CertPool, error) {
		pool := x509.NewCertPool()
		for i, content := range contents {
			if err := addCertificates(pool, content); err != nil {
				return nil, fmt.Errorf("%s: %w", paths[i], err)
			}
		}
		return pool, nil
	})
	if err != nil {
		return nil, err
	}
	return &Authorities{files}, nil
}

func addCertificates(pool *x509.CertPool, content []byte) error {
	found := false
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		pool.AddCert(certificate)
		found = true
	}
	if !found {
		return errors.New("no certificate in PEM is in it")
	}
	return nil
}

// Trust makes a server's configuration ask clients for certificates of the authorities, as auth says. It sets GetConfigForClient.
func (a *Authorities) Trust(config *tls.Config, auth tls.ClientAuthType) {
	config.ClientAuth, config.ClientCAs = auth, a.files.Current()
	var mu sync.Mutex
	latest := config.Clone() // with the newest authorities; guarded by mu
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pool := a.files.Current()
		mu.Lock()
		defer mu.Unlock()
		if pool != latest.ClientCAs {
			latest = latest.Clone()
			latest.ClientCAs = pool
		}
		return latest, nil
	}
}
