package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// classicSelf is what a member of a consumer group that speaks the classic protocol says of itself beyond others. Such a member joins, asks for its
// assignment and sends heartbeats as in a classic group, but no join waits for another: its generation is its epoch, nobody leads, and
// REBALANCE_IN_PROGRESS is how it is told that there is a step to take.
type classicSelf struct {
	session   time.Duration
	protocols []Protocol
	joinBy    time.Time // when it is removed unless it joins again, as it was told
	syncBy    time.Time // when it is removed unless it asks for its assignment
}

// metadata is what the member says in the protocol that it likes best, the only one that is looked at.
func (c *classicSelf) metadata() (e embedded, ok bool) {
	return decodeEmbedded(c.protocols[0].Metadata)
}

// Join makes the caller a member, or leads it a step on. It answers at once.
func (m *ConsumerMachine) Join(now time.Time, to Token, j Join) {
	joined, err := m.join(now, j)
	if err != nil {
		joined.Generation = -1
	}
	m.reply(Reply{To: to, Err: err, Join: joined})
}

func (m *ConsumerMachine) join(now time.Time, j Join) (Joined, error) {
	failed := Joined{Member: j.Member}
	switch {
	case m.dead:
		return failed, kerr.CoordinatorNotAvailable
	case m.config.Migration == MigrationDisabled, !m.speaks(j):
		return failed, kerr.InconsistentGroupProtocol
	}
	said, ok := decodeEmbedded(j.Protocols[0].Metadata)
	if !ok {
		return failed, kerr.InconsistentGroupProtocol
	}
	mem, err := m.joiner(j)
	if err != nil {
		return failed, err
	}
	if mem == nil && len(m.members) >= m.config.MaxConsumerMembers {
		return failed, kerr.GroupMaxSizeReached
	}
	if j.Member == "" && j.NeedsID && j.Instance == "" {
		return Joined{Member: j.Candidate}, kerr.MemberIDRequired
	}
	id := j.Member
	if id == "" {
		id = j.Candidate
	}
	sub, err := m.wanted(mem, ConsumerBeat{Member: id, Instance: j.Instance, Client: j.Client, Host: j.Host, Topics: said.topics, Pattern: new(string)})
	if err == nil && m.Bytes()+protocolBytes(j.Protocols) > m.room {
		err = kerr.GroupMaxSizeReached
	}
	if err != nil {
		return failed, err
	}
	wasConsumer := mem != nil && mem.classic == nil
	mem = m.enroll(mem, id, j)
	m.describeClassic(mem, j, said)
	anew := m.subscribe(mem, sub)
	if anew {
		m.bump("member " + id + " subscribes to something else")
	}
	m.accept(now, mem, m.topics.identified(said.owned), anew, wasConsumer)
	return Joined{Member: id, Generation: mem.epoch, ProtocolType: consumerType, Protocol: j.Protocols[0].Name}, nil
}

// accept leads a member that has joined, and turns the group into a classic one if it has taken the place of the last that spoke otherwise.
func (m *ConsumerMachine) accept(now time.Time, mem *consumer, owned []Partitions, anew, wasConsumer bool) {
	downgrades := wasConsumer && m.allClassic() && m.config.Migration.downgrades()
	if !downgrades {
		m.retarget(now)
	}
	m.reconcile(now, mem, owned, anew)
	if downgrades {
		m.becomeClassic(now, m.targetEpoch < m.epoch, "static member "+mem.instance+" came back with the classic protocol")
		return
	}
	mem.classic.joinBy, mem.classic.syncBy = time.Time{}, now.Add(mem.rebalance)
	m.touch(now, mem)
	m.moved = true
}

// joiner returns the member that joins, nil for a new one; one with another id is whom the joining static member takes the place of.
func (m *ConsumerMachine) joiner(j Join) (*consumer, error) {
	if j.Instance == "" {
		return m.members[j.Member], nil
	}
	static := m.members[m.static[j.Instance]]
	if j.Member == "" {
		return static, nil
	}
	return static, m.checkInstance(static, ConsumerBeat{Member: j.Member, Instance: j.Instance})
}

// enroll makes a new member of a joining one, or gives it the id it joins with.
func (m *ConsumerMachine) enroll(mem *consumer, id string, j Join) *consumer {
	if mem == nil {
		m.event("member joins", id, why("with the classic protocol", j.Reason))
		return m.add(id, j.Instance)
	}
	if mem.id != id {
		m.event("static member replaced", id, "instance "+j.Instance+" came back; it was "+mem.id)
		m.rename(mem, id)
		mem.epoch, mem.previous = 0, 0
	}
	return mem
}

func (m *ConsumerMachine) describeClassic(mem *consumer, j Join, said embedded) {
	mem.client, mem.host, mem.rack = j.Client, j.Host, said.rack
	mem.rebalance, mem.assignor = j.Rebalance, ""
	mem.classic = &classicSelf{session: j.Session, protocols: j.Protocols}
	m.changed[mem.id] = mem
}

// speaks says whether a joining member has a protocol in common with all who speak the classic protocol.
func (m *ConsumerMachine) speaks(j Join) bool {
	if j.ProtocolType != consumerType {
		return false
	}
	return slices.ContainsFunc(j.Protocols, func(p Protocol) bool {
		for _, mem := range m.list {
			if mem.classic != nil && !slices.ContainsFunc(mem.classic.protocols, func(o Protocol) bool { return o.Name == p.Name }) {
				return false
			}
		}
		return true
	})
}

// current returns a member that speaks the classic protocol and is in a generation.
func (m *ConsumerMachine) current(id, instance string, generation int32) (*consumer, error) {
	if m.dead {
		return nil, kerr.CoordinatorNotAvailable
	}
	mem := m.members[id]
	if instance != "" {
		mem = m.members[m.static[instance]]
		if err := m.checkInstance(mem, ConsumerBeat{Member: id, Instance: instance}); err != nil {
			return nil, err
		}
	}
	switch {
	case mem == nil || mem.classic == nil:
		return nil, kerr.UnknownMemberID
	case mem.epoch != generation:
		return nil, kerr.IllegalGeneration
	}
	return mem, nil
}

// askToJoin gives a member its rebalance timeout to join again.
func (m *ConsumerMachine) askToJoin(now time.Time, mem *consumer) *kerr.Error {
	if mem.classic.joinBy.IsZero() {
		mem.classic.joinBy = now.Add(mem.rebalance)
		m.moved = true
	}
	return kerr.RebalanceInProgress
}

// Sync answers at once with the member's assignment.
func (m *ConsumerMachine) Sync(now time.Time, to Token, s Sync) {
	mem, err := m.current(s.Member, s.Instance, s.Generation)
	var meta embedded
	if err == nil {
		meta, _ = mem.classic.metadata()
	}
	switch {
	case err != nil:
	case s.ProtocolType != "" && s.ProtocolType != consumerType, s.Protocol != "" && s.Protocol != mem.classic.protocols[0].Name:
		err = kerr.InconsistentGroupProtocol
	case m.targetEpoch > mem.epoch && mem.phase != revoking:
		err = m.askToJoin(now, mem)
	}
	if err != nil {
		m.reply(Reply{To: to, Err: err})
		return
	}
	mem.classic.syncBy = time.Time{}
	m.touch(now, mem)
	m.moved = true
	m.reply(Reply{To: to, Sync: Synced{
		ProtocolType: consumerType, Protocol: mem.classic.protocols[0].Name, Assignment: appendGiven(meta.version, m.topics.named(mem.assigned)),
	}})
}

// Heartbeat answers at once: with nil, REBALANCE_IN_PROGRESS if the member has to join again, or why it is none.
func (m *ConsumerMachine) Heartbeat(now time.Time, to Token, h Heartbeat) {
	mem, err := m.current(h.Member, h.Instance, h.Generation)
	if err == nil {
		m.touch(now, mem)
		m.retarget(now) // there may be no other members who would
		if mem.epoch < m.targetEpoch || mem.phase == revoking || mem.phase == waiting && !m.waits(mem) {
			err = m.askToJoin(now, mem)
		}
	}
	m.reply(Reply{To: to, Err: err})
}

// waits says whether others still have some of what the member is to read.
func (m *ConsumerMachine) waits(mem *consumer) bool {
	for topic, list := range hold(mem.target, 0) {
		for _, x := range list {
			if o := m.owners[topic]; int(x.partition) < len(o) && o[x.partition] != nil && o[x.partition] != mem {
				return true
			}
		}
	}
	return false
}

// Leave removes members and returns one error, or nil, for each.
func (m *ConsumerMachine) Leave(now time.Time, leaving []Leave) []error {
	errs := make([]error, len(leaving))
	var gone []*consumer
	reason := "it left"
	for i, l := range leaving {
		mem, err := m.leaver(l)
		switch {
		case err != nil:
			errs[i] = err
		case !slices.Contains(gone, mem):
			gone = append(gone, mem)
			reason = why("it left", l.Reason)
		}
	}
	if len(gone) > 0 {
		m.remove(now, reason, gone...)
	}
	return errs
}

func (m *ConsumerMachine) leaver(l Leave) (*consumer, error) {
	if m.dead {
		return nil, kerr.CoordinatorNotAvailable
	}
	if l.Instance == "" {
		if mem := m.members[l.Member]; mem != nil {
			return mem, nil
		}
		return nil, kerr.UnknownMemberID
	}
	mem := m.members[m.static[l.Instance]]
	if mem != nil && l.Member == "" {
		return mem, nil
	}
	return mem, m.checkInstance(mem, ConsumerBeat{Member: l.Member, Instance: l.Instance})
}
