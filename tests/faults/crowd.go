package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/process"
)

// crowdSize is how many consumers there are in the one group of a crowd.
const crowdSize = 2000

// crowd is many consumers of one group, each with a connection of its own, as cheap as they can be: they join, beat and give partitions back.
type crowd struct {
	node       *process.Node
	group      string
	topic      string
	partitions int
	run        func(context.Context, *member) error // one life of a member's connection
	session    time.Duration                        // classic members'
	// before, if set, is called before each request with what it is.
	before func(step string)

	mu      sync.Mutex
	members []*member
	work    sync.WaitGroup
	errors  atomic.Int64 // connections that ended in one
	last    atomic.Value // of them
}

// member is one consumer.
type member struct {
	*crowd
	stop    context.CancelFunc
	leaving atomic.Bool
	id      string // of its own goroutine, as the next ones
	conn    *conn

	// Guarded by crowd.mu: what it believes.
	generation int32 // -1 = it is in no group
	size       int   // of a leader: how many members there are
	owned      []int32
}

func newCrowd(node *process.Node, group string, partitions int, run func(context.Context, *member) error) *crowd {
	return &crowd{node: node, group: group, topic: "crowd", partitions: partitions, run: run, session: 10 * time.Second}
}

// start adds members.
func (g *crowd) start(ctx context.Context, n int) {
	for range n {
		ctx, stop := context.WithCancel(ctx)
		m := &member{crowd: g, stop: stop, generation: -1}
		g.mu.Lock()
		g.members = append(g.members, m)
		g.mu.Unlock()
		g.work.Go(func() {
			defer stop()
			m.live(ctx)
		})
	}
}

// live connects again and again.
func (m *member) live(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := dial(ctx, m.node.Kafka)
		if err == nil {
			m.conn = c
			end := context.AfterFunc(ctx, func() {
				if !m.leaving.Load() {
					c.Close() // it vanishes, whatever it is doing
				}
			})
			err = m.run(ctx, m)
			end()
			c.Close()
		}
		if err != nil && ctx.Err() == nil {
			m.errors.Add(1)
			m.last.Store(fmt.Errorf("a member: %w", err))
			wait(ctx, 50*time.Millisecond)
		}
	}
}

// step tells who asked what comes next.
func (g *crowd) step(what string) {
	if g.before != nil {
		g.before(what)
	}
}

// believe notes what a member was told.
func (m *member) believe(generation int32, owned []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation, m.owned = generation, owned
}

// remove takes the first n members out of the crowd.
func (g *crowd) remove(n int, leaving bool) {
	g.mu.Lock()
	gone := g.members[:n]
	g.members = slices.Clone(g.members[n:])
	g.mu.Unlock()
	for _, m := range gone {
		m.leaving.Store(leaving)
		m.stop()
	}
}

// vanish ends members who say nothing, leave those who do.
func (g *crowd) vanish(n int) { g.remove(n, false) }
func (g *crowd) leave(n int)  { g.remove(n, true) }

// stop ends all members.
func (g *crowd) stop() {
	g.vanish(len(g.members))
	g.work.Wait()
}

// stable waits until n members are of one mind: in one generation, each partition one's alone. It returns how long that took.
func (g *crowd) stable(ctx context.Context, n int, limit time.Duration) (time.Duration, error) {
	began := time.Now()
	err := until(ctx, limit, fmt.Sprintf("%d members of one mind", n), func() (bool, error) {
		err := g.disagreement(n)
		return err == nil, err
	})
	if last, ok := g.last.Load().(error); ok && err != nil {
		err = errors.Join(err, fmt.Errorf("%d connections failed, last: %w", g.errors.Load(), last))
	}
	return time.Since(began), err
}

// disagreement says why the members are not of one mind.
func (g *crowd) disagreement(n int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.members) != n {
		return fmt.Errorf("%d members, not %d", len(g.members), n)
	}
	generations := map[int32]int{}
	owners := make([]int, g.partitions)
	size := 0
	for _, m := range g.members {
		generations[m.generation]++
		size = max(size, m.size)
		for _, p := range m.owned {
			owners[p]++
		}
	}
	if len(generations) != 1 || generations[-1] > 0 {
		return fmt.Errorf("%d generations, %d members without one", len(generations), generations[-1])
	}
	if size > 0 && size != n {
		return fmt.Errorf("the leader knows %d members", size)
	}
	for p, o := range owners {
		if o != 1 {
			return fmt.Errorf("partition %d has %d owners", p, o)
		}
	}
	return nil
}

// gather brings a crowd together, has half of it vanish, and tells what that takes.
func (g *crowd) gather(ctx context.Context) error {
	defer g.stop()
	if err := createTopic(ctx, g.node, g.topic, int32(g.partitions)); err != nil {
		return err
	}
	if err := memory(g.node, "before"); err != nil {
		return err
	}
	g.start(ctx, crowdSize)
	took, err := g.stable(ctx, crowdSize, 2*patience)
	say("%d members are stable after %s", crowdSize, took.Round(10*time.Millisecond))
	if err = errors.Join(err, memory(g.node, "stable")); err != nil {
		return err
	}
	if err := bystanding(ctx, g.node, "beside the crowd", func() error { wait(ctx, 10*time.Second); return nil }); err != nil {
		return err
	}
	g.vanish(crowdSize / 2)
	took, err = g.stable(ctx, crowdSize/2, 3*patience)
	say("half of them vanish without leaving: the others are stable after %s", took.Round(10*time.Millisecond))
	return errors.Join(err, memory(g.node, "half of them"))
}

func classicCrowd(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	return newCrowd(node, "classic", crowdSize, classicMember).gather(ctx)
}

func consumerCrowd(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	return newCrowd(node, "consumers", crowdSize, consumerMember).gather(ctx)
}

// createTopic makes a topic.
func createTopic(ctx context.Context, node *process.Node, name string, partitions int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, name)
	return err
}

// appendPartitions and readPartitions are what the members of a crowd make of a classic assignment, which is theirs.
func appendPartitions(b []byte, partitions []int32) []byte {
	for _, p := range partitions {
		b = binary.BigEndian.AppendUint32(b, uint32(p))
	}
	return b
}

func readPartitions(b []byte) (partitions []int32) {
	for ; len(b) >= 4; b = b[4:] {
		partitions = append(partitions, int32(binary.BigEndian.Uint32(b)))
	}
	return partitions
}
