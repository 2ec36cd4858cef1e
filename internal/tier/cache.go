package tier

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
)

// cache keeps what was read from objects: what readers hold, and of the rest the most recently used. First to go is what a reader has read to its end,
// as who reads on does not come back to it; what is not read on goes when patience times the budget was loaded since. What is being read counts as much
// as what was.
type cache struct {
	budget int64

	mu      sync.Mutex
	entries map[part]*entry
	recent  *list.List // of *entry that are loaded, not pinned and not read to their end, the most recently used in front
	read    *list.List // as recent, of those that were
	held    int64      // bytes of entries
	pinned  int64      // of them those that readers hold or wait for
	ahead   int64      // of them those that nobody has asked for yet
	spent   int64      // of them those in read
	turn    int64      // bytes of all entries there were
}

// patience says how long what was not read to its end stays, for who has it from being read ahead to read on.
const patience = 4

// part is a block of a segment, or with blockIndex its index.
type part struct {
	shard  stream.Shard
	number int64
	block  int
}

const blockIndex = -1

// entry is a part that is loaded, or being loaded.
type entry struct {
	part
	size  int64
	done  chan struct{} // closed when what follows is final
	bytes []byte
	index *index
	err   error

	at      *list.Element // guarded by cache.mu like what follows; nil while it is in no list
	in      *list.List    // that at is of
	pins    int           // readers that hold bytes, or wait for them
	used    int64         // cache.turn when it came into the list
	loaded  bool          // done is closed, and it is still an entry
	whole   bool          // a reader has read it to its end
	unasked bool          // read ahead, and nobody has asked for it
}

func newCache(budget int64) *cache {
	return &cache{budget: budget, entries: map[part]*entry{}, recent: list.New(), read: list.New()}
}

// get returns the entry of a part, pinned until unpin, and whether the caller has to load it. ahead says that nobody waits for it: then it is
// not pinned, and nil if it is there or has no room.
func (c *cache) get(p part, size int64, ahead bool) (e *entry, load bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = c.entries[p]
	switch {
	case e != nil && ahead:
		return nil, false
	case e != nil:
		c.askedLocked(e)
		c.pinLocked(e)
		return e, false
	case ahead && (c.ahead+size > c.budget/2 || c.held-c.spent+size > c.budget): // what is being read goes before what may be
		return nil, false
	}
	e = &entry{part: p, size: size, done: make(chan struct{}), unasked: ahead}
	c.entries[p] = e
	c.held += size
	c.turn += size
	if ahead {
		c.ahead += size
	} else {
		c.pinLocked(e)
	}
	c.evictLocked()
	return e, true
}

func (c *cache) askedLocked(e *entry) {
	if e.unasked {
		e.unasked = false
		c.ahead -= e.size
	}
}

func (c *cache) pinLocked(e *entry) {
	if e.pins++; e.pins == 1 {
		c.pinned += e.size
		c.unlistLocked(e)
	}
}

// listLocked makes an entry that nobody holds one that may go.
func (c *cache) listLocked(e *entry) {
	e.in = c.recent
	if e.whole {
		e.in = c.read
		c.spent += e.size
	}
	e.at, e.used = e.in.PushFront(e), c.turn
}

func (c *cache) unlistLocked(e *entry) {
	if e.at == nil {
		return
	}
	if e.in == c.read {
		c.spent -= e.size
	}
	e.in.Remove(e.at)
	e.at, e.in = nil, nil
}

// finish makes an entry final: it stays, unless it has failed or is larger than all that may stay.
func (c *cache) finish(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(e.done)
	if e.err != nil {
		c.dropLocked(e)
		return
	}
	if e.loaded = true; e.pins == 0 {
		c.listLocked(e)
	}
	c.evictLocked()
}

// evictLocked drops what was not used for longest until the rest fits.
func (c *cache) evictLocked() {
	for c.held > c.budget {
		last, unread := c.read.Back(), c.recent.Back()
		if unread != nil && (last == nil || unread.Value.(*entry).used+patience*c.budget < c.turn) {
			last = unread
		}
		if last == nil {
			return // all of it is being loaded, which cfg.Loads bounds, or held by readers: see crowded
		}
		c.dropLocked(last.Value.(*entry))
	}
}

func (c *cache) dropLocked(e *entry) {
	c.unlistLocked(e)
	c.askedLocked(e)
	delete(c.entries, e.part)
	c.held -= e.size
	e.loaded = false
}

// unpin says that a reader is done with an entry.
func (c *cache) unpin(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.pins--; e.pins > 0 {
		return
	}
	c.pinned -= e.size
	if e.loaded {
		c.listLocked(e)
		c.evictLocked()
	}
}

// readWhole says that a reader has read an entry, which it has pinned, to its end.
func (c *cache) readWhole(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.whole = true
}

// crowded says whether readers hold so much that the next is given a copy of what it wants.
func (c *cache) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinned > c.budget/2
}

// sizes returns the bytes kept, and those of them that readers hold.
func (c *cache) sizes() (held, pinned int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held, c.pinned
}

// errLoad ends a load that takes too long.
var errLoad = errors.New("the object store does not answer")

// obtain returns a part of a segment, pinned, reading it if it is not there, together with all others who want it.
func (l *Log) obtain(ctx context.Context, p part, g *segment, of *block) (*entry, error) {
	e, load := l.cache.get(p, partSize(g, of), false)
	if load {
		l.counters.misses.Add(1)
		l.begin(e, g, of)
	} else {
		l.counters.hits.Add(1)
	}
	err := l.await(ctx, e)
	if err != nil {
		l.cache.unpin(e)
		return nil, err
	}
	return e, nil
}

// ahead reads a part that somebody may soon ask for, if there is room.
func (l *Log) ahead(p part, g *segment, of *block) {
	if e, load := l.cache.get(p, partSize(g, of), true); load {
		l.begin(e, g, of)
	}
}

// partSize returns the bytes of a block, or of the index of a segment.
func partSize(g *segment, of *block) int64 {
	if of == nil {
		return g.Size - g.Bytes - int64(len(magic))
	}
	return int64(of.bytes)
}

func (l *Log) await(ctx context.Context, e *entry) error {
	select {
	case <-e.done:
		return e.err
	default:
	}
	timer := l.clock.NewTimer(l.cfg.ReadWait)
	defer timer.Stop()
	select {
	case <-e.done:
		return e.err
	case <-timer.C():
		return unavailable(fmt.Sprintf("read segment %d", e.number), errLoad) // it goes on, for who asks next
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin loads an entry.
func (l *Log) begin(e *entry, g *segment, of *block) {
	l.loads.Add(1)
	go func() {
		defer l.loads.Done()
		defer l.cache.finish(e)
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-l.ctx.Done():
			e.err = errClosed
			return
		}
		ctx, stop := clock.WithTimeout(l.ctx, l.clock, l.cfg.LoadTimeout, errLoad)
		defer stop()
		if e.err = l.fetch(ctx, e, g, of); e.err != nil && l.ctx.Err() == nil {
			l.counters.readFailures.Add(1)
			l.logger.Warn("reading from the object store failed", "object", l.key(e.shard, e.number).String(), "error", e.err)
		}
	}()
}

// fetch reads the bytes of an entry and checks them.
func (l *Log) fetch(ctx context.Context, e *entry, g *segment, of *block) error {
	from := int64(len(magic)) + g.Bytes
	if of != nil {
		from = of.position
	}
	name := l.key(e.shard, e.number)
	body, _, err := l.objects.Get(ctx, name, from, e.size)
	if errors.Is(err, object.ErrNotFound) || errors.Is(err, object.ErrRange) {
		return corrupt(name, from, err.Error())
	}
	if err != nil {
		return unavailable("read "+name.String(), err)
	}
	b := make([]byte, e.size)
	_, err = io.ReadFull(body, b)
	_ = body.Close() // nothing was written
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return corrupt(name, from, "the object ends early")
	case err != nil:
		return unavailable("read "+name.String(), err)
	}
	l.counters.gets.Add(1)
	l.counters.readBytes.Add(e.size)
	if of == nil {
		if e.index, err = readIndex(b, e.shard, g); err != nil {
			return corrupt(name, from, err.Error())
		}
		return nil
	}
	if sum := crc32.Checksum(b, castagnoli); sum != of.sum {
		return corrupt(name, from, fmt.Sprintf("the block has the checksum %08x, the index says %08x", sum, of.sum))
	}
	e.bytes = b
	return nil
}

func corrupt(name object.Name, at int64, reason string) error {
	return &stream.CorruptError{File: name.String(), Byte: at, Reason: reason}
}
