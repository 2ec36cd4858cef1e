// Package dir keeps objects as plain files: object o of bucket b is the file root/b/o, for any tool to read. Store is the object.Store.
//
//	root/<bucket>/<key>      committed objects; names as escape.go has it
//	root/.staging/<n>        objects being written; emptied by the first writer of the next start
//	root/.uploads/<id>/      parts of multipart uploads, which outlive a restart
//
// A committed object is durable: its bytes and the directories above it are synced before the rename that shows it, its name after it. One
// process at a time may write below a root; any number may read.
//
// It refuses keys whose file would be another key's on this file system: one that folds case (macOS, Windows) has no place for both "a" and
// "A". Where paths are short (macOS: 1,024 bytes) the system's error refuses longer ones. Windows does not sync directories, and does not
// replace or delete an object while it is being read: the call fails and may be repeated.
package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
)

// Config is what a Store needs. Root is required.
type Config struct {
	Root   string      // made when the first object is written
	Clock  clock.Clock // nil = clock.Real
	Random io.Reader   // for upload ids; nil = crypto/rand

	files files // nil = the operating system's
	folds *bool // whether the file system takes "a" and "A" for one name; nil = as on this system by default
}

// Store keeps objects below one root.
type Store struct {
	root   string
	clock  clock.Clock
	random io.Reader
	files  files
	folds  bool

	// tree guards the shape of the directories: exclusively where files and directories move or go, shared where one is listed.
	tree    sync.RWMutex
	durable map[string]bool // guarded by tree: directories whose names are durable, at most maxDurable of them

	mu     sync.Mutex // guards the fields below
	staged bool       // the staging directory exists and holds nothing of an earlier start
	next   int        // of staging files
}

// New returns the store of a root. It touches no file: a root that does not exist reads as an empty store.
func New(config Config) (*Store, error) {
	if config.Root == "" {
		return nil, errors.New("object directory: no root given")
	}
	s := &Store{
		root: filepath.Clean(config.Root), clock: config.Clock, random: config.Random, files: config.files, durable: map[string]bool{},
		folds: runtime.GOOS == "darwin" || runtime.GOOS == "windows",
	}
	if s.clock == nil {
		s.clock = clock.Real()
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.files == nil {
		s.files = disk{}
	}
	if config.folds != nil {
		s.folds = *config.folds
	}
	return s, nil
}

// Root returns the directory of the buckets.
func (s *Store) Root() string { return s.root }

// path returns where an object is unless its name is also a directory; beside is where it is then.
func (s *Store) path(name object.Name) string {
	return filepath.Join(slices.Concat([]string{s.root, name.Bucket}, components(name.Key))...)
}

// missing says that an error means that a path does not exist: also because a directory of it is a file.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// locate returns the path of an object's file, and its description.
func (s *Store) locate(name object.Name) (string, object.Info, error) {
	plain := s.path(name)
	for _, path := range []string{plain, plain + beside} {
		info, err := s.files.Stat(path)
		if err == nil && info.Mode().IsRegular() && s.spelled(path) {
			return path, describe(name, info), nil
		}
		if err != nil && !missing(err) {
			return "", object.Info{}, fmt.Errorf("find %s: %w", name, err)
		}
	}
	return "", object.Info{}, fmt.Errorf("%w: %s", object.ErrNotFound, name)
}

func describe(name object.Name, info fs.FileInfo) object.Info {
	return object.Info{Name: name, Size: info.Size(), Modified: info.ModTime()}
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name object.Name) (object.Info, error) {
	if err := errors.Join(name.Check(), context.Cause(ctx)); err != nil {
		return object.Info{}, err
	}
	_, info, err := s.locate(name)
	return info, err
}

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name object.Name, from, length int64) (io.ReadCloser, object.Info, error) {
	if err := errors.Join(name.Check(), context.Cause(ctx)); err != nil {
		return nil, object.Info{}, err
	}
	// Between locate and Open the object may move beside a new directory, or be deleted: the second round finds it, or that it is gone.
	var f file
	var path string
	var err error
	for range 2 {
		if path, _, err = s.locate(name); err != nil {
			return nil, object.Info{}, err
		}
		if f, err = s.files.Open(path); err == nil {
			break
		}
	}
	if missing(err) {
		return nil, object.Info{}, fmt.Errorf("%w: %s", object.ErrNotFound, name)
	}
	if err != nil {
		return nil, object.Info{}, fmt.Errorf("open %s: %w", name, err)
	}
	info, end, err := position(f, name, from, length)
	if err != nil {
		f.Close()
		return nil, object.Info{}, err
	}
	return section{io.LimitReader(f, end-from), f}, info, nil
}

func position(f file, name object.Name, from, length int64) (object.Info, int64, error) {
	info, err := f.Stat()
	if err != nil {
		return object.Info{}, 0, fmt.Errorf("describe %s: %w", name, err)
	}
	end, err := object.Extent(info.Size(), from, length)
	if err != nil {
		return object.Info{}, 0, err
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return object.Info{}, 0, fmt.Errorf("seek in %s: %w", name, err)
	}
	return describe(name, info), end, nil
}

type section struct {
	io.Reader
	io.Closer
}

// Delete implements object.Store. Directories that it leaves empty go too.
func (s *Store) Delete(ctx context.Context, name object.Name) error {
	if err := errors.Join(name.Check(), context.Cause(ctx)); err != nil {
		return err
	}
	left, err := s.remove(name)
	if err != nil || left == "" {
		return err
	}
	if err := s.files.SyncDir(left); err != nil && !missing(err) {
		return fmt.Errorf("sync %s after deleting %s: %w", left, name, err)
	}
	return nil
}

// remove removes an object's file and returns the deepest directory above it that is left, "" if there was no file.
func (s *Store) remove(name object.Name) (string, error) {
	s.tree.Lock()
	defer s.tree.Unlock()
	path, _, err := s.locate(name)
	if errors.Is(err, object.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if err := s.files.Remove(path); err != nil {
		return "", fmt.Errorf("delete %s: %w", name, err)
	}
	for path = filepath.Dir(path); path != s.root && s.files.Remove(path) == nil; path = filepath.Dir(path) {
		delete(s.durable, path)
	}
	return path, nil
}

// spelled says whether a path that exists has exactly this spelling, which is certain unless the file system folds case.
func (s *Store) spelled(path string) bool {
	if !s.folds {
		return true
	}
	for ; path != s.root; path = filepath.Dir(path) {
		if other, _ := s.otherSpelling(path); other != "" {
			return false
		}
	}
	return true
}

// otherSpelling returns the name of what exists at path if it is not path's own.
func (s *Store) otherSpelling(path string) (string, error) {
	entries, err := s.files.ReadDir(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	other := ""
	for _, e := range entries {
		if e.Name() == filepath.Base(path) {
			return "", nil
		}
		if strings.EqualFold(e.Name(), filepath.Base(path)) {
			other = e.Name()
		}
	}
	return other, nil
}
