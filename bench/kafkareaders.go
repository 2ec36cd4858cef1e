package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fanOutReaders is how many consumers read the same topic side by side.
const fanOutReaders = 5

// fanOut has consumers of their own read the topic that throughput wrote, each all of it.
func (t *kafkaTurn) fanOut() error {
	if !t.options.only.MatchString("produce") {
		return errors.New("-only must let produce run: its records are read here")
	}
	total := 2 * t.records
	began := time.Now()
	var took time.Duration
	cost, err := t.cost(func() error {
		errs := make([]error, fanOutReaders)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = t.read(t.ctx, "perf", total, nil) })
		}
		all.Wait()
		took = time.Since(began)
		return errors.Join(errs...)
	})
	if err != nil {
		return err
	}
	gib := fanOutReaders * t.gib(total)
	t.row(fmt.Sprintf("consume, %d readers of a topic", fanOutReaders), gib*1024/took.Seconds(), "MiB/s")
	t.row(fmt.Sprintf("consume, %d readers of a topic, server CPU", fanOutReaders), cost.Seconds()/gib, "s/GiB")
	return nil
}

// read consumes so many records of a topic from its beginning, without a group, and adds to got, if it is not nil, what came.
func (t *kafkaTurn) read(ctx context.Context, topic string, records int, got *atomic.Int64) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(t.server.address()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxPartitionBytes(1<<20))
	if err != nil {
		return err
	}
	defer c.Close()
	for n := 0; n < records; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		n += fetches.NumRecords()
		if got != nil {
			got.Add(int64(fetches.NumRecords()))
		}
	}
	return nil
}

// backlogRate is how fast records are produced while others read what is old, in MiB/s.
const backlogRate = 20

// catchUp reads a backlog from the disk, again and again, while records are produced at a fixed rate to another topic.
func (t *kafkaTurn) catchUp() error {
	records := t.options.backlog << 30 / t.options.bytes
	for topic, partitions := range map[string]int{"backlog": 6, "fresh": 6} {
		if err := t.topic(topic, partitions); err != nil {
			return err
		}
	}
	if _, _, err := t.spray("backlog", spray{producers: 1, bytes: t.options.bytes, records: records, linger: sprayLinger}); err != nil {
		return err
	}
	if err := dropCaches(); err != nil {
		fmt.Println("the backlog is read from what is cached:", err)
	}
	ctx, stop := context.WithCancel(t.ctx)
	var got atomic.Int64
	began := time.Now()
	reader := make(chan error, 1)
	go func() {
		for {
			if err := t.read(ctx, "backlog", records, &got); err != nil {
				reader <- err
				return
			}
		}
	}()
	rate := backlogRate << 20 / t.options.bytes
	p, err := t.produce("fresh", rate*t.options.seconds, rate)
	took := time.Since(began)
	stop()
	if readErr := <-reader; !errors.Is(readErr, context.Canceled) {
		err = errors.Join(err, readErr)
	}
	if err != nil {
		return err
	}
	t.row("consume backlog, while producing", t.gib(int(got.Load()))*1024/took.Seconds(), "MiB/s")
	t.row("produce at 20 MiB/s beside it, p99", p.p99, "ms")
	t.row("produce at 20 MiB/s beside it, p99.9", p.p999, "ms")
	return nil
}

// groupMembers is the size of the large group, before one more joins it.
const groupMembers = 500

// group forms a large classic group and has one more member join it. Members learn of that with their heartbeats, which are frequent here: it is the
// server that is measured.
func (t *kafkaTurn) group() error {
	if err := t.topic("crowded", groupMembers); err != nil {
		return err
	}
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
	}{{"group of 500, formed", groupMembers}, {"group of 500, one more joins", groupMembers + 1}} {
		began := time.Now()
		for len(members) < s.members {
			c, err := kgo.NewClient(kgo.SeedBrokers(t.server.address()), kgo.ConsumerGroup("crowd"), kgo.ConsumeTopics("crowded"),
				kgo.Balancers(kgo.RangeBalancer()), kgo.HeartbeatInterval(500*time.Millisecond), kgo.FetchMaxWait(5*time.Second),
				kgo.DisableAutoCommit())
			if err != nil {
				return err
			}
			members = append(members, c)
		}
		if err := t.stable("crowd", s.members); err != nil {
			return err
		}
		t.row(s.measure, float64(time.Since(began).Milliseconds()), "ms")
	}
	return nil
}

// stable waits until a group has so many members and they their partitions.
func (t *kafkaTurn) stable(group string, members int) error {
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
		found, err := kadm.NewClient(client).DescribeGroups(ctx, group)
		if ctx.Err() != nil {
			return fmt.Errorf("group %s has not formed: %w", group, errors.Join(err, ctx.Err()))
		}
		if g := found[group]; g.State == "Stable" && len(g.Members) >= members {
			return nil
		}
		<-tick.C
	}
}
