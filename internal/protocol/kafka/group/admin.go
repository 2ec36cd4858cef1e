package group

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Listing is one group in a list.
type Listing struct {
	ID           string
	ProtocolType string // "" for offsets without a group
	State        State
}

// List returns all groups by id.
func (c *Coordinator) List() []Listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Listing, 0, len(c.groups))
	for _, e := range c.groups {
		m := e.machine
		if m.state == Dead {
			continue
		}
		list = append(list, Listing{ID: e.id, ProtocolType: m.protocolType, State: m.state})
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

// Describe returns a group. GROUP_ID_NOT_FOUND.
func (c *Coordinator) Describe(id string) (Description, error) {
	if err := checkID(id, true); err != nil {
		return Description{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return Description{}, kerr.CoordinatorNotAvailable
	}
	e := c.groups[id]
	if e == nil || e.machine.state == Dead {
		return Description{}, kerr.GroupIDNotFound
	}
	m := e.machine
	d := Description{Listing: Listing{ID: id, ProtocolType: m.protocolType, State: m.state}}
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
	return d, nil
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
	case e.machine.state == Dead || c.groups[id] != e:
		err = kerr.GroupIDNotFound
	case e.machine.state != Empty:
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
