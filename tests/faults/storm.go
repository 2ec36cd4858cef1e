package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/tests/hostile"
	"github.com/freshet/freshet/tests/process"
)

// A storm is as many connections as clients make that have all lost their broker: each asks for the versions and goes.
const (
	stormConnects = 20_000
	stormTime     = time.Minute
	stormWorkers  = 64
	// maxConnect is how long one of them may take at worst.
	maxConnect = 10 * time.Second
)

// times are how long things took.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

// text returns how many there are, and the usual quantiles.
func (t *times) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return "none"
	}
	slices.Sort(t.all)
	at := func(q float64) time.Duration { return t.all[int(q*float64(len(t.all)-1))].Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d, half within %s, 99%% within %s, all within %s", len(t.all), at(0.5), at(0.99), at(1))
}

func (t *times) worst() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return 0
	}
	return slices.Max(t.all)
}

func storm(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	if err := bystanding(ctx, node, "alone", func() error { wait(ctx, 10*time.Second); return nil }); err != nil {
		return err
	}
	return errors.Join(bystanding(ctx, node, "in the storm", func() error { return connectAll(ctx, node) }), memory(node, "after the storm"))
}

// bystanding runs a fault beside a client that does nothing wrong, and tells how that fared.
func bystanding(ctx context.Context, node *process.Node, name string, fault func() error) error {
	b, err := hostile.StartBystander(ctx, node, fmt.Sprintf("bystander-%d", time.Now().UnixNano()))
	if err != nil {
		return err
	}
	began := time.Now()
	err = fault()
	rounds, worst, wrong := b.Stop()
	say("%s: the bystander has %d exchanges, %.0f a second, the longest %s", name, rounds, float64(rounds)/time.Since(began).Seconds(), worst.Round(time.Millisecond))
	if wrong != nil {
		err = errors.Join(err, fmt.Errorf("the bystander noticed: %w", wrong))
	}
	return err
}

// connectAll makes the storm's connections, evenly over its time.
func connectAll(ctx context.Context, node *process.Node) error {
	var took times
	var next, refused atomic.Int64
	var last atomic.Value
	var work sync.WaitGroup
	began := time.Now()
	for range stormWorkers {
		work.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1)
				if i > stormConnects {
					return
				}
				wait(ctx, time.Until(began.Add(time.Duration(i)*stormTime/stormConnects)))
				start := time.Now()
				if err := connectOnce(ctx, node.Kafka, i%2 == 0); err != nil {
					refused.Add(1)
					last.Store(err)
				}
				took.add(time.Since(start))
			}
		})
	}
	work.Wait()
	say("connections with an ApiVersions each, in %s: %s; %d failed", time.Since(began).Round(time.Second), took.text(), refused.Load())
	if n := refused.Load(); n > 0 || took.worst() > maxConnect {
		return fmt.Errorf("%d connections failed (%v), the slowest took %s", n, last.Load(), took.worst())
	}
	return ctx.Err()
}

// connectOnce asks for the versions on a connection of its own, and ends that in order or, as a client that dies does, by a reset.
func connectOnce(ctx context.Context, address string, reset bool) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	if reset {
		if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
	}
	resp, err := ask[*kmsg.ApiVersionsResponse](c, 3, apiVersions())
	if err == nil && resp.ErrorCode != 0 {
		err = fmt.Errorf("ApiVersions: error %d", resp.ErrorCode)
	}
	return err
}

func apiVersions() *kmsg.ApiVersionsRequest {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "faults", "1"
	return req
}

// stormAndRebalances has a group rebalance all through a storm: a member comes and goes every second.
func stormAndRebalances(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	if err := createTopic(ctx, node, "crowd", 20); err != nil {
		return err
	}
	g := newCrowd(node, "storm", 20, classicMember)
	g.session = 30 * time.Second
	defer g.stop()
	g.start(ctx, 20)
	if _, err := g.stable(ctx, 20, patience); err != nil {
		return err
	}
	var took times
	var failed error
	err = bystanding(ctx, node, "in the storm", func() error {
		storming, end := context.WithCancel(ctx)
		var rebalances sync.WaitGroup
		rebalances.Go(func() {
			for storming.Err() == nil && failed == nil {
				var d time.Duration
				g.start(ctx, 1)
				if d, failed = g.stable(ctx, 21, patience); failed == nil {
					took.add(d)
					g.leave(1)
					if d, failed = g.stable(ctx, 20, patience); failed == nil {
						took.add(d)
					}
				}
				wait(storming, time.Second)
			}
		})
		err := connectAll(ctx, node)
		end()
		rebalances.Wait()
		return err
	})
	say("rebalances of 20 members: %s", took.text())
	return errors.Join(err, failed, memory(node, "after the storm"))
}
