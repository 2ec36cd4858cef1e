package memlog

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/stream"
)

// Commit implements stream.Cursors.
func (l *Log) Commit(_ context.Context, owner string, cursors []stream.Cursor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return stream.ErrClosed
	}
	for _, c := range cursors {
		if _, _, err := l.shardLocked(c.Shard); err != nil {
			return err
		}
	}
	l.commitLocked(owner, cursors)
	return nil
}

func (l *Log) commitLocked(owner string, cursors []stream.Cursor) {
	if len(cursors) == 0 {
		return
	}
	if l.cursors[owner] == nil {
		l.cursors[owner] = map[stream.Shard]stream.Cursor{}
	}
	for _, c := range cursors {
		l.cursors[owner][c.Shard] = c
	}
}

// Committed implements stream.Cursors.
func (l *Log) Committed(_ context.Context, owner string) ([]stream.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, stream.ErrClosed
	}
	var all []stream.Cursor
	for _, c := range l.cursors[owner] {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b stream.Cursor) int {
		return cmp.Or(bytes.Compare(a.Shard.Stream[:], b.Shard.Stream[:]), cmp.Compare(a.Shard.Index, b.Shard.Index))
	})
	return all, nil
}

// Forget implements stream.Cursors.
func (l *Log) Forget(_ context.Context, owner string, shards []stream.Shard) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return stream.ErrClosed
	}
	if shards == nil {
		delete(l.cursors, owner)
		return nil
	}
	for _, s := range shards {
		delete(l.cursors[owner], s)
	}
	if len(l.cursors[owner]) == 0 {
		delete(l.cursors, owner)
	}
	return nil
}

// Owners implements stream.Cursors.
func (l *Log) Owners(_ context.Context, prefix string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, stream.ErrClosed
	}
	var owners []string
	for owner := range l.cursors {
		if strings.HasPrefix(owner, prefix) {
			owners = append(owners, owner)
		}
	}
	slices.Sort(owners)
	return owners, nil
}
