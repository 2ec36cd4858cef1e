package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/stream"
)

// ConsumerBeat is a heartbeat of KIP-848: it joins a group, says what has changed, acknowledges, and leaves. What is nil or zero is as it was.
type ConsumerBeat struct {
	Member    string
	Instance  string // group.instance.id of a static member, or ""
	Epoch     int32  // of the member; 0 joins, -1 leaves, -2 leaves for now
	Client    string // client id
	Host      string // where it connects from
	Rack      *string
	Rebalance time.Duration // how long the member may take to give partitions up
	Topics    []string      // kept, not copied
	Pattern   *string
	// Visible says which topics a pattern may find for this member, by their names; nil = all. It is called at any time, also by other goroutines.
	Visible  func(topic string) bool
	Assignor *string
	Owned    []Partitions // what the member still has
}

// Partitions are some of a topic.
type Partitions struct {
	Topic   stream.ID
	Indexes []int32
}

// ConsumerBeaten answers a ConsumerBeat. Assignment must not be written to.
type ConsumerBeaten struct {
	Member     string
	Epoch      int32
	Interval   time.Duration       // until the next heartbeat; 0 for one that left
	Assigned   bool                // Assignment is what the member has from now on; else that is as before
	Assignment assignor.Assignment // what it is to read
}

// Beat answers at once.
func (m *ConsumerMachine) Beat(now time.Time, to Token, b ConsumerBeat) {
	var done ConsumerBeaten
	var err error
	switch {
	case m.dead:
		err = kerr.CoordinatorNotAvailable
	case b.Epoch == left || b.Epoch == leftForNow:
		done, err = m.leaveBeat(now, b)
	default:
		done, err = m.beat(now, b)
	}
	m.reply(Reply{To: to, Err: err, Beat: done})
}

func (m *ConsumerMachine) beat(now time.Time, b ConsumerBeat) (ConsumerBeaten, error) {
	mem, err := m.sender(b)
	if err != nil {
		return ConsumerBeaten{}, err
	}
	if mem == nil && len(m.members) >= m.config.MaxConsumerMembers {
		return ConsumerBeaten{}, refusal.New(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", m.config.MaxConsumerMembers)
	}
	sub, err := m.wanted(mem, b)
	if err != nil {
		return ConsumerBeaten{}, err
	}
	if mem == nil {
		mem = m.add(b.Member, b.Instance)
		m.event("member joins", mem.id, "")
	}
	if mem.id != b.Member {
		m.event("static member replaced", b.Member, "instance "+b.Instance+" came back; it was "+mem.id)
		m.rename(mem, b.Member)
		mem.epoch, mem.previous = 0, 0
	}
	m.describe(mem, b)
	anew := m.subscribe(mem, sub)
	if anew {
		m.changed[mem.id] = mem
		m.moved = true
		m.bump("member " + mem.id + " subscribes to something else")
	}
	m.retarget(now)
	before, missed := mem.assigned, mem.epoch != b.Epoch // the last answer
	m.reconcile(now, mem, b.Owned, anew)
	m.touch(now, mem)

	done := ConsumerBeaten{Member: mem.id, Epoch: mem.epoch, Interval: m.settings.interval(mem.phase == waiting || mem.epoch < m.epoch, len(m.members))}
	full := b.Rebalance > 0 && (b.Topics != nil || b.Pattern != nil) && b.Owned != nil
	if a := mem.assigned.assignment(); b.Epoch == joining || full || missed || !a.Equal(before.assignment()) {
		done.Assigned, done.Assignment = true, a
	}
	return done, nil
}

// sender returns who a heartbeat is from, nil for a new member. A member with another id is the one that the sender takes the place of.
func (m *ConsumerMachine) sender(b ConsumerBeat) (*consumer, error) {
	mem := m.members[b.Member]
	if b.Instance == "" {
		if mem == nil && b.Epoch != joining {
			return nil, refusal.New(kerr.UnknownMemberID, "Member %s is not a member of group %s.", b.Member, m.id)
		}
		return mem, mem.checkEpoch(b)
	}
	static := m.members[m.static[b.Instance]]
	switch {
	case b.Epoch == joining && static == nil:
		return mem, nil
	case b.Epoch == joining && static.id != b.Member && static.classic == nil && static.epoch != leftForNow:
		return nil, refusal.New(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.",
			b.Member, b.Instance, static.id)
	case b.Epoch == joining:
		return static, nil
	}
	if err := m.checkInstance(static, b); err != nil {
		return nil, err
	}
	return static, static.checkEpoch(b)
}

// checkInstance refuses a static member that is none, or whose place another has taken.
func (m *ConsumerMachine) checkInstance(static *consumer, b ConsumerBeat) error {
	if static == nil {
		return refusal.New(kerr.UnknownMemberID, "Instance id %s is unknown.", b.Instance)
	}
	if static.id != b.Member {
		return refusal.New(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", b.Member, b.Instance, static.id)
	}
	return nil
}

// checkEpoch refuses a member that is not where the group led it. One step behind is fine as long as it has nothing that it was not given:
// the answer with the next epoch was lost.
func (mem *consumer) checkEpoch(b ConsumerBeat) error {
	switch {
	case mem == nil || b.Epoch == joining || b.Epoch == mem.epoch:
		return nil
	case b.Epoch > mem.epoch:
		return refusal.New(kerr.FencedMemberEpoch, "The consumer group member has a greater member epoch (%d) than the one known by the group coordinator (%d). "+
			"The member must abandon all its partitions and rejoin.", b.Epoch, mem.epoch)
	case b.Epoch == mem.previous && b.Owned != nil && mem.assigned.covers(b.Owned):
		return nil
	}
	return refusal.New(kerr.FencedMemberEpoch, "The consumer group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). "+
		"The member must abandon all its partitions and rejoin.", b.Epoch, mem.epoch)
}

func (h holding) covers(owned []Partitions) bool {
	for _, o := range owned {
		for _, p := range o.Indexes {
			if _, ok := h.find(stream.Shard{Stream: o.Topic, Index: p}); !ok {
				return false
			}
		}
	}
	return true
}

// wanted returns what mem, nil for a new member, subscribes to from now on.
func (m *ConsumerMachine) wanted(mem *consumer, b ConsumerBeat) (*interest, error) {
	var names []string
	text := ""
	if mem != nil {
		names, text = slices.Clone(mem.sub.names), mem.sub.patternText()
	}
	if b.Topics == nil && b.Pattern == nil && mem != nil {
		m.show(mem.sub, b.Visible, false)
		return mem.sub, nil
	}
	if b.Topics != nil {
		names = slices.Clone(b.Topics)
	}
	if b.Pattern != nil {
		text = *b.Pattern
	}
	sub, err := m.interest(names, text)
	if err != nil {
		return nil, err
	}
	m.show(sub, b.Visible, true)
	grows := sub.size + int64(len(b.Member)+len(b.Instance)+len(b.Client)+len(b.Host))
	if mem != nil {
		grows -= mem.bytes()
	}
	if grows > 0 && m.Bytes()+grows > m.room {
		m.event("join refused", b.Member, "the members' subscriptions would exceed the group's memory bound")
		return nil, refusal.New(kerr.GroupMaxSizeReached, "The members of the group would take more memory than they may.")
	}
	return sub, nil
}

// describe takes over what a member says of itself, its subscription apart.
func (m *ConsumerMachine) describe(mem *consumer, b ConsumerBeat) {
	was := *mem
	mem.client, mem.host = b.Client, b.Host
	if b.Instance != "" && mem.instance != b.Instance {
		delete(m.static, mem.instance)
		mem.instance = b.Instance
		m.static[b.Instance] = mem.id
	}
	if b.Rack != nil {
		mem.rack = *b.Rack
	}
	if b.Rebalance > 0 {
		mem.rebalance = b.Rebalance
	}
	if b.Assignor != nil {
		mem.assignor = *b.Assignor
	}
	mem.classic = nil
	if mem.client != was.client || mem.host != was.host || mem.instance != was.instance || mem.rack != was.rack ||
		mem.rebalance != was.rebalance || mem.assignor != was.assignor || was.classic != nil {
		m.changed[mem.id] = mem
		m.moved = true
	}
}

// leaveBeat removes a member, or marks a static one as on its way back: it keeps its place and what it is to read until its session ends.
func (m *ConsumerMachine) leaveBeat(now time.Time, b ConsumerBeat) (ConsumerBeaten, error) {
	mem := m.members[b.Member]
	if b.Instance != "" {
		mem = m.members[m.static[b.Instance]]
		if err := m.checkInstance(mem, b); err != nil {
			return ConsumerBeaten{}, err
		}
	}
	if mem == nil {
		return ConsumerBeaten{}, refusal.New(kerr.UnknownMemberID, "Member %s is not a member of group %s.", b.Member, m.id)
	}
	if b.Epoch == left || b.Instance == "" {
		m.remove(now, "it left", mem)
		return ConsumerBeaten{Member: b.Member, Epoch: b.Epoch}, nil
	}
	// It stopped reading all it had: what it was asked to give up is free, and what it comes back to is new to it.
	m.settle(mem, mem.assigned.since(0), nil, settled, leftForNow)
	mem.revokeBy = time.Time{}
	m.event("static member left for now", mem.id, "")
	return ConsumerBeaten{Member: mem.id, Epoch: leftForNow}, nil
}
