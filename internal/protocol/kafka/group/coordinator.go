package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/kafka/deadline"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

const (
	kind   = "kafka-group" // of a group's document
	prefix = "group/"      // before the group id in a document's id and in a cursor's owner
)

// Deps is what a Coordinator works with.
type Deps struct {
	Log    stream.Cursors
	Names  Names
	Store  state.Store
	Clock  clock.Clock
	Random io.Reader // member ids are drawn from it
	Logger *slog.Logger
	// Settings returns what holds for a consumer group, StreamsSettings the same for a streams group; nil = what Config says for all. They must not block.
	Settings        func(group string) Settings
	StreamsSettings func(group string) Settings
	// Journal hears what becomes of groups; nil = nobody does.
	Journal Journal
}

// Names finds the stream that a cursor belongs to, and the topics that consumer groups read; see stream.Log.
type Names interface {
	StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error)
	Streams(ctx context.Context) ([]*stream.Stream, error)
	Revision() uint64
}

// Coordinator keeps all groups of a node. Its methods are safe for concurrent use; they return *kerr.Error for what a client did wrong or has
// to wait for, and other errors when the log or the store failed.
type Coordinator struct {
	config Config
	Deps

	topicsMu sync.Mutex // guards known, as of revision
	known    *Topics
	revision uint64

	mu      sync.Mutex // guards what follows, and all machines
	groups  map[string]*entry
	due     *deadline.Queue[*entry]
	token   Token
	bytes   int64 // what all members take
	members int   // of groups that send heartbeats to be told what they have
	stopped bool
}

// entry is a machine with what the coordinator keeps beside it.
type entry struct {
	id      string
	machine machine
	bytes   int64
	members int // if it is a group that is told what it has
	callers map[Token]chan Reply
	// out waits to be kept and sent by whoever flushes; one does at a time, so that documents and answers keep their order.
	out      []Output
	flushing bool
	unkept   keeping // documents that could not be kept: tried again with the next
	// offsets says that cursors may exist. Changing them takes offsetsMu, so that nothing fresh is removed: committing the read half,
	// removing the write half.
	offsets   bool
	offsetsMu sync.RWMutex

	deadline deadline.Timer[*entry] // in Coordinator.due
}

// New returns a coordinator with all groups that were kept.
func New(ctx context.Context, config Config, deps Deps) (*Coordinator, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{config: config.WithDefaults(), Deps: deps, groups: map[string]*entry{}, due: deadline.NewQueue[*entry]()}
	if c.Journal == nil {
		c.Journal = deaf{}
	}
	now := c.Clock.Now()
	if err := c.load(ctx, now); err != nil {
		return nil, err
	}
	owners, err := c.Log.Owners(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("load offsets: %w", err)
	}
	for _, owner := range owners {
		id := owner[len(prefix):]
		e := c.groups[id]
		if e == nil {
			e = c.insertLocked(id, NewMachine(id, c.config, now))
		}
		e.offsets = true
	}
	return c, nil
}

// Run watches deadlines until ctx ends. Then whoever still waits is told to look for the coordinator again.
func (c *Coordinator) Run(ctx context.Context) {
	defer c.stop()
	loop := deadline.Loop{
		Clock: c.Clock, Wake: c.due.Wake(), Until: c.untilNext, Due: func() { c.tick(ctx) },
		Every: c.config.RetentionCheck, Sweep: func() {
			if err := c.Expire(ctx); err != nil && ctx.Err() == nil {
				c.Logger.Error("expire offsets", "error", err)
			}
		},
	}
	loop.Run(ctx)
}

func (c *Coordinator) untilNext() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.due.Until(c.Clock.Now())
}

func (c *Coordinator) tick(ctx context.Context) {
	for {
		c.mu.Lock()
		now := c.Clock.Now()
		due := c.due.Due(now)
		if due == nil {
			c.mu.Unlock()
			return
		}
		e := due.Of
		c.prepareLocked(e, nil)
		e.machine.Tick(now)
		flush := c.settleLocked(e)
		c.mu.Unlock()
		if flush {
			c.flush(ctx, e)
		}
	}
}

func (c *Coordinator) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, e := range c.groups {
		for to, caller := range e.callers {
			delete(e.callers, to)
			caller <- Reply{To: to, Err: kerr.CoordinatorNotAvailable}
		}
	}
}

// ask lets f put a request to the machine of group id, or to another that it puts in its place, and waits for the answer. create makes the group if there is none.
func (c *Coordinator) ask(ctx context.Context, id string, create bool, f func(e *entry, now time.Time, to Token)) (Reply, error) {
	topics, err := c.currentTopics(ctx)
	if err != nil {
		return Reply{}, err
	}
	c.mu.Lock()
	e, err := c.entryLocked(id, create)
	if err != nil {
		c.mu.Unlock()
		return Reply{}, err
	}
	c.token++
	to := c.token
	caller := make(chan Reply, 1)
	e.callers[to] = caller
	c.prepareLocked(e, topics)
	f(e, c.Clock.Now(), to)
	flush := c.settleLocked(e)
	c.mu.Unlock()
	if flush {
		c.flush(ctx, e)
	}
	select {
	case r := <-caller:
		return r, r.Err
	case <-ctx.Done():
		c.cancel(ctx, e, to)
		return Reply{}, context.Cause(ctx)
	}
}

// errNoGroup says that there is no such group; callers translate it.
var errNoGroup = errors.New("no such group")

func (c *Coordinator) entryLocked(id string, create bool) (*entry, error) {
	if c.stopped {
		return nil, kerr.CoordinatorNotAvailable
	}
	if e := c.groups[id]; e != nil {
		return e, nil
	}
	if !create {
		return nil, errNoGroup
	}
	if len(c.groups) >= c.config.MaxGroups {
		c.Logger.Warn("group refused: the node has its maximum of groups", "group", id, "groups", len(c.groups))
		return nil, kerr.GroupMaxSizeReached
	}
	return c.insertLocked(id, NewMachine(id, c.config, c.Clock.Now())), nil
}

func (c *Coordinator) insertLocked(id string, m machine) *entry {
	e := &entry{id: id, machine: m, callers: map[Token]chan Reply{}}
	e.deadline.Of = e
	c.groups[id] = e
	return e
}

// roomLocked returns how many bytes e's members may take while all others keep theirs.
func (c *Coordinator) roomLocked(e *entry) int64 { return c.config.MaxBytes - (c.bytes - e.bytes) }

func (c *Coordinator) cancel(ctx context.Context, e *entry, to Token) {
	c.mu.Lock()
	delete(e.callers, to)
	e.machine.Cancel(c.Clock.Now(), to)
	flush := c.settleLocked(e)
	c.mu.Unlock()
	if flush {
		c.flush(ctx, e)
	}
}

// settleLocked takes what e's machine wants done and sets its deadline anew. It returns true if the caller has to flush e after unlocking.
func (c *Coordinator) settleLocked(e *entry) bool {
	moved := c.collectLocked(e)
	if m, ok := e.machine.(*ConsumerMachine); ok && m.Becomes() != nil {
		e.machine = m.Becomes()
		moved = c.collectLocked(e) || moved
	}
	if moved {
		bytes := e.machine.Bytes()
		c.bytes += bytes - e.bytes
		e.bytes = bytes
		c.countLocked(e)
		c.scheduleLocked(e)
		c.dropIdleLocked(e)
	}
	if len(e.out) == 0 || e.flushing {
		return false
	}
	e.flushing = true
	return true
}

// collectLocked takes what e's machine wants done, and returns whether it moved.
func (c *Coordinator) collectLocked(e *entry) bool {
	out := e.machine.Ready()
	for _, ev := range out.Events {
		c.Logger.Info("group "+ev.What, "group", e.id, "generation", e.machine.Generation(), "member", ev.Member, "reason", ev.Reason)
	}
	if out.Save != nil || out.Documents != nil || len(out.Replies) > 0 {
		e.out = append(e.out, out)
	}
	return out.Moved
}

// dropIdleLocked forgets a group that nothing was kept of.
func (c *Coordinator) dropIdleLocked(e *entry) {
	if c.groups[e.id] == e && e.machine.Idle() && !e.offsets && len(e.callers) == 0 {
		delete(c.groups, e.id)
	}
}

func (c *Coordinator) scheduleLocked(e *entry) { c.due.Set(&e.deadline, e.machine.Deadline()) }

// flush keeps the newest document of e, then sends the answers that waited for it, until there are no more. It serves every caller of the
// group, so that the end of ctx does not end it.
func (c *Coordinator) flush(ctx context.Context, e *entry) {
	ctx = context.WithoutCancel(ctx)
	for {
		c.mu.Lock()
		out, keep := e.out, e.unkept
		if len(out) == 0 {
			e.flushing = false
			c.dropIdleLocked(e)
			c.mu.Unlock()
			return
		}
		e.out, e.unkept = nil, nil
		c.mu.Unlock()

		for _, o := range out {
			keep = keep.with(e.id, o)
		}
		err := c.keep(ctx, keep)
		if err != nil {
			c.Logger.Error("keep group", "group", e.id, "error", err)
		}
		if len(keep) > 0 {
			c.Journal.Changed(e.id)
		}
		c.send(e, out, keep, err)
	}
}

// send answers callers. If the documents they depend on could not be kept, they are told to ask again, and it is tried again with the next.
func (c *Coordinator) send(e *entry, out []Output, keep keeping, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && e.machine.State() != Dead {
		e.unkept = keep
	}
	for _, o := range out {
		for _, r := range o.Replies {
			caller, ok := e.callers[r.To]
			if !ok {
				continue
			}
			delete(e.callers, r.To)
			if err != nil && r.Err == nil {
				r.Err = kerr.CoordinatorNotAvailable
				r.Join.Generation = -1
			}
			caller <- r
		}
	}
}
