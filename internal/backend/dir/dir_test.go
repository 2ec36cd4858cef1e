package dir

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/objecttest"
)

func newStore(t testing.TB, root string, f files) *Store {
	t.Helper()
	s, err := New(Config{Root: root, Clock: clock.NewVirtual(time.Unix(1_700_000_000, 0)), files: f})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var testContext = context.Background()

var lake = func(key string) object.Name { return object.Name{Bucket: "lake", Key: key} }

func TestContract(t *testing.T) {
	objecttest.Run(t, func(t *testing.T) object.Store { return newStore(t, filepath.Join(t.TempDir(), "objects"), nil) })
}

func TestOrdinaryKeysArePlainFiles(t *testing.T) {
	root := t.TempDir()
	s := newStore(t, root, nil)
	for _, key := range []string{"2026/11/21/07/orders-1-2026-11-21-07-36-33-0f8fad5b-d9cb-469f-a165-70867728950e.gz", "a=b/part, 1 (x)@é.json", "UPPER/lower"} {
		objecttest.Put(t, s, object.Name{Bucket: "lake", Key: key}, []byte("data"))
		data, err := os.ReadFile(filepath.Join(root, "lake", filepath.FromSlash(key)))
		if err != nil || string(data) != "data" {
			t.Errorf("%q: %q, %v", key, data, err)
		}
	}
}

func TestNamesAreSafeAndReversible(t *testing.T) {
	for _, segment := range []string{
		".", "..", "...", "a.", "a ", " ", "con", "Con.tar.gz", "nul ", "com1", "COM¹", "comet", "%", "%41", "a%-", "a%=", "%_", "\x00", "a\\b", "c:", "日本", strings.Repeat("日", 300), strings.Repeat("%", 500),
	} {
		names := appendSegment(nil, segment)
		back := ""
		for i, name := range names {
			if len(name) > 255 || strings.ContainsAny(name, "/\\:*?\"<>|\x00") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") || isDevice(name) {
				t.Errorf("%q becomes %q", segment, name)
			}
			if i < len(names)-1 {
				name = strings.TrimSuffix(name, continued)
			}
			piece, ok := unescape(name)
			if !ok {
				t.Errorf("%q becomes %q, which means nothing", segment, name)
			}
			back += piece
		}
		if back != segment {
			t.Errorf("%q comes back as %q", segment, back)
		}
	}
	for _, foreign := range []string{"", "%", "a%4", "%4a", "%61", "x%zz", "a:b", "\xff"} {
		if piece, ok := unescape(foreign); ok {
			t.Errorf("%q is taken for %q", foreign, piece)
		}
	}
}

func FuzzComponents(f *testing.F) {
	for _, key := range []string{"a/b", "../x", "%", "a//b/", strings.Repeat("é", 400)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		n := object.Name{Bucket: "bucket", Key: key}
		if n.Check() != nil {
			return
		}
		s := newStore(t, "/root", nil)
		path := s.path(n)
		if !strings.HasPrefix(path, "/root/bucket/") || strings.Contains(path, "/../") || filepath.Clean(path) != path {
			t.Fatalf("%q is at %q", key, path)
		}
	})
}

// folding is a file system that takes names for equal if they differ only in case, as macOS and Windows do.
type folding struct{ disk }

func (f folding) resolve(path string) string {
	real := "/"
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		entries, _ := os.ReadDir(real)
		for _, e := range entries {
			if strings.EqualFold(e.Name(), part) {
				part = e.Name()
				break
			}
		}
		real = filepath.Join(real, part)
	}
	return real
}

func (f folding) Open(path string) (file, error)             { return f.disk.Open(f.resolve(path)) }
func (f folding) Stat(path string) (fs.FileInfo, error)      { return f.disk.Stat(f.resolve(path)) }
func (f folding) ReadDir(path string) ([]fs.DirEntry, error) { return f.disk.ReadDir(f.resolve(path)) }

func (f folding) Mkdir(path string) error { return f.disk.Mkdir(f.resolve(path)) }

func (f folding) Rename(from, to string) error {
	return f.disk.Rename(f.resolve(from), f.resolve(to))
}
func (f folding) Remove(path string) error { return f.disk.Remove(f.resolve(path)) }

func TestFoldedKeysAreRefusedNotMixed(t *testing.T) {
	folds := true
	s, err := New(Config{Root: t.TempDir(), files: folding{}, folds: &folds})
	if err != nil {
		t.Fatal(err)
	}
	objecttest.Put(t, s, lake("Logs/a"), []byte("first"))
	for _, key := range []string{"logs/a", "logs/b", "Logs/A", "LOGS"} {
		if _, err := s.Stat(testContext, lake(key)); !errors.Is(err, object.ErrNotFound) {
			t.Errorf("stat %q: %v", key, err)
		}
		w, err := s.Create(testContext, lake(key))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(testContext); !errors.Is(err, object.ErrInvalid) {
			t.Errorf("commit %q: %v", key, err)
		}
		if err := s.Delete(testContext, lake(key)); err != nil {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	objecttest.Put(t, s, lake("Logs/b"), []byte("second"))
	if got := objecttest.Get(t, s, lake("Logs/a")); string(got) != "first" {
		t.Errorf("read %q", got)
	}
}

func TestUploadsOutliveARestart(t *testing.T) {
	root := t.TempDir()
	s := newStore(t, root, nil)
	id, err := s.StartUpload(testContext, lake("u"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := s.PutPart(testContext, lake("u"), id, 1, strings.NewReader("part"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(testContext, lake("left open")); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, root, nil)
	if _, err := s.CompleteUpload(testContext, lake("u"), id, []object.Part{part}); err != nil {
		t.Fatal(err)
	}
	if got := objecttest.Get(t, s, lake("u")); !bytes.Equal(got, []byte("part")) {
		t.Errorf("read %q", got)
	}
	for _, dir := range []string{".uploads", ".staging"} {
		if left, err := os.ReadDir(filepath.Join(root, dir)); err != nil || len(left) != 0 {
			t.Errorf("%s holds %v, %v", dir, left, err)
		}
	}
}

func TestForeignFilesAreNotObjects(t *testing.T) {
	root := t.TempDir()
	s := newStore(t, root, nil)
	objecttest.Put(t, s, lake("a"), nil)
	for _, path := range []string{"lake/x%zz", "lake/%41", "file-in-root"} {
		if err := os.WriteFile(filepath.Join(root, path), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "lake", "link")); err != nil {
		t.Fatal(err)
	}
	if keys := objecttest.Keys(t, s, "lake", object.Query{}); !slices.Equal(keys, []string{"a"}) {
		t.Errorf("keys %q", keys)
	}
	if buckets, err := s.Buckets(testContext); err != nil || !slices.Equal(buckets, []string{"lake"}) {
		t.Errorf("buckets %q, %v", buckets, err)
	}
}
