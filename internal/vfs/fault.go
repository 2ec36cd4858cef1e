package vfs

import (
	"io"
	"path/filepath"
)

// Op names an operation of an FS or a File.
type Op string

// The operations that a Fault sees.
const (
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpList     Op = "list"
	OpMkdir    Op = "mkdir"
	OpSyncDir  Op = "syncdir"
	OpLock     Op = "lock"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpAllocate Op = "allocate"
	OpSize     Op = "size"
)

// Call is one operation about to run. A write's hook may shorten Bytes: that many are then written before the hook's error is returned.
// A read's hook sees Bytes after they were read and may change them.
type Call struct {
	Op    Op
	Name  string // base name, the one that the file was opened by
	File  File   // the file operated on, nil for an operation of the FS
	Bytes []byte
	Off   int64
}

// Fault wraps fs: hook runs before each operation, after it for a read, and what it returns is the operation's error. It runs on the
// caller's goroutine, so it may also just watch, or take a CrashClone.
func Fault(fs FS, hook func(*Call) error) FS { return &faultFS{fs, hook} }

type faultFS struct {
	FS
	hook func(*Call) error
}

func (f *faultFS) call(op Op, name string) error {
	return f.hook(&Call{Op: op, Name: filepath.Base(name)})
}

func (f *faultFS) open(op Op, name string, open func(string) (File, error)) (File, error) {
	if err := f.call(op, name); err != nil {
		return nil, err
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fs: f, name: name}, nil
}

// Create implements FS after the hook, as do all below; the file it returns asks the hook too.
func (f *faultFS) Create(name string) (File, error) { return f.open(OpCreate, name, f.FS.Create) }

// Open implements FS.
func (f *faultFS) Open(name string) (File, error) { return f.open(OpOpen, name, f.FS.Open) }

// OpenDirect implements FS. To the hook it is OpOpen.
func (f *faultFS) OpenDirect(name string) (File, error) {
	return f.open(OpOpen, name, f.FS.OpenDirect)
}

// Rename implements FS. The hook is told the new name.
func (f *faultFS) Rename(old, name string) error {
	if err := f.call(OpRename, name); err != nil {
		return err
	}
	return f.FS.Rename(old, name)
}

// Remove implements FS.
func (f *faultFS) Remove(name string) error {
	if err := f.call(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// List implements FS.
func (f *faultFS) List(dir string) ([]string, error) {
	if err := f.call(OpList, dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

// Mkdir implements FS.
func (f *faultFS) Mkdir(dir string) error {
	if err := f.call(OpMkdir, dir); err != nil {
		return err
	}
	return f.FS.Mkdir(dir)
}

// SyncDir implements FS.
func (f *faultFS) SyncDir(dir string) error {
	if err := f.call(OpSyncDir, dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

// Lock implements FS.
func (f *faultFS) Lock(name string) (io.Closer, error) {
	if err := f.call(OpLock, name); err != nil {
		return nil, err
	}
	return f.FS.Lock(name)
}

type faultFile struct {
	File
	fs   *faultFS
	name string
}

func (f *faultFile) call(op Op) error {
	return f.fs.hook(&Call{Op: op, File: f.File, Name: filepath.Base(f.name)})
}

// ReadAt implements File. The hook is called after the reading, with what was read, so that it may flip bits of it.
func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if fault := f.fs.hook(&Call{Op: OpRead, File: f.File, Name: filepath.Base(f.name), Bytes: p[:n], Off: off}); fault != nil {
		return 0, fault
	}
	return n, err
}

// WriteAt implements File. A hook that fails it and shortens Call.Bytes has so much written: a torn write.
func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	c := &Call{Op: OpWrite, File: f.File, Name: filepath.Base(f.name), Bytes: p, Off: off}
	if err := f.fs.hook(c); err != nil {
		if len(c.Bytes) == len(p) {
			return 0, err
		}
		n, _ := f.File.WriteAt(c.Bytes, off)
		return n, err
	}
	return f.File.WriteAt(p, off)
}

// Sync implements File.
func (f *faultFile) Sync() error {
	if err := f.call(OpSync); err != nil {
		return err
	}
	return f.File.Sync()
}

// Truncate implements File.
func (f *faultFile) Truncate(size int64) error {
	if err := f.call(OpTruncate); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Allocate implements File.
func (f *faultFile) Allocate(size int64) error {
	if err := f.call(OpAllocate); err != nil {
		return err
	}
	return f.File.Allocate(size)
}

// Size implements File.
func (f *faultFile) Size() (int64, error) {
	if err := f.call(OpSize); err != nil {
		return 0, err
	}
	return f.File.Size()
}
