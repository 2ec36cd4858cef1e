package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Join is a request to be in the group's next generation.
type Join struct {
	Member   string // "" the first time
	Instance string // group.instance.id of a static member (KIP-345), or ""
	// Candidate is an id nobody has, used if the member needs one.
	Candidate string
	// NeedsID: the client can be sent back to join again with its id (KIP-394, version 4 and up).
	NeedsID bool
	// SkipsAssignment: the client understands that a leader may be told not to assign (KIP-814, version 9 and up).
	SkipsAssignment bool

	Client, Host string // client id, and where it connects from
	Connection   string // tells the client's connection from all others
	Session      time.Duration
	Rebalance    time.Duration
	ProtocolType string
	Protocols    []Protocol // in the member's order of preference; kept, not copied
	Reason       string     // the client's own words (KIP-800), or ""
}

// Joined answers a Join. Member is set with every error too.
type Joined struct {
	Member         string
	Generation     int32
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	Members        []Fellow // for the leader
}

// Fellow is a member as its leader sees it.
type Fellow struct {
	Member   string
	Instance string
	Metadata []byte
}

// Join answers at once with an error or the running generation, or when the rebalance that it takes part in is over.
func (m *Machine) Join(now time.Time, to Token, j Join) {
	m.moved = true
	if m.state == Dead {
		m.refuseJoin(to, j.Member, kerr.CoordinatorNotAvailable)
		return
	}
	if !m.supports(j) {
		m.refuseJoin(to, j.Member, kerr.InconsistentGroupProtocol)
		return
	}
	if n := m.growth(j); n > 0 && m.Bytes()+n > m.room {
		m.event("join refused", j.Member, "the members' metadata would exceed the group's memory bound")
		m.refuseJoin(to, j.Member, kerr.GroupMaxSizeReached)
		return
	}
	if j.Member == "" {
		m.joinNew(now, to, j)
		return
	}
	m.joinKnown(now, to, j)
}

func (m *Machine) refuseJoin(to Token, member string, err *kerr.Error) {
	m.reply(Reply{To: to, Err: err, Join: Joined{Member: member, Generation: -1}})
}

// growth returns by how many bytes j grows the group.
func (m *Machine) growth(j Join) int64 {
	n := protocolBytes(j.Protocols)
	id := j.Member
	if id == "" {
		id = m.static[j.Instance]
	}
	if mem := m.members[id]; mem != nil {
		n -= protocolBytes(mem.protocols)
	}
	return n
}

// supports says whether the member of j can work with those in the group.
func (m *Machine) supports(j Join) bool {
	if j.ProtocolType == "" || len(j.Protocols) == 0 {
		return false
	}
	if len(m.members) == 0 {
		return true
	}
	if j.ProtocolType != m.protocolType {
		return false
	}
	return slices.ContainsFunc(j.Protocols, func(p Protocol) bool { return m.common(p.Name) })
}

func (m *Machine) joinNew(now time.Time, to Token, j Join) {
	if j.Instance != "" {
		if old, ok := m.static[j.Instance]; ok {
			m.replaceStatic(now, to, old, j)
			return
		}
	}
	if len(m.members) >= m.config.MaxMembers {
		m.event("join refused", "", "the group has its maximum of members")
		m.refuseJoin(to, "", kerr.GroupMaxSizeReached)
		return
	}
	if j.NeedsID && j.Instance == "" {
		m.givePending(now, j)
		m.refuseJoin(to, j.Candidate, kerr.MemberIDRequired)
		return
	}
	m.add(now, to, j.Candidate, j)
}

// givePending remembers that j's candidate id was given out. A client that asks again over the same connection has lost the id it was given
// before (librdkafka#5569); and there are never more such ids than members: the one given out first makes room.
func (m *Machine) givePending(now time.Time, j Join) {
	oldest := ""
	for id, p := range m.pending {
		if p.client == j.Client && p.connection == j.Connection {
			delete(m.pending, id)
			continue
		}
		if oldest == "" || p.order < m.pending[oldest].order {
			oldest = id
		}
	}
	if len(m.pending) >= m.config.MaxMembers {
		delete(m.pending, oldest)
	}
	m.order++
	m.pending[j.Candidate] = pending{
		expires: now.Add(min(m.config.PendingTimeout, j.Session)), order: m.order, client: j.Client, connection: j.Connection,
	}
}

func (m *Machine) joinKnown(now time.Time, to Token, j Join) {
	if _, ok := m.pending[j.Member]; ok && j.Instance == "" {
		if len(m.members) >= m.config.MaxMembers {
			delete(m.pending, j.Member)
			m.event("join refused", j.Member, "the group has its maximum of members")
			m.refuseJoin(to, j.Member, kerr.GroupMaxSizeReached)
			return
		}
		m.add(now, to, j.Member, j)
		return
	}
	mem, err := m.find(j.Member, j.Instance)
	if err != nil {
		m.refuseJoin(to, j.Member, err)
		return
	}
	same := mem.matches(j.Protocols)
	switch {
	case m.state == CompletingRebalance && same, m.state == Stable && same && m.leader != mem.id:
		// The answer to an earlier join was lost, or a follower asks in vain: tell how things stand.
		mem.touch(now)
		m.reply(Reply{To: to, Join: m.joined(mem)})
	default:
		m.update(now, to, mem, j)
		m.rebalance(now, why("member "+mem.id+" joins again", j.Reason))
	}
}

func why(ours, theirs string) string {
	if theirs == "" {
		return ours
	}
	const maxReason = 256
	if len(theirs) > maxReason {
		theirs = theirs[:maxReason]
	}
	return ours + "; it says: " + theirs
}

// add makes a new member and lets it wait for the rebalance.
func (m *Machine) add(now time.Time, to Token, id string, j Join) {
	delete(m.pending, id)
	m.order++
	mem := &member{id: id, instance: j.Instance, order: m.order, nameless: j.Member == ""}
	if len(m.members) == 0 {
		m.protocolType = j.ProtocolType
	}
	m.members[id] = mem
	if j.Instance != "" {
		m.static[j.Instance] = id
	}
	if m.leader == "" {
		m.leader = id
	}
	m.fresh = true
	m.update(now, to, mem, j)
	m.rebalance(now, why("member "+id+" joins", j.Reason))
}

// update takes over what a member says of itself and lets it wait for the rebalance.
func (m *Machine) update(now time.Time, to Token, mem *member, j Join) {
	m.reply(Reply{To: mem.join, Err: kerr.RebalanceInProgress, Join: Joined{Member: mem.id, Generation: -1}})
	mem.client, mem.host = j.Client, j.Host
	mem.session, mem.rebalance = j.Session, j.Rebalance
	mem.protocols = j.Protocols
	mem.joined, mem.join = true, to
	mem.touch(now)
}

func (mem *member) matches(protocols []Protocol) bool {
	return slices.EqualFunc(mem.protocols, protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// find returns the member with id, which must be that of instance if one is given.
func (m *Machine) find(id, instance string) (*member, *kerr.Error) {
	if instance != "" {
		now, ok := m.static[instance]
		if !ok {
			return nil, kerr.UnknownMemberID
		}
		if now != id {
			return nil, kerr.FencedInstanceID
		}
	}
	mem := m.members[id]
	if mem == nil {
		return nil, kerr.UnknownMemberID
	}
	return mem, nil
}

// joined describes the running generation to one of its members.
func (m *Machine) joined(mem *member) Joined {
	a := Joined{
		Member: mem.id, Generation: m.generation, ProtocolType: m.protocolType, Protocol: m.protocol, Leader: m.leader,
	}
	if m.leader == mem.id {
		a.Members = m.fellows()
	}
	return a
}

func (m *Machine) fellows() []Fellow {
	list := make([]Fellow, 0, len(m.members))
	for _, mem := range m.ordered() {
		list = append(list, Fellow{Member: mem.id, Instance: mem.instance, Metadata: mem.metadata(m.protocol)})
	}
	return list
}

// ordered returns the members in the order in which they came.
func (m *Machine) ordered() []*member {
	list := make([]*member, 0, len(m.members))
	for _, mem := range m.members {
		list = append(list, mem)
	}
	slices.SortFunc(list, func(a, b *member) int {
		if a.order < b.order {
			return -1
		}
		return 1
	})
	return list
}
