package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Sync asks for the member's assignment; the leader's brings everyone's.
type Sync struct {
	Member       string
	Instance     string
	Generation   int32
	ProtocolType string // "" = not said (before version 5)
	Protocol     string
	Assignments  map[string][]byte // by member id; kept, not copied
}

// Synced answers a Sync.
type Synced struct {
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// Sync answers when the leader's assignment is there.
func (m *Machine) Sync(now time.Time, to Token, s Sync) {
	m.moved = true
	mem, err := m.current(s.Member, s.Instance, s.Generation)
	switch {
	case err != nil:
	case s.ProtocolType != "" && s.ProtocolType != m.protocolType, s.Protocol != "" && s.Protocol != m.protocol && m.protocol != "":
		err = kerr.InconsistentGroupProtocol
	case m.state == Empty:
		err = kerr.UnknownMemberID
	case m.state == PreparingRebalance:
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		m.reply(Reply{To: to, Err: err})
		return
	}
	mem.touch(now)
	mem.syncDue = false
	if m.state == Stable {
		m.reply(m.synced(to, mem))
		return
	}
	m.reply(Reply{To: mem.sync, Err: kerr.RebalanceInProgress}) // asked before over a connection that is lost
	mem.sync = to
	if mem.id == m.leader {
		m.assign(now, mem, s.Assignments)
	}
}

// assign gives everyone what the leader decided, and makes the group stable.
func (m *Machine) assign(now time.Time, leader *member, assignments map[string][]byte) {
	total := m.Bytes()
	for _, mem := range m.members {
		total += int64(len(assignments[mem.id]) - len(mem.assignment))
	}
	if total > m.room {
		m.event("assignment refused", leader.id, "it would exceed the group's memory bound")
		m.reply(Reply{To: leader.sync, Err: kerr.UnknownServerError}) // as Kafka answers what does not fit a record of its offsets topic
		leader.sync = 0
		m.rebalance(now, "the leader's assignment is too large")
		return
	}
	m.enter(Stable, now)
	m.dirty = true
	for _, mem := range m.ordered() {
		mem.assignment = assignments[mem.id]
		if mem.sync == 0 {
			continue
		}
		mem.touch(now)
		m.reply(m.synced(mem.sync, mem))
		mem.sync = 0
	}
}

func (m *Machine) synced(to Token, mem *member) Reply {
	return Reply{To: to, Sync: Synced{ProtocolType: m.protocolType, Protocol: m.protocol, Assignment: mem.assignment}}
}

// current returns a member of the running generation.
func (m *Machine) current(id, instance string, generation int32) (*member, *kerr.Error) {
	if m.state == Dead {
		return nil, kerr.CoordinatorNotAvailable
	}
	mem, err := m.find(id, instance)
	if err == nil && generation != m.generation {
		err = kerr.IllegalGeneration
	}
	return mem, err
}
