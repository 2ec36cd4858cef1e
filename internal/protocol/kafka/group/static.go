package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// replaceStatic gives the place of the static member old to the one that now bears its instance id (KIP-345). Whoever still uses the old
// member id is fenced. A stable group stays so, and needs no rebalance, as long as its protocol and the member's subscription are the same.
func (m *Machine) replaceStatic(now time.Time, to Token, oldID string, j Join) {
	mem := m.members[oldID]
	before, known := m.subscription(mem)
	m.fence(mem)

	wasLeader := m.leader == oldID
	delete(m.members, oldID)
	mem.id = j.Candidate
	m.members[mem.id] = mem
	m.static[j.Instance] = mem.id
	if wasLeader {
		m.leader = mem.id
	}
	m.update(now, to, mem, j)
	m.dirty = true
	m.event("static member replaced", mem.id, "instance "+j.Instance+" came back; it was "+oldID)

	after, knownNow := m.subscription(mem)
	same := known == knownNow && slices.Equal(before, after)
	if m.state != Stable || m.choose() != m.protocol || !same {
		m.rebalance(now, why("static member "+j.Instance+" came back", j.Reason))
		return
	}
	mem.joined, mem.join = false, 0
	a := m.joined(mem)
	switch {
	case wasLeader && j.SkipsAssignment:
		a.SkipAssignment = true
	case wasLeader:
		// An assignment of this leader would go nowhere in a stable group: the old id keeps it from making one.
		a.Leader, a.Members = oldID, nil
	}
	m.reply(Reply{To: to, Join: a})
}

// fence answers whoever waits as mem: somebody else is that member now.
func (m *Machine) fence(mem *member) {
	m.reply(Reply{To: mem.join, Err: kerr.FencedInstanceID, Join: Joined{Member: mem.id, Generation: -1}})
	m.reply(Reply{To: mem.sync, Err: kerr.FencedInstanceID})
	mem.join, mem.sync = 0, 0
}

// subscription returns the topics of a consumer, sorted; known is false if it is none.
func (m *Machine) subscription(mem *member) (topics []string, known bool) {
	if m.protocolType != consumerType {
		return nil, false
	}
	topics, known = mem.topics(m.protocol)
	slices.Sort(topics)
	return slices.Compact(topics), known
}
