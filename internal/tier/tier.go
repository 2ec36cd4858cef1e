// Package tier keeps the older part of streams as objects: Log is a stream.Log over another one, the local log, that copies what streams with
// Config.Tier have to an object.Store, lets the local log drop it afterwards, and reads it back. New makes one, Run does the copying.
//
// A segment is a range of batches of one shard, and one object (segment.go draws it). What segments a shard has is in documents of the state
// (head.go): a number is stored before its object is begun, and the segment after its object is durable; only then may the local log lose the
// range. A number is never used for other bytes, so that whatever a slow store still does to an object that was given up hurts nobody.
// A shard's readable part is that of its segments and, from the local log's start on, the local log; the two overlap.
//
// Streams that are not tiered are the local log's alone, and cost a look into one variable.
//
// It refuses compacted streams, whose batches change after they were copied. It does not keep what the local log alone has: producers, cursors,
// open transactions. Without the local log and its documents objects are only bytes.
package tier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Config is what a Log needs to know. The zero value of each field but Bucket means its default.
type Config struct {
	Bucket string // of the objects
	Prefix string // what their keys begin with, "" or ending with a slash

	CacheBytes int64 // memory for what was read back, what readers hold of it too; beyond half of it they get copies; 0 = DefaultCacheBytes
	BlockBytes int   // what is read from an object at once, or one batch; 0 = DefaultBlockBytes
	AheadParts int   // blocks that are read before they are asked for, per reader, half of the cache at most; 0 = DefaultAheadParts
	Loads      int   // blocks being read from objects at the same time; 0 = DefaultLoads
	Copies     int   // segments being copied, and shards whose objects are deleted, at the same time; 0 = DefaultCopies

	Interval    time.Duration // how often shards are looked at; 0 = DefaultInterval
	ReadWait    time.Duration // how long a reader waits for an object; 0 = DefaultReadWait
	LoadTimeout time.Duration // how long reading a block may take, for who asks next; 0 = DefaultLoadTimeout
	Stall       time.Duration // how long a copy may make no progress; 0 = DefaultStall
	MostBackoff time.Duration // how long a shard's copies wait after failures, at most; the first wait is Interval; 0 = DefaultMostBackoff
	SweepEvery  time.Duration // how often all objects are listed, for those that no document knows; 0 = DefaultSweepEvery

	headSegments int   // segments in a head document, at most
	keepAll      bool  // tests: retention takes nothing
	everything   int64 // tests: all streams are tiered but compacted ones, all that may be copied is, in segments of so many bytes, and leaves the local log
}

// The defaults of Config.
const (
	DefaultCacheBytes  = 64 << 20
	DefaultBlockBytes  = 1 << 20
	DefaultAheadParts  = 8
	DefaultLoads       = 16
	DefaultCopies      = 2
	DefaultInterval    = 10 * time.Second
	DefaultReadWait    = 5 * time.Second
	DefaultLoadTimeout = time.Minute
	DefaultStall       = 2 * time.Minute
	DefaultMostBackoff = 5 * time.Minute
	DefaultSweepEvery  = 24 * time.Hour
)

// defaultHeadSegments is how many segments a head document has before half of them move to a page: it is written twice per segment.
const defaultHeadSegments = 64

// Deps are what a Log works with. Local, State and Objects must be set.
type Deps struct {
	Local   stream.Log
	State   state.Store
	Objects object.Store
	Clock   clock.Clock  // nil = clock.Real()
	Random  io.Reader    // nil = crypto/rand
	Logger  *slog.Logger // nil = no log

	// Full says that the local log takes nothing for want of space; nil = it never is. Then all that may be copied is, and leaves it.
	Full func() bool
}

// Log is a stream.Log whose streams may be tiered. Its methods are safe for concurrent use.
type Log struct {
	stream.Log // the local one
	cfg        Config
	state      state.Store
	objects    object.Store
	full       func() bool
	clock      clock.Clock
	logger     *slog.Logger
	id         string // of this tier, in the keys of its objects

	any    atomic.Bool // shards has, or had, something
	shards sync.Map    // stream.Shard → *shard
	making sync.Mutex  // held while one is put into shards

	watching sync.Mutex // guards watchers and their shards
	watchers map[*watcher]struct{}

	cache    *cache
	slots    chan struct{} // one value for each load in progress
	loads    sync.WaitGroup
	ctx      context.Context // ends with Close: of loads
	cancel   context.CancelCauseFunc
	kicked   chan struct{} // capacity 1: there may be something to do before the interval is over
	swept    atomic.Int64  // when all objects were listed last, milliseconds; 0 = not since New
	counters counters
}

// errClosed ends what is in progress when a Log is closed.
var errClosed = fmt.Errorf("%w: tier closed", stream.ErrClosed)

// New returns a Log over deps.Local, with the documents of its shards read.
func New(ctx context.Context, cfg Config, deps Deps) (*Log, error) {
	cfg.setDefaults()
	if err := object.CheckBucket(cfg.Bucket); err != nil {
		return nil, fmt.Errorf("tier: %w", err)
	}
	l := &Log{
		Log: deps.Local, cfg: cfg, state: deps.State, objects: deps.Objects, full: deps.Full, clock: deps.Clock, logger: deps.Logger,
		watchers: map[*watcher]struct{}{}, cache: newCache(cfg.CacheBytes), slots: make(chan struct{}, cfg.Loads), kicked: make(chan struct{}, 1),
	}
	if l.clock == nil {
		l.clock = clock.Real()
	}
	if l.full == nil {
		l.full = func() bool { return false }
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	var err error
	if l.id, err = tierID(ctx, deps.State, deps.Random); err != nil {
		return nil, fmt.Errorf("tier: %w", err)
	}
	if err = l.load(ctx); err != nil {
		return nil, fmt.Errorf("tier: %w", err)
	}
	return l, nil
}

func (c *Config) setDefaults() {
	orDefault(&c.CacheBytes, DefaultCacheBytes)
	orDefault(&c.BlockBytes, DefaultBlockBytes)
	orDefault(&c.AheadParts, DefaultAheadParts)
	orDefault(&c.Loads, DefaultLoads)
	orDefault(&c.Copies, DefaultCopies)
	orDefault(&c.Interval, DefaultInterval)
	orDefault(&c.ReadWait, DefaultReadWait)
	orDefault(&c.LoadTimeout, DefaultLoadTimeout)
	orDefault(&c.Stall, DefaultStall)
	orDefault(&c.MostBackoff, DefaultMostBackoff)
	orDefault(&c.SweepEvery, DefaultSweepEvery)
	orDefault(&c.headSegments, defaultHeadSegments)
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Close ends reading from objects. Run must have returned. It does not close the local log.
func (l *Log) Close() {
	l.cancel(errClosed)
	l.loads.Wait()
}

// on says whether the older part of a stream goes to objects.
func (l *Log) on(c *stream.Config) bool {
	return (c.Tier.On || l.cfg.everything > 0) && !c.Compaction.On
}

// find returns what is known of a shard's segments, or nil if it has none.
func (l *Log) find(id stream.Shard) *shard {
	if !l.any.Load() {
		return nil
	}
	if s, ok := l.shards.Load(id); ok {
		return s.(*shard)
	}
	return nil
}

// shard returns the shard of that address, making it if it is not there yet.
func (l *Log) shard(id stream.Shard) *shard {
	if s := l.find(id); s != nil {
		return s
	}
	l.making.Lock()
	defer l.making.Unlock()
	s, _ := l.shards.LoadOrStore(id, newShard(id))
	l.any.Store(true)
	return s.(*shard)
}

// load reads the documents of all shards.
func (l *Log) load(ctx context.Context) error {
	heads, err := l.state.List(ctx, headKind, "")
	if err != nil {
		return err
	}
	for _, d := range heads {
		id, err := parseHeadID(d.ID)
		if err != nil {
			return err
		}
		s := l.shard(id)
		if err = s.load(ctx, l, d); err != nil {
			return err
		}
		b, err := l.Log.Bounds(ctx, id)
		if err == nil { // before anyone sees where the shard begins, what a Trim began is finished
			err = l.trimLocal(ctx, id, s.view.Load().start, b.Start)
		}
		if err != nil && !errors.Is(err, stream.ErrNotFound) {
			return fmt.Errorf("shard %d of stream %s: %w", id.Index, id.Stream, err)
		}
	}
	return nil
}

// Create implements stream.Log.
func (l *Log) Create(ctx context.Context, spec stream.Spec) (*stream.Stream, error) {
	if err := check(&spec.Config); err != nil {
		return nil, err
	}
	return l.Log.Create(ctx, spec)
}

// check refuses what cannot be tiered.
func check(c *stream.Config) error {
	if c.Tier.On && c.Compaction.On {
		return fmt.Errorf("%w: a compacted stream cannot be tiered", stream.ErrInvalid)
	}
	return nil
}

// Alter implements stream.Log. Of a stream that is tiered no more what is only in objects is gone when it returns.
func (l *Log) Alter(ctx context.Context, id stream.ID, change stream.Change) (*stream.Stream, error) {
	if change.Config != nil {
		if err := check(change.Config); err != nil {
			return nil, err
		}
	}
	st, err := l.Log.Alter(ctx, id, change)
	if err != nil || change.Config == nil {
		return st, err
	}
	defer l.kick()
	if l.on(&st.Config) {
		return st, nil
	}
	for i := range st.Shards {
		if s := l.find(st.Shard(i)); s != nil {
			if err := l.forget(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	return st, nil
}

// Delete implements stream.Log. The objects go when Run comes to it; their documents say so, also after a restart.
func (l *Log) Delete(ctx context.Context, id stream.ID) error {
	err := l.Log.Delete(ctx, id)
	l.kick()
	return err
}

// kick has Run look at all shards soon.
func (l *Log) kick() {
	select {
	case l.kicked <- struct{}{}:
	default:
	}
}

// unavailable is an error of the object store as readers of the log see it: they may try again.
func unavailable(what string, err error) error {
	if errors.Is(err, context.Canceled) && !errors.Is(err, errClosed) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", stream.ErrUnavailable, what, err)
}
