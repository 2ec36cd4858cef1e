package dir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/vfs"
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
		if err := s.makeDirs(s.root, dir); err != nil {
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

// makeDirs makes directories, each in the one before, durably.
func (s *Store) makeDirs(paths ...string) error {
	s.tree.Lock()
	defer s.tree.Unlock()
	for _, path := range paths {
		if s.durable[path] {
			continue
		}
		if err := s.makeDirLocked(path); err != nil {
			return err
		}
	}
	return nil
}

// maxDurable bounds the directories that are known to be durable: one that is not known is synced once more.
const maxDurable = 10_000

// makeDirLocked makes a directory, or finds it, and makes its name durable before anything is made in it: that it is there does not say that it will
// be after a power cut, if whoever made it has failed since.
func (s *Store) makeDirLocked(path string) error {
	mkdir := s.mkdir
	if path == s.root {
		mkdir = func(path string) error { return vfs.MkdirAll(s.files, path) }
	}
	if err := mkdir(path); err != nil {
		return err
	}
	if len(s.durable) >= maxDurable {
		clear(s.durable)
	}
	s.durable[path] = true
	return nil
}

// mkdir makes a directory, or finds it, in one that is durable, and makes its name durable.
func (s *Store) mkdir(path string) error {
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
	dir, err := s.place(w.path, w.name)
	if err != nil {
		return object.Info{}, errors.Join(err, s.files.Remove(w.path))
	}
	// A directory that is gone took the object along: someone deleted it since.
	if err := s.files.SyncDir(dir); err != nil && !missing(err) {
		return object.Info{}, err
	}
	return object.Info{Name: w.name, Size: w.size, Modified: now}, nil
}

// place moves a finished file to its object's path, and returns its directory, in which the name is still to be made durable.
func (s *Store) place(from string, name object.Name) (string, error) {
	s.tree.Lock()
	defer s.tree.Unlock()
	dir := s.root
	names := append([]string{name.Bucket}, components(name.Key)...)
	for _, component := range names[:len(names)-1] {
		dir = filepath.Join(dir, component)
		if err := s.enterLocked(dir); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, names[len(names)-1])
	if err := s.checkSpellingLocked(path); err != nil {
		return "", err
	}
	taken, err := s.files.Stat(path)
	if err != nil && !missing(err) {
		return "", err
	}
	// An object that once moved aside stays there, so that it never is in both places.
	if _, e := s.files.Stat(path + beside); e == nil || err == nil && taken.IsDir() {
		path += beside
	}
	return dir, s.files.Rename(from, path)
}

// enterLocked makes path a durable directory if it is none, moving an object of that name aside.
func (s *Store) enterLocked(path string) error {
	if err := s.checkSpellingLocked(path); err != nil {
		return err
	}
	info, err := s.files.Stat(path)
	switch {
	case err == nil && info.IsDir():
		if s.durable[path] {
			return nil
		}
	case err == nil:
		if err := s.files.Rename(path, path+beside); err != nil {
			return err
		}
	case !missing(err):
		return err
	}
	return s.makeDirLocked(path)
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
