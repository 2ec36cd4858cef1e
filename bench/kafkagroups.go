package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// groupMembers is the size of the large groups, before one more joins.
const groupMembers = 500

// groups measures the first member of a small group, and a large group of each protocol.
func (t *kafkaTurn) groups() error {
	if err := t.topic("crowded", groupMembers); err != nil {
		return err
	}
	if err := t.firstJoin(); err != nil {
		return err
	}
	return errors.Join(t.group(groupKind{name: "group"}), t.group(groupKind{name: "consumer group (848)", next: true}))
}

// firstJoin measures how long a client that is started takes until it has partitions, as the only member of a classic group: the median of several. That of
// a Java client, "first group join", has the start of its machine in it.
func (t *kafkaTurn) firstJoin() error {
	took := make([]float64, 5)
	for i := range took {
		assigned := make(chan struct{}, 1)
		began := time.Now()
		c, err := kgo.NewClient(
			kgo.SeedBrokers(t.server.address()), kgo.ConsumerGroup(fmt.Sprint("first-", i)), kgo.ConsumeTopics("crowded"), kgo.WithContext(t.ctx),
			kgo.DisableAutoCommit(), kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }),
		)
		if err != nil {
			return err
		}
		select {
		case <-assigned:
			took[i] = float64(time.Since(began).Microseconds()) / 1000
		case <-t.ctx.Done():
			err = context.Cause(t.ctx)
		case <-time.After(time.Minute):
			err = errors.New("a group of one has not formed in a minute")
		}
		c.Close()
		if err != nil {
			return err
		}
	}
	slices.Sort(took)
	t.row("first group join, Go client", took[len(took)/2], "ms")
	return nil
}

// groupKind is the protocol of a group: classic, or next, that of KIP-848.
type groupKind struct {
	name string
	next bool
}

// group forms a large group and has one more member join it. Members learn of that with their heartbeats, which are frequent in a classic group
// here, because it is the server that is measured; in the other protocol the server says how frequent they are.
func (t *kafkaTurn) group(kind groupKind) error {
	members := make([]*kgo.Client, 0, groupMembers+1)
	defer func() {
		var all sync.WaitGroup
		for _, c := range members {
			all.Go(c.Close)
		}
		all.Wait()
	}()
	for _, s := range []struct {
		measure string
		members int
	}{{"of 500, formed", groupMembers}, {"of 500, one more joins", groupMembers + 1}} {
		began := time.Now()
		for len(members) < s.members {
			c, err := t.member(kind)
			if err != nil {
				return err
			}
			members = append(members, c)
		}
		if err := t.settled(kind, kind.group(), s.members); err != nil {
			return err
		}
		t.row(kind.name+" "+s.measure, float64(time.Since(began).Milliseconds()), "ms")
	}
	return nil
}

// group is the group's id.
func (k groupKind) group() string {
	if k.next {
		return "crowd-next"
	}
	return "crowd"
}

// member starts one client in the large group.
func (t *kafkaTurn) member(kind groupKind) (*kgo.Client, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(t.server.address()), kgo.ConsumerGroup(kind.group()), kgo.ConsumeTopics("crowded"), kgo.WithContext(t.ctx),
		kgo.Balancers(kgo.RangeBalancer()), kgo.HeartbeatInterval(100 * time.Millisecond), kgo.FetchMaxWait(5 * time.Second), kgo.DisableAutoCommit(),
	}
	if kind.next {
		options = append(options, kgo.ServerSideBalancer())
	}
	return kgo.NewClient(options...)
}

// stable waits until a classic group has so many members and they their partitions.
func (t *kafkaTurn) stable(group string, members int) error {
	return t.settled(groupKind{}, group, members)
}

// settled waits until a group is stable with so many members.
func (t *kafkaTurn) settled(kind groupKind, group string, members int) error {
	ctx, cancel := context.WithTimeout(t.ctx, 3*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(t.server.address()))
	if err != nil {
		return err
	}
	defer client.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		state, present, err := described(ctx, kadm.NewClient(client), kind, group)
		if ctx.Err() != nil {
			return fmt.Errorf("group %s has not formed, it is %q with %d members: %w", group, state, present, errors.Join(err, ctx.Err()))
		}
		if state == "Stable" && present >= members {
			return nil
		}
		<-tick.C
	}
}

// described returns the state and the number of members of a group.
func described(ctx context.Context, admin *kadm.Client, kind groupKind, group string) (state string, members int, err error) {
	if kind.next {
		found, err := admin.DescribeConsumerGroups(ctx, group)
		return found[group].State, len(found[group].Members), err
	}
	found, err := admin.DescribeGroups(ctx, group)
	return found[group].State, len(found[group].Members), err
}
