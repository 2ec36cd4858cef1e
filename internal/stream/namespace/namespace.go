// Package namespace is a stream.Log inside another one: its streams, cursors and owners are the outer log's under names of their own, and it sees no
// others. New makes one; any number of namespaces, and users of the outer log itself, share one log on one disk. Drop removes all of it.
//
// In the outer log a stream of a namespace is the node's own (stream.LabelInternal), so that no protocol on the outer log shows it.
//
// It refuses to guard shards: who knows a shard's address, which is a stream's random id, is taken for one who has found it here.
package namespace

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/freshet/freshet/internal/stream"
)

// The labels that a stream of a namespace has in the outer log.
const (
	labelNamespace = "namespace"          // the namespace's name
	labelName      = "namespace.stream"   // the stream's name in it
	labelInternal  = "namespace.internal" // what it has there as stream.LabelInternal, if anything
)

// MaxName is the longest name of a namespace.
const MaxName = 32

// maxStreamName is the longest name of a stream.
const maxStreamName = 249

// Log is a namespace. It is safe for concurrent use.
type Log struct {
	stream.Log // the outer one
	name       string

	mu    sync.Mutex // guards views
	views map[stream.ID]view
}

// view is a stream of the namespace as it is outside and inside: a snapshot of the one makes one of the other, once.
type view struct{ outer, inner *stream.Stream }

// New returns the namespace of a name, 1 to MaxName of [a-z0-9-], in outer.
func New(outer stream.Log, name string) (*Log, error) {
	const characters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	if name == "" || len(name) > MaxName || strings.Trim(name, characters) != "" {
		return nil, fmt.Errorf("%w: namespace %q must have 1 to %d of the characters %s", stream.ErrInvalid, name, MaxName, characters)
	}
	return &Log{Log: outer, name: name, views: map[stream.ID]view{}}, nil
}

// outerName returns what a stream is called outside: NAMESPACE.NAME, or with a digest of the name where that would be too long.
func (l *Log) outerName(name stream.Name) stream.Name {
	if len(l.name)+1+len(name) <= maxStreamName {
		return stream.Name(l.name) + "." + name
	}
	digest := sha256.Sum256([]byte(name))
	return stream.Name(l.name + "-" + hex.EncodeToString(digest[:]))
}

// inner returns a stream as it is here, or stream.ErrNotFound if it is not of this namespace.
func (l *Log) inner(outer *stream.Stream) (*stream.Stream, error) {
	if outer.Labels[labelNamespace] != l.name {
		return nil, fmt.Errorf("%w: stream %s is in no namespace %s", stream.ErrNotFound, outer.Name, l.name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v, ok := l.views[outer.ID]; ok && v.outer == outer {
		return v.inner, nil
	}
	inner := *outer
	inner.Name = stream.Name(outer.Labels[labelName])
	inner.Labels = l.innerLabels(outer.Labels)
	l.views[outer.ID] = view{outer, &inner}
	return &inner, nil
}

func (l *Log) innerLabels(outer map[string]string) map[string]string {
	labels := maps.Clone(outer)
	for _, key := range []string{labelNamespace, labelName, labelInternal, stream.LabelInternal} {
		delete(labels, key)
	}
	if own := outer[labelInternal]; own != "" {
		labels[stream.LabelInternal] = own
	}
	if len(labels) == 0 {
		return nil
	}
	return labels
}

func (l *Log) outerLabels(name stream.Name, inner map[string]string) map[string]string {
	labels := make(map[string]string, len(inner)+3)
	maps.Copy(labels, inner)
	if own := inner[stream.LabelInternal]; own != "" {
		labels[labelInternal] = own
	}
	labels[stream.LabelInternal], labels[labelNamespace], labels[labelName] = "namespace", l.name, string(name)
	return labels
}

// Create implements stream.Log.
func (l *Log) Create(ctx context.Context, spec stream.Spec) (*stream.Stream, error) {
	if err := spec.Name.Check(); err != nil {
		return nil, err
	}
	spec.Labels = l.outerLabels(spec.Name, spec.Labels)
	spec.Name = l.outerName(spec.Name)
	outer, err := l.Log.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	return l.inner(outer)
}

// Alter implements stream.Log.
func (l *Log) Alter(ctx context.Context, id stream.ID, change stream.Change) (*stream.Stream, error) {
	st, err := l.StreamByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if change.Labels != nil {
		change.Labels = l.outerLabels(st.Name, change.Labels)
	}
	outer, err := l.Log.Alter(ctx, id, change)
	if err != nil {
		return nil, err
	}
	return l.inner(outer)
}

// Delete implements stream.Log.
func (l *Log) Delete(ctx context.Context, id stream.ID) error {
	if _, err := l.StreamByID(ctx, id); err != nil {
		return err
	}
	if err := l.Log.Delete(ctx, id); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.views, id)
	return nil
}

// Stream implements stream.Log.
func (l *Log) Stream(ctx context.Context, name stream.Name) (*stream.Stream, error) {
	outer, err := l.Log.Stream(ctx, l.outerName(name))
	if err != nil {
		return nil, err
	}
	return l.inner(outer)
}

// StreamByID implements stream.Log.
func (l *Log) StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error) {
	outer, err := l.Log.StreamByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.inner(outer)
}

// Streams implements stream.Log.
func (l *Log) Streams(ctx context.Context) ([]*stream.Stream, error) {
	outer, err := l.Log.Streams(ctx)
	if err != nil {
		return nil, err
	}
	var all []*stream.Stream
	for _, st := range outer {
		if inner, err := l.inner(st); err == nil {
			all = append(all, inner)
		}
	}
	slices.SortFunc(all, func(a, b *stream.Stream) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return all, nil
}

// Owner returns what an owner of cursors is called outside.
func (l *Log) Owner(owner string) string { return "namespace/" + l.name + "/" + owner }

// Commit implements stream.Cursors.
func (l *Log) Commit(ctx context.Context, owner string, cursors []stream.Cursor) error {
	if owner == "" {
		return fmt.Errorf("%w: a cursor's owner has a name", stream.ErrInvalid)
	}
	return l.Log.Commit(ctx, l.Owner(owner), cursors)
}

// Committed implements stream.Cursors.
func (l *Log) Committed(ctx context.Context, owner string) ([]stream.Cursor, error) {
	return l.Log.Committed(ctx, l.Owner(owner))
}

// Forget implements stream.Cursors.
func (l *Log) Forget(ctx context.Context, owner string, shards []stream.Shard) error {
	return l.Log.Forget(ctx, l.Owner(owner), shards)
}

// Owners implements stream.Cursors.
func (l *Log) Owners(ctx context.Context, prefix string) ([]string, error) {
	owners, err := l.Log.Owners(ctx, l.Owner(prefix))
	for i := range owners {
		owners[i] = strings.TrimPrefix(owners[i], l.Owner(""))
	}
	return owners, err
}

// Drop deletes all streams of the namespace, the internal ones too, and all cursors. It can be called again if it fails half-way.
func (l *Log) Drop(ctx context.Context) error {
	all, err := l.Streams(ctx)
	if err != nil {
		return err
	}
	for _, st := range all {
		if err := l.Delete(ctx, st.ID); err != nil && !errors.Is(err, stream.ErrNotFound) {
			return fmt.Errorf("drop stream %s of namespace %s: %w", st.Name, l.name, err)
		}
	}
	owners, err := l.Owners(ctx, "")
	if err != nil {
		return err
	}
	for _, owner := range owners {
		if err := l.Forget(ctx, owner, nil); err != nil {
			return fmt.Errorf("drop cursors of %s of namespace %s: %w", owner, l.name, err)
		}
	}
	return nil
}
