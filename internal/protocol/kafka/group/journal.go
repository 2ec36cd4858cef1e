package group

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// Journal hears what has become of groups, once that is durable and before whoever asked for it is answered. Its methods are called from many goroutines
// and must not block.
type Journal interface {
	// Committed hears of offsets that were committed. The slice is the journal's. Of commits that did not wait for each other it may hear in
	// another order than the log took them.
	Committed(group string, cursors []stream.Cursor)
	// Changed hears that something else of a group may have changed: its members, or offsets that were removed.
	Changed(group string)
}

// deaf is the Journal of a coordinator that nobody listens to.
type deaf struct{}

// Committed implements Journal.
func (deaf) Committed(string, []stream.Cursor) {}

// Changed implements Journal.
func (deaf) Changed(string) {}

// committed tells the journal of cursors, or that it is not known whether they were committed.
func (c *Coordinator) committed(id string, cursors []stream.Cursor, err error) {
	if err != nil {
		c.Journal.Changed(id)
		return
	}
	c.Journal.Committed(id, cursors)
}

// Snapshot is a group as it is to be known outside. Of a group that nothing is kept of all is zero.
type Snapshot struct {
	Classic   *Document         // of a classic group that is stable or empty
	Moving    bool              // a classic group is amid a rebalance: what was known of it before holds until that is over
	Consumers *ConsumerSnapshot // of a group of KIP-848
}

// ConsumerSnapshot is a group of KIP-848 with its members in the order in which they came, and what each of them is to be led to.
type ConsumerSnapshot struct {
	Group   ConsumerDocument
	Members []ConsumerMemberDocument
	Targets []assignor.Assignment // by member; not to be written to
}

// Snapshot returns what there is to know of a group.
func (c *Coordinator) Snapshot(id string) Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.groups[id]
	if e == nil || e.machine.State() == Dead || e.machine.Idle() {
		return Snapshot{}
	}
	switch m := e.machine.(type) {
	case *Machine:
		if m.state != Stable && m.state != Empty {
			return Snapshot{Moving: true}
		}
		if m.generation == 0 {
			return Snapshot{} // members are about to join
		}
		d := m.document()
		return Snapshot{Classic: &d}
	case *ConsumerMachine:
		s := &ConsumerSnapshot{Group: m.document()}
		for _, mem := range m.list {
			s.Members = append(s.Members, m.memberDocument(mem))
			s.Targets = append(s.Targets, mem.target)
		}
		return Snapshot{Consumers: s}
	}
	return Snapshot{}
}

// IDs returns the ids of all groups, and of offsets without one, in order.
func (c *Coordinator) IDs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.groups))
	for id := range c.groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// groupsOf returns the groups whose offsets owners' cursors are.
func groupsOf(owned []stream.OwnedCursors) []string {
	ids := make([]string, len(owned))
	for i := range owned {
		ids[i] = strings.TrimPrefix(owned[i].Owner, prefix)
	}
	return ids
}
