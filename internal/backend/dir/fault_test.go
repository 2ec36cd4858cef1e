package dir

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/objecttest"
)

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

// progress is how far a workload came: what must be there, and the key whose change was under way.
type progress struct {
	sure  map[string]string
	doubt string
}

// possible is what each key of the workload may ever hold.
var possible = map[string][]string{
	"a": {"1", "2", "4"}, "a/b": {"3"}, "d/e/f": {strings.Repeat("5", 200<<10)}, "u": {strings.Repeat("x", 100<<10)},
}

// workload replaces, nests, deletes and uploads, stopping at the first error, and keeps p up to date.
func workload(s *Store, p *progress) error {
	put := func(key string, i int) func() error { return func() error { return write(s, key, possible[key][i]) } }
	p.sure = map[string]string{}
	for _, step := range []struct {
		key string
		now []string // what the key holds afterwards, if anything
		run func() error
	}{
		{"a", possible["a"][:1], put("a", 0)},
		{"a", possible["a"][1:2], put("a", 1)},
		{"a/b", possible["a/b"], put("a/b", 0)},
		{"a", possible["a"][2:], put("a", 2)},
		{"d/e/f", possible["d/e/f"], put("d/e/f", 0)},
		{"d/e/f", nil, func() error { return s.Delete(testContext, lake("d/e/f")) }},
		{"u", possible["u"], func() error { return upload(s, "u", possible["u"][0]) }},
	} {
		p.doubt = step.key
		if err := step.run(); err != nil {
			return err
		}
		p.doubt = ""
		delete(p.sure, step.key)
		if len(step.now) > 0 {
			p.sure[step.key] = step.now[0]
		}
	}
	return nil
}

func write(s *Store, key, data string) error {
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

func upload(s *Store, key, data string) error {
	id, err := s.StartUpload(testContext, lake(key))
	if err != nil {
		return err
	}
	part, err := s.PutPart(testContext, lake(key), id, 1, strings.NewReader(data))
	if err != nil {
		return err
	}
	_, err = s.CompleteUpload(testContext, lake(key), id, []object.Part{part})
	return err
}

// check compares what is in a store with how far a workload came.
func (p *progress) check(t *testing.T, s *Store) {
	t.Helper()
	listed := objecttest.Keys(t, s, "lake", object.Query{})
	for key, data := range p.sure {
		if key == p.doubt {
			continue
		}
		if !slices.Contains(listed, key) {
			t.Fatalf("%q is not listed", key)
		}
		if got := objecttest.Get(t, s, lake(key)); string(got) != data {
			t.Fatalf("%q holds %d bytes, not the %d committed", key, len(got), len(data))
		}
	}
	for _, key := range listed {
		if _, ok := p.sure[key]; !ok && key != p.doubt {
			t.Fatalf("%q is listed but was never or no more there", key)
		}
		if got := objecttest.Get(t, s, lake(key)); !slices.Contains(possible[key], string(got)) {
			t.Fatalf("%q holds %d bytes that nobody wrote as a whole", key, len(got))
		}
	}
	objecttest.Put(t, s, lake("after"), []byte("works again"))
	stale, err := s.files.ReadDir(filepath.Join(s.root, ".staging"))
	if err != nil || len(stale) != 0 {
		t.Fatalf("staging holds %v, %v", stale, err)
	}
}

func TestEveryFaultLeavesWholeObjects(t *testing.T) {
	for _, dead := range []bool{false, true} {
		for n := 0; ; n++ {
			root := filepath.Join(t.TempDir(), "objects")
			f := &faulty{fail: n, dead: dead}
			var p progress
			err := workload(newStore(t, root, f), &p)
			if err != nil && !errors.Is(err, errInjected) {
				t.Fatalf("fault %d: %v", n, err)
			}
			p.check(t, newStore(t, root, nil))
			if t.Failed() {
				t.Fatalf("after fault %d, dead=%v", n, dead)
			}
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
		"create .staging/2", "write .staging/2", "sync .staging/2", "mkdir lake/x", "syncdir lake", "mkdir lake/x/y", "syncdir lake/x",
		"rename lake/x/y/z", "syncdir lake/x/y",
	}
	if !slices.Equal(short, want) {
		t.Errorf("a commit does\n%q, want\n%q", short, want)
	}
}
