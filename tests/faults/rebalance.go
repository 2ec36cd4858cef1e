package main

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/tests/process"
)

const (
	smallCrowd      = 6
	smallPartitions = 12
)

// rebalanceSteps are the requests around which a node is killed, and whether members have to come or go for them to be asked.
var rebalanceSteps = []struct {
	kind, step string
	run        func(context.Context, *member) error
	leaving    bool
	most       int // times: a leave that is lost takes the session's time
}{
	{"classic", "join", classicMember, false, math.MaxInt},
	{"classic", "sync", classicMember, false, math.MaxInt},
	{"classic", "heartbeat", classicMember, false, math.MaxInt},
	{"classic", "leave", classicMember, true, 10},
	{"consumer", "reconcile", consumerMember, false, math.MaxInt},
	{"consumer", "leave", consumerMember, true, 3},
}

// rebalanceKills kills the node in the middle of rebalances: the members come back to it, and are soon of one mind again.
func rebalanceKills(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	if err := createTopic(ctx, node, "crowd", smallPartitions); err != nil {
		return err
	}
	for i, s := range rebalanceSteps {
		var took times
		for n := range min(r.times, s.most) {
			g := newCrowd(node, fmt.Sprintf("small-%d-%d", i, n), smallPartitions, s.run)
			g.session = 6 * time.Second // the shortest that may be
			d, err := killRebalance(ctx, r, node, g, s.step, s.leaving)
			g.stop()
			if err != nil {
				return fmt.Errorf("killed at %s of %s members: %w", s.step, s.kind, err)
			}
			took.add(d)
		}
		say("killed at %q of %s members, stable again: %s", s.step, s.kind, took.text())
	}
	return nil
}

// killRebalance kills the node around the next request of a kind, in a rebalance, and returns how long after the restart all are of one mind.
func killRebalance(ctx context.Context, r *rig, node *process.Node, g *crowd, step string, leaving bool) (time.Duration, error) {
	var armed atomic.Bool
	killed := make(chan struct{})
	skip := atomic.Int64{}
	skip.Store(int64(r.random.IntN(smallCrowd))) // so many of them come through
	delay := r.killDelay()
	g.before = func(s string) {
		if armed.Load() && s == step && skip.Add(-1) < 0 && armed.CompareAndSwap(true, false) {
			time.AfterFunc(delay, func() {
				node.Kill()
				close(killed)
			})
		}
	}
	g.start(ctx, smallCrowd)
	if _, err := g.stable(ctx, smallCrowd, patience); err != nil {
		return 0, err
	}
	before := g.generation()
	armed.Store(true)
	want := smallCrowd
	if leaving {
		skip.Store(0)
		g.leave(2)
		want -= 2
	} else {
		g.start(ctx, 2)
		want += 2
	}
	select {
	case <-killed:
	case <-time.After(patience):
		return 0, fmt.Errorf("nobody asks for %s", step)
	}
	if _, err := node.Start(ctx); err != nil {
		return 0, err
	}
	took, err := g.stable(ctx, want, patience)
	if now := g.generation(); err == nil && now < before {
		err = fmt.Errorf("generation %d after generation %d", now, before)
	}
	return took, err
}

// generation returns the last one that a member knows.
func (g *crowd) generation() int32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := int32(-1)
	for _, m := range g.members {
		last = max(last, m.generation)
	}
	return last
}
