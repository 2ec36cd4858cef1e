package dir

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/freshet/freshet/internal/object/objecttest"
	"github.com/freshet/freshet/internal/vfs"
)

// powered is a disk that can lose its power: package vfs's memory.
type powered struct {
	disk *vfs.Mem
	made map[string]bool // directories that ever were; the disk does not list those that are
	// used is called before each operation that changes something.
	used func() error
}

func (p *powered) isDir(path string) bool {
	_, err := p.disk.List(path)
	return err == nil
}

func (p *powered) Create(path string) (file, error) {
	if err := p.used(); err != nil {
		return nil, err
	}
	f, err := p.disk.Create(path)
	return &poweredFile{f: f, disk: p, path: path}, err
}

func (p *powered) Open(path string) (file, error) {
	f, err := p.disk.Open(path)
	return &poweredFile{f: f, disk: p, path: path}, err
}

func (p *powered) Stat(path string) (fs.FileInfo, error) {
	if p.isDir(path) {
		return fstest.MapFS{"d": {Mode: fs.ModeDir}}.Stat("d")
	}
	f, err := p.disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return (&poweredFile{f: f, disk: p, path: path}).Stat()
}

func (p *powered) ReadDir(path string) ([]fs.DirEntry, error) {
	found := fstest.MapFS{}
	for dir := range p.made {
		if filepath.Dir(dir) == path && p.isDir(dir) {
			found[filepath.Base(dir)] = &fstest.MapFile{Mode: fs.ModeDir}
		}
	}
	names, err := p.disk.List(path)
	for _, name := range names {
		found[name] = &fstest.MapFile{Mode: 0o644}
	}
	if err != nil {
		return nil, err
	}
	return fs.ReadDir(found, ".")
}

func (p *powered) Mkdir(path string) error {
	if err := p.used(); err != nil {
		return err
	}
	p.made[path] = true
	return p.disk.Mkdir(path)
}

func (p *powered) Rename(from, to string) error {
	if err := p.used(); err != nil {
		return err
	}
	return p.disk.Rename(from, to)
}

func (p *powered) Remove(path string) error {
	if err := p.used(); err != nil {
		return err
	}
	return p.disk.Remove(path)
}

func (p *powered) SetModified(string, time.Time) error { return nil }

func (p *powered) SyncDir(path string) error {
	if err := p.used(); err != nil {
		return err
	}
	return p.disk.SyncDir(path)
}

type poweredFile struct {
	f    vfs.File
	disk *powered
	path string
	at   int64
}

func (f *poweredFile) Read(b []byte) (int, error) {
	size, err := f.f.Size()
	if err != nil || f.at >= size {
		return 0, io.EOF
	}
	n, err := f.f.ReadAt(b[:min(int64(len(b)), size-f.at)], f.at)
	f.at += int64(n)
	return n, err
}

func (f *poweredFile) Write(b []byte) (int, error) {
	if err := f.disk.used(); err != nil {
		return 0, err
	}
	n, err := f.f.WriteAt(b, f.at)
	f.at += int64(n)
	return n, err
}

func (f *poweredFile) Seek(offset int64, _ int) (int64, error) {
	f.at = offset
	return offset, nil
}

func (f *poweredFile) Sync() error {
	if err := f.disk.used(); err != nil {
		return err
	}
	return f.f.Sync()
}

func (f *poweredFile) Close() error { return f.f.Close() }

func (f *poweredFile) Stat() (fs.FileInfo, error) {
	size, err := f.f.Size()
	if err != nil {
		return nil, err
	}
	return fileInfo{filepath.Base(f.path), size}, nil
}

type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string     { return i.name }
func (i fileInfo) Size() int64      { return i.size }
func (fileInfo) Mode() fs.FileMode  { return 0o644 }
func (fileInfo) ModTime() time.Time { return time.Unix(1_700_000_000, 0) }
func (fileInfo) IsDir() bool        { return false }
func (fileInfo) Sys() any           { return nil }

// cut returns the disk as a power cut at this moment could leave it.
func (p *powered) cut(random *rand.Rand) *powered {
	return &powered{disk: p.disk.CrashClone(random), made: p.made, used: func() error { return nil }}
}

// TestPowerCutsLeaveCommittedObjects cuts the power before each operation of the workload, several times: what was not synced may be there,
// in part, or not at all.
func TestPowerCutsLeaveCommittedObjects(t *testing.T) {
	const seed, times = 20261121, 10
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var p progress
	cuts := 0
	disk := &powered{disk: vfs.NewMem(), made: map[string]bool{}}
	disk.used = func() error {
		for range times {
			after := disk.cut(random)
			p.check(t, newStore(t, "/objects", after))
			cuts++
		}
		return nil
	}
	if err := workload(newStore(t, "/objects", disk), &p); err != nil {
		t.Fatal(err)
	}
	_ = disk.used()
	if len(p.sure) != 3 || !strings.HasPrefix(p.sure["u"], "x") {
		t.Fatalf("the workload left %d objects", len(p.sure))
	}
	t.Logf("power cut %d times", cuts)
}

// TestPowerCutAfterAFailure has one operation after the other fail, and the power go when the next commit has succeeded: in the same process, or in
// the one after it. What that one finds made need not be durable.
func TestPowerCutAfterAFailure(t *testing.T) {
	const seed, times = 20261122, 10
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, restart := range []bool{false, true} {
		for n := 0; ; n++ {
			count := 0
			disk := &powered{disk: vfs.NewMem(), made: map[string]bool{}}
			disk.used = func() error {
				if count++; count == n+1 {
					return errInjected
				}
				return nil
			}
			s := newStore(t, "/data/objects", disk)
			if err := write(s, "2026/11/one", "1"); err == nil {
				t.Logf("%d operations failed one by one, restart %v", n, restart)
				break
			}
			if restart {
				s = newStore(t, "/data/objects", disk)
			}
			objecttest.Put(t, s, lake("2026/11/two"), []byte("2"))
			for range times {
				if got := objecttest.Get(t, newStore(t, "/data/objects", disk.cut(random)), lake("2026/11/two")); string(got) != "2" {
					t.Fatalf("after fault %d, restart %v: %q", n, restart, got)
				}
			}
		}
	}
}

// TestPowerCutDuringAnotherCommit: a commit that has succeeded does not lean on a directory that another one made and has not made durable yet.
func TestPowerCutDuringAnotherCommit(t *testing.T) {
	const seed, times = 20261123, 10
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for n := 0; ; n++ {
		count, reached := 0, false
		disk := &powered{disk: vfs.NewMem(), made: map[string]bool{}}
		disk.used = func() error { return nil }
		s := newStore(t, "/objects", disk)
		objecttest.Put(t, s, lake("warm"), nil)
		second := make(chan error, 1)
		disk.used = func() error {
			if count++; count != n+1 {
				return nil
			}
			reached = true
			disk.used = func() error { return nil }
			go func() { second <- write(s, "new/two", "2") }()
			// Where the first holds the lock the second cannot be through.
			if s.tree.TryRLock() {
				s.tree.RUnlock()
				err := <-second
				second <- nil
				for range times {
					if got := objecttest.Get(t, newStore(t, "/objects", disk.cut(random)), lake("new/two")); string(got) != "2" {
						t.Errorf("before operation %d of the first commit: %q", n, got)
					}
				}
				return err
			}
			return nil
		}
		if err := write(s, "new/one", "1"); err != nil {
			t.Fatal(err)
		}
		if !reached {
			t.Logf("another commit came before each of %d operations", n)
			break
		}
		if err := <-second; err != nil {
			t.Fatal(err)
		}
	}
}
