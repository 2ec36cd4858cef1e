package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fleet is consumers of one group that share out a topic.
type fleet struct {
	t     *testing.T
	node  *node
	opts  []kgo.Opt
	mu    sync.Mutex
	seen  map[string]int // value → how often
	moved chan struct{}  // has a value when seen or an assignment changed
}

func newFleet(t *testing.T, n *node, opts ...kgo.Opt) *fleet {
	return &fleet{t: t, node: n, opts: opts, seen: map[string]int{}, moved: make(chan struct{}, 1)}
}

// consumer is one member of a fleet.
type consumer struct {
	client   *kgo.Client
	assigned map[int32]bool // guarded by fleet.mu
	done     chan struct{}
}

func (f *fleet) note() {
	select {
	case f.moved <- struct{}{}:
	default:
	}
}

func (f *fleet) start(extra ...kgo.Opt) *consumer {
	f.t.Helper()
	c := &consumer{assigned: map[int32]bool{}, done: make(chan struct{})}
	change := func(owns bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(ctx context.Context, cl *kgo.Client, parts map[string][]int32) {
			if !owns && ctx.Err() == nil {
				_ = cl.CommitMarkedOffsets(ctx) // a refusal shows as a record seen twice
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, p := range parts["t"] {
				if owns {
					c.assigned[p] = true
				} else {
					delete(c.assigned, p)
				}
			}
			f.note()
		}
	}
	opts := append([]kgo.Opt{
		kgo.SeedBrokers(f.node.addr), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(50 * time.Millisecond), kgo.SessionTimeout(6 * time.Second), kgo.RebalanceTimeout(6 * time.Second),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
		kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
	}, f.opts...)
	cl, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	c.client = cl
	go f.poll(c)
	return c
}

func (f *fleet) poll(c *consumer) {
	defer close(c.done)
	for {
		fetches := c.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		f.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			f.seen[string(r.Value)]++
			c.client.MarkCommitRecords(r)
		})
		f.mu.Unlock()
		f.note()
		c.client.AllowRebalance()
	}
}

// stop leaves the group with what was read committed.
func (f *fleet) stop(c *consumer) {
	f.t.Helper()
	if err := c.client.CommitMarkedOffsets(f.t.Context()); err != nil {
		f.t.Error(err)
	}
	c.client.CloseAllowingRebalance()
	<-c.done
}

// until waits for a state of the fleet.
func (f *fleet) until(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		f.mu.Lock()
		done := ok()
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-f.moved:
		case <-deadline:
			f.mu.Lock()
			defer f.mu.Unlock()
			f.t.Fatalf("waited in vain until %s: %d values seen", what, len(f.seen))
		}
	}
}

// shared says that the consumers own all n partitions, each of them some.
func shared(n int, consumers ...*consumer) func() bool {
	return func() bool {
		total := map[int32]bool{}
		sum := 0
		for _, c := range consumers {
			if len(c.assigned) == 0 {
				return false
			}
			sum += len(c.assigned)
			for p := range c.assigned {
				total[p] = true
			}
		}
		return len(total) == n && sum == n
	}
}

func (n *node) produce(t *testing.T, from, to int) {
	t.Helper()
	cl := n.client(t, kgo.DefaultProduceTopic("t"))
	for i := from; i < to; i++ {
		r := kgo.StringRecord(fmt.Sprintf("v%d", i))
		r.Key = fmt.Appendf(nil, "k%d", i)
		cl.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestConsumersShareATopic(t *testing.T) {
	for name, balancer := range map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(), "cooperative": kgo.CooperativeStickyBalancer(),
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t)
			n.create(t, "t", 6, nil)
			f := newFleet(t, n, kgo.Balancers(balancer))
			n.produce(t, 0, 500)
			a := f.start()
			f.until("one owns all", shared(6, a))
			b := f.start()
			f.until("two share", shared(6, a, b))
			n.produce(t, 500, 1000)
			c := f.start()
			f.until("three share", shared(6, a, b, c))
			f.until("all values are seen", func() bool { return len(f.seen) == 1000 })
			f.stop(a)
			f.until("two are left", shared(6, b, c))
			n.produce(t, 1000, 1500)
			f.until("all values are seen again", func() bool { return len(f.seen) == 1500 })
			f.stop(b)
			f.stop(c)
			for value, times := range f.seen {
				if times != 1 {
					t.Errorf("%s was read %d times in a group that only left and joined in good order", value, times)
				}
			}
			lags, err := kadm.NewClient(n.client(t)).Lag(t.Context(), "g")
			lag := lags["g"]
			if err != nil || lag.Error() != nil || lag.State != "Empty" || lag.Lag.Total() != 0 {
				t.Fatalf("%+v, %v", lag, err)
			}
		})
	}
}

func TestStaticMemberComesBackWithoutRebalance(t *testing.T) {
	n := start(t)
	n.create(t, "t", 4, nil)
	f := newFleet(t, n, kgo.Balancers(kgo.StickyBalancer()))
	a, b := f.start(kgo.InstanceID("ia")), f.start(kgo.InstanceID("ib"))
	f.until("two share", shared(4, a, b))
	f.mu.Lock()
	before := fmt.Sprint(b.assigned)
	revoked := fmt.Sprint(a.assigned)
	f.mu.Unlock()

	b.client.CloseAllowingRebalance() // a static member does not leave
	<-b.done
	b = f.start(kgo.InstanceID("ib"))
	f.until("it is back", shared(4, a, b))
	f.mu.Lock()
	after, untouched := fmt.Sprint(b.assigned), fmt.Sprint(a.assigned)
	f.mu.Unlock()
	if before != after || revoked != untouched {
		t.Fatalf("b had %s and now %s; a had %s and now %s", before, after, revoked, untouched)
	}

	// A second process with the same instance id fences the first.
	twin := f.start(kgo.InstanceID("ib"))
	f.until("the twin has taken over", func() bool { return fmt.Sprint(twin.assigned) == before })

	adm := kadm.NewClient(n.client(t))
	for _, id := range []string{"ia", "ib"} {
		left, err := adm.LeaveGroup(t.Context(), kadm.LeaveGroup("g").InstanceIDs(id).Reason("test over"))
		if err != nil || left.Error() != nil {
			t.Fatal(err, left.Error())
		}
	}
	for _, c := range []*consumer{a, b, twin} {
		c.client.CloseAllowingRebalance()
		<-c.done
	}
}

func TestGroupAdministration(t *testing.T) {
	n := start(t)
	n.create(t, "t", 2, nil)
	f := newFleet(t, n)
	n.produce(t, 0, 100)
	c := f.start()
	f.until("all values are seen", func() bool { return len(f.seen) == 100 })
	adm := kadm.NewClient(n.client(t))
	groups, err := adm.DescribeGroups(t.Context(), "g")
	g := groups["g"]
	if err != nil || g.State != "Stable" || len(g.Members) != 1 || len(g.AssignedPartitions()["t"]) != 2 {
		t.Fatalf("%+v, %v", g, err)
	}
	if _, err = adm.DeleteGroup(t.Context(), "g"); err == nil {
		t.Fatal("a group with members was deleted")
	}
	f.stop(c)

	offsets := kadm.Offsets{}
	offsets.AddOffset("t", 0, 3, -1)
	if err = adm.CommitAllOffsets(t.Context(), "g", offsets); err != nil {
		t.Fatal("reset of an empty group: ", err)
	}
	fetched, err := adm.FetchOffsets(t.Context(), "g")
	if o, ok := fetched.Lookup("t", 0); err != nil || !ok || o.At != 3 {
		t.Fatalf("%+v, %v", fetched, err)
	}
	listed, err := adm.ListGroups(t.Context(), "Empty")
	if err != nil || len(listed) != 1 {
		t.Fatalf("%+v, %v", listed, err)
	}
	if deleted, err := adm.DeleteGroups(t.Context(), "g"); errors.Join(err, deleted["g"].Err) != nil {
		t.Fatal(err, deleted)
	}
	if listed, err = adm.ListGroups(t.Context()); err != nil || len(listed) != 0 {
		t.Fatalf("%+v, %v", listed, err)
	}
}
