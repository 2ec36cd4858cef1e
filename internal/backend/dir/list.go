package dir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/object"
)

// List implements object.Store. It reads the directories that can hold a key it wants, and no others.
func (s *Store) List(ctx context.Context, bucket string, query object.Query) (object.Page, error) {
	limit, err := query.PageLimit()
	if err != nil {
		return object.Page{}, err
	}
	if err := errors.Join(object.CheckBucket(bucket), context.Cause(ctx)); err != nil {
		return object.Page{}, err
	}
	l := &listing{store: s, ctx: ctx, bucket: bucket, query: query, limit: limit}
	if err := l.walk(filepath.Join(s.root, bucket), ""); err != nil && !errors.Is(err, errPageFull) {
		return object.Page{}, fmt.Errorf("list bucket %s: %w", bucket, err)
	}
	return l.page, nil
}

// Buckets implements object.Store.
func (s *Store) Buckets(ctx context.Context) ([]string, error) {
	entries, err := s.files.ReadDir(s.root)
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	var buckets []string
	for _, e := range entries {
		if e.IsDir() && object.CheckBucket(e.Name()) == nil {
			buckets = append(buckets, e.Name())
		}
	}
	slices.Sort(buckets)
	return buckets, context.Cause(ctx)
}

var errPageFull = errors.New("page is full")

// listing gathers one page of a bucket.
type listing struct {
	store  *Store
	ctx    context.Context
	bucket string
	query  object.Query
	limit  int
	page   object.Page
}

// walk visits a directory whose keys begin with prefix.
func (l *listing) walk(dir, prefix string) error {
	if err := context.Cause(l.ctx); err != nil {
		return err
	}
	entries, err := l.store.entries(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.isDir {
			err = l.enter(e, prefix+e.segment+"/")
		} else {
			err = l.add(e, prefix+e.segment)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *listing) enter(e entry, prefix string) error {
	wanted := strings.HasPrefix(prefix, l.query.Prefix) || strings.HasPrefix(l.query.Prefix, prefix)
	// All its keys are greater than prefix: none is after After if After is, too, and not one of them.
	past := l.query.After > prefix && !strings.HasPrefix(l.query.After, prefix)
	if !wanted || past {
		return nil
	}
	return l.walk(e.path, prefix)
}

func (l *listing) add(e entry, key string) error {
	if !strings.HasPrefix(key, l.query.Prefix) || l.query.After != "" && key <= l.query.After {
		return nil
	}
	if len(l.page.Objects) == l.limit {
		l.page.More = true
		return errPageFull
	}
	info, err := e.info()
	if missing(err) {
		return nil // deleted since
	}
	if err != nil {
		return err
	}
	l.page.Objects = append(l.page.Objects, describe(object.Name{Bucket: l.bucket, Key: key}, info))
	return nil
}

// entry is a file or directory that stands for a whole segment.
type entry struct {
	segment string
	path    string
	isDir   bool
	info    func() (fs.FileInfo, error)
}

// order is what an entry's keys are ordered by: all keys below a directory have its slash.
func (e entry) order() string {
	if e.isDir {
		return e.segment + "/"
	}
	return e.segment
}

// entries returns what a directory holds in the order of the keys, with the rests of long segments put together. Files that are not named
// as an object's are left out.
func (s *Store) entries(dir string) ([]entry, error) {
	s.tree.RLock()
	found, err := s.files.ReadDir(dir)
	s.tree.RUnlock()
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range found {
		path := filepath.Join(dir, f.Name())
		if start, ok := strings.CutSuffix(f.Name(), continued); ok && f.IsDir() {
			rests, err := s.entries(path)
			if err != nil {
				return nil, err
			}
			piece, ok := unescape(start)
			for _, rest := range rests {
				if ok {
					rest.segment = piece + rest.segment
					all = append(all, rest)
				}
			}
			continue
		}
		if segment, ok := segmentOf(f); ok {
			all = append(all, entry{segment, path, f.IsDir(), f.Info})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.order(), b.order()) })
	return all, nil
}

func segmentOf(f fs.DirEntry) (string, bool) {
	name := f.Name()
	if !f.IsDir() {
		if !f.Type().IsRegular() {
			return "", false
		}
		name = strings.TrimSuffix(name, beside)
	}
	if name == empty {
		return "", true
	}
	return unescape(name)
}
