package share

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/state"
)

// round is a set of documents that are kept together. While one round is on its way to the disk the next one fills: many acknowledgements
// share one write, without a timer.
type round struct {
	windows []*windowEntry
	groups  []*groupEntry
	done    chan struct{}
	err     error // valid once done is closed
}

// The most that is handed to the store at once.
const (
	maxChanges     = 500
	maxChangeBytes = 1 << 20
)

func (c *Coordinator) roundLocked() *round {
	if c.stopped {
		r := &round{done: make(chan struct{}), err: kerr.CoordinatorNotAvailable}
		close(r.done)
		return r
	}
	if c.round == nil {
		c.round = &round{done: make(chan struct{})}
	}
	signal(c.keeping)
	return c.round
}

// keepLocked has w's document written, or deleted if w is gone. What it says is decided when it is written.
func (c *Coordinator) keepLocked(w *windowEntry) *round {
	r := c.roundLocked()
	if w.round != r {
		w.round = r
		r.windows = append(r.windows, w)
	}
	return r
}

func (c *Coordinator) keepGroupLocked(g *groupEntry) *round {
	r := c.roundLocked()
	if g.round != r {
		g.round = r
		r.groups = append(r.groups, g)
	}
	return r
}

// settleLocked has w's document written if it has changed, and sets its timer. It returns what to wait for before an answer that depends on it.
func (c *Coordinator) settleLocked(w *windowEntry) *round {
	c.due.Set(&w.timer, w.Deadline())
	if w.gone || !w.Changed() {
		return nil
	}
	return c.keepLocked(w)
}

func (c *Coordinator) settleGroupLocked(g *groupEntry) *round {
	c.bytes += g.Bytes() - g.size
	g.size = g.Bytes()
	c.due.Set(&g.timer, g.Deadline())
	if !g.Changed() {
		return nil
	}
	return c.keepGroupLocked(g)
}

// await waits until r is kept. COORDINATOR_NOT_AVAILABLE if it was not.
func (r *round) await(ctx context.Context) error {
	if r == nil {
		return nil
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// keep writes round after round until ctx ends.
func (c *Coordinator) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.stopped = true
			r := c.round
			c.round = nil
			c.mu.Unlock()
			if r != nil {
				c.write(context.WithoutCancel(ctx), r)
			}
			return
		case <-c.keeping:
		}
		c.mu.Lock()
		r := c.round
		c.round = nil
		c.mu.Unlock()
		if r != nil {
			c.write(context.WithoutCancel(ctx), r)
		}
	}
}

// write keeps a round, windows before groups: a group that is being deleted goes last.
func (c *Coordinator) write(ctx context.Context, r *round) {
	defer close(r.done)
	windows, groups := r.windows, r.groups
	for len(windows)+len(groups) > 0 {
		var changes []state.Change
		bytes := 0
		c.mu.Lock()
		for len(windows) > 0 && len(changes) < maxChanges && bytes < maxChangeBytes {
			changes = append(changes, windows[0].change())
			bytes += len(changes[len(changes)-1].Value)
			windows = windows[1:]
		}
		for len(windows) == 0 && len(groups) > 0 && len(changes) < maxChanges && bytes < maxChangeBytes {
			g := groups[0]
			groups = groups[1:]
			if g.gone && c.groups[g.id] != nil {
				continue // it is there again, and the document is that one's
			}
			change, err := g.change()
			if err != nil {
				r.err = err
				continue
			}
			changes = append(changes, change)
			bytes += len(change.Value)
		}
		c.mu.Unlock()
		if len(changes) == 0 {
			continue
		}
		if _, err := c.Store.Apply(ctx, changes...); err != nil {
			c.failed(r, err)
			return
		}
	}
}

// failed takes in that a round was not kept: it is tried again with the next change, and where there will be none with the next sweep.
func (c *Coordinator) failed(r *round, err error) {
	c.Logger.Error("keep share groups", "error", err)
	r.err = fmt.Errorf("%w: keep share groups: %w", kerr.CoordinatorNotAvailable, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range r.windows {
		if w.changed = true; w.gone {
			c.unkept.windows = append(c.unkept.windows, w)
		}
	}
	for _, g := range r.groups {
		if g.changed = true; g.gone {
			c.unkept.groups = append(c.unkept.groups, g)
		}
	}
}

// retryLocked has the documents deleted that could not be.
func (c *Coordinator) retryLocked() {
	again := c.unkept
	c.unkept = round{}
	for _, w := range again.windows {
		c.keepLocked(w)
	}
	for _, g := range again.groups {
		c.keepGroupLocked(g)
	}
}

func (w *windowEntry) change() state.Change {
	ch := state.Change{Key: state.Key{Kind: windowKind, ID: windowID(w.group.key, w.shard)}, If: state.Any, Delete: w.gone}
	if !w.gone {
		ch.Value = w.Encode()
	}
	return ch
}

func (g *groupEntry) change() (state.Change, error) {
	ch := state.Change{Key: state.Key{Kind: groupKind, ID: prefix + g.id}, If: state.Any, Delete: g.gone}
	if g.gone {
		return ch, nil
	}
	var err error
	ch.Value, err = g.encode(g.key)
	return ch, err
}
