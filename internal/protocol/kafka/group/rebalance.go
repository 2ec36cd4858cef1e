package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// rebalance starts a rebalance, or looks whether the one under way can end.
func (m *Machine) rebalance(now time.Time, reason string) {
	switch m.state {
	case Dead:
		return
	case PreparingRebalance:
		m.tryComplete(now)
		return
	case CompletingRebalance:
		for _, mem := range m.ordered() {
			m.reply(Reply{To: mem.sync, Err: kerr.RebalanceInProgress})
			mem.sync = 0
			mem.touch(now)
			mem.assignment = nil
		}
	}
	m.initial = m.state == Empty && m.config.InitialDelay > 0
	m.syncBy = time.Time{}
	for _, mem := range m.members {
		mem.syncDue = false
	}
	m.enter(PreparingRebalance, now)
	m.event("rebalance begins", "", reason)
	m.joinCap = now.Add(m.rebalanceTimeout())
	m.joinBy = m.joinCap
	if m.initial {
		m.joinBy = earlier(now.Add(m.config.InitialDelay), m.joinCap)
		m.fresh = false
		return
	}
	m.tryComplete(now)
}

// rebalanceTimeout is that of the most patient member.
func (m *Machine) rebalanceTimeout() time.Duration {
	var longest time.Duration
	for _, mem := range m.members {
		longest = max(longest, mem.rebalance)
	}
	return longest
}

func (m *Machine) tryComplete(now time.Time) {
	if len(m.members) == 0 {
		m.complete(now)
		return
	}
	if m.initial {
		return
	}
	for _, mem := range m.members {
		if !mem.joined {
			return
		}
	}
	m.complete(now)
}

// joinDeadline ends the time for joining: at once, or later if newcomers still arrive at a group that just comes into being.
func (m *Machine) joinDeadline(now time.Time) {
	if m.initial && m.fresh && now.Before(m.joinCap) {
		m.fresh = false
		m.joinBy = earlier(now.Add(m.config.InitialDelay), m.joinCap)
		return
	}
	m.complete(now)
}

// complete begins a generation with those who joined. Others are removed, but for static members: they have until their session ends.
func (m *Machine) complete(now time.Time) {
	joined := 0
	for _, mem := range m.ordered() {
		switch {
		case mem.joined:
			joined++
		case mem.instance == "":
			m.drop(mem, "did not join within the rebalance timeout")
		}
	}
	if joined == 0 && len(m.members) > 0 {
		// Only absent static members: nobody could lead. Their sessions go on.
		m.joinBy = now.Add(m.rebalanceTimeout())
		return
	}
	m.initial, m.fresh = false, false
	m.joinBy, m.joinCap = time.Time{}, time.Time{}
	m.generation++
	if len(m.members) == 0 {
		m.becomeEmpty(now)
		return
	}
	m.protocol = m.choose()
	if lead := m.members[m.leader]; lead == nil || !lead.joined {
		m.electLeader()
	}
	m.enter(CompletingRebalance, now)
	m.syncBy = now.Add(m.rebalanceTimeout())
	m.event("generation complete", "", fmt.Sprintf("%d members, protocol %s, leader %s", len(m.members), m.protocol, m.leader))
	for _, mem := range m.ordered() {
		if !mem.joined {
			continue
		}
		mem.touch(now)
		m.reply(Reply{To: mem.join, Join: m.joined(mem)})
		mem.joined, mem.join, mem.nameless, mem.syncDue = false, 0, false, true
	}
}

func (m *Machine) becomeEmpty(now time.Time) {
	m.protocol, m.leader = "", ""
	m.enter(Empty, now)
	m.dirty = true
	m.event("becomes empty", "", fmt.Sprintf("after generation %d", m.generation-1))
}

func (m *Machine) electLeader() {
	for _, mem := range m.ordered() {
		if mem.joined {
			m.leader = mem.id
			return
		}
	}
}

// common says whether every member supports a protocol.
func (m *Machine) common(protocol string) bool {
	for _, mem := range m.members {
		if !slices.ContainsFunc(mem.protocols, func(p Protocol) bool { return p.Name == protocol }) {
			return false
		}
	}
	return true
}

// choose returns the common protocol that most members like best; of several, the one that the oldest member prefers.
func (m *Machine) choose() string {
	ordered := m.ordered()
	if len(ordered) == 0 {
		return ""
	}
	oldest := ordered[0].protocols
	votes := map[string]int{} // for the common protocols, of which the oldest member has each
	for _, p := range oldest {
		if m.common(p.Name) {
			votes[p.Name] = 0
		}
	}
	for _, mem := range ordered {
		for _, p := range mem.protocols {
			if _, ok := votes[p.Name]; ok {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, p := range oldest {
		if votes[p.Name] > votes[best] {
			best = p.Name
		}
	}
	return best
}

// drop removes a member and answers whoever waits as it.
func (m *Machine) drop(mem *member, reason string) {
	m.reply(Reply{To: mem.join, Err: kerr.UnknownMemberID, Join: Joined{Member: mem.id, Generation: -1}})
	m.reply(Reply{To: mem.sync, Err: kerr.UnknownMemberID})
	delete(m.members, mem.id)
	if mem.instance != "" {
		delete(m.static, mem.instance)
	}
	if m.leader == mem.id {
		m.leader = ""
		if rest := m.ordered(); len(rest) > 0 {
			m.leader = rest[0].id
		}
	}
	m.event("member removed", mem.id, reason)
}

// remove drops a member and rebalances the others.
func (m *Machine) remove(now time.Time, mem *member, reason string) {
	m.drop(mem, reason)
	m.rebalance(now, "member "+mem.id+" removed: "+reason)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
