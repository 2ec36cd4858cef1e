package dir

import (
	"io"
	"io/fs"
	"os"
	"runtime"
	"time"
)

// files is what a Store asks of a file system. Paths are the operating system's.
type files interface {
	// Create makes a new file; it must not exist.
	Create(path string) (file, error)
	Open(path string) (file, error)
	Stat(path string) (fs.FileInfo, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	Mkdir(path string) error
	// Rename moves a file at once, replacing the one that is there.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	SetModified(path string, t time.Time) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
}

type file interface {
	io.Reader
	io.Writer
	io.Seeker
	io.Closer
	Sync() error
	Stat() (fs.FileInfo, error)
}

// disk is the operating system's file system.
type disk struct{}

// Create refuses a path that exists with fs.ErrExist.
func (disk) Create(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}

// Open opens for reading only, a file or a directory. fs.ErrNotExist.
func (disk) Open(path string) (file, error) { return os.Open(path) }

// Stat follows symbolic links. fs.ErrNotExist.
func (disk) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// ReadDir returns the entries by name.
func (disk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// Mkdir makes one directory; its parent must be there. fs.ErrExist.
func (disk) Mkdir(path string) error { return os.Mkdir(path, 0o755) }

// Rename implements files. On Windows it fails while anyone has the file of the new name open.
func (disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements files. fs.ErrNotExist.
func (disk) Remove(path string) error { return os.Remove(path) }

// SetModified sets the time of access too.
func (disk) SetModified(path string, t time.Time) error { return os.Chtimes(path, t, t) }

// SyncDir implements files: the names are durable, not the bytes of the files.
func (disk) SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be opened for writing there; NTFS journals its names
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}
