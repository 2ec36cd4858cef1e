package group

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// MayStage returns nil if who asks may stage offsets of the shards in a transaction, and why not otherwise (KIP-447): ILLEGAL_GENERATION also for a
// member of a group that does not exist, or whose epoch is an old one. A group that does not exist is made for a reader that is no member.
func (c *Coordinator) MayStage(ctx context.Context, id string, who Commit, cursors []stream.Cursor) error {
	if err := checkID(id, false); err != nil {
		return err
	}
	who.Transactional = true
	e, _, err := c.mayCommit(ctx, id, who, cursors)
	if errors.Is(err, kerr.GroupIDNotFound) || errors.Is(err, kerr.StaleMemberEpoch) {
		return kerr.IllegalGeneration
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[id] == nil {
		c.groups[id] = e
	}
	c.groups[id].offsets = true // soon, if all goes well; else Expire finds that there are none
	return nil
}

// Owner returns whose cursors a group's offsets are.
func (c *Coordinator) Owner(id string) string { return prefix + id }

// Committing calls f, which commits cursors of groups, without anybody removing offsets of theirs meanwhile. Groups that are gone are made again:
// what a transaction commits was staged when it was allowed. Owners are in order, so that two callers do not wait for each other.
func (c *Coordinator) Committing(owned []stream.OwnedCursors, f func() error) error {
	ids := groupsOf(owned)
	held := make([]*entry, len(ids))
	for i, id := range ids {
		held[i] = c.holdOffsets(id)
		defer held[i].offsetsMu.RUnlock()
	}
	err := f()
	for i, id := range ids {
		c.committed(id, owned[i].Cursors, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, id := range ids {
		if err == nil {
			if c.groups[id] == nil {
				c.groups[id] = held[i] // forgotten since, because it had none
			}
			c.groups[id].offsets = true
		}
	}
	return err
}

// holdOffsets returns the group with its offsetsMu held for reading. Whoever deletes a group holds that until it is done.
func (c *Coordinator) holdOffsets(id string) *entry {
	for {
		c.mu.Lock()
		e := c.groups[id]
		if e == nil {
			e = c.insertLocked(id, NewMachine(id, c.config, c.Clock.Now()))
		}
		c.mu.Unlock()
		e.offsetsMu.RLock()
		if !c.dead(e) {
			return e
		}
		e.offsetsMu.RUnlock()
	}
}
