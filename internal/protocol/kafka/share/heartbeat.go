package share

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Beat takes in a member's sign of life, its joining or its leaving, and returns what it is to do. The session in b is set here.
// INVALID_GROUP_ID, GROUP_ID_NOT_FOUND, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, GROUP_MAX_SIZE_REACHED.
func (c *Coordinator) Beat(ctx context.Context, id string, b Beat) (Beaten, Settings, error) {
	settings := c.settings(id)
	if id == "" || len(id) > MaxIDBytes {
		return Beaten{}, settings, kerr.InvalidGroupID
	}
	b.Session = settings.Session
	now := c.Clock.Now()
	c.mu.Lock()
	if b.Epoch == LeaveEpoch {
		kept, err := c.leaveLocked(id, &b)
		c.mu.Unlock()
		if err == nil {
			err = kept.await(ctx)
		}
		return Beaten{Epoch: LeaveEpoch}, settings, err
	}
	g, look, err := c.subscribeLocked(id, now, &b)
	if err != nil {
		c.mu.Unlock()
		return Beaten{}, settings, err
	}
	if revision := c.Log.Revision(); look || g.looked != revision {
		g.looked = revision
		names := g.Names()
		c.mu.Unlock()
		topics, err := c.topics(ctx, names)
		if err != nil {
			return Beaten{}, settings, err
		}
		c.mu.Lock()
		g.SetTopics(topics)
	}
	if g.gone || g.members[b.Member] == nil { // meanwhile
		c.mu.Unlock()
		return Beaten{}, settings, kerr.UnknownMemberID
	}
	wait := g.Assign(now, settings.AssignEvery)
	told := g.Tell(&b)
	told.Wait = wait
	kept := c.settleGroupLocked(g)
	c.mu.Unlock()
	return told, settings, kept.await(ctx)
}

// subscribeLocked takes in who b is from, making the group if it is the first to join.
func (c *Coordinator) subscribeLocked(id string, now time.Time, b *Beat) (g *groupEntry, look bool, err error) {
	g, err = c.entryLocked(id)
	made := false
	if err != nil {
		if c.stopped || b.Epoch != JoinEpoch {
			return nil, false, err
		}
		if g, err = c.makeLocked(id); err != nil {
			return nil, false, err
		}
		made = true
	}
	if err = g.Check(b); err == nil {
		err = g.Admit(b, c.config.MaxMembers, min(c.config.MaxGroupBytes, c.config.MaxMemberBytes-c.bytes+g.size))
	}
	if err != nil {
		if made {
			delete(c.groups, id)
		}
		return nil, false, err
	}
	was := len(g.members)
	look = g.Subscribe(now, b)
	if len(g.members) > was {
		c.Logger.Info("share group member joined", "group", id, "member", b.Member, "client", b.Client, "host", b.Host)
	}
	c.settleGroupLocked(g)
	return g, look, nil
}

func (c *Coordinator) makeLocked(id string) (*groupEntry, error) {
	if len(c.groups) >= c.config.MaxGroups {
		c.Logger.Warn("share group refused: the node has its maximum of them", "group", id, "groups", len(c.groups))
		return nil, kerr.GroupMaxSizeReached
	}
	key, err := c.newKeyLocked()
	if err != nil {
		return nil, err
	}
	return c.insertLocked(id, key, NewGroup()), nil
}

func (c *Coordinator) leaveLocked(id string, b *Beat) (*round, error) {
	g, err := c.entryLocked(id)
	if err != nil {
		return nil, err
	}
	if err = g.Check(b); err != nil {
		return nil, err
	}
	c.Logger.Info("share group member left", "group", id, "member", b.Member)
	c.removeLocked(g, b.Member)
	return c.settleGroupLocked(g), nil
}

// removeLocked takes a member out of its group, with its session; others may have the records it had.
func (c *Coordinator) removeLocked(g *groupEntry, member string) {
	g.Remove(member)
	c.closeLocked(g, member)
}
