package group

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// The types of groups, as ListGroups names them.
const (
	ClassicType  = "classic"
	ConsumerType = "consumer"
	StreamsType  = "streams"
)

// Listing is one group in a list.
type Listing struct {
	ID           string
	ProtocolType string // "" for offsets without a group
	State        State
	Type         string // ClassicType, ConsumerType or StreamsType
}

// Exists says whether there is a group of an id, of whichever kind.
func (c *Coordinator) Exists(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.groups[id]
	return e != nil && e.machine.State() != Dead
}

// List returns all groups by id.
func (c *Coordinator) List() []Listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Listing, 0, len(c.groups))
	for _, e := range c.groups {
		if l := e.machine.Listing(); l.State != Dead {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b Listing) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Description is a group in full. Byte slices must not be written to.
type Description struct {
	Listing
	Protocol string // of a stable group, else ""
	Members  []DescribedMember
}

// DescribedMember is one member of a Description. Metadata is there for a stable group only; during a rebalance Assignment is the last one.
type DescribedMember struct {
	ID, Instance, Client, Host string
	Metadata, Assignment       []byte
}

// Describe returns a classic group. GROUP_ID_NOT_FOUND, also for a consumer group.
func (c *Coordinator) Describe(id string) (Description, error) {
	var d Description
	err := c.look(id, func(m machine) error {
		classic, ok := m.(*Machine)
		if !ok {
			return refusal.New(kerr.GroupIDNotFound, "Group %s is not a classic group.", id)
		}
		d = classic.Describe()
		return nil
	})
	return d, err
}

// DescribeConsumers returns a consumer group of KIP-848, and the topics that there are. INVALID_GROUP_ID; GROUP_ID_NOT_FOUND, also for a classic
// group.
func (c *Coordinator) DescribeConsumers(ctx context.Context, id string) (ConsumerDescription, *Topics, error) {
	var d ConsumerDescription
	if err := checkID(id, false); err != nil {
		return d, nil, err
	}
	topics, err := c.currentTopics(ctx)
	if err != nil {
		return d, nil, err
	}
	err = c.look(id, func(m machine) error {
		consumers, ok := m.(*ConsumerMachine)
		if !ok {
			return refusal.New(kerr.GroupIDNotFound, "Group %s is not a consumer group.", id)
		}
		d = consumers.Describe()
		return nil
	})
	return d, topics, err
}

// DescribeStreams returns a streams group. INVALID_GROUP_ID; GROUP_ID_NOT_FOUND, also for a group of another kind.
func (c *Coordinator) DescribeStreams(id string) (StreamsDescription, error) {
	var d StreamsDescription
	if err := checkID(id, false); err != nil {
		return d, err
	}
	err := c.look(id, func(m machine) error {
		streams, ok := m.(*StreamsMachine)
		if !ok {
			return refusal.New(kerr.GroupIDNotFound, "Group %s is not a streams group.", id)
		}
		d = streams.Describe()
		return nil
	})
	return d, err
}

// look shows a group to f. GROUP_ID_NOT_FOUND.
func (c *Coordinator) look(id string, f func(machine) error) error {
	if err := checkID(id, true); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return kerr.CoordinatorNotAvailable
	}
	e := c.groups[id]
	if e == nil || e.machine.State() == Dead {
		return refusal.New(kerr.GroupIDNotFound, "Group %s not found.", id)
	}
	return f(e.machine)
}

// Listing returns what ListGroups shows of the group.
func (m *Machine) Listing() Listing {
	return Listing{ID: m.id, ProtocolType: m.protocolType, State: m.state, Type: ClassicType}
}

// Describe returns the group in full.
func (m *Machine) Describe() Description {
	d := Description{Listing: m.Listing()}
	if m.state == Stable {
		d.Protocol = m.protocol
	}
	for _, mem := range m.ordered() {
		dm := DescribedMember{ID: mem.id, Instance: mem.instance, Client: mem.client, Host: mem.host, Assignment: mem.assignment}
		if m.state == Stable {
			dm.Metadata = mem.metadata(m.protocol)
		}
		d.Members = append(d.Members, dm)
	}
	return d
}

// Delete removes a group without members, with its offsets. GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
func (c *Coordinator) Delete(ctx context.Context, id string) error {
	if err := checkID(id, true); err != nil {
		return err
	}
	c.mu.Lock()
	e, err := c.entryLocked(id, false)
	c.mu.Unlock()
	if errors.Is(err, errNoGroup) {
		err = kerr.GroupIDNotFound
	}
	if err != nil {
		return err
	}
	e.offsetsMu.Lock()
	defer e.offsetsMu.Unlock()
	c.mu.Lock()
	switch {
	case e.machine.State() == Dead || c.groups[id] != e:
		err = kerr.GroupIDNotFound
	case e.machine.State() != Empty:
		err = kerr.NonEmptyGroup
	case e.flushing:
		err = kerr.CoordinatorNotAvailable // its last document is being kept just now
	default:
		e.machine.Kill(c.Clock.Now())
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err = c.Log.Forget(ctx, prefix+id, nil); err != nil {
		c.mu.Lock()
		e.machine.Revive(c.Clock.Now())
		c.mu.Unlock()
		return err
	}
	return c.bury(ctx, e)
}
