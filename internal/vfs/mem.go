package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sort"
	"sync"
)

// Sector is what a simulated disk writes whole or not at all, in bytes.
const Sector = 512

// Mem is a file system in memory that knows what a power cut would leave of it. The zero value is not ready: use NewMem.
type Mem struct {
	mu      sync.Mutex
	names   map[string]*inode
	dirs    map[string]bool
	durable map[string]*inode // what is on the disk for certain
	undone  []nameOp          // changes of names since, in order
	locks   map[string]bool
	limit   int64 // bytes, 0 = none
}

// nameOp is one change of names that a power cut may or may not undo.
type nameOp struct {
	dirs   [2]string
	remove string
	add    string
	node   *inode
}

type inode struct {
	mu      sync.RWMutex
	data    []byte
	durable []byte
	dirty   map[int64]bool // sectors of data that are not in durable
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{names: map[string]*inode{}, dirs: map[string]bool{}, durable: map[string]*inode{}, locks: map[string]bool{}}
}

// SetLimit makes the disk bytes large, 0 = endless: what does not fit answers ErrNoSpace.
func (m *Mem) SetLimit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
}

// Used returns the sum of the sizes of all files.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.usedLocked()
}

func (m *Mem) usedLocked() int64 {
	var n int64
	for _, f := range m.names {
		f.mu.RLock()
		n += int64(len(f.data))
		f.mu.RUnlock()
	}
	return n
}

// CrashClone returns the disk as a power cut at this moment could leave it: of everything not synced, random keeps or drops each sector
// and each change of a name. Locks are free again.
func (m *Mem) CrashClone(random *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	for d := range m.dirs {
		c.dirs[d] = true
	}
	kept := map[string]*inode{}
	for name, node := range m.durable {
		kept[name] = node
	}
	for _, op := range m.undone {
		if random.IntN(2) == 0 {
			op.apply(kept)
		}
	}
	names := make([]string, 0, len(kept))
	for name := range kept {
		names = append(names, name)
	}
	sort.Strings(names) // so that a seed gives the same disk each time
	for _, name := range names {
		c.names[name] = kept[name].crash(random)
	}
	for name, node := range c.names {
		c.durable[name] = node
	}
	return c
}

func (op *nameOp) apply(names map[string]*inode) {
	if op.remove != "" {
		delete(names, op.remove)
	}
	if op.add != "" {
		names[op.add] = op.node
	}
}

func (n *inode) crash(random *rand.Rand) *inode {
	n.mu.RLock()
	defer n.mu.RUnlock()
	size := len(n.durable)
	if random.IntN(2) == 0 {
		size = len(n.data)
	}
	left := make([]byte, size)
	copy(left, n.durable)
	sectors := make([]int64, 0, len(n.dirty))
	for s := range n.dirty {
		sectors = append(sectors, s)
	}
	sort.Slice(sectors, func(i, j int) bool { return sectors[i] < sectors[j] })
	for _, s := range sectors {
		if random.IntN(2) == 0 {
			continue
		}
		from, to := int(s)*Sector, min(int(s+1)*Sector, len(n.data))
		if from < size && from < to {
			copy(left[from:], n.data[from:to])
		}
	}
	return &inode{data: left, durable: append([]byte(nil), left...), dirty: map[int64]bool{}}
}

func (m *Mem) changeLocked(op nameOp) {
	op.apply(m.names)
	op.dirs = [2]string{filepath.Dir(op.remove), filepath.Dir(op.add)}
	m.undone = append(m.undone, op)
}

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.names[name]; ok {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if !m.dirs[filepath.Dir(name)] {
		return nil, notExist("create", name)
	}
	node := &inode{dirty: map[int64]bool{}}
	m.changeLocked(nameOp{add: name, node: node})
	return &memFile{fs: m, node: node}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.names[filepath.Clean(name)]
	if !ok {
		return nil, notExist("open", name)
	}
	return &memFile{fs: m, node: node}, nil
}

// OpenDirect implements FS: it is strict about alignment.
func (m *Mem) OpenDirect(name string) (File, error) {
	f, err := m.Open(name)
	if err != nil {
		return nil, err
	}
	f.(*memFile).direct = true
	return f, nil
}

// Rename implements FS.
func (m *Mem) Rename(old, name string) error {
	old, name = filepath.Clean(old), filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.names[old]
	if !ok {
		return notExist("rename", old)
	}
	m.changeLocked(nameOp{remove: old, add: name, node: node})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.names[name]; !ok {
		return notExist("remove", name)
	}
	m.changeLocked(nameOp{remove: name})
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	dir = filepath.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[dir] {
		return nil, notExist("list", dir)
	}
	var names []string
	for name := range m.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	sort.Strings(names)
	return names, nil
}

// MkdirAll implements FS. Directories are durable at once.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir = filepath.Clean(dir); !m.dirs[dir]; dir = filepath.Dir(dir) {
		m.dirs[dir] = true
	}
	return nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	dir = filepath.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.undone[:0]
	for _, op := range m.undone {
		if (op.remove != "" && op.dirs[0] == dir) || (op.add != "" && op.dirs[1] == dir) {
			op.apply(m.durable)
			continue
		}
		kept = append(kept, op)
	}
	m.undone = kept
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	m.locks[name] = true
	return &memLock{fs: m, name: name}, nil
}

type memLock struct {
	fs   *Mem
	name string
}

func (l *memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	return nil
}
