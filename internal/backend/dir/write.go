package dir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/freshet/freshet/internal/object"
)

// writeBuffer is how many bytes of an object being written are gathered before the file sees them.
const writeBuffer = 64 << 10

// Create implements object.Store.
func (s *Store) Create(ctx context.Context, name object.Name) (object.Writer, error) {
	if err := errors.Join(name.Check(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	return s.create(ctx, name)
}

func (s *Store) create(ctx context.Context, name object.Name) (*writer, error) {
	path, err := s.stage()
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	f, err := s.files.Create(path)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	return &writer{store: s, ctx: ctx, name: name, path: path, file: f, buf: bufio.NewWriterSize(f, writeBuffer)}, nil
}

// stage returns the path of a new staging file. The first call empties the staging directory of what an earlier start left.
func (s *Store) stage() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := filepath.Join(s.root, ".staging")
	if !s.staged {
		if err := s.makeDir(dir); err != nil {
			return "", err
		}
		stale, err := s.files.ReadDir(dir)
		if err != nil {
			return "", err
		}
		for _, e := range stale {
			if err := s.files.Remove(filepath.Join(dir, e.Name())); err != nil {
				return "", err
			}
		}
		s.staged = true
	}
	s.next++
	return filepath.Join(dir, strconv.Itoa(s.next)), nil
}

// makeDir makes a directory with all above it, durably.
func (s *Store) makeDir(path string) error {
	info, err := s.files.Stat(path)
	if err == nil && info.IsDir() {
		return nil
	}
	if err != nil && !missing(err) {
		return err
	}
	if parent := filepath.Dir(path); parent != path {
		if err := s.makeDir(parent); err != nil {
			return err
		}
	}
	if err := s.files.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.files.SyncDir(filepath.Dir(path))
}

// writer writes one object to a temporary file; Commit gives it its name.
type writer struct {
	store *Store
	ctx   context.Context
	name  object.Name
	path  string
	file  file // nil once committed or aborted
	buf   *bufio.Writer
	size  int64
}

// Write implements object.Writer. What it takes may stay in a buffer until Commit; it ends with the context of Create.
func (w *writer) Write(p []byte) (int, error) {
	if w.file == nil {
		return 0, object.ErrClosed
	}
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	n, err := w.buf.Write(p)
	w.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("write %s: %w", w.name, err)
	}
	return n, nil
}

// Abort implements object.Writer.
func (w *writer) Abort() {
	if w.file == nil {
		return
	}
	w.file.Close()
	w.file = nil
	// What cannot be removed now is removed by the next start.
	_ = w.store.files.Remove(w.path)
}

// Commit implements object.Writer.
func (w *writer) Commit(ctx context.Context) (object.Info, error) {
	if w.file == nil {
		return object.Info{}, object.ErrClosed
	}
	defer w.Abort()
	if err := context.Cause(ctx); err != nil {
		return object.Info{}, err
	}
	info, err := w.finish()
	if err != nil {
		return object.Info{}, fmt.Errorf("commit %s: %w", w.name, err)
	}
	return info, nil
}

// finish syncs the file, and only then gives it its name: a crash in between leaves the old object.
func (w *writer) finish() (object.Info, error) {
	s := w.store
	if err := w.buf.Flush(); err != nil {
		return object.Info{}, err
	}
	now := s.clock.Now()
	if err := s.files.SetModified(w.path, now); err != nil {
		return object.Info{}, err
	}
	if err := w.file.Sync(); err != nil {
		return object.Info{}, err
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return object.Info{}, err
	}
	changed, err := s.place(w.path, w.name)
	if err != nil {
		return object.Info{}, errors.Join(err, s.files.Remove(w.path))
	}
	for _, dir := range slices.Backward(changed) {
		// A directory that is gone took the object along: someone deleted it since.
		if err := s.files.SyncDir(dir); err != nil && !missing(err) {
			return object.Info{}, err
		}
	}
	return object.Info{Name: w.name, Size: w.size, Modified: now}, nil
}

// place moves a finished file to its object's path, and returns the directories in which names changed, from the root down.
func (s *Store) place(from string, name object.Name) ([]string, error) {
	s.tree.Lock()
	defer s.tree.Unlock()
	path, changed := s.root, []string(nil)
	names := append([]string{name.Bucket}, components(name.Key)...)
	for _, component := range names[:len(names)-1] {
		parent := path
		path = filepath.Join(parent, component)
		made, err := s.enterLocked(path)
		if err != nil {
			return nil, err
		}
		if made {
			changed = append(changed, parent)
		}
	}
	changed = append(changed, path)
	path = filepath.Join(path, names[len(names)-1])
	if err := s.checkSpellingLocked(path); err != nil {
		return nil, err
	}
	taken, err := s.files.Stat(path)
	if err != nil && !missing(err) {
		return nil, err
	}
	// An object that once moved aside stays there, so that it never is in both places.
	if _, e := s.files.Stat(path + beside); e == nil || err == nil && taken.IsDir() {
		path += beside
	}
	return changed, s.files.Rename(from, path)
}

// enterLocked makes path a directory if it is none, moving an object of that name aside.
func (s *Store) enterLocked(path string) (made bool, err error) {
	if err := s.checkSpellingLocked(path); err != nil {
		return false, err
	}
	info, err := s.files.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return false, nil
	case err == nil:
		if err := s.files.Rename(path, path+beside); err != nil {
			return false, err
		}
	case !missing(err):
		return false, err
	}
	return true, s.files.Mkdir(path)
}

func (s *Store) checkSpellingLocked(path string) error {
	if !s.folds {
		return nil
	}
	other, err := s.otherSpelling(path)
	if err != nil && !missing(err) {
		return err
	}
	if other != "" {
		return fmt.Errorf("%w: %q exists as %q, and the file system does not tell them apart", object.ErrInvalid, filepath.Base(path), other)
	}
	return nil
}
