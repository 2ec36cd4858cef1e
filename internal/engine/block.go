package engine

import (
	"sort"
	"sync"
	"sync/atomic"

	"github.com/freshet/freshet/internal/vfs"
)

// block is memory that groups are built in, one behind the other as they will lie in the file, and that stays the tail of the log
// afterwards. It is recycled when the tail and the last chunk that shares it have let go; whoever forgets to release a chunk costs a
// block to the garbage collector, nothing else.
type block struct {
	buf  []byte
	used int // guarded by Engine.mu: where the next group begins
	refs atomic.Int32
	pool *blockPool

	pinned atomic.Bool // the tail has let go, chunks have not
}

func (b *block) acquire() { b.refs.Add(1) }

func (b *block) release() {
	switch n := b.refs.Add(-1); {
	case n == 0:
		if b.pinned.Swap(false) {
			b.pool.pinned.Add(-int64(len(b.buf)))
		}
		b.pool.put(b)
	case n < 0:
		panic("engine: block released more often than acquired")
	}
}

// pin counts the block as held by chunks alone until the last of them is released. The caller is the tail, and releases its references then.
func (b *block) pin() {
	b.pinned.Store(true)
	b.pool.pinned.Add(int64(len(b.buf)))
}

// blockPool keeps a few blocks of the usual size, because making one means clearing it.
type blockPool struct {
	pinned atomic.Int64 // bytes of pinned blocks

	size int
	mu   sync.Mutex
	free []*block
}

const (
	// blockGroups is how many full groups a block has room for. With one, a call larger than GroupBytes, which is a group by itself, would have to
	// have memory made for it, cleared and given up again: a client that fills six batches of 1 MiB before it sends them does that with each.
	blockGroups = 2
	// freeBlocks bounds the blocks kept for later.
	freeBlocks = 2
)

func newBlockPool(size int) *blockPool {
	return &blockPool{size: (size + vfs.DirectAlign - 1) / vfs.DirectAlign * vfs.DirectAlign}
}

// get returns a block of at least size bytes with one reference, the caller's.
func (p *blockPool) get(size int) *block {
	if size <= p.size {
		size = p.size
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.free); n > 0 {
			b := p.free[n-1]
			p.free = p.free[:n-1]
			b.used = 0
			b.refs.Store(1)
			return b
		}
	}
	b := &block{buf: vfs.DirectBytes(size), pool: p}
	b.refs.Store(1)
	return b
}

func (p *blockPool) put(b *block) {
	if len(b.buf) != p.size {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < freeBlocks {
		p.free = append(p.free, b)
	}
}

// window is a stretch of a log file that is in memory.
type window struct {
	file  *logFile
	at    int64 // where in the file
	bytes []byte
	block *block
}

// tail is the newest part of the log in memory, addressed as the files are: whoever has found an extent asks here before the disk.
type tail struct {
	mu      sync.RWMutex
	budget  int64
	held    int64    // size of the blocks behind the windows
	windows []window // oldest first
}

// add appends the group at position at of file; block's reference moves to the tail if a new window begins.
func (t *tail) add(file *logFile, at int64, bytes []byte, b *block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.windows); n > 0 {
		w := &t.windows[n-1]
		if w.block == b && w.file == file && w.at+int64(len(w.bytes)) == at {
			w.bytes = w.bytes[:len(w.bytes)+len(bytes)] // groups follow each other in the block as in the file
			return
		}
	}
	shared := len(t.windows) > 0 && t.windows[len(t.windows)-1].block == b
	b.acquire()
	t.windows = append(t.windows, window{file: file, at: at, bytes: bytes, block: b})
	if !shared {
		t.held += int64(len(b.buf))
	}
	for t.held > t.budget && len(t.windows) > 1 && t.windows[0].block != b {
		t.dropLocked()
	}
}

// dropLocked drops the oldest block.
func (t *tail) dropLocked() {
	oldest := t.windows[0].block
	oldest.pin() // before the last reference may go, which takes it back
	n := 0
	for n < len(t.windows) && t.windows[n].block == oldest {
		t.windows[n] = window{}
		oldest.release()
		n++
	}
	t.held -= int64(len(oldest.buf))
	t.windows = append(t.windows[:0], t.windows[n:]...)
}

// find returns the size bytes at position at of file and the block they share, acquired for the caller; nil if they are not in memory.
func (t *tail) find(file *logFile, at int64, size int) ([]byte, *block) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := len(t.windows)
	i := sort.Search(n, func(i int) bool {
		w := &t.windows[i]
		return w.file.First > file.First || w.file.First == file.First && w.at > at
	}) - 1
	if i < 0 {
		return nil, nil
	}
	w := &t.windows[i]
	from := at - w.at
	if w.file != file || from+int64(size) > int64(len(w.bytes)) {
		return nil, nil
	}
	w.block.acquire()
	return w.bytes[from : from+int64(size) : from+int64(size)], w.block
}

// clear lets go of everything.
func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.windows) > 0 {
		t.dropLocked()
	}
}

// size returns the memory held, in bytes.
func (t *tail) size() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.held
}
