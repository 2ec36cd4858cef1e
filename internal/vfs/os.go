package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"
	"syscall"
)

// OS returns the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

// Create implements FS.
func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, mark(err)
	}
	adviseRandom(f)
	return osFile{f}, nil
}

// Open implements FS.
func (osFS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, mark(err)
	}
	adviseRandom(f)
	return osFile{f}, nil
}

// OpenDirect implements FS. A file system that knows no direct writes gives an ordinary handle.
func (osFS) OpenDirect(name string) (File, error) {
	f, err := openDirect(name)
	if err != nil {
		return nil, mark(err)
	}
	return osFile{f}, nil
}

// Rename implements FS.
func (osFS) Rename(old, name string) error { return mark(os.Rename(old, name)) }

// Remove implements FS.
func (osFS) Remove(name string) error { return os.Remove(name) }

// Mkdir implements FS. Only the owner may write, the group may read.
func (osFS) Mkdir(dir string) error { return mark(os.Mkdir(dir, 0o750)) }

// SyncDir implements FS.
func (osFS) SyncDir(dir string) error { return syncDir(dir) }

// List implements FS. Directories, links and devices are left out.
func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, mark(err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// Lock implements FS with the system's lock on the file, which does not outlive the process; the file stays.
func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	return locked(f)
}

// locked takes the lock of an open file, which closing it gives up, or closes it.
func locked(f *os.File) (io.Closer, error) {
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// ReadOnly returns the operating system's file system for who only reads: it also works where nothing may be written. Files are open for reading.
// Its Lock keeps who writes out wherever there is a lock file; on a file system that nobody can write to none need be there.
func ReadOnly() FS { return readFS{} }

type readFS struct{ osFS }

// Open implements FS; writing to the file fails.
func (readFS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, mark(err)
	}
	adviseRandom(f)
	return osFile{f}, nil
}

// Lock implements FS.
func (r readFS) Lock(name string) (io.Closer, error) {
	lock, err := r.osFS.Lock(name)
	system := errors.Is(err, syscall.EROFS)
	if !system && !errors.Is(err, fs.ErrPermission) {
		return lock, err
	}
	f, opening := os.Open(name)
	switch {
	case system && errors.Is(opening, fs.ErrNotExist):
		return noLock{}, nil
	case opening != nil:
		return nil, err
	}
	return locked(f)
}

// noLock is the lock of what nobody can write to.
type noLock struct{}

// Close implements io.Closer.
func (noLock) Close() error { return nil }

// osFile is a File of the operating system.
type osFile struct{ f *os.File }

// ReadAt implements File.
func (o osFile) ReadAt(p []byte, off int64) (int, error) { return o.f.ReadAt(p, off) }

// WriteAt implements File.
func (o osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := o.f.WriteAt(p, off)
	return n, mark(err)
}

// Close implements File.
func (o osFile) Close() error { return o.f.Close() }

// Sync implements File, with fdatasync where there is one.
func (o osFile) Sync() error { return syncData(o.f) }

// Truncate implements File.
func (o osFile) Truncate(size int64) error { return mark(o.f.Truncate(size)) }

// Prefetch implements File where the system takes advice, and else does nothing.
func (o osFile) Prefetch(at, n int64) { prefetch(o.f, at, n) }

// Allocate implements File. It never makes a file shorter.
func (o osFile) Allocate(size int64) error {
	now, err := o.Size()
	if err != nil || size <= now {
		return err
	}
	return mark(allocate(o.f, now, size))
}

// Size implements File.
func (o osFile) Size() (int64, error) {
	info, err := o.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// mark adds ErrNoSpace to the system's own error for a full disk or quota, ErrTooManyFiles to that for a full table of open files.
func mark(err error) error {
	switch {
	case err == nil:
		return nil
	case isNoSpace(err):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case isTooManyFiles(err):
		return fmt.Errorf("%w: %w", ErrTooManyFiles, err)
	}
	return err
}
