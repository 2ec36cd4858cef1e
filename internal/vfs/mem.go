package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Sector is what a simulated disk writes whole or not at all, in bytes.
const Sector = 512

// Mem is a file system in memory that knows what a power cut would leave of it. The zero value is not ready: use NewMem.
type Mem struct {
	mu     sync.Mutex
	root   *inode
	undone []nameOp // changes of names that are not on the disk for certain, in order
	locks  map[string]bool
	limit  int64 // bytes, 0 = none
}

// nameOp is one change of names that a power cut may or may not undo.
type nameOp struct {
	from, to    *inode // directories, nil for none
	remove, add string // in from and in to
	node        *inode // what add names
}

// inode is a file or a directory.
type inode struct {
	entries map[string]*inode // of a directory, nil for a file; guarded by the Mem's mu
	synced  map[string]*inode // of a directory: the entries that are on the disk for certain

	mu      sync.RWMutex
	data    []byte
	durable []byte
	dirty   map[int64]bool // sectors of data that are not in durable
}

func newDir() *inode { return &inode{entries: map[string]*inode{}, synced: map[string]*inode{}} }

// NewMem returns an empty file system: its root is there.
func NewMem() *Mem { return &Mem{root: newDir(), locks: map[string]bool{}} }

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

func (m *Mem) usedLocked() int64 { return m.root.used() }

func (n *inode) used() (sum int64) {
	for _, e := range n.entries {
		sum += e.used()
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return sum + int64(len(n.data))
}

// CrashClone returns the disk as a power cut at this moment could leave it: of everything not synced, random keeps or drops each sector
// and each change of a name. What is in a directory goes with it. Locks are free again.
func (m *Mem) CrashClone(random *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := map[*inode]map[string]*inode{}
	in := func(dir *inode) map[string]*inode {
		if kept[dir] == nil {
			kept[dir] = map[string]*inode{}
			maps.Copy(kept[dir], dir.synced)
		}
		return kept[dir]
	}
	for _, op := range m.undone {
		if random.IntN(2) == 0 {
			op.apply(in)
		}
	}
	c := NewMem()
	c.root = m.root.crashTree(in, random)
	return c
}

// apply makes the change in the names that in returns of a directory. Nothing takes the place of a directory, nor a directory that of a file: where
// the power cut dropped the change that made room, it drops this one too.
func (op *nameOp) apply(in func(dir *inode) map[string]*inode) {
	if op.to != nil {
		if old := in(op.to)[op.add]; old != nil && (old.entries != nil || op.node.entries != nil) {
			return
		}
	}
	if op.from != nil {
		delete(in(op.from), op.remove)
	}
	if op.to != nil {
		in(op.to)[op.add] = op.node
	}
}

// crashTree returns what is left of a directory and all in it.
func (n *inode) crashTree(in func(dir *inode) map[string]*inode, random *rand.Rand) *inode {
	left := newDir()
	for _, name := range slices.Sorted(maps.Keys(in(n))) { // in order, so that a seed gives the same disk each time
		node := in(n)[name]
		if node.entries != nil {
			left.entries[name] = node.crashTree(in, random)
		} else {
			left.entries[name] = node.crash(random)
		}
	}
	maps.Copy(left.synced, left.entries)
	return left
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
	op.apply(func(dir *inode) map[string]*inode { return dir.entries })
	m.undone = append(m.undone, op)
}

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// findLocked returns what has a name, nil if nothing has.
func (m *Mem) findLocked(name string) *inode {
	n := m.root
	for _, part := range strings.Split(filepath.Clean(name), string(filepath.Separator)) {
		if part == "" || part == "." {
			continue
		}
		if n = n.entries[part]; n == nil {
			return nil
		}
	}
	return n
}

// dirLocked returns the directory with a name, nil if there is none.
func (m *Mem) dirLocked(name string) *inode {
	if n := m.findLocked(name); n != nil && n.entries != nil {
		return n
	}
	return nil
}

// makeLocked gives a new inode its name.
func (m *Mem) makeLocked(op, name string, node *inode) error {
	name = filepath.Clean(name)
	if m.findLocked(name) != nil {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrExist}
	}
	parent := m.dirLocked(filepath.Dir(name))
	if parent == nil {
		return notExist(op, name)
	}
	m.changeLocked(nameOp{to: parent, add: filepath.Base(name), node: node})
	return nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := &inode{dirty: map[int64]bool{}}
	if err := m.makeLocked("create", name, node); err != nil {
		return nil, err
	}
	return &memFile{fs: m, node: node}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.findLocked(name)
	if node == nil || node.entries != nil {
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
	m.mu.Lock()
	defer m.mu.Unlock()
	node, to := m.findLocked(old), m.dirLocked(filepath.Dir(filepath.Clean(name)))
	if node == nil || node.entries != nil || to == nil {
		return notExist("rename", old)
	}
	if m.dirLocked(name) != nil {
		return &fs.PathError{Op: "rename", Path: name, Err: fs.ErrExist}
	}
	from := m.dirLocked(filepath.Dir(filepath.Clean(old)))
	m.changeLocked(nameOp{from: from, remove: filepath.Base(old), to: to, add: filepath.Base(name), node: node})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := m.findLocked(name)
	if node == nil {
		return notExist("remove", name)
	}
	if len(node.entries) > 0 || node == m.root {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrExist}
	}
	m.changeLocked(nameOp{from: m.dirLocked(filepath.Dir(filepath.Clean(name))), remove: filepath.Base(name)})
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(dir)
	if d == nil {
		return nil, notExist("list", dir)
	}
	var names []string
	for name, node := range d.entries {
		if node.entries == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names, nil
}

// Mkdir implements FS.
func (m *Mem) Mkdir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.makeLocked("mkdir", dir, newDir())
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirLocked(dir)
	if d == nil {
		return notExist("syncdir", dir)
	}
	kept := m.undone[:0]
	for _, op := range m.undone {
		if op.from == d || op.to == d {
			op.apply(func(dir *inode) map[string]*inode { return dir.synced })
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
