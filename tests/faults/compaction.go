package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/process"
)

const (
	compactTopic      = "compacted"
	compactPartitions = 2
	compactKeys       = 500
	compactWait       = 40 * time.Second // for a compaction to begin: there is one every 15 seconds
)

// compactedKeys are what was written to a compacted topic: of each key the acknowledged values in order. Every fifth value deletes the key.
type compactedKeys struct {
	node *process.Node

	mu    sync.Mutex
	acked map[string]int // the number of the last acknowledged value
	sent  map[string]int // of the last that was sent
	wrong error
}

// compactionKills kills the node while it compacts: of each key the last acknowledged value, or one after it, is there.
func compactionKills(ctx context.Context, r *rig) error {
	node, err := r.node(ctx, "--compact-rate", "16MiB") // slow enough to be met, fast enough to get somewhere
	if err != nil {
		return err
	}
	k := &compactedKeys{node: node, acked: map[string]int{}, sent: map[string]int{}}
	if err := k.create(ctx); err != nil {
		return err
	}
	writing, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer func() {
		stop()
		work.Wait()
	}()
	for i := range 2 {
		random := rand.New(rand.NewPCG(r.random.Uint64(), 0))
		work.Go(func() { k.write(writing, strconv.Itoa(i), random) })
	}
	read := 0
	for n := range r.times {
		if err := until(ctx, compactWait, "a compaction", func() (bool, error) { return compacting(node), nil }); err != nil {
			return err
		}
		wait(ctx, time.Duration(r.random.IntN(5000))*time.Millisecond)
		node.Kill()
		if _, err := node.Start(ctx); err != nil {
			return err
		}
		if read, err = k.check(ctx); err != nil {
			return fmt.Errorf("kill %d: %w", n, err)
		}
	}
	stop()
	work.Wait()
	written := 0
	for _, n := range k.acked {
		written += n
	}
	say("%d kills while compacting: %d values of %d keys were acknowledged, %d records were there in the end", r.times, written, len(k.acked), read)
	if read > written*3/4 && r.times > 2 {
		k.fail(errors.New("nothing was compacted"))
	}
	return k.wrong
}

// compacting says whether a compacted file is being written.
func compacting(node *process.Node) bool {
	found, err := filepath.Glob(filepath.Join(node.Data, "*", "compact.tmp"))
	deeper, _ := filepath.Glob(filepath.Join(node.Data, "*", "*", "compact.tmp")) // the pattern is a good one
	for _, f := range append(found, deeper...) {
		if info, err := os.Stat(f); err == nil && info.Size() > 0 {
			return true
		}
	}
	return err != nil
}

func (k *compactedKeys) create(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.node.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	configs := map[string]*string{}
	for name, value := range map[string]string{
		"cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0",
	} {
		configs[name] = &value
	}
	_, err = kadm.NewClient(client).CreateTopic(ctx, compactPartitions, 1, configs, compactTopic)
	return err
}

// write writes values of growing numbers to keys of its own.
func (k *compactedKeys) write(ctx context.Context, writer string, random *rand.Rand) {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.node.Kafka), kgo.DefaultProduceTopic(compactTopic), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		k.fail(err)
		return
	}
	defer client.Close()
	padding := strings.Repeat("x", 1000)
	for ctx.Err() == nil {
		for range 100 {
			key := writer + "-" + strconv.Itoa(random.IntN(compactKeys))
			k.mu.Lock()
			k.sent[key]++
			number := k.sent[key]
			k.mu.Unlock()
			r := &kgo.Record{Key: []byte(key)}
			if number%5 != 0 {
				r.Value = []byte(strconv.Itoa(number) + " " + padding)
			}
			client.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
				k.mu.Lock()
				defer k.mu.Unlock()
				k.acked[key] = max(k.acked[key], number)
				k.wrong = errors.Join(k.wrong, err)
			})
		}
		_ = client.Flush(context.WithoutCancel(ctx)) // each record tells of itself
		wait(ctx, 100*time.Millisecond)
	}
}

func (k *compactedKeys) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrong = errors.Join(k.wrong, err)
}

// check reads the topic to where it ends by now, and compares the last value of each key with what had been acknowledged before.
func (k *compactedKeys) check(ctx context.Context) (read int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	k.mu.Lock()
	acked := map[string]int{}
	for key, n := range k.acked {
		acked[key] = n
	}
	k.mu.Unlock()
	last, read, err := k.lastValues(ctx)
	if err != nil {
		return read, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, number := range acked {
		got, there := last[key]
		deletes := func(from, to int) bool { return (to/5)*5 >= from }
		switch {
		case !there && !deletes(number, k.sent[key]), there && got == 0 && !deletes(number, k.sent[key]):
			err = fmt.Errorf("key %s is gone, its value %d was acknowledged, %d values were sent", key, number, k.sent[key])
		case there && got > 0 && got < number:
			err = fmt.Errorf("key %s has value %d, %d was acknowledged", key, got, number)
		}
	}
	return read, err
}

// lastValues returns the number of each key's last value, 0 if that deletes it, and how many records there are.
func (k *compactedKeys) lastValues(ctx context.Context) (last map[string]int, read int, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.node.Kafka), kgo.ConsumeTopics(compactTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, compactTopic)
	if err != nil {
		return nil, 0, err
	}
	last = map[string]int{}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) { left[o.Partition] = o.Offset })
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, read, err
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			read++
			number, _, _ := strings.Cut(string(rec.Value), " ")
			last[string(rec.Key)], _ = strconv.Atoi(number) // none: 0
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
		})
	}
	return last, read, nil
}
