// Package engine is the embedded log: stream.Log and state.Store in one directory, on one disk.
//
// Everything that happens goes as a frame into one sequence of log files, and those files are the storage: nothing is written a second time
// to be read. Nothing is taken that has no place on the disk (place.go, spare.go). What many callers append is written and synced as one
// group (group.go, commit.go), published to readers once it is durable (shard.go), and stays in memory for readers at the end under one
// budget (block.go; older batches: read.go, ahead.go). A full file gets an index at its end and a checkpoint of everything else beside it
// (finish.go, checkpoint.go, and on a full disk early.go), so that opening reads at most the last files (recover.go). Files whose bytes are
// mostly dead are written anew (rewrite.go); damage to an index is made up for (recover.go, mend.go). The bytes are drawn in package format.
//
// The types to know: Engine, Config, and Check, which verifies a directory offline.
//
// Of streams that ask for it the last record of each key is kept, in files of their own (compact.go).
//
// Five goroutines: commit writes groups, finishFiles completes full files, provide keeps space ahead of the writer, maintain applies retention
// and gives space back, compact compacts. Two locks, taken in this order: Engine.mu guards what writers see, Engine.view what readers see, which is never more
// than what is durable. The small locks of a file, of the caches and of watchers come after both, that of the spare file before.
//
// It refuses to serve bytes that are not as they were written, to go on after a failed fsync, and to open a directory twice. It knows
// nothing of topics, sequence numbers or clients, and never reads the wall clock.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/watches"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// Engine is an open log. It implements stream.Log; State returns its state.Store.
type Engine struct {
	cfg  Config
	lock io.Closer
	pool *blockPool
	tail tail
	log  position // the committer's

	active  atomic.Pointer[logFile] // log.file, for others
	unclean bool                    // the log was not closed in order before it was opened

	admin sync.Mutex // one change of streams or bounds at a time, from check to publication; before mu

	mu      sync.Mutex
	open    *group        // filling
	writing *group        // on its way to the disk, or nil
	spare   *group        // nil while writing is not
	room    chan struct{} // closed when enter should look again: open is replaced, its file begun, one finished, or the disk full
	place   place         // where open will lie
	ahead   map[state.Key]*document
	epoch   int32 // the leader epoch of what is appended; constant once open
	lastNow int64
	nextID  int64 // next producer id
	lastID  int64 // the first one that is not reserved
	full    bool  // appends are refused: the disk is full, or no file can be opened
	lacking error // while full: what said so
	heldUp  int   // writes that wait for space
	early   bool  // the file ends with the next group, though it is not full
	closing bool
	failed  error

	view        sync.RWMutex
	tables      tables
	files       []*logFile          // by number
	checkpoints []savedMark         // oldest first
	compacted   map[uint64]*logFile // by number: files of what is compacted

	closed  bool // guarded by view: nothing is answered any more
	watches watches.Set

	compactor *compactor
	upkeep    upkeep

	index       indexCache
	mending     sync.Mutex // one damaged list of extents is made again at a time; before mu
	readAhead   readAhead
	readBuffers sync.Pool     // of *[]byte
	searching   chan struct{} // capacity maxSearches: one value for each batch that is looked into

	recycling    sync.Mutex
	spareSize    atomic.Int64 // of the spare file, 0 = there is none; who changes it holds recycling
	spareWritten int64        // guarded by recycling: how much of it was written to in an earlier life
	lending      sync.Mutex   // held while what the active file has reserved for what frees space is lent out
	spareUnnamed bool         // guarded by recycling: its name may not be durable yet: until it is, no byte of it changes

	work      chan struct{} // capacity 1: the open group has something
	hungry    chan struct{} // capacity 1: space should be provided
	chores    chan struct{} // capacity 1: a file may have become superfluous
	finishing chan finished // capacity 1: beside the file that is being finished, one waits
	fatal     chan error    // capacity 1
	leaving   chan struct{} // closed when nothing waits for space any more
	leave     sync.Once     // closes leaving
	stop      chan struct{} // closed when the engine fails or has closed
	halt      sync.Once     // closes stop
	ended     sync.WaitGroup
	committed chan struct{} // closed when commit has returned
	completed chan struct{} // closed when finishFiles has returned
	counters  counters
	recovery  time.Duration
}

// lockName is the file that keeps a second process out.
const lockName = "lock"

// Open opens the log in cfg.Dir, making it if there is none, and recovers what an unclean stop left behind. It returns *stream.CorruptError if
// bytes that were durable are not as they were written, vfs.ErrLocked (wrapped) if another process has the directory.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	for _, dir := range []string{cfg.Dir, filepath.Join(cfg.Dir, logDir)} {
		if err := vfs.MkdirAll(cfg.FS, dir); err != nil {
			return nil, fmt.Errorf("open log: %w", err)
		}
	}
	lock, err := cfg.FS.Lock(filepath.Join(cfg.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	e := &Engine{
		cfg:       cfg,
		lock:      lock,
		pool:      newBlockPool(blockGroups * int(cfg.GroupBytes)),
		tail:      tail{budget: cfg.TailBytes},
		room:      make(chan struct{}),
		ahead:     map[state.Key]*document{},
		tables:    newTables(cfg.MaxProducers),
		index:     indexCache{budget: cfg.IndexBytes},
		readAhead: readAhead{most: int(cfg.AheadBytes / cfg.ReadBytes)},
		searching: make(chan struct{}, maxSearches),
		work:      make(chan struct{}, 1),
		hungry:    make(chan struct{}, 1),
		chores:    make(chan struct{}, 1),
		finishing: make(chan finished, 1),
		fatal:     make(chan error, 1),
		leaving:   make(chan struct{}),
		stop:      make(chan struct{}),
		committed: make(chan struct{}),
		completed: make(chan struct{}),
	}
	e.upkeep.init(&e.cfg)
	e.compactor = newCompactor(e)
	began := cfg.Clock.Now()
	if err := e.recover(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", cfg.Dir, err), e.letGo())
	}
	e.recovery = cfg.Clock.Now().Sub(began)
	e.start()
	if e.unclean {
		// Durable before anyone learns of it: an epoch that a reader saw must not be used again for other records.
		if err := e.propose(ctx, true, &epochChange{e.tables.epoch}); err != nil {
			return nil, errors.Join(fmt.Errorf("open log %s: begin epoch: %w", cfg.Dir, err), e.Close())
		}
	}
	return e, nil
}

func (e *Engine) start() {
	e.open = &group{block: e.pool.get(0)}
	e.spare = &group{}
	e.place = place{file: e.log.file, at: e.log.at, batches: e.log.file.extents}
	e.nextID, e.lastID = e.tables.producerIDs, e.tables.producerIDs
	e.epoch = e.tables.epoch
	e.ended.Go(func() {
		defer close(e.committed)
		e.commit()
	})
	e.ended.Go(func() {
		defer close(e.completed)
		e.finishFiles()
	})
	e.ended.Go(e.provide)
	e.ended.Go(e.maintain)
	e.ended.Go(e.compact)
}

// letGo closes files and lock.
func (e *Engine) letGo() error {
	e.readAhead.close()
	var errs []error
	for _, f := range e.files {
		errs = append(errs, f.release())
	}
	for _, f := range e.compacted {
		if f.file != nil {
			errs = append(errs, f.release())
		}
	}
	e.tail.clear()
	return errors.Join(append(errs, e.lock.Close())...)
}

// Close takes no more, makes durable what it has taken, and writes a checkpoint, so that the next Open need not recover. After it nothing of
// the engine runs. If the engine has failed it returns why.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return stream.ErrClosed
	}
	e.closing = true
	e.mu.Unlock()
	e.GiveUp()
	e.wake()
	<-e.committed // everything taken is published, or the engine has failed
	close(e.finishing)
	<-e.completed
	e.halt.Do(func() { close(e.stop) })
	e.ended.Wait()
	e.view.Lock()
	e.closed = true
	e.view.Unlock()
	e.watches.Close()
	var errs []error
	e.mu.Lock()
	failed := e.failed
	e.mu.Unlock()
	if failed == nil {
		errs = append(errs, e.dropSpare(), e.closingCheckpoint()) // in this order: what the one gives up may be what the other needs
	}
	e.view.Lock()
	e.tables = newTables(0)
	e.view.Unlock()
	return errors.Join(append(errs, failed, e.letGo())...)
}

// Fatal has a value once the engine has stopped for good: an fsync or write has failed and what of it reached the disk is unknown. Appends
// are answered with stream.ErrUnavailable from then on; the way out is a new Open, which recovers.
func (e *Engine) Fatal() <-chan error { return e.fatal }

// GiveUp ends all waiting for space, now and later: what was taken and a full disk holds up is answered with an error, and the engine stops for
// good. It is for who wants to close the log and cannot yet, because of callers that wait in it.
func (e *Engine) GiveUp() { e.leave.Do(func() { close(e.leaving) }) }

// State returns the engine's documents and leases.
func (e *Engine) State() state.Store { return (*store)(e) }

// propose makes one change durable: it gets into the next group, and propose returns when it is published.
func (e *Engine) propose(ctx context.Context, urgent bool, changes ...change) error {
	var payloads [][]byte
	need := 0
	for _, c := range changes {
		payloads = append(payloads, c.encode(nil))
		need += len(payloads[len(payloads)-1]) + format.EntrySize
	}
	if err := e.enter(ctx, need, 0, urgent); err != nil {
		return err
	}
	now := e.nowLocked()
	for i, c := range changes {
		e.open.addChange(c, payloads[i], now)
	}
	r := e.receiptLocked()
	e.mu.Unlock()
	return r.wait(ctx)
}
