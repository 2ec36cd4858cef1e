package engine

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"sync"
)

// coldCache keeps stretches of log files that were read from disk, whole with the batches of all shards in them. Who catches up on a stream
// reads its shards side by side: the stretch read for the first one has the batches of the others. Its windows are ReadBytes long and
// begin at multiples of that.
type coldCache struct {
	mu      sync.Mutex
	budget  int64
	held    int64
	order   list.List // of *coldWindow, last used first
	windows map[coldKey]*list.Element
}

type coldKey struct {
	file   *logFile
	number int64
}

type coldWindow struct {
	key   coldKey
	bytes []byte
	block *block
}

// A window is read if at least one sparsePart of it is what this reader wants; below that it reads its batches one by one, and above
// half of it so too, since then they lie so close together that one read gets many.
const sparsePart = 16

// prefetchWindows is how many windows the system is asked to read ahead: who reads one usually goes on with the next, and while it is
// busy with what it has the disk is not.
const prefetchWindows = 4

// worthWindow says whether reading whole windows pays for the extents of r.
func (r *run) worthWindow(size int64) bool {
	number := int64(r.extents[0].Position) / size
	wanted := int64(0)
	for i := range r.extents {
		x := &r.extents[i]
		if (int64(x.Position)+int64(x.Size)-1)/size != number {
			break
		}
		wanted += int64(x.Size)
	}
	return wanted >= size/sparsePart && wanted <= size/2
}

// find returns the bytes of the first extent of r and the block they share, acquired for the caller; nil if a window does not pay or does not
// hold the batch whole.
func (c *coldCache) find(e *Engine, r *run) ([]byte, *block, error) {
	x, size := &r.extents[0], e.cfg.ReadBytes
	key := coldKey{r.file, int64(x.Position) / size}
	from := int64(x.Position) - key.number*size
	to := from + int64(x.Size)
	if to > size {
		return nil, nil, nil
	}
	if b, block := c.get(key, from, to); b != nil {
		return b, block, nil
	}
	if !r.worthWindow(size) {
		return nil, nil, nil
	}
	w := &coldWindow{key: key, block: e.coldPool.get(int(size))}
	w.bytes = w.block.buf[:min(size, r.file.end.Load()-key.number*size)]
	n, err := r.file.file.ReadAt(w.bytes, key.number*size)
	if err != nil && !errors.Is(err, io.EOF) {
		w.block.release()
		return nil, nil, fmt.Errorf("read %s: %w", r.file.name, err)
	}
	w.bytes = w.bytes[:n]
	e.counters.coldReads.Add(1)
	if r.still {
		r.file.file.Prefetch((key.number+1)*size, prefetchWindows*size)
	}
	if to > int64(n) {
		w.block.release()
		return nil, nil, r.file.corrupt(int64(x.Position), "file ends at byte %d, before the batch does", key.number*size+int64(n))
	}
	w.block.acquire()
	c.put(w)
	return w.bytes[from:to:to], w.block, nil
}

func (c *coldCache) get(key coldKey, from, to int64) ([]byte, *block) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.windows[key]
	if at == nil {
		return nil, nil
	}
	w := at.Value.(*coldWindow)
	if to > int64(len(w.bytes)) {
		return nil, nil // the file has grown since
	}
	c.order.MoveToFront(at)
	w.block.acquire()
	return w.bytes[from:to:to], w.block
}

// put takes over the reference to the window's block.
func (c *coldCache) put(w *coldWindow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.windows == nil {
		c.windows = map[coldKey]*list.Element{}
	}
	if at := c.windows[w.key]; at != nil {
		c.dropLocked(at)
	}
	c.windows[w.key] = c.order.PushFront(w)
	c.held += int64(len(w.block.buf))
	for c.held > c.budget && c.order.Len() > 0 {
		c.dropLocked(c.order.Back())
	}
}

func (c *coldCache) dropLocked(at *list.Element) {
	w := c.order.Remove(at).(*coldWindow)
	delete(c.windows, w.key)
	c.held -= int64(len(w.block.buf))
	w.block.release()
}

// forget drops the windows of a file that is going away, or of all if it is nil.
func (c *coldCache) forget(f *logFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, at := range c.windows {
		if f == nil || key.file == f {
			c.dropLocked(at)
		}
	}
}
