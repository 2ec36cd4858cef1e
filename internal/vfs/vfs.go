// Package vfs is the small file system that the engine writes through, so that a test can be the disk: OS is the real one, ReadOnly the same
// for who only reads, Mem keeps files in memory and can lose power (CrashClone), Fault makes chosen operations of another one fail.
//
// It promises what a disk promises and no more: bytes are durable after File.Sync, names after FS.SyncDir. It refuses paths that
// leave the tree, symbolic links, permissions and everything else that a log has no use for.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"unsafe"
)

// FS is a tree of files. Names are slash- or system-separated paths as package path/filepath makes them. Errors wrap fs.ErrNotExist,
// fs.ErrExist, when the disk is full ErrNoSpace, and when nothing more can be opened ErrTooManyFiles: then nothing was done. Safe for
// concurrent use.
type FS interface {
	// Create makes a file that must not exist, open for reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// OpenDirect opens another handle of an existing file, whose writes go past the system's cache where it can do that. Memory, offset and
	// length of its reads and writes must be multiples of DirectAlign.
	OpenDirect(name string) (File, error)
	// Rename gives a file another name, replacing the file that had it. Durable after SyncDir of both directories.
	Rename(old, name string) error
	// Remove takes away the name of a file or an empty directory; handles that are open go on reading and writing. Durable after SyncDir.
	Remove(name string) error
	// List returns the names of the files in dir, without dir, in order.
	List(dir string) ([]string, error)
	// Mkdir makes a directory that must not exist, in one that must. Durable after SyncDir of the one it is in.
	Mkdir(dir string) error
	// SyncDir makes the names in dir durable. It may have to open dir for that.
	SyncDir(dir string) error
	// Lock takes the lock file name, which it makes if need be, until the Closer is closed or the process ends. ErrLocked if it is taken.
	Lock(name string) (io.Closer, error)
}

// Dirs is what MkdirAll needs of a file system.
type Dirs interface {
	Mkdir(dir string) error
	SyncDir(dir string) error
}

// MkdirAll makes a directory with all above it that are missing, and makes their names durable, and that of a directory which it finds: who made it may
// have failed before that.
func MkdirAll(v Dirs, dir string) error {
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	if parent == dir {
		return nil // a root is not made
	}
	err := v.Mkdir(dir)
	found := errors.Is(err, fs.ErrExist)
	if missing := errors.Is(err, fs.ErrNotExist); err == nil || missing {
		if err = MkdirAll(v, parent); err == nil && missing {
			err = v.Mkdir(dir)
		}
	}
	if err != nil && !found {
		return err
	}
	err = v.SyncDir(parent)
	if found && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL)) {
		return nil // a parent that may not be read, or is on a system that cannot be written: the directory is none of ours
	}
	return err
}

// DirectBytes returns memory for direct handles: n bytes, rounded up to whole pages. Where the system can, much of it lies in huge pages: a
// transfer is then one piece instead of hundreds, which a virtual machine's disk takes twice as fast and for less CPU time.
func DirectBytes(n int) []byte {
	n = (n + DirectAlign - 1) / DirectAlign * DirectAlign
	b := make([]byte, n+DirectAlign)
	from := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (DirectAlign - 1)
	b = b[from : from+n : from+n]
	if n >= hugePage/2 {
		adviseHuge(b)
	}
	return b
}

// hugePage is the size of a huge page, in bytes, of most processors with pages of 4 KiB. With others adviseHuge has no effect.
const hugePage = 2 << 20

// DirectAlign is what a direct handle's memory, offsets and lengths are multiples of, in bytes.
const DirectAlign = 4096

// File is an open file. Reads and writes may run concurrently.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's bytes and size durable; other metadata need not be.
	Sync() error
	// Truncate sets the size; new bytes read as zero.
	Truncate(size int64) error
	// Allocate makes the file at least size bytes long and reserves the disk space for them where the system can; new bytes read as zero.
	// ErrNoSpace if it does not fit.
	Allocate(size int64) error
	// Size returns the length in bytes.
	Size() (int64, error)
	// Prefetch says that n bytes from at on will be read soon, so that the system may begin. They must be bytes that nobody writes to any more.
	Prefetch(at, n int64)
}

type constError string

// Error is the text itself.
func (e constError) Error() string { return string(e) }

// The errors that an FS adds to those of io/fs.
const (
	ErrNoSpace      constError = "no space left on device"
	ErrTooManyFiles constError = "no file descriptor left"
	ErrLocked       constError = "locked by another process"
)
