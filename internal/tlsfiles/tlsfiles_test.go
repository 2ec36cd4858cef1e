package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/tlsfiles/tlstest"
	"github.com/freshet/freshet/internal/watchfile"
)

var start = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

func pair(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	return tlstest.Pair(t, pkix.Name{CommonName: name}, start)
}

// disk is a directory of files whose times differ with each writing.
type disk struct {
	dir     string
	written time.Time
}

func (d *disk) write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	d.written = d.written.Add(time.Second)
	if err := os.Chtimes(path, d.written, d.written); err != nil {
		t.Fatal(err)
	}
	return path
}

func newDisk(t *testing.T) *disk { return &disk{t.TempDir(), start} }

func nameOf(t *testing.T, c *Certificate) string {
	t.Helper()
	got, err := c.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(got.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Subject.CommonName
}

func TestARenewedCertificateCounts(t *testing.T) {
	d, c, log := newDisk(t), clock.NewVirtual(start), &bytes.Buffer{}
	certificate, key := pair(t, "first")
	certFile, keyFile := d.write(t, "cert.pem", certificate), d.write(t, "key.pem", key)
	served, err := OpenCertificate(certFile, keyFile, c, slog.New(slog.NewTextHandler(log, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	step := func(what, want string, lines int) {
		t.Helper()
		for range 2 { // what was logged once is not logged again
			c.Advance(watchfile.LookEach)
			if got := nameOf(t, served); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		if n := strings.Count(log.String(), "\n"); n != lines {
			t.Errorf("%s: log\n%s", what, log)
		}
	}
	step("at first", "first", 0)
	certificate, key = pair(t, "second")
	d.write(t, "cert.pem", certificate)
	step("the new certificate does not fit the old key", "first", 1)
	d.write(t, "key.pem", key)
	step("both are new", "second", 2)
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	step("a file is gone", "second", 3)
	d.write(t, "key.pem", key)
	step("it is there again", "second", 4)
}

func TestFilesAreNotLookedAtForEachHandshake(t *testing.T) {
	d, c := newDisk(t), clock.NewVirtual(start)
	certificate, key := pair(t, "first")
	served, err := OpenCertificate(d.write(t, "cert.pem", certificate), d.write(t, "key.pem", key), c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = pair(t, "second")
	d.write(t, "cert.pem", certificate)
	d.write(t, "key.pem", key)
	c.Advance(watchfile.LookEach - 1)
	if got := nameOf(t, served); got != "first" {
		t.Errorf("%s", got)
	}
}

func TestFilesThatHoldNothingAreRefused(t *testing.T) {
	d, c, quiet := newDisk(t), clock.NewVirtual(start), slog.New(slog.DiscardHandler)
	certificate, key := pair(t, "x")
	_, other := pair(t, "y")
	certFile := d.write(t, "cert.pem", certificate)
	for name, keyFile := range map[string]string{
		"missing": filepath.Join(d.dir, "nothing.pem"), "of another": d.write(t, "other.pem", other), "no key": certFile,
		"too long": d.write(t, "long.pem", append(bytes.Repeat([]byte("\n"), watchfile.MaxBytes), key...)),
	} {
		if _, err := OpenCertificate(certFile, keyFile, c, quiet, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, path := range map[string]string{"key": d.write(t, "key.pem", key), "text": d.write(t, "text.pem", []byte("hello"))} {
		if _, err := OpenAuthorities([]string{path}, c, quiet, nil); err == nil {
			t.Errorf("authorities of a %s: no error", name)
		}
	}
}

// TestClientsAreTrustedByTheNewestAuthorities connects clients before and after the file of authorities changes.
func TestClientsAreTrustedByTheNewestAuthorities(t *testing.T) {
	d, c, quiet := newDisk(t), clock.NewVirtual(start), slog.New(slog.DiscardHandler)
	alice, aliceKey := pair(t, "alice")
	bob, bobKey := pair(t, "bob")
	path := d.write(t, "clients.pem", alice)
	authorities, err := OpenAuthorities([]string{path}, c, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := pair(t, "server")
	config := &tls.Config{Certificates: []tls.Certificate{tlstest.Keys(t, certificate, key)}, Time: c.Now}
	authorities.Trust(config, tls.RequireAndVerifyClientCert)
	check := func(who string, certificate, key []byte, trusted bool) {
		t.Helper()
		own := tlstest.Keys(t, certificate, key)
		near, far := net.Pipe()
		defer near.Close()
		go func() {
			client := tls.Client(far, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{own}})
			_ = client.Handshake()
			_, _ = client.Read(make([]byte, 1)) // the tickets, or the alert
			far.Close()
		}()
		if err := tls.Server(near, config).Handshake(); (err == nil) != trusted {
			t.Errorf("%s: %v, trusted should be %v", who, err, trusted)
		}
	}
	check("alice", alice, aliceKey, true)
	check("bob", bob, bobKey, false)
	d.write(t, "clients.pem", append([]byte("# bob alone\n"), bob...))
	c.Advance(watchfile.LookEach)
	check("alice, whom the file has not any more", alice, aliceKey, false)
	check("bob, whom the file has", bob, bobKey, true)
}
