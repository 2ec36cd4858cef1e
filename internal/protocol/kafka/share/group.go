package share

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// The states of a share group, as ListGroups and ShareGroupDescribe show them.
const (
	Empty  = "Empty"
	Stable = "Stable"
)

// Group is who shares: members, what they subscribe to, and which shards each is to take records of. It is not safe for concurrent use.
//
// Any number of members may have a shard, so that nobody waits for another to let go: a change of members or topics gives the group a new
// epoch. A heartbeat then gives every member a new assignment, not too soon after the last time, and each learns its own, with the epoch that it
// is for, from its next heartbeat.
type Group struct {
	epoch       int32
	targetEpoch int32     // that members' targets are for
	targetAt    time.Time // when they were assigned; zero: not known
	members     map[string]*member
	topics      map[string]Topic // those subscribed to that exist
	bytes       int64
	changed     bool
}

type member struct {
	id, client, host, rack string
	topics                 []string // sorted
	session                time.Duration
	expires                time.Time

	epoch, previous int32                 // that it was told last, and before
	target          map[stream.Shard]bool // what it is to have
	told            map[stream.Shard]bool // what it was told to have
}

// Beat is a member's sign of life, or the first or last that is heard of it.
type Beat struct {
	Member, Client, Host string
	Epoch                int32    // 0 = joins, -1 = leaves, else what it was told last
	Rack                 *string  // nil = as before
	Topics               []string // nil = as before
	Session              time.Duration
}

// The member epochs of a Beat that say something else.
const (
	JoinEpoch  = 0
	LeaveEpoch = -1
)

// Beaten is the answer to a Beat.
type Beaten struct {
	Epoch int32
	// Assignment is what the member is to take records of, if it has to be told.
	Assignment []stream.Shard
	Told       bool
	// Wait is how long it is until an assignment that takes in all there is can be made; 0 = this one does.
	Wait time.Duration
}

// NewGroup returns a group of nobody.
func NewGroup() *Group {
	return &Group{members: map[string]*member{}, topics: map[string]Topic{}, changed: true}
}

// State returns Empty or Stable: there is nothing to wait for.
func (g *Group) State() string {
	if len(g.members) == 0 {
		return Empty
	}
	return Stable
}

// Changed says whether what must be kept has changed since it was last asked.
func (g *Group) Changed() bool {
	c := g.changed
	g.changed = false
	return c
}

// Bytes returns what the members take.
func (g *Group) Bytes() int64 { return g.bytes }

// Names returns the topics that members subscribe to, sorted, whether they exist or not.
func (g *Group) Names() []string {
	names := map[string]bool{}
	for _, m := range g.members {
		for _, t := range m.topics {
			names[t] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Admit says whether the group has room for who sends b: for as many members and bytes. GROUP_MAX_SIZE_REACHED.
func (g *Group) Admit(b *Beat, members int, bytes int64) error {
	m := g.members[b.Member]
	if m == nil && len(g.members) >= members {
		return kerr.GroupMaxSizeReached
	}
	more := int64(0)
	for _, t := range b.Topics {
		more += topicBytes + int64(len(t))
	}
	if m == nil {
		more += memberBytes + int64(len(b.Member)+len(b.Client)+len(b.Host))
	}
	if b.Rack != nil {
		more += int64(len(*b.Rack))
	}
	if g.bytes+more > bytes {
		return kerr.GroupMaxSizeReached
	}
	return nil
}

// What a member and a topic it subscribes to take beside their names.
const (
	memberBytes = 400
	topicBytes  = 16
)

// Check refuses a beat of a member that is none, or is not where it believes to be. UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH.
func (g *Group) Check(b *Beat) error {
	m := g.members[b.Member]
	switch {
	case b.Epoch == JoinEpoch:
		return nil
	case m == nil:
		return kerr.UnknownMemberID
	case b.Epoch == LeaveEpoch || b.Epoch == m.epoch || b.Epoch == m.previous:
		return nil // the previous one of a member that has not had the answer with the new one
	}
	return kerr.FencedMemberEpoch
}

// Subscribe takes in who a beat is from and what it says of that, after Check and Admit. It returns whether the group's topics are to be looked at.
func (g *Group) Subscribe(now time.Time, b *Beat) (look bool) {
	m := g.members[b.Member]
	if m == nil {
		m = &member{id: b.Member}
		g.members[m.id] = m
		look = true
	}
	was := *m
	m.client, m.host, m.session = b.Client, b.Host, b.Session
	m.expires = now.Add(b.Session)
	if b.Rack != nil {
		m.rack = *b.Rack
	}
	if b.Topics != nil {
		topics := slices.Compact(slices.Sorted(slices.Values(b.Topics)))
		if !slices.Equal(topics, m.topics) {
			m.topics, look = topics, true
		}
	}
	if look {
		g.bump()
	}
	g.changed = g.changed || was.client != m.client || was.host != m.host || was.rack != m.rack
	g.bytes += m.bytes() - was.bytes()
	return look
}

func (m *member) bytes() int64 {
	if m.topics == nil {
		return 0
	}
	n := memberBytes + int64(len(m.id)+len(m.client)+len(m.host)+len(m.rack))
	for _, t := range m.topics {
		n += topicBytes + int64(len(t))
	}
	return n
}

func (g *Group) bump() {
	g.epoch++
	g.changed = true
}

// SetTopics tells which of the topics that members subscribe to there are.
func (g *Group) SetTopics(topics map[string]Topic) {
	if !maps.Equal(topics, g.topics) {
		g.topics = topics
		if g.targetEpoch == g.epoch { // else what is outdated is so already
			g.bump()
		}
	}
}

// Assign gives each member a new target if the ones there are are outdated, and were assigned every ago, or earlier. Else it returns how long it is until
// then (KIP-1263).
func (g *Group) Assign(now time.Time, every time.Duration) (wait time.Duration) {
	if g.targetEpoch == g.epoch {
		return 0
	}
	if since := now.Sub(g.targetAt); !g.targetAt.IsZero() && since >= 0 && since < every { // the clock may have been set back
		return every - since
	}
	all := make([]*subscriber, 0, len(g.members))
	for _, m := range g.members {
		all = append(all, &subscriber{id: m.id, topics: m.topics, shards: m.target})
	}
	assign(all, g.topics)
	for _, s := range all {
		g.members[s.id].target = s.shards
	}
	g.targetEpoch, g.targetAt = g.epoch, now
	return 0
}

// Tell returns what a member is told after a beat: the epoch of its target, and that if it joins, did not know of the epoch, says what it
// subscribes to, or is to have something else than it was told last.
func (g *Group) Tell(b *Beat) Beaten {
	m := g.members[b.Member]
	if m.epoch != g.targetEpoch {
		m.previous, m.epoch = m.epoch, g.targetEpoch
		g.changed = true
	}
	told := Beaten{Epoch: m.epoch}
	if told.Told = b.Epoch != m.epoch || b.Topics != nil || !maps.Equal(m.told, m.target); told.Told {
		m.told = m.target
		told.Assignment = sortedShards(m.target)
	}
	return told
}

func sortedShards(set map[stream.Shard]bool) []stream.Shard {
	return slices.SortedFunc(maps.Keys(set), func(a, b stream.Shard) int {
		return cmp.Or(slices.Compare(a.Stream[:], b.Stream[:]), cmp.Compare(a.Index, b.Index))
	})
}

// Remove takes a member out.
func (g *Group) Remove(id string) {
	g.bytes -= g.members[id].bytes()
	delete(g.members, id)
	g.bump()
}

// Expired returns the members whose sessions have ended by now, by id.
func (g *Group) Expired(now time.Time) []string {
	var ids []string
	for id, m := range g.members {
		if !m.expires.After(now) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}

// Deadline returns when the next session ends, or the zero time. Signs of life only move it away, so that an older answer is early at worst.
func (g *Group) Deadline() time.Time {
	var first time.Time
	for _, m := range g.members {
		if first.IsZero() || m.expires.Before(first) {
			first = m.expires
		}
	}
	return first
}
