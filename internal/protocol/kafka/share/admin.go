package share

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// Assignor is the name of the one way in which shards are assigned.
const Assignor = "simple"

// Listing is one group in a list.
type Listing struct {
	ID    string
	State string
}

// Exists says whether there is such a group.
func (c *Coordinator) Exists(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.groups[id] != nil
}

// List returns all groups by id.
func (c *Coordinator) List() []Listing {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Listing, 0, len(c.groups))
	for _, g := range c.groups {
		list = append(list, Listing{g.id, g.State()})
	}
	slices.SortFunc(list, func(a, b Listing) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// Description is a group in full.
type Description struct {
	Listing
	Epoch         int32
	AssignedEpoch int32 // that the last assignment is for
	Members       []DescribedMember
}

// DescribedMember is one member of a Description.
type DescribedMember struct {
	ID, Client, Host, Rack string
	Epoch                  int32
	Topics                 []string
	Assignment             []stream.Shard
}

// Describe returns a group. GROUP_ID_NOT_FOUND.
func (c *Coordinator) Describe(id string) (Description, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, err := c.entryLocked(id)
	if err != nil {
		return Description{}, err
	}
	d := Description{Listing: Listing{id, g.State()}, Epoch: g.epoch, AssignedEpoch: g.targetEpoch}
	for _, m := range g.ordered() {
		d.Members = append(d.Members, DescribedMember{m.id, m.client, m.host, m.rack, m.epoch, m.topics, sortedShards(m.told)})
	}
	return d, nil
}

// Delete removes a group without members and all that is known of its reading. GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
func (c *Coordinator) Delete(ctx context.Context, id string) error {
	c.mu.Lock()
	g, err := c.emptyLocked(id)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	for member := range g.sessions {
		c.closeLocked(g, member)
	}
	for _, w := range g.windows {
		c.forgetLocked(w)
	}
	g.gone = true
	delete(c.groups, id)
	c.bytes -= g.size
	c.due.Set(&g.timer, time.Time{})
	kept := c.keepGroupLocked(g)
	c.mu.Unlock()
	c.Logger.Info("share group deleted", "group", id)
	return kept.await(ctx)
}

// emptyLocked finds a group that may be changed by who is no member. GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
func (c *Coordinator) emptyLocked(id string) (*groupEntry, error) {
	g, err := c.entryLocked(id)
	if err == nil && len(g.members) > 0 {
		err = kerr.NonEmptyGroup
	}
	return g, err
}

// Position is how far a group has come in a shard.
type Position struct {
	Shard stream.Shard
	Start stream.Offset // the first record that is not done with
	Done  int64         // records behind it that are
}

// Positions returns how far a group has come, ordered by stream and shard: nowhere if there is no such group.
func (c *Coordinator) Positions(id string) ([]Position, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, err := c.entryLocked(id)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := make([]Position, 0, len(g.windows))
	set := make(map[stream.Shard]bool, len(g.windows))
	for s := range g.windows {
		set[s] = true
	}
	for _, s := range sortedShards(set) {
		w := g.windows[s]
		all = append(all, Position{s, w.Start(), w.Done()})
	}
	return all, nil
}

// SetPosition is where a group is to go on in a shard.
type SetPosition struct {
	Shard stream.Shard
	Start stream.Offset
}

// Alter lets a group without members go on elsewhere, also in shards that it has not read of yet. Where there is no group it makes one, unless there is
// nothing to set. INVALID_GROUP_ID, NON_EMPTY_GROUP, GROUP_MAX_SIZE_REACHED, KAFKA_STORAGE_ERROR beyond Config.MaxWindows.
func (c *Coordinator) Alter(ctx context.Context, id string, to []SetPosition) error {
	if id == "" || len(id) > MaxIDBytes {
		return kerr.InvalidGroupID
	}
	c.mu.Lock()
	g, err := c.emptyLocked(id)
	if errors.Is(err, kerr.GroupIDNotFound) {
		if len(to) == 0 {
			c.mu.Unlock()
			return nil
		}
		g, err = c.makeLocked(id)
	}
	if err == nil && c.windows+len(to) > c.config.MaxWindows {
		err = kerr.KafkaStorageError
	}
	if err != nil {
		c.mu.Unlock()
		return err
	}
	kept := c.settleGroupLocked(g)
	for _, p := range to {
		w := g.windows[p.Shard]
		if w == nil {
			w = c.insertWindowLocked(g, p.Shard, NewWindow(p.Start, c.settings(id).Limits))
		}
		w.Reset(p.Start)
		c.newsLocked(w)
		kept = c.settleLocked(w)
	}
	c.mu.Unlock()
	return kept.await(ctx)
}

// ForgetStreams removes what is known of a group's reading of streams; where it had read nothing found is false. The group has no members.
// INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP.
func (c *Coordinator) ForgetStreams(ctx context.Context, id string, streams []stream.ID) (found []bool, err error) {
	if id == "" {
		return nil, kerr.InvalidGroupID
	}
	c.mu.Lock()
	g, err := c.emptyLocked(id)
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	found = make([]bool, len(streams))
	var kept *round
	for s, w := range g.windows {
		if i := slices.Index(streams, s.Stream); i >= 0 {
			found[i] = true
			c.forgetLocked(w)
			kept = w.round
		}
	}
	c.mu.Unlock()
	return found, kept.await(ctx)
}
