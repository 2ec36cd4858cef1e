package dir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// faulty counts operations and fails from the n-th on, or only the n-th.
type faulty struct {
	disk
	fail  int
	dead  bool // all after the n-th fail, too: the process is gone
	count int
	trace []string
}

var errInjected = errors.New("injected fault")

func (f *faulty) step(op, path string) error {
	f.trace = append(f.trace, op+" "+path)
	n := f.count
	f.count++
	if n == f.fail || f.dead && n > f.fail && f.fail >= 0 {
		return fmt.Errorf("%s %s: %w", op, path, errInjected)
	}
	return nil
}

func (f *faulty) Create(path string) (file, error) {
	if err := f.step("create", path); err != nil {
		return nil, err
	}
	inner, err := f.disk.Create(path)
	return &faultyFile{inner, f, path}, err
}

func (f *faulty) Mkdir(path string) error {
	return errors.Join(f.step("mkdir", path), f.unlessFailed(func() error { return f.disk.Mkdir(path) }))
}

func (f *faulty) Rename(from, to string) error {
	return errors.Join(f.step("rename", to), f.unlessFailed(func() error { return f.disk.Rename(from, to) }))
}

func (f *faulty) Remove(path string) error {
	return errors.Join(f.step("remove", path), f.unlessFailed(func() error { return f.disk.Remove(path) }))
}

func (f *faulty) SyncDir(path string) error {
	return errors.Join(f.step("syncdir", path), f.unlessFailed(func() error { return f.disk.SyncDir(path) }))
}

// unlessFailed runs an operation unless the step just counted was made to fail.
func (f *faulty) unlessFailed(op func() error) error {
	if n := f.count - 1; n == f.fail || f.dead && n > f.fail && f.fail >= 0 {
		return nil
	}
	return op()
}

type faultyFile struct {
	file
	fs   *faulty
	path string
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.fs.step("write", f.path); err != nil {
		n, _ := f.file.Write(p[:len(p)/2]) // a torn write
		return n, err
	}
	return f.file.Write(p)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.step("sync", f.path); err != nil {
		return err
	}
	return f.file.Sync()
}

var testContext = context.Background()

var lake = func(key string) object.Name { return object.Name{Bucket: "lake", Key: key} }

// workload replaces, nests, deletes and uploads, stopping at the first error; it returns what must be there and what may be.
func workload(s *Store) (sure map[string]string, doubt string, err error) {
	sure = map[string]string{}
	big := strings.Repeat("x", 300<<10)
	put := func(key, data string) func() error {
		return func() error {
			w, err := s.Create(testContext, lake(key))
			if err != nil {
				return err
			}
			defer w.Abort()
			if _, err := io.WriteString(w, data); err != nil {
				return err
			}
			_, err = w.Commit(testContext)
			return err
		}
	}
	upload := func(key string) func() error {
		return func() error {
			id, err := s.StartUpload(testContext, lake(key))
			if err != nil {
				return err
			}
			part, err := s.PutPart(testContext, lake(key), id, 1, strings.NewReader(big))
			if err != nil {
				return err
			}
			_, err = s.CompleteUpload(testContext, lake(key), id, []object.Part{part})
			return err
		}
	}
	for _, step := range []struct {
		key, data string
		run       func() error
	}{
		{"a", "1", put("a", "1")},
		{"a", "2", put("a", "2")},
		{"a/b", "3", put("a/b", "3")},
		{"a", "4", put("a", "4")},
		{"d/e/f", strings.Repeat("5", 200<<10), put("d/e/f", strings.Repeat("5", 200<<10))},
		{"d/e/f", "", func() error { return s.Delete(testContext, lake("d/e/f")) }},
		{"u", big, upload("u")},
	} {
		if err := step.run(); err != nil {
			return sure, step.key, err
		}
		sure[step.key] = step.data
		if step.data == "" {
			delete(sure, step.key)
		}
	}
	return sure, "", nil
}

func TestEveryFaultLeavesWholeObjects(t *testing.T) {
	for _, dead := range []bool{false, true} {
		for n := 0; ; n++ {
			root := filepath.Join(t.TempDir(), "objects")
			f := &faulty{fail: n, dead: dead}
			sure, doubt, err := workload(newStore(t, root, f))
			if err != nil && !errors.Is(err, errInjected) {
				t.Fatalf("fault %d: %v", n, err)
			}
			checkAfterFault(t, root, n, sure, doubt)
			if f.count <= n {
				if err != nil {
					t.Fatalf("without a fault: %v", err)
				}
				t.Logf("%d operations failed one by one, dead afterwards: %v", n, dead)
				break
			}
		}
	}
}

func checkAfterFault(t *testing.T, root string, n int, sure map[string]string, doubt string) {
	t.Helper()
	s := newStore(t, root, nil)
	possible := map[string][]string{"a": {"1", "2", "4"}, "a/b": {"3"}, "d/e/f": {strings.Repeat("5", 200<<10)}, "u": {strings.Repeat("x", 300<<10)}}
	listed := objecttest.Keys(t, s, "lake", object.Query{})
	for key, data := range sure {
		if key == doubt {
			continue
		}
		if !slices.Contains(listed, key) {
			t.Fatalf("fault %d: %q is not listed", n, key)
		}
		if got := objecttest.Get(t, s, lake(key)); string(got) != data {
			t.Fatalf("fault %d: %q holds %d bytes, not the %d committed", n, key, len(got), len(data))
		}
	}
	for _, key := range listed {
		if _, ok := sure[key]; !ok && key != doubt {
			t.Fatalf("fault %d: %q is listed but was never or no more there", n, key)
		}
		if got := objecttest.Get(t, s, lake(key)); !slices.Contains(possible[key], string(got)) {
			t.Fatalf("fault %d: %q holds %d bytes that nobody wrote as a whole", n, key, len(got))
		}
	}
	objecttest.Put(t, s, lake("after"), []byte("works again"))
	if stale, err := os.ReadDir(filepath.Join(root, ".staging")); err != nil || len(stale) != 0 {
		t.Fatalf("fault %d: staging holds %v, %v", n, stale, err)
	}
}

func TestCommitSyncsBeforeAndAfterTheRename(t *testing.T) {
	root := filepath.Join(t.TempDir(), "objects")
	f := &faulty{fail: -1}
	s := newStore(t, root, f)
	objecttest.Put(t, s, lake("warm"), nil) // makes the root and the staging directory
	f.trace = nil
	objecttest.Put(t, s, lake("x/y/z"), []byte("data"))
	var short []string
	for _, step := range f.trace {
		op, path, _ := strings.Cut(step, " ")
		rel, _ := filepath.Rel(root, path)
		short = append(short, op+" "+filepath.ToSlash(rel))
	}
	want := []string{
		"create .staging/2", "write .staging/2", "sync .staging/2", "mkdir lake/x", "mkdir lake/x/y", "rename lake/x/y/z",
		"syncdir lake/x/y", "syncdir lake/x", "syncdir lake",
	}
	if !slices.Equal(short, want) {
		t.Errorf("a commit does\n%q, want\n%q", short, want)
	}
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
func (f folding) Mkdir(path string) error                    { return f.disk.Mkdir(f.resolve(path)) }
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
	for _, path := range []string{"lake/x%zz", "lake/b:c", "file-in-root"} {
		if err := os.WriteFile(filepath.Join(root, path), nil, 0o600); err != nil {
			t.Skipf("this file system has no %q: %v", path, err)
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
