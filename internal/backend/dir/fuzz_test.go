package dir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/object"
)

// FuzzUnescape: a name that is accepted is the one that its piece gets.
func FuzzUnescape(f *testing.F) {
	f.Add("a%25b")
	f.Add("%43on.txt")
	f.Add("%_")
	f.Add("x%2")
	f.Add("%+1")
	f.Fuzz(func(t *testing.T, name string) {
		if piece, ok := unescape(name); ok && (escape(piece) != name || strings.Contains(name, "/") != strings.Contains(piece, "/")) {
			t.Fatalf("%q stands for %q, which is written %q", name, piece, escape(piece))
		}
	})
}

// FuzzManifest reads what an upload says it is of: it is the upload of that object and of no other.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"Bucket":"lake","Key":"k"}`), "k")
	f.Add([]byte(`{"Bucket":"lake"`), "k")
	f.Add([]byte(`{"key":"k"}{}`), "")
	f.Fuzz(func(t *testing.T, manifest []byte, key string) {
		s := newStore(t, t.TempDir(), nil)
		id := strings.Repeat("0a", 16)
		dir := filepath.Join(s.root, ".uploads", id)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "object"), manifest, 0o600)); err != nil {
			t.Fatal(err)
		}
		got, err := s.uploadDir(lake(key), id)
		if (err == nil) != (got == dir) {
			t.Fatalf("%q, %v", got, err)
		}
		if _, other := s.uploadDir(lake(key+"'"), id); err == nil && !errors.Is(other, object.ErrNoUpload) {
			t.Fatalf("%q is of two objects: %v", manifest, other)
		}
	})
}
