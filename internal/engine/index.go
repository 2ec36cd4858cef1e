package engine

import (
	"container/list"
	"errors"
	"io"
	"sync"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
)

// shardIndex is what a file's index says of one shard. It must not be written to.
type shardIndex struct {
	extents []format.Extent
	aborted []stream.Aborted // transactions whose markers are among them, by those
}

// indexCache keeps the indexes of finished files that were used last, up to a budget in bytes.
type indexCache struct {
	mu     sync.Mutex
	budget int64
	held   int64
	order  list.List // of *indexed, last used first
	spans  map[*span]*list.Element
}

type indexed struct {
	span *span
	shardIndex
}

func (i *indexed) bytes() int64 {
	return int64(len(i.extents))*format.ExtentSize + int64(len(i.aborted))*format.AbortedSize + 128
}

// load returns the index of a finished span.
func (c *indexCache) load(s *span) (shardIndex, error) {
	c.mu.Lock()
	if at := c.spans[s]; at != nil {
		c.order.MoveToFront(at)
		c.mu.Unlock()
		return at.Value.(*indexed).shardIndex, nil
	}
	c.mu.Unlock()
	x, err := s.readIndex()
	if err != nil {
		return shardIndex{}, err
	}
	c.add(s, x)
	return x, nil
}

// readIndex reads the span's index from the footer of its file.
func (s *span) readIndex() (x shardIndex, err error) {
	b := make([]byte, s.IndexSize())
	if _, err := s.file.file.ReadAt(b, s.Position); err != nil {
		if errors.Is(err, io.EOF) {
			err = s.file.corrupt(s.Position, "file ends within its index")
		}
		return x, err
	}
	if x.extents, x.aborted, err = format.ReadIndex(b, &s.Span); err != nil {
		return shardIndex{}, s.file.corrupt(s.Position, "index of shard %d of stream %s: %s", s.Shard.Index, s.Shard.Stream, err)
	}
	return x, nil
}

func (c *indexCache) add(s *span, x shardIndex) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spans == nil {
		c.spans = map[*span]*list.Element{}
	}
	if c.spans[s] != nil {
		return
	}
	i := &indexed{s, x}
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
