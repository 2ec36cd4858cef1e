package txn

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/protocol/kafka/deadline"
	"github.com/freshet/freshet/internal/state"
)

// Run aborts transactions whose time is over, and forgets transactional ids that nobody uses, until ctx ends.
func (c *Coordinator) Run(ctx context.Context) {
	loop := deadline.Loop{
		Clock: c.Clock, Wake: c.open.Wake(), Until: c.untilNext, Due: func() { c.AbortDue(ctx) },
		Every: c.config.ExpirationCheck, Sweep: func() { c.Expire(ctx) },
	}
	loop.Run(ctx)
}

func (c *Coordinator) untilNext() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open.Until(c.Clock.Now())
}

// AbortDue aborts the transactions whose time is over. One that cannot be is tried again after a second.
func (c *Coordinator) AbortDue(ctx context.Context) {
	now := c.Clock.Now()
	var due []*entry
	c.mu.Lock()
	for next := c.open.Due(now); next != nil; next = c.open.Due(now) {
		due = append(due, next.Of)
		c.open.Set(next, now.Add(retryDelay)) // unless it is aborted until then
	}
	c.mu.Unlock()
	for _, e := range due {
		if err := c.abort(ctx, e, now); err != nil {
			c.Logger.Error("abort transaction", "transactional_id", e.id, "error", err)
		}
	}
}

func (c *Coordinator) abort(ctx context.Context, e *entry, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at := e.txn.Deadline(); at.IsZero() || at.After(now) {
		return nil // ended, or another one by now
	}
	was := e.txn
	if err := c.take(ctx, e, e.txn.Expire(now)); err != nil {
		return err
	}
	c.Logger.Info("transaction aborted: its time is over", "transactional_id", e.id, "producer", was.ProducerID, "epoch", was.Epoch,
		"timeout", was.Timeout, "partitions", len(was.Shards))
	return nil
}

// Expire forgets the transactional ids that nothing has happened to for Config.Expiration.
func (c *Coordinator) Expire(ctx context.Context) {
	c.mu.Lock()
	all := make([]*entry, 0, len(c.entries))
	for _, e := range c.entries {
		all = append(all, e)
	}
	c.mu.Unlock()
	n := 0
	for _, e := range all {
		if ctx.Err() != nil {
			return
		}
		gone, err := c.expire(ctx, e)
		if err != nil {
			c.Logger.Error("forget transactional id", "transactional_id", e.id, "error", err)
		}
		if gone {
			n++
		}
	}
	if n > 0 {
		c.Logger.Info("transactional ids expired", "ids", n)
	}
}

func (c *Coordinator) expire(ctx context.Context, e *entry) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone || e.txn.State == Ongoing || c.Clock.Now().Sub(e.txn.Updated) < c.config.Expiration {
		return false, nil
	}
	if _, err := c.Store.Apply(ctx, state.Change{Key: state.Key{Kind: kind, ID: e.id}, If: state.Any, Delete: true}); err != nil {
		return false, err
	}
	c.forget(e)
	return true, nil
}
