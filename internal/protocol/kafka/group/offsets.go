package group

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// Config returns what bounds the groups, defaults filled in.
func (c *Coordinator) Config() Config { return c.config }

// MaxMetadataBytes is the longest remark that a committed offset may carry.
func (c *Coordinator) MaxMetadataBytes() int { return c.config.MaxMetadataBytes }

// Commit keeps offsets of the group, if who may do that; durable when it returns. stream.ErrNotFound: a stream is gone, and nothing was kept.
// A commit by no member makes the group if there is none.
func (c *Coordinator) Commit(ctx context.Context, id string, who Commit, cursors []stream.Cursor) error {
	if err := checkID(id, true); err != nil {
		return err
	}
	e, now, err := c.mayCommit(ctx, id, who, cursors)
	if err != nil {
		return err
	}
	for i := range cursors {
		cursors[i].Committed = now
	}
	e.offsetsMu.RLock()
	defer e.offsetsMu.RUnlock()
	if c.dead(e) {
		return kerr.CoordinatorNotAvailable // deleted since the check
	}
	err = c.Log.Commit(ctx, prefix+id, cursors)
	c.committed(id, cursors, err)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups[id] == nil {
		c.groups[id] = e // nothing was kept of the group, and so it was forgotten since the check
	}
	c.groups[id].offsets = true
	return nil
}

func (c *Coordinator) dead(e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.machine.State() == Dead
}

func (c *Coordinator) mayCommit(ctx context.Context, id string, who Commit, cursors []stream.Cursor) (*entry, time.Time, error) {
	c.mu.Lock()
	now := c.Clock.Now()
	e, err := c.entryLocked(id, who.Generation < 0)
	if err != nil {
		c.mu.Unlock()
		if errors.Is(err, errNoGroup) {
			err = kerr.GroupIDNotFound
		}
		return nil, now, err
	}
	err = e.machine.MayCommit(now, who, cursors)
	flush := c.settleLocked(e)
	c.mu.Unlock()
	if flush {
		c.flush(ctx, e)
	}
	return e, now, err
}

// Offsets returns what the group has committed, ordered by stream and shard; nothing for a group that does not exist.
func (c *Coordinator) Offsets(ctx context.Context, id string) ([]stream.Cursor, error) {
	if err := checkID(id, true); err != nil {
		return nil, err
	}
	return c.Log.Committed(ctx, prefix+id)
}

// Committed is an offset that DeleteOffsets is to remove.
type Committed struct {
	Topic string
	Shard stream.Shard
}

// DeleteOffsets removes committed offsets, and returns one error, or nil, for each: GROUP_SUBSCRIBED_TO_TOPIC while members read the topic.
func (c *Coordinator) DeleteOffsets(ctx context.Context, id string, remove []Committed) ([]error, error) {
	if err := checkID(id, false); err != nil {
		return nil, err
	}
	c.mu.Lock()
	e, err := c.entryLocked(id, false)
	c.mu.Unlock()
	if errors.Is(err, errNoGroup) {
		err = kerr.GroupIDNotFound
	}
	if err != nil {
		return nil, err
	}
	e.offsetsMu.Lock()
	defer e.offsetsMu.Unlock()
	topics, err := c.readTopics(e)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(remove))
	var shards []stream.Shard
	for i, r := range remove {
		if topics[r.Topic] {
			errs[i] = kerr.GroupSubscribedToTopic
			continue
		}
		shards = append(shards, r.Shard)
	}
	if len(shards) == 0 {
		return errs, nil
	}
	err = c.Log.Forget(ctx, prefix+id, shards)
	c.Journal.Changed(id)
	return errs, err
}

// MayFetch returns nil if who asks may read the group's committed offsets: a member of a consumer or streams group by its id and epoch, and whoever names
// none (nil, -1). UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH.
func (c *Coordinator) MayFetch(id string, member *string, epoch int32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.groups[id]
	if e == nil {
		return nil
	}
	if m, ok := e.machine.(deciding); ok {
		return m.MayFetch(member, epoch)
	}
	return nil
}

// readTopics returns the topics that the group's members read, whose offsets must stay.
func (c *Coordinator) readTopics(e *entry) (map[string]bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.machine.readTopics()
}

func (m *Machine) readTopics() (map[string]bool, error) {
	switch m.state {
	case Dead:
		return nil, kerr.GroupIDNotFound
	case Empty:
		return nil, nil
	}
	if m.protocolType != consumerType {
		return nil, kerr.NonEmptyGroup // what such members read is their own affair
	}
	topics, known := m.Subscribed()
	if !known {
		return nil, kerr.NonEmptyGroup
	}
	return topics, nil
}
