package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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
func (t *kafkaTurn) read(ctx context.Context, topic string, records int, got *atomic.Int64, options ...kgo.Opt) error {
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(t.server.address()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(1 << 20),
	}, options...)...)
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
	for _, topic := range []string{"backlog", "fresh"} {
		if err := t.topic(topic, 6); err != nil {
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
