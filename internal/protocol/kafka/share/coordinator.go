package share

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/deadline"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

const (
	groupKind  = "kafka-share-group"  // of a group's document, whose id is prefix and the group's id
	windowKind = "kafka-share-window" // of a window's, whose id is the group's key, the stream's id and the shard's index
	prefix     = "group/"
)

// Log is what share groups need of a stream.Log.
type Log interface {
	Stream(ctx context.Context, name stream.Name) (*stream.Stream, error)
	StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error)
	Read(ctx context.Context, shard stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error)
	Bounds(ctx context.Context, shard stream.Shard) (stream.Bounds, error)
	OffsetAt(ctx context.Context, shard stream.Shard, t time.Time) (at stream.Offset, timestamp time.Time, ok bool, err error)
	Aborted(ctx context.Context, shard stream.Shard, from, to stream.Offset) ([]stream.Aborted, error)
	Revision() uint64
	Watch() stream.Watcher
}

// Memory is what answers may take together.
type Memory interface {
	TakeUpTo(n int64) int64
	Give(n int64)
	// TakeBatch waits until there is memory for a batch that exceeds what TakeUpTo has given, and GiveBatch gives it back. An answer has one at most.
	TakeBatch(ctx context.Context) error
	GiveBatch()
}

// smallBatch is by how much an answer may exceed its memory without TakeBatch.
const smallBatch = 16 << 10

// Deps is what a Coordinator works with.
type Deps struct {
	Log    Log
	Store  state.Store
	Clock  clock.Clock
	Random io.Reader // keys of groups are drawn from it
	Logger *slog.Logger
	Memory Memory // of records in answers
	// Settings returns what holds for a group, beginning with the defaults; nil = the defaults for all. It must not block.
	Settings func(group string, defaults Settings) Settings
}

// Coordinator keeps all share groups of a node. Its methods are safe for concurrent use; they return *kerr.Error for what a client did wrong or
// has to wait for, and other errors when the log or the store failed.
type Coordinator struct {
	config Config
	Deps

	watcher stream.Watcher // on the shards in sessions
	keeping chan struct{}  // has a value when there is something to keep; never closed

	mu         sync.Mutex // guards what follows, and all groups and windows
	groups     map[string]*groupEntry
	byShard    map[stream.Shard][]*windowEntry // those in sessions
	owners     map[any]map[*session]bool       // sessions by the connection they came over
	due        *deadline.Queue[any]            // of *groupEntry and *windowEntry
	round      *round                          // what is to be kept next, or nil
	unkept     round                           // what could not be deleted
	windows    int
	sessions   int
	subscribed int    // shards in all sessions
	passes     uint64 // counts looks at windows
	bytes      int64
	stopped    bool
}

// groupEntry is a group with what the coordinator keeps beside it.
type groupEntry struct {
	timer deadline.Timer[any]
	*Group
	id, key  string
	windows  map[stream.Shard]*windowEntry
	sessions map[string]*session // by member
	looked   uint64              // Log.Revision when its topics were looked at last
	size     int64               // Group.Bytes as counted in Coordinator.bytes
	gone     bool                // deleted
	round    *round              // that will keep it
}

// windowEntry is a window with what the coordinator keeps beside it.
type windowEntry struct {
	timer deadline.Timer[any]
	*Window
	group *groupEntry
	shard stream.Shard
	gone  bool   // deleted, with its group or stream
	round *round // that will keep it

	subs  []*sub // sessions that want its records
	turn  int    // whose turn it is to be woken
	news  uint64 // counts what may let somebody acquire who could not before
	busy  bool   // somebody is reading for it
	upTo  stream.Offset
	asked bool // upTo is where its records ended when it was read last, and nothing has happened since
}

// New returns a coordinator with all groups that were kept.
func New(ctx context.Context, config Config, deps Deps) (*Coordinator, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{
		config: config.WithDefaults(), Deps: deps, watcher: deps.Log.Watch(), due: deadline.NewQueue[any](), keeping: make(chan struct{}, 1),
		groups: map[string]*groupEntry{}, byShard: map[stream.Shard][]*windowEntry{}, owners: map[any]map[*session]bool{},
	}
	if err := c.load(ctx); err != nil {
		c.watcher.Close()
		return nil, err
	}
	return c, nil
}

func (c *Coordinator) load(ctx context.Context) error {
	docs, err := c.Store.List(ctx, groupKind, prefix)
	if err != nil {
		return fmt.Errorf("load share groups: %w", err)
	}
	byKey := map[string]*groupEntry{}
	revision := c.Log.Revision()
	for _, d := range docs {
		id := d.ID[len(prefix):]
		now := c.Clock.Now()
		g, key, err := decodeGroup(d.Value, now)
		if err != nil {
			return fmt.Errorf("load share group %q: %w", id, err)
		}
		topics, err := c.topics(ctx, g.Names())
		if err != nil {
			return fmt.Errorf("load share group %q: %w", id, err)
		}
		g.SetTopics(topics)
		g.Assign(now, 0)
		byKey[key] = c.insertLocked(id, key, g)
		byKey[key].looked = revision
		c.settleGroupLocked(byKey[key])
	}
	if docs, err = c.Store.List(ctx, windowKind, ""); err != nil {
		return fmt.Errorf("load share windows: %w", err)
	}
	for _, d := range docs {
		key, shard, err := parseWindowID(d.ID)
		if err != nil {
			return err
		}
		w, err := DecodeWindow(d.Value, c.config.Defaults.Limits)
		if err != nil {
			return fmt.Errorf("load share window %s: %w", d.ID, err)
		}
		if g := byKey[key]; g != nil { // else its group was being deleted
			c.insertWindowLocked(g, shard, w)
		} else if _, err = c.Store.Apply(ctx, state.Change{Key: d.Key, If: state.Any, Delete: true}); err != nil {
			return fmt.Errorf("forget share window %s: %w", d.ID, err)
		}
	}
	return nil
}

// windowID names a window's document.
func windowID(key string, s stream.Shard) string {
	return fmt.Sprintf("%s/%s/%d", key, s.Stream, s.Index)
}

func parseWindowID(id string) (key string, s stream.Shard, err error) {
	parts := strings.Split(id, "/")
	if len(parts) == 3 {
		if s.Stream, err = stream.ParseID(parts[1]); err == nil {
			if _, err = fmt.Sscanf(parts[2], "%d", &s.Index); err == nil {
				return parts[0], s, nil
			}
		}
	}
	return "", stream.Shard{}, fmt.Errorf("load share window: there is none by the id %q", id)
}

func (c *Coordinator) insertLocked(id, key string, g *Group) *groupEntry {
	e := &groupEntry{id: id, key: key, Group: g, windows: map[stream.Shard]*windowEntry{}, sessions: map[string]*session{}}
	e.timer.Of = e
	c.groups[id] = e
	return e
}

func (c *Coordinator) insertWindowLocked(g *groupEntry, s stream.Shard, w *Window) *windowEntry {
	e := &windowEntry{Window: w, group: g, shard: s, news: 1}
	e.timer.Of = e
	g.windows[s] = e
	c.windows++
	return e
}

// newKey draws the key of a group.
func (c *Coordinator) newKeyLocked() (string, error) {
	var b [12]byte
	if _, err := io.ReadFull(c.Random, b[:]); err != nil {
		return "", fmt.Errorf("draw key of share group: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// settings returns what holds for a group.
func (c *Coordinator) settings(group string) Settings {
	if c.Deps.Settings == nil {
		return c.config.Defaults
	}
	return c.Deps.Settings(group, c.config.Defaults)
}

// entryLocked finds a group. GROUP_ID_NOT_FOUND, COORDINATOR_NOT_AVAILABLE.
func (c *Coordinator) entryLocked(id string) (*groupEntry, error) {
	if c.stopped {
		return nil, kerr.CoordinatorNotAvailable
	}
	if e := c.groups[id]; e != nil {
		return e, nil
	}
	return nil, kerr.GroupIDNotFound
}

// topics finds the streams of names; those that there are not are left out.
func (c *Coordinator) topics(ctx context.Context, names []string) (map[string]Topic, error) {
	topics := make(map[string]Topic, len(names))
	for _, name := range names {
		st, err := c.Log.Stream(ctx, stream.Name(name))
		if errors.Is(err, stream.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		topics[name] = Topic{ID: st.ID, Shards: st.Shards}
	}
	return topics, nil
}

// sweepEvery is the time between two looks for windows whose streams are gone.
const sweepEvery = time.Minute

// Run watches the log and deadlines, and keeps documents, until ctx ends. Then whoever still waits is told to come again.
func (c *Coordinator) Run(ctx context.Context) {
	var done sync.WaitGroup
	done.Go(func() { c.keep(ctx) })
	defer done.Wait()
	defer c.stop()
	var moved []stream.Shard
	loop := deadline.Loop{
		Clock: c.Clock, Wake: c.due.Wake(), Until: c.untilNext, Due: c.tick, Every: sweepEvery, Sweep: func() { c.sweep(ctx) },
		News: c.watcher.Ready(), Notice: func() {
			moved = c.watcher.Take(moved[:0])
			c.moved(moved)
		},
	}
	loop.Run(ctx)
}

// stop tells everybody who waits.
func (c *Coordinator) stop() {
	c.watcher.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, g := range c.groups {
		for _, s := range g.sessions {
			s.wakeAll()
		}
	}
}

// moved takes in that something has happened to shards.
func (c *Coordinator) moved(shards []stream.Shard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range shards {
		for _, w := range c.byShard[s] {
			c.newsLocked(w)
		}
	}
}

// sweep forgets windows whose streams are gone.
func (c *Coordinator) sweep(ctx context.Context) {
	c.mu.Lock()
	c.retryLocked()
	streams := map[stream.ID][]*windowEntry{}
	for _, g := range c.groups {
		for s, w := range g.windows {
			streams[s.Stream] = append(streams[s.Stream], w)
		}
	}
	c.mu.Unlock()
	for id, windows := range streams {
		if _, err := c.Log.StreamByID(ctx, id); !errors.Is(err, stream.ErrNotFound) {
			continue
		}
		c.mu.Lock()
		for _, w := range windows {
			c.forgetLocked(w)
		}
		c.mu.Unlock()
	}
}

// forgetLocked removes a window.
func (c *Coordinator) forgetLocked(w *windowEntry) {
	if w.gone {
		return
	}
	w.gone = true
	delete(w.group.windows, w.shard)
	c.windows--
	c.due.Set(&w.timer, time.Time{})
	for _, s := range append([]*sub(nil), w.subs...) {
		s.session.dropLocked(c, s)
	}
	c.keepLocked(w)
}
