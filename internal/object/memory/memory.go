// Package memory keeps objects in memory: an object.Store for tests and for nodes that store nothing.
//
// It refuses nothing the contract allows, and bounds nothing: what is committed stays until it is deleted.
package memory

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
)

// Store is an object.Store in memory. Its zero value is not ready: New makes one.
type Store struct {
	clock clock.Clock

	mu      sync.Mutex
	buckets map[string]map[string]stored
	uploads map[string]*upload
	next    int
}

type stored struct {
	info object.Info
	data []byte // never written to once stored
}

type upload struct {
	name  object.Name
	parts map[int]part
}

type part struct {
	object.Part
	data []byte
}

// New returns an empty store that dates its objects by c.
func New(c clock.Clock) *Store {
	return &Store{clock: c, buckets: map[string]map[string]stored{}, uploads: map[string]*upload{}}
}

// Create implements object.Store.
func (s *Store) Create(ctx context.Context, name object.Name) (object.Writer, error) {
	if err := name.Check(); err != nil {
		return nil, err
	}
	return &writer{store: s, name: name, ctx: ctx}, context.Cause(ctx)
}

// writer gathers an object in memory; nothing of it is in the store before Commit.
type writer struct {
	store *Store
	name  object.Name
	ctx   context.Context
	buf   bytes.Buffer
	done  bool
}

// Write implements object.Writer. It ends with the context of Create.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, object.ErrClosed
	}
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	return w.buf.Write(p)
}

// Commit implements object.Writer.
func (w *writer) Commit(ctx context.Context) (object.Info, error) {
	if w.done {
		return object.Info{}, object.ErrClosed
	}
	w.done = true
	if err := context.Cause(ctx); err != nil {
		return object.Info{}, err
	}
	return w.store.put(w.name, w.buf.Bytes()), nil
}

// Abort implements object.Writer.
func (w *writer) Abort() { w.done = true }

func (s *Store) put(name object.Name, data []byte) object.Info {
	info := object.Info{Name: name, Size: int64(len(data)), Modified: s.clock.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets[name.Bucket] == nil {
		s.buckets[name.Bucket] = map[string]stored{}
	}
	s.buckets[name.Bucket][name.Key] = stored{info, data}
	return info
}

func (s *Store) find(ctx context.Context, name object.Name) (stored, error) {
	if err := name.Check(); err != nil {
		return stored{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return stored{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.buckets[name.Bucket][name.Key]
	if !ok {
		return stored{}, object.ErrNotFound
	}
	return o, nil
}

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name object.Name, from, length int64) (io.ReadCloser, object.Info, error) {
	o, err := s.find(ctx, name)
	if err != nil {
		return nil, object.Info{}, err
	}
	end, err := object.Extent(o.info.Size, from, length)
	if err != nil {
		return nil, object.Info{}, err
	}
	return io.NopCloser(bytes.NewReader(o.data[from:end])), o.info, nil
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name object.Name) (object.Info, error) {
	o, err := s.find(ctx, name)
	return o.info, err
}

// List implements object.Store.
func (s *Store) List(ctx context.Context, bucket string, query object.Query) (object.Page, error) {
	limit, err := query.PageLimit()
	if err != nil {
		return object.Page{}, err
	}
	if err := object.CheckBucket(bucket); err != nil {
		return object.Page{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return object.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var page object.Page
	for _, key := range slices.Sorted(maps.Keys(s.buckets[bucket])) {
		if !strings.HasPrefix(key, query.Prefix) || query.After != "" && key <= query.After {
			continue
		}
		if len(page.Objects) == limit {
			page.More = true
			break
		}
		page.Objects = append(page.Objects, s.buckets[bucket][key].info)
	}
	return page, nil
}

// Buckets implements object.Store.
func (s *Store) Buckets(ctx context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.buckets)), context.Cause(ctx)
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name object.Name) error {
	if err := name.Check(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets[name.Bucket], name.Key)
	if len(s.buckets[name.Bucket]) == 0 {
		delete(s.buckets, name.Bucket)
	}
	return nil
}

// StartUpload implements object.Store.
func (s *Store) StartUpload(ctx context.Context, name object.Name) (string, error) {
	if err := name.Check(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	id := strconv.Itoa(s.next)
	s.uploads[id] = &upload{name: name, parts: map[int]part{}}
	return id, context.Cause(ctx)
}

// PutPart implements object.Store.
func (s *Store) PutPart(ctx context.Context, name object.Name, id string, number int, r io.Reader) (object.Part, error) {
	if err := object.CheckPartNumber(number); err != nil {
		return object.Part{}, err
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return object.Part{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return object.Part{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.uploadLocked(name, id)
	if err != nil {
		return object.Part{}, err
	}
	s.next++
	p := part{object.Part{Number: number, Size: int64(len(data)), ETag: strconv.Itoa(s.next)}, data}
	u.parts[number] = p
	return p.Part, nil
}

// CompleteUpload implements object.Store.
func (s *Store) CompleteUpload(ctx context.Context, name object.Name, id string, parts []object.Part) (object.Info, error) {
	if err := context.Cause(ctx); err != nil {
		return object.Info{}, err
	}
	data, err := s.assemble(name, id, parts)
	if err != nil {
		return object.Info{}, err
	}
	return s.put(name, data), nil
}

func (s *Store) assemble(name object.Name, id string, parts []object.Part) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.uploadLocked(name, id)
	if err != nil {
		return nil, err
	}
	if err := object.CheckParts(parts); err != nil {
		return nil, err
	}
	var data []byte
	for _, p := range parts {
		have, ok := u.parts[p.Number]
		if !ok || have.Part != p {
			return nil, object.ErrInvalid
		}
		data = append(data, have.data...)
	}
	delete(s.uploads, id)
	return data, nil
}

// AbortUpload implements object.Store.
func (s *Store) AbortUpload(ctx context.Context, name object.Name, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.uploadLocked(name, id); err != nil {
		return err
	}
	delete(s.uploads, id)
	return context.Cause(ctx)
}

func (s *Store) uploadLocked(name object.Name, id string) (*upload, error) {
	u, ok := s.uploads[id]
	if !ok || u.name != name {
		return nil, object.ErrNoUpload
	}
	return u, nil
}
