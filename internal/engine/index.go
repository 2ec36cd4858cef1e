package engine

import (
	"container/list"
	"errors"
	"io"
	"sync"

	"github.com/freshet/freshet/internal/engine/format"
)

// indexCache keeps the extents of finished files that were used last, up to a budget in bytes.
type indexCache struct {
	mu     sync.Mutex
	budget int64
	held   int64
	order  list.List // of *indexed, last used first
	spans  map[*span]*list.Element
}

type indexed struct {
	span    *span
	extents []format.Extent
}

func (i *indexed) bytes() int64 { return int64(len(i.extents))*format.ExtentSize + 128 }

// load returns the extents of a finished span. They must not be written to.
func (c *indexCache) load(s *span) ([]format.Extent, error) {
	c.mu.Lock()
	if at := c.spans[s]; at != nil {
		c.order.MoveToFront(at)
		c.mu.Unlock()
		return at.Value.(*indexed).extents, nil
	}
	c.mu.Unlock()
	extents, err := s.readExtents()
	if err != nil {
		return nil, err
	}
	c.add(s, extents)
	return extents, nil
}

// readExtents reads the span's extents from the footer of its file.
func (s *span) readExtents() ([]format.Extent, error) {
	b := make([]byte, int(s.Count)*format.ExtentSize)
	if _, err := s.file.file.ReadAt(b, s.Position); err != nil {
		if errors.Is(err, io.EOF) {
			err = s.file.corrupt(s.Position, "file ends within its index")
		}
		return nil, err
	}
	extents, err := format.ReadExtents(b, &s.Span)
	if err != nil {
		return nil, s.file.corrupt(s.Position, "index of shard %d of stream %s: %s", s.Shard.Index, s.Shard.Stream, err)
	}
	return extents, nil
}

func (c *indexCache) add(s *span, extents []format.Extent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spans == nil {
		c.spans = map[*span]*list.Element{}
	}
	if c.spans[s] != nil {
		return
	}
	i := &indexed{s, extents}
	c.spans[s] = c.order.PushFront(i)
	c.held += i.bytes()
	for c.held > c.budget && c.order.Len() > 1 {
		c.dropLocked(c.order.Back())
	}
}

func (c *indexCache) dropLocked(at *list.Element) {
	i := c.order.Remove(at).(*indexed)
	delete(c.spans, i.span)
	c.held -= i.bytes()
}

// forget drops the spans of a file that is going away.
func (c *indexCache) forget(spans []*span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range spans {
		if at := c.spans[s]; at != nil {
			c.dropLocked(at)
		}
	}
}
