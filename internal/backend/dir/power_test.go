package dir

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/freshet/freshet/internal/vfs"
)

// powered is a disk that can lose its power: package vfs's memory, with directories, which that makes durable at once.
type powered struct {
	disk *vfs.Mem
	dirs map[string]bool
	// used is called before each operation that changes something.
	used func()
}

func (p *powered) Create(path string) (file, error) {
	p.used()
	f, err := p.disk.Create(path)
	return &poweredFile{f: f, disk: p, path: path}, err
}

func (p *powered) Open(path string) (file, error) {
	f, err := p.disk.Open(path)
	return &poweredFile{f: f, disk: p, path: path}, err
}

func (p *powered) Stat(path string) (fs.FileInfo, error) {
	if p.dirs[path] {
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
	if !p.dirs[path] {
		return nil, fs.ErrNotExist
	}
	found := fstest.MapFS{}
	for dir := range p.dirs {
		if filepath.Dir(dir) == path && dir != path {
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
	p.used()
	p.dirs[path] = true
	return p.disk.MkdirAll(path)
}

func (p *powered) Rename(from, to string) error {
	p.used()
	return p.disk.Rename(from, to)
}

func (p *powered) Remove(path string) error {
	p.used()
	if !p.dirs[path] {
		return p.disk.Remove(path)
	}
	if left, err := p.ReadDir(path); err != nil || len(left) > 0 {
		return fs.ErrExist
	}
	delete(p.dirs, path)
	return nil
}

func (p *powered) SetModified(string, time.Time) error { return nil }

func (p *powered) SyncDir(path string) error {
	p.used()
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
	f.disk.used()
	n, err := f.f.WriteAt(b, f.at)
	f.at += int64(n)
	return n, err
}

func (f *poweredFile) Seek(offset int64, _ int) (int64, error) {
	f.at = offset
	return offset, nil
}

func (f *poweredFile) Sync() error {
	f.disk.used()
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

// cut returns the disk as a power cut at this moment could leave it. A directory in the place of a file is there only if the file has gone:
// memory would keep both.
func (p *powered) cut(random *rand.Rand) *powered {
	after := &powered{disk: p.disk.CrashClone(random), dirs: maps.Clone(p.dirs), used: func() {}}
	maps.DeleteFunc(after.dirs, func(dir string, _ bool) bool {
		for ; dir != "/"; dir = filepath.Dir(dir) {
			if f, err := after.disk.Open(dir); err == nil {
				f.Close()
				return true
			}
		}
		return false
	})
	return after
}

// TestPowerCutsLeaveCommittedObjects cuts the power before each operation of the workload, several times: what was not synced may be there,
// in part, or not at all.
func TestPowerCutsLeaveCommittedObjects(t *testing.T) {
	const seed, times = 20261121, 10
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	var p progress
	cuts := 0
	disk := &powered{disk: vfs.NewMem(), dirs: map[string]bool{"/": true}}
	disk.used = func() {
		for range times {
			after := disk.cut(random)
			p.check(t, newStore(t, "/objects", after))
			cuts++
		}
	}
	if err := workload(newStore(t, "/objects", disk), &p); err != nil {
		t.Fatal(err)
	}
	disk.used()
	if len(p.sure) != 3 || !strings.HasPrefix(p.sure["u"], "x") {
		t.Fatalf("the workload left %d objects", len(p.sure))
	}
	t.Logf("power cut %d times", cuts)
}
