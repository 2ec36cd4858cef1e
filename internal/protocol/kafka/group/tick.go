package group

import (
	"time"
)

// Deadline returns when Tick is next due, or the zero time if never. Signs of life only move it away, so that an older answer is early at worst.
func (m *Machine) Deadline() time.Time {
	var first time.Time
	at := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	at(m.joinBy)
	at(m.syncBy)
	for _, p := range m.pending {
		at(p.expires)
	}
	for _, mem := range m.members {
		if !mem.waiting() {
			at(mem.expires)
		}
	}
	return first
}

// Tick does what is due at now: it ends sessions, forgets ids that nobody joined with, and ends waiting for joins and syncs.
func (m *Machine) Tick(now time.Time) {
	m.moved = true
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	for id, p := range m.pending {
		if due(p.expires) {
			delete(m.pending, id)
		}
	}
	for _, mem := range m.ordered() {
		if !mem.waiting() && due(mem.expires) && m.members[mem.id] == mem {
			m.remove(now, mem, "no sign of life in time (its session timeout is "+mem.session.String()+")")
		}
	}
	if m.state == PreparingRebalance && due(m.joinBy) {
		m.joinDeadline(now)
	}
	if due(m.syncBy) {
		m.syncDeadline(now)
	}
}

// syncDeadline removes the members that were told of the generation and never asked for their assignment: they may be gone, or hang.
func (m *Machine) syncDeadline(now time.Time) {
	m.syncBy = time.Time{}
	gone := false
	for _, mem := range m.ordered() {
		if mem.syncDue {
			gone = true
			m.drop(mem, "did not ask for its assignment within the rebalance timeout")
		}
	}
	if gone {
		m.rebalance(now, "members did not ask for their assignment")
	}
}

// Cancel forgets a waiting caller: its connection is lost. Its member stays until its session ends, but for one that could not learn its id.
func (m *Machine) Cancel(now time.Time, to Token) {
	m.moved = true
	for _, mem := range m.members {
		switch to {
		case mem.join:
			mem.join = 0
			mem.touch(now)
			if mem.nameless {
				m.remove(now, mem, "its connection was lost before it had an id")
			}
			return
		case mem.sync:
			mem.sync = 0
			mem.touch(now)
			return
		}
	}
}
