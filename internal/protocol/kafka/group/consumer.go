package group

import (
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// The states that only groups have whose members the node tells what they have, beside Empty, Stable and Dead.
const (
	Assigning   State = "Assigning"   // who is to read what is to be decided anew
	Reconciling State = "Reconciling" // members are on the way to what was decided
)

// ConsumerMachine is one consumer group of KIP-848: the node decides who reads what, and leads each member there by its own heartbeats, so that
// nobody waits for anybody but for partitions that another has not let go of yet. Members, subscriptions and topics may change the assignment. It is not
// safe for concurrent use.
type ConsumerMachine struct {
	decided[*consumer]
	interests map[string]*interest // those that members have
	static    map[string]string    // instance id → member id
	owners    map[stream.ID][]*consumer
	next      *Machine // what the group became
}

// consumer is a member of a ConsumerMachine.
type consumer struct {
	id, instance, rack, client, host string
	order                            uint64
	rebalance                        time.Duration
	assignor                         string // "" = no wish
	sub                              *interest

	epoch    int32 // or leftForNow
	previous int32
	phase    phase
	assigned holding
	revoking holding
	target   assignor.Assignment

	expires  time.Time
	revokeBy time.Time    // while revoking: when the member is fenced
	classic  *classicSelf // of a member that speaks the classic protocol, else nil
}

// phase is how far a member is on the way to its target.
type phase string

const (
	settled  phase = ""         // it has all of the target it was led to
	revoking phase = "revoking" // it has yet to stop reading something; its epoch is the old one
	waiting  phase = "waiting"  // others have yet to let go of some of its target; its epoch is the target's
)

// firstEpoch is that of a group before anybody joins, as in Kafka.
const firstEpoch = 1

// Epochs with a meaning of their own in heartbeats.
const (
	joining    int32 = 0
	left       int32 = -1
	leftForNow int32 = -2 // a static member that is to come back
)

// holding is the partitions that a member has, ascending within each topic, and since which epoch. It is replaced, never written to.
type holding map[stream.ID][]held

type held struct {
	partition, epoch int32
}

func (h holding) find(shard stream.Shard) (held, bool) {
	list := h[shard.Stream]
	i, ok := slices.BinarySearchFunc(list, shard.Index, func(a held, p int32) int { return int(a.partition) - int(p) })
	if !ok {
		return held{}, false
	}
	return list[i], true
}

func (h holding) equal(o holding) bool { return maps.EqualFunc(h, o, slices.Equal[[]held]) }

// assignment returns h without epochs.
func (h holding) assignment() assignor.Assignment {
	a := make(assignor.Assignment, len(h))
	for id, list := range h {
		for _, x := range list {
			a[id] = append(a[id], x.partition)
		}
	}
	return a
}

// since returns h as held since an epoch.
func (h holding) since(epoch int32) holding { return hold(h.assignment(), epoch) }

// hold returns a as held since an epoch.
func hold(a assignor.Assignment, epoch int32) holding {
	h := make(holding, len(a))
	for id, partitions := range a {
		for _, p := range partitions {
			h[id] = append(h[id], held{p, epoch})
		}
	}
	return h
}

// Settings are what a group's own configs say: consumer.* or streams.*.
type Settings struct {
	Session     time.Duration // session.timeout.ms
	Interval    time.Duration // heartbeat.interval.ms
	Brisk       time.Duration // a shorter interval that the node has time for; 0 = none
	AssignEvery time.Duration // assignment.interval.ms: the least time between two runs of the assignor
	Delay       time.Duration // initial.rebalance.delay.ms: how long a first member waits for others; of streams groups
	Standbys    int           // num.standby.replicas: standby tasks of each task with state; of streams groups
}

// interval returns when a member of so many is to send its next heartbeat: sooner than it is set to if it waits for what may be there by then.
func (s Settings) interval(waits bool, members int) time.Duration {
	interval := s.Interval
	if s.Brisk >= interval {
		return interval
	}
	if s.Brisk > 0 {
		interval = s.Brisk
	}
	if waits {
		interval = min(interval, max(waitingInterval, time.Duration(members)*beatShare))
	}
	return interval
}

const (
	briskInterval   = time.Second            // between heartbeats, where the group has no interval of its own and the node few members
	waitingInterval = 500 * time.Millisecond // between heartbeats of a member that waits for partitions
	beatShare       = 2 * time.Millisecond   // longer for each member, so that all together send at most 500 a second
)

// NewConsumerMachine returns an empty group.
func NewConsumerMachine(id string, config Config, now time.Time, topics *Topics) *ConsumerMachine {
	return &ConsumerMachine{
		decided:   newDecided[*consumer](id, config, config.Settings(), now, topics),
		interests: map[string]*interest{}, static: map[string]string{}, owners: map[stream.ID][]*consumer{},
	}
}

func (mem *consumer) at() int32         { return mem.epoch }
func (mem *consumer) knowsEpochs() bool { return mem.classic == nil }

func (mem *consumer) reconciled(target int32) bool {
	return mem.phase == settled && mem.epoch == target
}

// SetSettings says what the group's configs are from now on.
func (m *ConsumerMachine) SetSettings(s Settings) { m.settings = s }

// SetTopics says what topics there are now. If that changes what any member reads, who reads what is decided anew.
func (m *ConsumerMachine) SetTopics(t *Topics) {
	if m.topics == t {
		return
	}
	m.topics = t
	changed := false
	for _, s := range m.interests {
		changed = s.resolve(t) || changed
	}
	if changed {
		m.bump("topics that members read were created, deleted or given partitions")
	}
}

// Ready returns what has accumulated since the last call.
func (m *ConsumerMachine) Ready() Output {
	return m.ready(memberKind, func() encoder { return m.document() }, func(mem *consumer) encoder { return m.memberDocument(mem) })
}

// Becomes returns the classic group that this one has turned into, or nil.
func (m *ConsumerMachine) Becomes() *Machine { return m.next }

func (mem *consumer) bytes() int64 {
	n := int64(len(mem.id) + len(mem.instance) + len(mem.rack) + len(mem.client) + len(mem.host))
	if mem.sub != nil {
		n += mem.sub.size
	}
	if mem.classic != nil {
		n += protocolBytes(mem.classic.protocols)
	}
	return n
}

// touch starts the member's session anew.
func (m *ConsumerMachine) touch(now time.Time, mem *consumer) {
	session := m.settings.Session
	if mem.classic != nil {
		session = mem.classic.session
	}
	mem.expires = now.Add(session)
}

// add makes a new member without a subscription.
func (m *ConsumerMachine) add(id, instance string) *consumer {
	m.order++
	mem := &consumer{id: id, instance: instance, order: m.order}
	m.insert(mem)
	return mem
}

func (m *ConsumerMachine) insert(mem *consumer) {
	m.members[mem.id] = mem
	m.list = append(m.list, mem)
	if mem.instance != "" {
		m.static[mem.instance] = mem.id
	}
	m.changed[mem.id] = mem
	delete(m.gone, mem.id)
	m.moved = true
}

// rename gives a member another id.
func (m *ConsumerMachine) rename(mem *consumer, id string) {
	m.forget(mem.id)
	mem.id = id
	m.members[id] = mem
	m.static[mem.instance] = id
	m.changed[id] = mem
	delete(m.gone, id)
	m.moved = true
}

// forget removes a member's id, not the member.
func (m *ConsumerMachine) forget(id string) {
	delete(m.members, id)
	delete(m.changed, id)
	m.gone[id] = true
}

// drop removes a member, and lets go of its partitions.
func (m *ConsumerMachine) drop(mem *consumer, reason string) {
	m.release(mem)
	m.unsubscribe(mem)
	m.forget(mem.id)
	if mem.instance != "" && m.static[mem.instance] == mem.id {
		delete(m.static, mem.instance)
	}
	i := slices.Index(m.list, mem)
	m.list = slices.Delete(m.list, i, i+1)
	m.moved = true
	m.event("member removed", mem.id, reason)
}

// remove drops members, and turns the group into a classic one if only such members are left.
func (m *ConsumerMachine) remove(now time.Time, reason string, leaving ...*consumer) {
	for _, mem := range leaving {
		m.drop(mem, reason)
	}
	if m.allClassic() && m.config.Migration.downgrades() {
		// Those who stay go on with the epoch that they know as their generation.
		m.becomeClassic(now, true, "the last member of the consumer protocol left")
		return
	}
	m.bump("members left")
	if len(m.members) == 0 {
		m.since = now
		m.event("becomes empty", "", "")
	}
}
