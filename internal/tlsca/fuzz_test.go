package tlsca

import (
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet/freshet/internal/clock"
)

// FuzzLoad: an authority that is accepted has the key of its certificate.
func FuzzLoad(f *testing.F) {
	made := f.TempDir()
	mustOpen(f, made, clock.NewVirtual(start))
	var files [2][]byte
	for i, name := range []string{CertificateFile, KeyFile} {
		var err error
		if files[i], err = os.ReadFile(filepath.Join(made, name)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(files[0], files[1])
	f.Add(files[1], files[0])
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), []byte{})
	f.Fuzz(func(t *testing.T, certificate, key []byte) {
		dir := t.TempDir()
		write(t, dir, CertificateFile, string(certificate))
		write(t, dir, KeyFile, string(key))
		a := &Authority{clock: clock.NewVirtual(start)}
		if err := a.load(dir); err == nil && !a.key.Public().(*ecdsa.PublicKey).Equal(a.certificate.PublicKey) {
			t.Fatal("the key of another certificate")
		}
	})
}
