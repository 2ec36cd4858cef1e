package tlsca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/vfs"
)

var start = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func mustOpen(t testing.TB, dir string, c clock.Clock) *Authority {
	t.Helper()
	a, err := Open(dir, []string{"node.example", "192.0.2.7"}, c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// present returns the certificate that a server shows, verified by a client that trusts the authority.
func present(t *testing.T, a *Authority, host string, now time.Time) *x509.Certificate {
	t.Helper()
	certificate, err := a.TLS().GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("the authority's PEM is not one")
	}
	if _, err := certificate.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: now}); err != nil {
		t.Errorf("%s at %v: %v", host, now, err)
	}
	return certificate.Leaf
}

func TestCertificatesAreForTheNodesNames(t *testing.T) {
	a := mustOpen(t, filepath.Join(t.TempDir(), "tls"), clock.NewVirtual(start))
	for _, host := range []string{"localhost", "kinesis.localhost", "127.0.0.1", "::1", "node.example", "192.0.2.7"} {
		present(t, a, host, start)
	}
}

func TestAnAuthorityIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	first := mustOpen(t, dir, clock.NewVirtual(start))
	second := mustOpen(t, dir, clock.NewVirtual(start.Add(24*time.Hour)))
	if !bytes.Equal(first.PEM(), second.PEM()) {
		t.Error("another authority after a restart")
	}
	if names := namesIn(t, dir); !slices.Equal(names, []string{KeyFile, CertificateFile, lockFile}) {
		t.Fatalf("%q", names)
	}
	for _, name := range []string{KeyFile, CertificateFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestAnAuthorityIsDurable: clients trust what was shown, so no power cut may take it away; and none leaves a certificate without its key.
func TestAnAuthorityIsDurable(t *testing.T) {
	root := t.TempDir()
	var synced []string
	files := vfs.Fault(vfs.OS(), func(c *vfs.Call) error {
		if c.Op == vfs.OpSyncDir {
			synced = append(synced, c.Name)
			if c.Name == "tls" {
				synced = append(synced, namesIn(t, filepath.Join(root, "data", "tls"))...)
			}
		}
		return nil
	})
	if _, err := open(filepath.Join(root, "data", "tls"), nil, clock.NewVirtual(start), rand.Reader, files); err != nil {
		t.Fatal(err)
	}
	want := []string{filepath.Base(root), "data", "tls", KeyFile, lockFile, "tls", KeyFile, CertificateFile, lockFile}
	if synced = synced[max(0, len(synced)-len(want)):]; !slices.Equal(synced, want) {
		t.Errorf("directories synced, with what was in them: %q, want %q", synced, want)
	}
}

// TestFirstOpeningsAtOnce: another process makes the authority after this one has found none.
func TestFirstOpeningsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	var other *Authority
	files := vfs.Fault(vfs.OS(), func(c *vfs.Call) error {
		if other == nil {
			other = mustOpen(t, dir, clock.NewVirtual(start))
		}
		return nil
	})
	a, err := open(dir, nil, clock.NewVirtual(start), rand.Reader, files)
	if err != nil || !bytes.Equal(a.PEM(), other.PEM()) {
		t.Fatalf("another authority, %v", err)
	}
	mustOpen(t, dir, clock.NewVirtual(start)) // key and certificate belong together
}

func TestServerCertificatesAreRenewedAsTheyAge(t *testing.T) {
	virtual := clock.NewVirtual(start)
	a := mustOpen(t, t.TempDir(), virtual)
	first := present(t, a, "localhost", start)
	virtual.Advance(serverLife / 2)
	if again := present(t, a, "localhost", virtual.Now()); !again.Equal(first) {
		t.Error("renewed in mid-life")
	}
	virtual.Advance(serverLife / 4)
	if again := present(t, a, "localhost", virtual.Now()); again.Equal(first) {
		t.Error("not renewed")
	}
}

func TestBrokenFilesAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt func(t *testing.T, dir string)
		want    string
	}{
		"key lost":         {func(t *testing.T, dir string) { remove(t, dir, KeyFile) }, "ca.pem is there and ca-key.pem is not"},
		"key of another":   {func(t *testing.T, dir string) { replace(t, dir, KeyFile) }, "ca-key.pem does not belong to ca.pem"},
		"no PEM":           {func(t *testing.T, dir string) { write(t, dir, CertificateFile, "nonsense") }, "holds no single CERTIFICATE"},
		"expired":          {func(*testing.T, string) {}, "expired on 2036-11-18"},
		"certificate lost": {func(t *testing.T, dir string) { remove(t, dir, CertificateFile) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, virtual := t.TempDir(), clock.NewVirtual(start)
			mustOpen(t, dir, virtual)
			c.breakIt(t, dir)
			if name == "expired" {
				virtual.Advance(authorityLife + time.Hour)
			}
			_, err := Open(dir, nil, virtual, rand.Reader)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, dir, name string) {
	t.Helper()
	other := t.TempDir()
	mustOpen(t, other, clock.NewVirtual(start))
	data, err := os.ReadFile(filepath.Join(other, name))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, name, string(data))
}

// TestDamageIsFound flips every bit of both files: the authority is refused, or is the same.
func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	c := clock.NewVirtual(start)
	whole := mustOpen(t, dir, c)
	key := whole.key.Public().(*ecdsa.PublicKey)
	for _, name := range []string{CertificateFile, KeyFile} {
		path := filepath.Join(dir, name)
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := range written {
			for bit := range 8 {
				damaged := bytes.Clone(written)
				damaged[at] ^= 1 << bit
				if err := os.WriteFile(path, damaged, 0o600); err != nil {
					t.Fatal(err)
				}
				a, err := Open(dir, nil, c, rand.Reader)
				if err == nil && (!bytes.Equal(a.PEM(), whole.PEM()) || !key.Equal(a.key.Public())) {
					t.Fatalf("bit %d of byte %d of %s makes another authority", bit, at, name)
				}
			}
		}
		if err := os.WriteFile(path, written, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
