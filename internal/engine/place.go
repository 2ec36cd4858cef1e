package engine

import (
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// Nothing is taken that has no place on the disk: a group whose offsets are given out cannot be refused any more, and while the committer waited
// for space with one, no deletion behind it could make any. So whoever puts something into the open group sees to it before that the file
// is long enough for all of it and, if the file ends with that group, that the next one is there (spare.go).

// place is where the open group will lie.
type place struct {
	file    *logFile // nil while the file is about to be begun
	at      int64
	batches int // of the file before the group, counting those of streams that were deleted meanwhile
}

// ends says whether a group of so many bytes and batches, written there, is its file's last.
func (p *place) ends(size int64, batches int, c *Config) bool {
	full := p.at+size+c.GroupBytes/2 > c.FileBytes || p.batches+batches >= c.MaxExtents
	return full && p.at > format.FirstGroup || size >= c.FileBytes
}

// urgentPart is the part of AllocateBytes that is left to what frees space. It is that of so many small groups at least.
const (
	urgentPart   = 4
	urgentGroups = 2
)

func (c *Config) urgentBytes() int64 {
	return max(c.AllocateBytes/urgentPart, urgentGroups*format.Align)
}

// aheadBytes is what is kept reserved before the writer.
func (c *Config) aheadBytes() int64 { return c.AllocateBytes + c.urgentBytes() }

// firstBytes is what a file has from its beginning.
func (c *Config) firstBytes() int64 { return format.FirstGroup + c.aheadBytes() }

// mostBytes is what is reserved of a file ahead, at most.
func (c *Config) mostBytes() int64 { return c.FileBytes + c.urgentBytes() }

// lack is what there is not yet of the place of something.
type lack struct {
	file *logFile // nil: wait until the file is begun, or others are finished
	to   int64    // the size that file must have; 0: what it has is enough
	next bool     // the next file must be there
}

// lackLocked returns what the open group lacks to take so many more bytes, entries included, and batches.
func (e *Engine) lackLocked(need, batches int, urgent bool) (l lack, lacks bool) {
	p, g := &e.place, e.open
	size := int64(format.GroupSize(g.payload+len(g.table)+need, 0))
	to := p.at + size
	if !urgent {
		to += e.cfg.urgentBytes()
	}
	if p.file == nil {
		return lack{}, to > e.spareSize.Load()
	}
	if l.file = p.file; to > p.file.allocated.Load() {
		l.to = to
	}
	if !urgent && p.ends(size, len(g.batches)+batches, &e.cfg) {
		if e.finishingFull() {
			return lack{}, true
		}
		l.next = e.spareSize.Load() == 0
	}
	return l, l.to > 0 || l.next
}

// finishingFull says that as many full files wait to be finished as may. Only the committer adds to them.
func (e *Engine) finishingFull() bool { return len(e.finishing) == cap(e.finishing) }

// supplyLocked reserves what is lacking, mu unlocked meanwhile.
func (e *Engine) supplyLocked(l lack, urgent bool) error {
	l.file.acquire()
	e.ended.Add(1) // Close, which has not begun, waits for it before it gives up the directory
	e.mu.Unlock()
	err := e.reserve(l)
	if urgent && isFull(err) { // what is kept for it may be lent
		e.lending.Lock()
		err = e.reserve(l)
		e.lending.Unlock()
	}
	err = errors.Join(err, l.file.release())
	e.ended.Done()
	switch {
	case isFull(err):
		e.starve() // it finds out whether the disk is full for all
		err = e.errFull(err)
	case err != nil:
		e.fail(err)
		err = fmt.Errorf("%w: %w", stream.ErrUnavailable, err)
	}
	e.mu.Lock()
	return err
}

// reserve makes sure of what is lacking. If the disk has no room for it, what the spare file has in excess goes.
func (e *Engine) reserve(l lack) error {
	err := e.reserveOnce(l)
	if isFull(err) {
		e.shrinkSpare()
		err = e.reserveOnce(l)
	}
	return err
}

func (e *Engine) reserveOnce(l lack) error {
	if l.to > 0 {
		if err := l.file.reserve(l.to, &e.cfg); err != nil {
			return err
		}
	}
	if l.next {
		return e.makeSpare(e.cfg.firstBytes())
	}
	return nil
}
