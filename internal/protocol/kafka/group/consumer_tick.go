package group

import "time"

// Deadline returns when Tick is next due, or the zero time if never. Signs of life only move it away, so that an older answer is early at worst.
func (m *ConsumerMachine) Deadline() time.Time {
	var first time.Time
	for _, mem := range m.list {
		for _, t := range mem.deadlines() {
			if !t.IsZero() && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	return first
}

// deadlines returns when the member is to be removed for its silence, for keeping what it was to give up, and, if it speaks the classic protocol, for
// not joining again or not asking for its assignment; zero where it is not.
func (mem *consumer) deadlines() [4]time.Time {
	d := [4]time.Time{mem.expires, mem.revokeBy}
	if mem.classic != nil {
		d[2], d[3] = mem.classic.joinBy, mem.classic.syncBy
	}
	return d
}

// Tick removes the members whose time is up at now.
func (m *ConsumerMachine) Tick(now time.Time) {
	m.moved = true
	reasons := [4]string{
		"no sign of life in time", "did not give partitions up within its rebalance timeout",
		"did not join again within its rebalance timeout", "did not ask for its assignment within its rebalance timeout",
	}
	byReason := map[string][]*consumer{}
	for _, mem := range m.list {
		for i, t := range mem.deadlines() {
			if !t.IsZero() && !t.After(now) {
				byReason[reasons[i]] = append(byReason[reasons[i]], mem)
				break
			}
		}
	}
	for _, reason := range reasons {
		if gone := byReason[reason]; len(gone) > 0 && m.next == nil {
			m.remove(now, reason, gone...)
		}
	}
}
