package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/process"
)

const (
	scaleShards      = 1000
	scaleConnections = 1000
	// scaleProducers fill the log, each a client of its own.
	scaleProducers = 8
	// idleTopics of idlePartitions each are only there.
	idleTopics     = 1000
	idlePartitions = 10
)

// benchScale measures what grows with a node: its memory with many shards and connections, its start with a large log. There is no peer.
func benchScale(ctx context.Context, o options, out *rows) error {
	binary, err := process.Build(ctx, o.dir)
	if err != nil {
		return err
	}
	for run := range o.runs {
		t := &kafkaTurn{
			ctx: ctx, options: o, out: out, run: run, subject: "freshet", server: &freshetServer{binary: binary},
			dir: fmt.Sprintf("%s/scale-%d", o.dir, run), records: o.gib << 30 / o.bytes,
		}
		if err := errors.Join(t.scale(), t.end()); err != nil {
			return fmt.Errorf("run %d: %w", run, err)
		}
	}
	return nil
}

func (t *kafkaTurn) scale() error {
	if err := t.start("start empty"); err != nil {
		return err
	}
	if t.options.only.MatchString("crowd") {
		if err := t.crowd(); err != nil {
			return fmt.Errorf("crowd: %w", err)
		}
	}
	if t.options.only.MatchString("idle") {
		if err := t.idle(); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
	}
	if !t.options.only.MatchString("log") {
		return nil
	}
	if err := t.fill(); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return t.restarts()
}

// crowd has scaleConnections clients, each producing to one of scaleShards shards and reading it, for the time of a timed row.
func (t *kafkaTurn) crowd() error {
	ctx, cancel := context.WithTimeout(t.ctx, 5*time.Minute)
	defer cancel()
	if err := t.create("crowd", scaleShards); err != nil {
		return err
	}
	var open atomic.Int64
	clients := make([]*kgo.Client, scaleConnections)
	for i := range clients {
		at := map[string]map[int32]kgo.Offset{"crowd": {int32(i % scaleShards): kgo.NewOffset().AtStart()}}
		c, err := kgo.NewClient(kgo.SeedBrokers(t.server.address()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ConsumePartitions(at),
			kgo.MaxBufferedRecords(100), kgo.FetchMaxBytes(1<<20), kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
				open.Add(1)
				var d net.Dialer
				return d.DialContext(ctx, network, address)
			}))
		if err != nil {
			return err
		}
		defer c.Close()
		clients[i] = c
	}
	work, stop := context.WithTimeout(ctx, time.Duration(t.options.seconds)*time.Second)
	defer stop()
	var all sync.WaitGroup
	var received atomic.Int64
	for i, c := range clients {
		all.Go(func() { t.roundTrips(work, c, int32(i%scaleShards), &received) })
	}
	peak := uint64(0)
	for tick := time.NewTicker(100 * time.Millisecond); work.Err() == nil; <-tick.C {
		usage, err := t.server.process().Usage()
		if err != nil {
			return err
		}
		peak = max(peak, uint64(usage.Resident))
	}
	all.Wait()
	t.row("crowd, shards", scaleShards, "")
	t.row("crowd, connections", float64(open.Load()), "")
	t.row("crowd, records there and back", float64(received.Load()), "")
	t.row("crowd, most resident", float64(peak)/(1<<20), "MiB")
	return nil
}

// idle has idleTopics with idlePartitions each, and looks at what they cost: memory, files, and time when the node starts again, in order and not.
func (t *kafkaTurn) idle() error {
	before, err := t.files()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(t.server.address()))
	if err != nil {
		return err
	}
	defer client.Close()
	topics := make([]string, idleTopics)
	for i := range topics {
		topics[i] = fmt.Sprintf("idle-%04d", i)
	}
	created, err := kadm.NewClient(client).CreateTopics(t.ctx, idlePartitions, 1, nil, topics...)
	if err = errors.Join(err, created.Error()); err != nil {
		return err
	}
	t.row("idle, partitions", idleTopics*idlePartitions, "")
	if err := t.resident("idle, resident when made"); err != nil {
		return err
	}
	after, err := t.files()
	if err != nil {
		return err
	}
	t.row("idle, files more", float64(after-before), "")
	t.server.process().Kill()
	if err := t.start("idle, start after kill -9"); err != nil {
		return err
	}
	if err := t.server.process().Stop(time.Minute); err != nil {
		return err
	}
	if err := t.start("idle, start after a stop"); err != nil {
		return err
	}
	return t.resident("idle, resident")
}

// files counts those in the server's directory.
func (t *kafkaTurn) files() (n int, err error) {
	err = filepath.WalkDir(t.dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			n++
		}
		return err
	})
	return n, err
}

// roundTrips sends a record at a time and waits until it comes back.
func (t *kafkaTurn) roundTrips(ctx context.Context, c *kgo.Client, partition int32, received *atomic.Int64) {
	value := make([]byte, t.options.bytes)
	for ctx.Err() == nil {
		if c.ProduceSync(ctx, &kgo.Record{Topic: "crowd", Partition: partition, Value: value}).FirstErr() != nil {
			return
		}
		received.Add(int64(c.PollFetches(ctx).NumRecords()))
	}
}

// fill produces the records of the large log.
func (t *kafkaTurn) fill() error {
	if err := t.create("large", 6); err != nil {
		return err
	}
	_, _, err := t.spray("large", spray{producers: scaleProducers, bytes: t.options.bytes, records: t.records, linger: sprayLinger})
	if err == nil {
		t.row("log", float64(t.records/scaleProducers*scaleProducers*t.options.bytes)/(1<<30), "GiB")
	}
	return err
}

func (t *kafkaTurn) create(topic string, partitions int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(t.server.address()))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.ctx, partitions, 1, nil, topic)
	return err
}
