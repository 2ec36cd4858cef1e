package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"unsafe"
)

// memFile is an open file of Mem: it outlives its name, as on Unix.
type memFile struct {
	fs     *Mem
	node   *inode
	direct bool
	closed atomic.Bool
}

// aligned refuses what a direct handle cannot do.
func (f *memFile) aligned(p []byte, off int64) error {
	if f.direct && (off%DirectAlign != 0 || len(p)%DirectAlign != 0 || uintptr(unsafe.Pointer(unsafe.SliceData(p)))%DirectAlign != 0) {
		return fmt.Errorf("direct access to %d bytes at %d: %w", len(p), off, fs.ErrInvalid)
	}
	return nil
}

func (f *memFile) check() error {
	if f.closed.Load() {
		return fs.ErrClosed
	}
	return nil
}

// ReadAt implements File.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := errors.Join(f.check(), f.aligned(p, off)); err != nil {
		return 0, err
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements File. ErrNoSpace writes nothing.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := errors.Join(f.check(), f.aligned(p, off)); err != nil {
		return 0, err
	}
	if err := f.grow(off + int64(len(p))); err != nil {
		return 0, err
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	copy(f.node.data[off:], p)
	f.node.touch(off, off+int64(len(p)))
	return len(p), nil
}

func (n *inode) touch(from, to int64) {
	for s := from / Sector; s*Sector < to; s++ {
		n.dirty[s] = true
	}
}

// grow makes the file at least size bytes long, if the disk has room for them.
func (f *memFile) grow(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.node.mu.RLock()
	more := size - int64(len(f.node.data))
	f.node.mu.RUnlock()
	if more <= 0 {
		return nil
	}
	if f.fs.limit > 0 && f.fs.usedLocked()+more > f.fs.limit {
		return fmt.Errorf("grow by %d bytes: %w", more, ErrNoSpace)
	}
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	f.node.data = append(f.node.data, make([]byte, more)...)
	return nil
}

// Sync implements File: it copies the sectors written since the last one into what a power cut leaves.
func (f *memFile) Sync() error {
	if err := f.check(); err != nil {
		return err
	}
	n := f.node
	n.mu.Lock()
	defer n.mu.Unlock()
	switch size := len(n.data); {
	case len(n.durable) > size:
		n.durable = n.durable[:size]
	case len(n.durable) < size:
		n.durable = append(n.durable, make([]byte, size-len(n.durable))...)
	}
	for s := range n.dirty {
		if from := s * Sector; from < int64(len(n.data)) {
			copy(n.durable[from:], n.data[from:min(from+Sector, int64(len(n.data)))])
		}
	}
	clear(n.dirty)
	return nil
}

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	if err := f.check(); err != nil {
		return err
	}
	f.node.mu.Lock()
	if old := int64(len(f.node.data)); size < old {
		clear(f.node.data[size:])
		f.node.data = f.node.data[:size]
		f.node.touch(size, old) // if the file grows again these sectors are zeros, not what was there
	}
	f.node.mu.Unlock()
	return f.grow(size)
}

// Prefetch does nothing: memory is as near as it gets.
func (f *memFile) Prefetch(int64, int64) {}

// Allocate implements File.
func (f *memFile) Allocate(size int64) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.grow(size)
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	if err := f.check(); err != nil {
		return 0, err
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	return int64(len(f.node.data)), nil
}

// Close implements File. A second one is fs.ErrClosed.
func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return fs.ErrClosed
	}
	return nil
}
