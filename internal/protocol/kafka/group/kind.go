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

// machine is a group of any kind: a Machine, a ConsumerMachine or a StreamsMachine.
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

// deciding is a group whose members the node itself tells what they have: a ConsumerMachine or a StreamsMachine.
type deciding interface {
	SetSettings(s Settings)
	SetTopics(t *Topics)
	MayFetch(member *string, epoch int32) error
	size() int // members
}

// Generation returns the group's generation.
func (m *Machine) Generation() int32 { return m.generation }

func (m *Machine) joining() bool { return len(m.pending) > 0 }

// classic returns the machine that a classic member joins: an empty group of another kind becomes a classic one.
func (e *entry) classic(now time.Time, config Config) machine {
	old := e.machine
	if _, ok := old.(deciding); !ok || old.State() != Empty {
		return old
	}
	m := NewMachine(e.id, config, now)
	m.generation, m.moved = old.Generation(), true
	e.machine = m
	return m
}

// prepareLocked tells e's machine what it works under. topics may be nil: as they were.
func (c *Coordinator) prepareLocked(e *entry, topics *Topics) {
	e.machine.SetRoom(c.roomLocked(e))
	if m, ok := e.machine.(deciding); ok {
		m.SetSettings(c.settingsOf(e))
		if topics != nil {
			m.SetTopics(topics)
		}
	}
}

// countLocked takes the members of e, if the node is to hear of them all the time, into account.
func (c *Coordinator) countLocked(e *entry) {
	n := 0
	if m, ok := e.machine.(deciding); ok {
		n = m.size()
	}
	c.members += n - e.members
	e.members = n
}

func (c *Coordinator) settingsOf(e *entry) Settings {
	if _, ok := e.machine.(*StreamsMachine); ok {
		return c.streamsSettings(e.id)
	}
	return c.settings(e.id)
}

// settings returns what holds for a consumer group.
func (c *Coordinator) settings(id string) Settings {
	if c.Settings != nil {
		return c.brisk(c.Settings(id))
	}
	return c.brisk(c.config.Settings())
}

// streamsSettings returns what holds for a streams group.
func (c *Coordinator) streamsSettings(id string) Settings {
	if c.StreamsSettings != nil {
		return c.brisk(c.StreamsSettings(id))
	}
	return c.brisk(c.config.StreamsSettings())
}

// brisk has the members of a group that says nothing of its heartbeats send them more often as long as the node has few members: a rebalance takes as
// long as its members need to hear of it.
func (c *Coordinator) brisk(s Settings) Settings {
	if s.Brisk == 0 {
		s.Brisk = max(briskInterval, time.Duration(c.members)*beatShare)
	}
	return s
}

// beatLocked puts a heartbeat of KIP-848 to e's machine. A classic group is left as it is if the heartbeat is refused.
func (c *Coordinator) beatLocked(e *entry, now time.Time, to Token, topics *Topics, b ConsumerBeat) {
	if m, ok := e.machine.(*ConsumerMachine); ok {
		m.Beat(now, to, b)
		return
	}
	old, ok := e.machine.(*Machine)
	if !ok || b.Epoch != joining {
		e.machine.reply(Reply{To: to, Err: refusal.New(kerr.GroupIDNotFound, "Group %s is not a consumer group.", e.id)})
		return
	}
	m, err := old.upgraded(now, topics)
	if err != nil {
		old.reply(Reply{To: to, Err: err})
		return
	}
	m.SetSettings(c.settings(e.id))
	c.becomeLocked(e, old, m, &m.out, func() { m.Beat(now, to, b) })
}

// streamsBeatLocked puts a heartbeat of KIP-1071 to e's machine. A classic group without members becomes a streams group with it.
func (c *Coordinator) streamsBeatLocked(e *entry, now time.Time, to Token, topics *Topics, b StreamsBeat) {
	if m, ok := e.machine.(*StreamsMachine); ok {
		m.Beat(now, to, b)
		return
	}
	old, ok := e.machine.(*Machine)
	if !ok || old.State() != Empty || b.Epoch != joining {
		e.machine.reply(Reply{To: to, Err: refusal.New(kerr.GroupIDNotFound, "Group %s is not a streams group.", e.id)})
		return
	}
	m := NewStreamsMachine(e.id, c.config, now, topics)
	m.SetSettings(c.streamsSettings(e.id))
	c.becomeLocked(e, old, m, &m.out, func() { m.Beat(now, to, b) })
}

// becomeLocked has m, whose output is out, answer a heartbeat, and puts it in the place of a classic group, unless the heartbeat is refused.
func (c *Coordinator) becomeLocked(e *entry, old *Machine, m machine, out *Output, beat func()) {
	m.SetRoom(c.roomLocked(e))
	beat()
	if r := out.Replies[len(out.Replies)-1]; r.Err != nil {
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
	topics, err := c.currentTopics(ctx)
	if err != nil {
		return err
	}
	members := &kept{}
	if members.consumers, err = loadMembers(ctx, c.Store, memberKind, DecodeConsumerMemberDocument); err != nil {
		return err
	}
	if members.streamers, err = loadMembers(ctx, c.Store, streamerKind, DecodeStreamerDocument); err != nil {
		return err
	}
	for _, d := range docs {
		id := strings.TrimPrefix(d.ID, prefix)
		m, err := c.restore(id, d.Value, now, topics, members)
		if err != nil {
			return fmt.Errorf("load group %q: %w", id, err)
		}
		if e := c.insertLocked(id, m); c.settleLocked(e) {
			c.flush(ctx, e)
		}
	}
	return nil
}

// kept is the documents of members, by group.
type kept struct {
	consumers map[string][]ConsumerMemberDocument
	streamers map[string][]StreamerDocument
}

// restore makes the group of a document.
func (c *Coordinator) restore(id string, value []byte, now time.Time, topics *Topics, members *kept) (machine, error) {
	consumers, ok, err := DecodeConsumerDocument(value)
	if err != nil {
		return nil, err
	}
	if ok {
		return RestoreConsumers(id, c.config, c.settings(id), now, topics, consumers, members.consumers[id]), nil
	}
	streams, ok, err := DecodeStreamsDocument(value)
	if err != nil {
		return nil, err
	}
	if ok {
		return RestoreStreams(id, c.config, c.streamsSettings(id), now, topics, streams, members.streamers[id]), nil
	}
	d, err := DecodeDocument(value)
	if err != nil {
		return nil, err
	}
	return Restore(id, c.config, now, d), nil
}

// ofGroup is a member's document that says whose it is.
type ofGroup interface{ group() string }

func (d ConsumerMemberDocument) group() string { return d.Group }
func (d StreamerDocument) group() string       { return d.Group }

// loadMembers returns the members' documents of a kind, by group.
func loadMembers[D ofGroup](ctx context.Context, store state.Store, kind string, decode func([]byte) (D, error)) (map[string][]D, error) {
	docs, err := store.List(ctx, kind, "")
	if err != nil {
		return nil, fmt.Errorf("load group members: %w", err)
	}
	members := map[string][]D{}
	for _, d := range docs {
		doc, err := decode(d.Value)
		if err != nil {
			return nil, fmt.Errorf("load group member %s: %w", d.ID, err)
		}
		members[doc.group()] = append(members[doc.group()], doc)
	}
	return members, nil
}

// keeping is documents to keep, by key; nil deletes. Several outputs of a group come to one write.
type keeping map[state.Key]encoder

// with adds what an output of group id wants kept.
func (k keeping) with(id string, o Output) keeping {
	if o.Save == nil && o.Documents == nil {
		return k
	}
	if k == nil {
		k = keeping{}
	}
	if d := o.Documents; d != nil {
		if d.Group != nil {
			k[groupKey(id)] = d.Group
		}
		for _, gone := range d.Gone {
			k[memberKey(d.Kind, id, gone)] = nil
		}
		for member, doc := range d.Members {
			k[memberKey(d.Kind, id, member)] = doc
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
