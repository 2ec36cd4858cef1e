package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Expire removes the offsets that have outlived their retention, and empty groups without offsets. Offsets of a group with members never
// expire, but for topics that no member of a stable consumer group subscribes to any more: those expire counted from their commit (KIP-211).
// An empty group's are counted from when it became empty, those of a group that never had members from their commit.
func (c *Coordinator) Expire(ctx context.Context) error {
	c.mu.Lock()
	entries := make([]*entry, 0, len(c.groups))
	for _, e := range c.groups {
		entries = append(entries, e)
	}
	c.mu.Unlock()
	var errs []error
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.expire(ctx, e); err != nil {
			errs = append(errs, fmt.Errorf("group %q: %w", e.id, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Coordinator) expire(ctx context.Context, e *entry) error {
	e.offsetsMu.Lock()
	defer e.offsetsMu.Unlock()
	cursors, err := c.Log.Committed(ctx, prefix+e.id)
	if err != nil {
		return err
	}
	topics, err := c.topics(ctx, cursors)
	if err != nil {
		return err
	}
	c.mu.Lock()
	now := c.Clock.Now()
	var expired []stream.Shard
	reads := e.machine.reader()
	for _, cur := range cursors {
		if e.machine.expired(now, cur, reads(topics[cur.Shard.Stream])) {
			expired = append(expired, cur.Shard)
		}
	}
	c.mu.Unlock()
	if len(expired) > 0 {
		err = c.Log.Forget(ctx, prefix+e.id, expired)
		c.Journal.Changed(e.id)
		if err != nil {
			return err
		}
		c.Logger.Info("group offsets expired", "group", e.id, "offsets", len(expired))
	}
	if len(expired) < len(cursors) {
		return nil
	}
	return c.forgetEmpty(ctx, e)
}

// topics names the streams of cursors.
func (c *Coordinator) topics(ctx context.Context, cursors []stream.Cursor) (map[stream.ID]string, error) {
	names := map[stream.ID]string{}
	for _, cur := range cursors {
		if _, ok := names[cur.Shard.Stream]; ok {
			continue
		}
		s, err := c.Names.StreamByID(ctx, cur.Shard.Stream)
		if errors.Is(err, stream.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		names[s.ID] = string(s.Name)
	}
	return names, nil
}

// reader returns what tells whether the members of a stable group may read a topic. Their subscriptions are decoded once, here.
func (m *Machine) reader() func(topic string) bool {
	if m.state != Stable {
		return func(string) bool { return false }
	}
	topics, known := m.Subscribed()
	return func(topic string) bool { return !known || topics[topic] }
}

// expired says whether cur, an offset in a topic that members read or not, has outlived its retention.
func (m *Machine) expired(now time.Time, cur stream.Cursor, read bool) bool {
	retention := cur.Retention
	from := cur.Committed
	switch {
	case m.state == Empty && m.protocolType != "" && retention == 0:
		if m.since.After(from) {
			from = m.since
		}
	case m.state == Empty:
	case m.state == Stable:
		if read {
			return false
		}
	default:
		return false
	}
	if retention == 0 {
		retention = m.config.OffsetsRetention
	}
	return now.Sub(from) >= retention
}

// forgetEmpty removes a group that has neither members nor offsets, with its document. The caller holds e.offsetsMu.
func (c *Coordinator) forgetEmpty(ctx context.Context, e *entry) error {
	c.mu.Lock()
	e.offsets = false
	m := e.machine
	if m.State() != Empty || m.joining() || e.flushing || c.groups[e.id] != e {
		c.dropIdleLocked(e)
		c.mu.Unlock()
		return nil
	}
	m.Kill(c.Clock.Now())
	c.mu.Unlock()
	return c.bury(ctx, e)
}

// bury removes the document of a dead group and then the group; if that fails the group lives again.
func (c *Coordinator) bury(ctx context.Context, e *entry) error {
	c.mu.Lock()
	e.unkept = nil // nothing that could not be kept is to come back
	c.mu.Unlock()
	_, err := c.Store.Apply(ctx, state.Change{Key: groupKey(e.id), If: state.Any, Delete: true})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		e.machine.Revive(c.Clock.Now())
		return fmt.Errorf("delete group: %w", err)
	}
	c.scheduleLocked(e)
	delete(c.groups, e.id)
	c.Journal.Changed(e.id)
	return nil
}
