// Package memlog is a stream.Log in memory, for tests: the simplest body of the contract, and the model that others are compared with. Log is
// its one type; New makes one.
//
// It forgets everything with the process, so it refuses to be a node's log. What a chunk's Release gives back is overwritten, so that a
// test finds whoever reads on.
package memlog

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

var _ stream.Log = (*Log)(nil)

// Log keeps streams in memory.
type Log struct {
	clock  clock.Clock
	random io.Reader

	mu       sync.Mutex // guards everything below
	closed   bool
	streams  map[stream.ID]*entry
	revision uint64 // of streams: how often it was changed
	names    map[stream.Name]*entry
	cursors  map[string]map[stream.Shard]stream.Cursor // by owner
	watchers map[*watcher]struct{}
	producer int64 // the next producer id
	gap      int64 // offsets left out after each batch
}

// entry is one stream with its shards.
type entry struct {
	stream *stream.Stream // replaced, never written to
	shards []*shard
}

// New returns an empty log on a clock, drawing stream ids from random, nil = crypto/rand.
func New(c clock.Clock, random io.Reader) *Log {
	return &Log{
		clock:    c,
		random:   random,
		streams:  map[stream.ID]*entry{},
		names:    map[stream.Name]*entry{},
		cursors:  map[string]map[stream.Shard]stream.Cursor{},
		watchers: map[*watcher]struct{}{},
	}
}

// LeaveGaps leaves out so many offsets after each batch from now on, as the control batches of transactions do in an Apache Kafka cluster: who reads
// a log, not this one alone, passes over them.
func (l *Log) LeaveGaps(offsets int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gap = offsets
}

// Close makes every later call fail with stream.ErrClosed. The records stay for nobody.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// Create implements stream.Log.
func (l *Log) Create(_ context.Context, spec stream.Spec) (*stream.Stream, error) {
	if err := spec.Name.Check(); err != nil {
		return nil, err
	}
	if spec.Shards < 1 {
		return nil, fmt.Errorf("%w: stream %s needs a shard, not %d", stream.ErrInvalid, spec.Name, spec.Shards)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, stream.ErrClosed
	}
	if l.names[spec.Name] != nil {
		return nil, fmt.Errorf("stream %s: %w", spec.Name, stream.ErrExists)
	}
	id, err := stream.NewID(l.random)
	if err != nil {
		return nil, err
	}
	e := &entry{stream: &stream.Stream{
		ID: id, Name: spec.Name, Shards: spec.Shards, Config: spec.Config, Labels: maps.Clone(spec.Labels), Created: l.clock.Now(),
	}}
	e.grow()
	l.streams[id], l.names[spec.Name] = e, e
	l.revision++
	return e.stream, nil
}

// grow makes the shards that the stream says it has.
func (e *entry) grow() {
	for i := int32(len(e.shards)); i < e.stream.Shards; i++ {
		e.shards = append(e.shards, &shard{address: e.stream.Shard(i), epochs: []epoch{{}}, producers: producers.New(0)})
	}
}

// Alter implements stream.Log.
func (l *Log) Alter(_ context.Context, id stream.ID, change stream.Change) (*stream.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, err := l.entryLocked(id)
	if err != nil {
		return nil, err
	}
	altered := *e.stream
	if change.Shards != nil {
		if *change.Shards < altered.Shards {
			return nil, fmt.Errorf("%w: stream %s has %d shards, it cannot shrink to %d", stream.ErrInvalid, altered.Name, altered.Shards, *change.Shards)
		}
		altered.Shards = *change.Shards
	}
	if change.Config != nil {
		altered.Config = *change.Config
	}
	if change.Labels != nil {
		altered.Labels = maps.Clone(change.Labels)
	}
	e.stream = &altered
	l.revision++
	e.grow()
	return e.stream, nil
}

// Delete implements stream.Log.
func (l *Log) Delete(_ context.Context, id stream.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, err := l.entryLocked(id)
	if err != nil {
		return err
	}
	delete(l.streams, id)
	delete(l.names, e.stream.Name)
	l.revision++
	for owner, cursors := range l.cursors {
		maps.DeleteFunc(cursors, func(s stream.Shard, _ stream.Cursor) bool { return s.Stream == id })
		if len(cursors) == 0 {
			delete(l.cursors, owner)
		}
	}
	for _, s := range e.shards {
		l.movedLocked(s.address)
	}
	return nil
}

// Stream implements stream.Log.
func (l *Log) Stream(_ context.Context, name stream.Name) (*stream.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, stream.ErrClosed
	}
	if e := l.names[name]; e != nil {
		return e.stream, nil
	}
	return nil, fmt.Errorf("stream %q: %w", string(name), stream.ErrNotFound)
}

// StreamByID implements stream.Log.
func (l *Log) StreamByID(_ context.Context, id stream.ID) (*stream.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, err := l.entryLocked(id)
	if err != nil {
		return nil, err
	}
	return e.stream, nil
}

// Streams implements stream.Log.
func (l *Log) Streams(context.Context) ([]*stream.Stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, stream.ErrClosed
	}
	all := make([]*stream.Stream, 0, len(l.streams))
	for _, e := range l.streams {
		all = append(all, e.stream)
	}
	slices.SortFunc(all, func(a, b *stream.Stream) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return all, nil
}

// Revision implements stream.Log.
func (l *Log) Revision() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.revision
}

// NewProducerID implements stream.Log.
func (l *Log) NewProducerID(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, stream.ErrClosed
	}
	l.producer++
	return l.producer - 1, nil
}

func (l *Log) entryLocked(id stream.ID) (*entry, error) {
	if l.closed {
		return nil, stream.ErrClosed
	}
	if e := l.streams[id]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("stream id %s: %w", id, stream.ErrNotFound)
}

func (l *Log) shardLocked(address stream.Shard) (*entry, *shard, error) {
	e, err := l.entryLocked(address.Stream)
	if err != nil {
		return nil, nil, err
	}
	if address.Index < 0 || int(address.Index) >= len(e.shards) {
		return nil, nil, fmt.Errorf("shard %d of stream %s: %w", address.Index, e.stream.Name, stream.ErrNotFound)
	}
	return e, e.shards[address.Index], nil
}
