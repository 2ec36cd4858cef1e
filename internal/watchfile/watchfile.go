// Package watchfile keeps values that are made of files which others write and renew: a Value looks at its files again while it is used, so that a
// renewed file counts without a restart. A file that has become unreadable, or of which nothing can be made, leaves what was made before in force, and
// is logged.
//
// It refuses to watch directories, and to wait for a change.
package watchfile

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// LookEach is how long files are taken to be as they were: then Current looks at their times and sizes.
const LookEach = time.Second

// MaxBytes bounds a file. Bundles of all public authorities have 250 KiB.
const MaxBytes = 4 << 20

// Counts counts what became of the files of several Values. The zero Counts is ready. Safe for concurrent use.
type Counts struct{ read, failed, stale atomic.Int64 }

// Read returns how often changed files were read again, and a value was made of them.
func (c *Counts) Read() int64 { return c.read.Load() }

// Failed returns how often that could not be done.
func (c *Counts) Failed() int64 { return c.failed.Load() }

// Stale returns how many Values are not made of their files as they are now.
func (c *Counts) Stale() int64 { return c.stale.Load() }

// Value is something made of files. Safe for concurrent use.
type Value[T any] struct {
	paths  []string
	make   func(contents [][]byte) (T, error)
	clock  clock.Clock
	logger *slog.Logger
	counts *Counts

	mu     sync.Mutex
	value  T       // guarded by mu
	serial uint64  // guarded by mu: of value, counted from 1
	stale  bool    // guarded by mu: value is not made of the files as they are
	stamps []stamp // guarded by mu: of the files when they were last read, whatever came of it
	looked time.Time
}

// stamp tells whether a file has been written since.
type stamp struct {
	at   time.Time
	size int64
}

// Open reads files and makes a value of their contents, in the order of paths. What becomes of them later is counted in counts, unless that is nil.
func Open[T any](paths []string, c clock.Clock, logger *slog.Logger, counts *Counts, from func(contents [][]byte) (T, error)) (*Value[T], error) {
	if counts == nil {
		counts = &Counts{}
	}
	w := &Value[T]{paths: paths, make: from, clock: c, logger: logger, counts: counts, serial: 1, looked: c.Now()}
	stamps, err := w.look()
	if err != nil {
		return nil, err
	}
	w.stamps = stamps
	w.value, err = w.read()
	return w, err
}

// Current returns the value of the files as they are now, or as they were when it could last be made of them.
func (w *Value[T]) Current() T {
	value, _ := w.Serial()
	return value
}

// Serial returns the current value with a number that is another whenever the value was made anew.
func (w *Value[T]) Serial() (T, uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	if since := now.Sub(w.looked); since < 0 || since >= LookEach {
		w.looked = now
		w.refreshLocked()
	}
	return w.value, w.serial
}

// refreshLocked makes the value anew if the files have changed.
func (w *Value[T]) refreshLocked() {
	stamps, err := w.look()
	if err == nil && equal(stamps, w.stamps) {
		return
	}
	if err != nil && w.stamps == nil { // still not there, and told already
		return
	}
	w.stamps = stamps
	if err == nil {
		var read T
		if read, err = w.read(); err == nil {
			w.value = read
			w.serial++
			w.counts.read.Add(1)
			w.setStaleLocked(false)
			w.logger.Info("files read again", "files", w.paths)
			return
		}
	}
	w.counts.failed.Add(1)
	w.setStaleLocked(true)
	w.logger.Error("files cannot be read: what was read before stays in force", "files", w.paths, "error", err)
}

func (w *Value[T]) setStaleLocked(stale bool) {
	if w.stale == stale {
		return
	}
	w.stale = stale
	if stale {
		w.counts.stale.Add(1)
	} else {
		w.counts.stale.Add(-1)
	}
}

func (w *Value[T]) look() ([]stamp, error) {
	stamps := make([]stamp, len(w.paths))
	for i, path := range w.paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}

func equal(a, b []stamp) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].at.Equal(b[i].at) || a[i].size != b[i].size {
			return false
		}
	}
	return true
}

func (w *Value[T]) read() (value T, err error) {
	contents := make([][]byte, len(w.paths))
	for i, path := range w.paths {
		if contents[i], err = readBounded(path); err != nil {
			return value, err
		}
	}
	return w.make(contents)
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err == nil && len(content) > MaxBytes {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("more than %d bytes", MaxBytes)}
	}
	return content, err
}
