package share

import "time"

// signal puts a value into ch if there is none.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (c *Coordinator) untilNext() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.due.Until(c.Clock.Now())
}

// tick does what is due: it ends sessions of members, and locks of records.
func (c *Coordinator) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Clock.Now()
	for due := c.due.Due(now); due != nil; due = c.due.Due(now) {
		switch e := due.Of.(type) {
		case *groupEntry:
			for _, id := range e.Expired(now) {
				c.Logger.Info("share group member removed", "group", e.id, "member", id, "reason", "no sign of life in time")
				c.removeLocked(e, id)
			}
			c.settleGroupLocked(e)
		case *windowEntry:
			e.SetLimits(c.settings(e.group.id).Limits)
			if e.Tick(now) {
				c.newsLocked(e)
			}
			c.settleLocked(e)
		}
	}
}
