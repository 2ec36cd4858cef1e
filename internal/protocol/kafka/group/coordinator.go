package group

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/clock"
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
}

// Names finds the stream that a cursor belongs to.
type Names interface {
	StreamByID(ctx context.Context, id stream.ID) (*stream.Stream, error)
}

// Coordinator keeps all groups of a node. Its methods are safe for concurrent use; they return *kerr.Error for what a client did wrong or has
// to wait for, and other errors when the log or the store failed.
type Coordinator struct {
	config Config
	Deps

	wake chan struct{} // has a value when the next deadline came nearer; never closed

	mu      sync.Mutex // guards what follows, and all machines
	groups  map[string]*entry
	due     deadlines
	token   Token
	bytes   int64 // what all members take
	stopped bool
}

// entry is a machine with what the coordinator keeps beside it.
type entry struct {
	id      string
	machine *Machine
	bytes   int64
	callers map[Token]chan Reply
	// out waits to be kept and sent by whoever flushes; one does at a time, so that documents and answers keep their order.
	out      []Output
	flushing bool
	// offsets says that cursors may exist. Changing them takes offsetsMu, so that nothing fresh is removed: committing the read half,
	// removing the write half.
	offsets   bool
	offsetsMu sync.RWMutex

	deadline time.Time // in Coordinator.due if not zero
	index    int
}

// New returns a coordinator with all groups that were kept.
func New(ctx context.Context, config Config, deps Deps) (*Coordinator, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{config: config.WithDefaults(), Deps: deps, groups: map[string]*entry{}, wake: make(chan struct{}, 1)}
	now := c.Clock.Now()
	docs, err := c.Store.List(ctx, kind, prefix)
	if err != nil {
		return nil, fmt.Errorf("load groups: %w", err)
	}
	for _, d := range docs {
		id := d.ID[len(prefix):]
		doc, err := DecodeDocument(d.Value)
		if err != nil {
			return nil, fmt.Errorf("load group %q: %w", id, err)
		}
		c.settleLocked(c.insertLocked(id, Restore(id, c.config, now, doc)))
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
	expire := c.Clock.NewTicker(c.config.RetentionCheck)
	defer expire.Stop()
	timer := c.Clock.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(c.untilNext())
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		case <-timer.C():
			c.tick(ctx)
		case <-expire.C():
			if err := c.Expire(ctx); err != nil && ctx.Err() == nil {
				c.Logger.Error("expire offsets", "error", err)
			}
		}
	}
}

func (c *Coordinator) untilNext() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.due) == 0 {
		return time.Hour
	}
	return c.due[0].deadline.Sub(c.Clock.Now())
}

func (c *Coordinator) tick(ctx context.Context) {
	for {
		c.mu.Lock()
		now := c.Clock.Now()
		if len(c.due) == 0 || c.due[0].deadline.After(now) {
			c.mu.Unlock()
			return
		}
		e := c.due[0]
		e.machine.SetRoom(c.roomLocked(e))
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

// ask lets f put a request to group id's machine and waits for the answer. create makes the group if there is none.
func (c *Coordinator) ask(ctx context.Context, id string, create bool, f func(m *Machine, now time.Time, to Token)) (Reply, error) {
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
	e.machine.SetRoom(c.roomLocked(e))
	f(e.machine, c.Clock.Now(), to)
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

func (c *Coordinator) insertLocked(id string, m *Machine) *entry {
	e := &entry{id: id, machine: m, callers: map[Token]chan Reply{}}
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
	out := e.machine.Ready()
	for _, ev := range out.Events {
		c.Logger.Info("group "+ev.What, "group", e.id, "generation", e.machine.generation, "member", ev.Member, "reason", ev.Reason)
	}
	if out.Save != nil || len(out.Replies) > 0 {
		e.out = append(e.out, out)
	}
	if out.Moved {
		bytes := e.machine.Bytes()
		c.bytes += bytes - e.bytes
		e.bytes = bytes
		c.scheduleLocked(e)
		c.dropIdleLocked(e)
	}
	if len(e.out) == 0 || e.flushing {
		return false
	}
	e.flushing = true
	return true
}

// dropIdleLocked forgets a group that nothing was kept of.
func (c *Coordinator) dropIdleLocked(e *entry) {
	if c.groups[e.id] == e && e.machine.Idle() && !e.offsets && len(e.callers) == 0 {
		delete(c.groups, e.id)
	}
}

func (c *Coordinator) scheduleLocked(e *entry) {
	was := e.deadline
	e.deadline = e.machine.Deadline()
	switch {
	case was.IsZero() && e.deadline.IsZero():
		return
	case was.IsZero():
		heap.Push(&c.due, e)
	case e.deadline.IsZero():
		heap.Remove(&c.due, e.index)
		return
	default:
		heap.Fix(&c.due, e.index)
	}
	if c.due[0] == e && (was.IsZero() || e.deadline.Before(was)) {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// flush keeps the newest document of e, then sends the answers that waited for it, until there are no more. It serves every caller of the
// group, so that the end of ctx does not end it.
func (c *Coordinator) flush(ctx context.Context, e *entry) {
	ctx = context.WithoutCancel(ctx)
	for {
		c.mu.Lock()
		out := e.out
		e.out = nil
		if len(out) == 0 {
			e.flushing = false
			c.dropIdleLocked(e)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()

		var save *Document
		for _, o := range out {
			if o.Save != nil {
				save = o.Save
			}
		}
		var err error
		if save != nil {
			if err = c.save(ctx, e.id, *save); err != nil {
				c.Logger.Error("keep group", "group", e.id, "error", err)
			}
		}
		c.send(e, out, err)
	}
}

func (c *Coordinator) save(ctx context.Context, id string, doc Document) error {
	value, err := doc.Encode()
	if err != nil {
		return err
	}
	_, err = c.Store.Apply(ctx, state.Change{Key: state.Key{Kind: kind, ID: prefix + id}, If: state.Any, Value: value})
	return err
}

// send answers callers. If the document they depend on could not be kept, they are told to ask again, and it is tried again with the next.
func (c *Coordinator) send(e *entry, out []Output, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		e.machine.dirty = true
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

// deadlines is a heap of the groups with a deadline, the next one first.
type deadlines []*entry

// Len implements heap.Interface.
func (d deadlines) Len() int { return len(d) }

// Less implements heap.Interface: the earlier deadline is on top.
func (d deadlines) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }

// Swap implements heap.Interface and keeps each entry's index, by which heap.Fix finds it.
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push implements heap.Interface for an *entry that is not in the heap.
func (d *deadlines) Push(x any) {
	e := x.(*entry)
	e.index = len(*d)
	*d = append(*d, e)
}

// Pop implements heap.Interface. What the entry says of its place is stale from then on.
func (d *deadlines) Pop() any {
	old := *d
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return e
}
