// Package tlsca is a certificate authority of one node: it makes itself once, keeps its certificate and key in a directory, and signs the
// node's own server certificates in memory, renewing them as they age. Clients trust the authority's certificate, which `freshet ca` prints.
//
// Authority is all there is. It refuses to sign for anyone else: it makes certificates for this node's names only, and there is no revocation.
package tlsca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/vfs"
)

// Files of the authority inside its directory.
const (
	CertificateFile = "ca.pem"
	KeyFile         = "ca-key.pem"
	lockFile        = "lock" // held while the authority is made
)

// Lifetimes. A server certificate is replaced once less than a third of its life is left.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 90 * 24 * time.Hour
	// backdate covers clients whose clocks are slow.
	backdate = time.Hour
)

// Authority signs certificates for a node. It is safe for concurrent use.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	clock       clock.Clock
	random      io.Reader
	hosts       []string
	files       vfs.FS

	mu     sync.Mutex // guards server
	server *tls.Certificate
}

// LocalHosts are the names and addresses that every server certificate is for.
func LocalHosts() []string { return []string{"localhost", "*.localhost", "127.0.0.1", "::1"} }

// Open returns the authority kept in dir, making it if there is none. Its server certificates are for LocalHosts and for hosts, names or
// IP addresses. random must be fit for keys.
func Open(dir string, hosts []string, c clock.Clock, random io.Reader) (*Authority, error) {
	return open(dir, hosts, c, random, vfs.OS())
}

// open is Open with directories and locks of files.
func open(dir string, hosts []string, c clock.Clock, random io.Reader, files vfs.FS) (*Authority, error) {
	a := &Authority{clock: c, random: random, hosts: append(LocalHosts(), hosts...), files: files}
	err := a.load(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = a.createOnce(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("certificate authority in %s: %w", dir, err)
	}
	return a, nil
}

// PEM returns the authority's certificate for clients to trust.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// TLS returns a server configuration which always presents a certificate that is valid now.
func (a *Authority) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		Time:           a.clock.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.current() },
	}
}

// current returns the server certificate, signing a new one when it is old.
func (a *Authority) current() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	if a.server != nil && now.Before(a.server.Leaf.NotAfter.Add(-serverLife/3)) && now.After(a.server.Leaf.NotBefore) {
		return a.server, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.random)
	if err != nil {
		return nil, fmt.Errorf("make server key: %w", err)
	}
	serial, err := a.serial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "freshet"},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(serverLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range a.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	raw, err := x509.CreateCertificate(a.random, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign server certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("read own server certificate: %w", err)
	}
	a.server = &tls.Certificate{Certificate: [][]byte{raw, a.certificate.Raw}, PrivateKey: key, Leaf: leaf}
	return a.server, nil
}

func (a *Authority) serial() (*big.Int, error) {
	n, err := rand.Int(a.random, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return n, nil
}

func (a *Authority) load(dir string) error {
	certificate, err := readPEM(filepath.Join(dir, CertificateFile), "CERTIFICATE")
	if err != nil {
		return err
	}
	if a.certificate, err = x509.ParseCertificate(certificate); err != nil {
		return fmt.Errorf("%s: %w", CertificateFile, err)
	}
	if err := a.certificate.CheckSignatureFrom(a.certificate); err != nil { // clients do not look at what they are told to trust
		return fmt.Errorf("%s is not what was written: %w", CertificateFile, err)
	}
	raw, err := readPEM(filepath.Join(dir, KeyFile), "PRIVATE KEY")
	if errors.Is(err, fs.ErrNotExist) {
		// A certificate that clients may trust already is not replaced behind their backs.
		return fmt.Errorf("%s is there and %s is not: restore the key, or remove both to make a new authority", CertificateFile, KeyFile)
	} else if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", KeyFile, err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok || !signer.PublicKey.Equal(a.certificate.PublicKey) {
		return fmt.Errorf("%s does not belong to %s", KeyFile, CertificateFile)
	}
	a.key = signer
	if now := a.clock.Now(); now.After(a.certificate.NotAfter) {
		return fmt.Errorf("%s expired on %s: remove both files to make a new authority", CertificateFile, a.certificate.NotAfter.Format(time.DateOnly))
	}
	return nil
}

func readPEM(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(data)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s holds no single %s in PEM", path, kind)
	}
	return block.Bytes, nil
}

// A process that finds the authority being made by another one looks again after each lockPause, lockTries times.
const (
	lockPause = 20 * time.Millisecond
	lockTries = 500
)

// createOnce makes the authority unless another process, as `freshet ca` beside a starting node, has done so meanwhile.
func (a *Authority) createOnce(dir string) error {
	if err := vfs.MkdirAll(a.files, dir); err != nil {
		return err
	}
	lock, err := a.files.Lock(filepath.Join(dir, lockFile))
	for try := 1; errors.Is(err, vfs.ErrLocked) && try < lockTries; try++ {
		if err := clock.Sleep(context.Background(), a.clock, lockPause); err != nil {
			return err
		}
		lock, err = a.files.Lock(filepath.Join(dir, lockFile))
	}
	if err != nil {
		return err
	}
	if err = a.load(dir); errors.Is(err, fs.ErrNotExist) {
		err = a.create(dir)
	}
	return errors.Join(err, lock.Close())
}

func (a *Authority) create(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.random)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	serial, err := a.serial()
	if err != nil {
		return err
	}
	now := a.clock.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		// The serial number in the name tells the authorities of several nodes apart in a trust store.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("freshet local authority %x", serial.Bytes()[:4]), Organization: []string{"freshet"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	raw, err := x509.CreateCertificate(a.random, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("sign itself: %w", err)
	}
	if a.certificate, err = x509.ParseCertificate(raw); err != nil {
		return fmt.Errorf("read own certificate: %w", err)
	}
	a.key = key
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	// The key first: a crash in between leaves a key without certificate, which the next start replaces.
	if err := a.writeFile(filepath.Join(dir, KeyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})); err != nil {
		return err
	}
	return a.writeFile(filepath.Join(dir, CertificateFile), a.PEM())
}

// writeFile replaces path in one step, durably, with a file that only its owner may read.
func (a *Authority) writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return a.files.SyncDir(filepath.Dir(path))
}
