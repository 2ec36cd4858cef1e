package group

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// machine is a group of either kind: a Machine or a ConsumerMachine.
type machine interface {
	State() State
	Generation() int32
	Listing() Listing
	Bytes() int64
	Deadline() time.Time
	Idle() bool
	Ready() Output

	SetRoom(bytes int64)
	Tick(now time.Time)
	Cancel(now time.Time, to Token)
	Kill(now time.Time)
	Revive(now time.Time)

	Join(now time.Time, to Token, j Join)
	Sync(now time.Time, to Token, s Sync)
	Heartbeat(now time.Time, to Token, h Heartbeat)
	Leave(now time.Time, leaving []Leave) []error
	MayCommit(now time.Time, c Commit, cursors []stream.Cursor) error

	reply(r Reply)
	joining() bool // somebody is about to join, though nobody is in the group
	readTopics() (map[string]bool, error)
	reader() func(topic string) bool
	expired(now time.Time, cur stream.Cursor, read bool) bool
}

// Generation returns the group's generation.
func (m *Machine) Generation() int32 { return m.generation }

func (m *Machine) joining() bool { return len(m.pending) > 0 }

func (m *ConsumerMachine) joining() bool { return false }

// classic returns the machine that a classic member joins: an empty consumer group becomes a classic one.
func (e *entry) classic(now time.Time) machine {
	old, ok := e.machine.(*ConsumerMachine)
	if !ok || old.State() != Empty {
		return e.machine
	}
	m := NewMachine(old.id, old.config, now)
	m.room, m.generation, m.moved = old.room, old.epoch, true
	e.machine = m
	return m
}

// prepareLocked tells e's machine what it works under. topics may be nil: as they were.
func (c *Coordinator) prepareLocked(e *entry, topics *Topics) {
	e.machine.SetRoom(c.roomLocked(e))
	if m, ok := e.machine.(*ConsumerMachine); ok {
		m.SetSettings(c.settings(e.id))
		if topics != nil {
			m.SetTopics(topics)
		}
	}
}

// countLocked takes the members of e, if it is a consumer group, into account.
func (c *Coordinator) countLocked(e *entry) {
	n := 0
	if m, ok := e.machine.(*ConsumerMachine); ok {
		n = len(m.members)
	}
	c.members += n - e.members
	e.members = n
}

// settings returns what holds for a consumer group. One that says nothing of its heartbeats is told to send them more often as long as the node has
// few members: a rebalance takes as long as its members need to hear of it.
func (c *Coordinator) settings(id string) Settings {
	s := c.config.Settings()
	if c.Settings != nil {
		s = c.Settings(id)
	}
	if s.Brisk == 0 {
		s.Brisk = max(briskInterval, time.Duration(c.members)*beatShare)
	}
	return s
}

// beatLocked puts a heartbeat of KIP-848 to e's machine. A classic group is left as it is if the heartbeat is refused.
func (c *Coordinator) beatLocked(e *entry, now time.Time, to Token, topics *Topics, b ConsumerBeat) {
	old, ok := e.machine.(*Machine)
	if !ok {
		e.machine.(*ConsumerMachine).Beat(now, to, b)
		return
	}
	if b.Epoch != joining {
		old.reply(Reply{To: to, Err: refusal.New(kerr.GroupIDNotFound, "Group %s is not a consumer group.", e.id)})
		return
	}
	m, err := old.upgraded(now, topics)
	if err != nil {
		old.reply(Reply{To: to, Err: err})
		return
	}
	m.SetRoom(c.roomLocked(e))
	m.SetSettings(c.settings(e.id))
	m.Beat(now, to, b)
	if r := m.out.Replies[len(m.out.Replies)-1]; r.Err != nil {
		old.reply(r)
		return
	}
	old.abandon()
	c.collectLocked(e)
	e.machine = m
}

// currentTopics returns the topics that there are.
func (c *Coordinator) currentTopics(ctx context.Context) (*Topics, error) {
	c.topicsMu.Lock()
	defer c.topicsMu.Unlock()
	revision := c.Names.Revision() // before the list, which may be newer than it but not older
	if c.known != nil && c.revision == revision {
		return c.known, nil
	}
	all, err := c.Names.Streams(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	c.known, c.revision = NewTopics(all), revision
	return c.known, nil
}

// load makes the groups that were kept.
func (c *Coordinator) load(ctx context.Context, now time.Time) error {
	docs, err := c.Store.List(ctx, kind, prefix)
	if err != nil {
		return fmt.Errorf("load groups: %w", err)
	}
	members, err := c.loadMembers(ctx)
	if err != nil {
		return err
	}
	topics, err := c.currentTopics(ctx)
	if err != nil {
		return err
	}
	for _, d := range docs {
		id := strings.TrimPrefix(d.ID, prefix)
		consumers, ok, err := DecodeConsumerDocument(d.Value)
		var m machine
		switch {
		case err != nil:
		case ok:
			m = RestoreConsumers(id, c.config, c.settings(id), now, topics, consumers, members[id])
		default:
			var doc Document
			doc, err = DecodeDocument(d.Value)
			m = Restore(id, c.config, now, doc)
		}
		if err != nil {
			return fmt.Errorf("load group %q: %w", id, err)
		}
		if e := c.insertLocked(id, m); c.settleLocked(e) {
			c.flush(ctx, e)
		}
	}
	return nil
}

// loadMembers returns the members of consumer groups by group.
func (c *Coordinator) loadMembers(ctx context.Context) (map[string][]ConsumerMemberDocument, error) {
	docs, err := c.Store.List(ctx, memberKind, "")
	if err != nil {
		return nil, fmt.Errorf("load group members: %w", err)
	}
	members := map[string][]ConsumerMemberDocument{}
	for _, d := range docs {
		doc, err := DecodeConsumerMemberDocument(d.Value)
		if err != nil {
			return nil, fmt.Errorf("load group member %s: %w", d.ID, err)
		}
		members[doc.Group] = append(members[doc.Group], doc)
	}
	return members, nil
}

// keeping is documents to keep, by key; nil deletes. Several outputs of a group come to one write.
type keeping map[state.Key]interface{ Encode() ([]byte, error) }

// with adds what an output of group id wants kept.
func (k keeping) with(id string, o Output) keeping {
	if o.Save == nil && o.Consumers == nil {
		return k
	}
	if k == nil {
		k = keeping{}
	}
	if d := o.Consumers; d != nil {
		if d.Group != nil {
			k[groupKey(id)] = d.Group
		}
		for _, gone := range d.Gone {
			k[memberKey(id, gone)] = nil
		}
		for i := range d.Members {
			k[memberKey(id, d.Members[i].ID)] = &d.Members[i]
		}
	}
	if o.Save != nil {
		k[groupKey(id)] = o.Save
	}
	return k
}

func groupKey(id string) state.Key { return state.Key{Kind: kind, ID: prefix + id} }

// keep writes documents, all or none of them.
func (c *Coordinator) keep(ctx context.Context, k keeping) error {
	if len(k) == 0 {
		return nil
	}
	changes := make([]state.Change, 0, len(k))
	for key, doc := range k {
		change := state.Change{Key: key, If: state.Any, Delete: doc == nil}
		if doc != nil {
			var err error
			if change.Value, err = doc.Encode(); err != nil {
				return err
			}
		}
		changes = append(changes, change)
	}
	slices.SortFunc(changes, func(a, b state.Change) int { return strings.Compare(a.Key.Kind+a.Key.ID, b.Key.Kind+b.Key.ID) })
	_, err := c.Store.Apply(ctx, changes...)
	return err
}
