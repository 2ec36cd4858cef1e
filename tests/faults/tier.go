package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet/freshet/tests/process"
)

const (
	tierTopic      = "tiered"
	tierPartitions = 6
	tierMiB        = 3 << 10 // written where memory is measured
	tierReaders    = 8
	tierValue      = 16 << 10
	tierSegment    = 16 << 20 // bytes of a segment, and of a partition's local log
	tierPatience   = 5 * time.Minute

	// maxTierResident is what a node may hold at its defaults, 64 MiB of cache among them, while much goes into objects and comes back: 256 MiB,
	// and 16 because when the garbage collector runs is left to chance.
	maxTierResident = (256 + 16) << 20
)

// tieredTopic is a topic with a small local log, what was acknowledged of it, and how to tell that it is there.
type tieredTopic struct {
	node *process.Node
	pool []byte // each value is a number and a stretch of it that the number names

	mu    sync.Mutex
	acked [tierPartitions]map[int64]int64 // number of the record → offset
	sent  int64
	wrong error
}

// newTieredTopic makes the topic.
func newTieredTopic(ctx context.Context, r *rig, node *process.Node) (*tieredTopic, error) {
	t := &tieredTopic{node: node, pool: make([]byte, 1<<20)}
	source := rand.NewChaCha8([32]byte{byte(r.random.Uint32())})
	_, _ = source.Read(t.pool) // never fails
	for p := range t.acked {
		t.acked[p] = map[int64]int64{}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	configs := map[string]*string{}
	size := strconv.Itoa(tierSegment)
	for name, value := range map[string]string{
		"remote.storage.enable": "true", "segment.bytes": size, "local.retention.bytes": size, "retention.ms": "-1", "retention.bytes": "-1",
	} {
		configs[name] = &value
	}
	_, err = kadm.NewClient(client).CreateTopic(ctx, tierPartitions, 1, configs, tierTopic)
	return t, err
}

// value returns the value of a record.
func (t *tieredTopic) value(number int64) []byte {
	v := make([]byte, tierValue)
	binary.BigEndian.PutUint64(v, uint64(number))
	copy(v[8:], t.pool[t.stretch(number):])
	return v
}

// stretch returns where in the pool the rest of a value begins.
func (t *tieredTopic) stretch(number int64) int {
	return int(uint64(number) * 7919 % uint64(len(t.pool)-tierValue))
}

// number returns whose value it is, if it is whole.
func (t *tieredTopic) number(value []byte) (int64, error) {
	if len(value) != tierValue {
		return 0, fmt.Errorf("a value of %d bytes", len(value))
	}
	number := int64(binary.BigEndian.Uint64(value))
	if from := t.stretch(number); !bytes.Equal(value[8:], t.pool[from:][:tierValue-8]) {
		return 0, fmt.Errorf("the value of record %d is another", number)
	}
	return number, nil
}

func (t *tieredTopic) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = errors.Join(t.wrong, err)
}

// producer returns a client that writes to the topic and does not give up.
func (t *tieredTopic) producer() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(t.node.Kafka), kgo.DefaultProduceTopic(tierTopic), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }), kgo.MaxBufferedRecords(1000),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
}

// write sends n records and notes where those that are acknowledged are. What is refused for good is an error.
func (t *tieredTopic) write(ctx context.Context, client *kgo.Client, n int) error {
	for range n {
		t.mu.Lock()
		number := t.sent
		t.sent++
		t.mu.Unlock()
		client.Produce(ctx, &kgo.Record{Value: t.value(number)}, func(rec *kgo.Record, err error) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if err != nil {
				t.wrong = cmp.Or(t.wrong, fmt.Errorf("write record %d: %w", number, err)) // one tells of all
				return
			}
			t.acked[rec.Partition][number] = rec.Offset
		})
	}
	err := client.Flush(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(err, t.wrong)
}

// read reads all partitions from the beginning to where they end by now, and compares. Each acknowledged record must be there, whole, where it was
// said to be, and nothing twice.
func (t *tieredTopic) read(ctx context.Context) (records int, err error) {
	ctx, cancel := context.WithTimeout(ctx, tierPatience)
	defer cancel()
	t.mu.Lock()
	var want [tierPartitions]map[int64]int64
	for p := range t.acked {
		want[p] = make(map[int64]int64, len(t.acked[p]))
		for number, offset := range t.acked[p] {
			want[p][number] = offset
		}
	}
	t.mu.Unlock()
	client, err := kgo.NewClient(kgo.SeedBrokers(t.node.Kafka), kgo.ConsumeTopics(tierTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(20*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var ends kadm.ListedOffsets
	err = until(ctx, patience, "where partitions end", func() (bool, error) { // the node may be away
		ends, err = kadm.NewClient(client).ListEndOffsets(ctx, tierTopic)
		err = errors.Join(err, ends.Error())
		return err == nil, err
	})
	if err != nil {
		return 0, err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	seen := map[int64]bool{}
	for err == nil && len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			err = fmt.Errorf("%d records are read, to be read up to: %v", records, left)
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			number, wrong := t.number(rec.Value)
			if wrong == nil && seen[number] {
				wrong = errors.New("it was there before")
			}
			if at, ok := want[rec.Partition][number]; ok && at != rec.Offset {
				wrong = errors.Join(wrong, fmt.Errorf("it was acknowledged at offset %d", at))
			}
			if wrong != nil {
				err = errors.Join(err, fmt.Errorf("record %d at offset %d of partition %d: %w", number, rec.Offset, rec.Partition, wrong))
			}
			records++
			seen[number] = true
			delete(want[rec.Partition], number)
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
		})
	}
	for p := range want {
		if len(left) == 0 && len(want[p]) > 0 {
			err = errors.Join(err, fmt.Errorf("%d acknowledged records of partition %d are lost", len(want[p]), p))
		}
	}
	return records, err
}

// figure returns one of the node's metrics.
func figure(ctx context.Context, node *process.Node, name string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node.Endpoint()+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(page), "\n"+name+" ")
	if !ok {
		return 0, fmt.Errorf("no metric %s", name)
	}
	line, _, _ := strings.Cut(rest, "\n")
	f, err := strconv.ParseFloat(line, 64)
	return int64(f), err
}

// settled waits until all is in objects that should be: shards are looked at every 10 seconds.
func (t *tieredTopic) settled(ctx context.Context) error {
	copied := time.Now()
	return until(ctx, tierPatience, "all segments are copied", func() (bool, error) {
		lag, err := figure(ctx, t.node, "freshet_tier_lag_bytes")
		if err != nil || lag > 0 {
			copied = time.Now()
		}
		return time.Since(copied) > 12*time.Second, err
	})
}

// tierMemory writes several GiB into a tiered topic, and reads all of it back by several consumers at a time, which come one after the other so that
// they are at different places.
func tierMemory(ctx context.Context, r *rig) error {
	node, err := r.node(ctx, "--tier", r.dir+"/tier")
	if err != nil {
		return err
	}
	t, err := newTieredTopic(ctx, r, node)
	if err != nil {
		return err
	}
	client, err := t.producer()
	if err != nil {
		return err
	}
	defer client.Close()
	began := time.Now()
	if err := t.write(ctx, client, tierMiB<<20/tierValue); err != nil {
		return err
	}
	say("%d MiB written in %s", tierMiB, time.Since(began).Round(time.Millisecond))
	written := tierBound(node, "when they are written")
	if err := t.settled(ctx); err != nil {
		return errors.Join(written, err)
	}
	copied := tierBound(node, "when they are copied")
	objects, err := figure(ctx, node, "freshet_tier_bytes")
	if err != nil {
		return err
	}
	if objects < (tierMiB<<20)*9/10 {
		return fmt.Errorf("only %d MiB of %d are in objects", objects>>20, tierMiB)
	}
	before, err := figure(ctx, node, "freshet_tier_read_bytes_total")
	if err != nil {
		return err
	}
	began = time.Now()
	var readers sync.WaitGroup
	var read atomic.Int64
	for i := range tierReaders {
		readers.Go(func() {
			wait(ctx, time.Duration(i)*time.Second)
			n, err := t.read(ctx)
			read.Add(int64(n))
			t.fail(err)
		})
	}
	readers.Wait()
	after, err := figure(ctx, node, "freshet_tier_read_bytes_total")
	say("%d consumers have read %d MiB in %s, for which %d MiB were read from objects", tierReaders, read.Load()*tierValue>>20,
		time.Since(began).Round(time.Millisecond), (after-before)>>20)
	return errors.Join(err, t.wrong, written, copied, tierBound(node, "when they are read"))
}

// tierBound prints what a node holds, and fails if that is, or was, too much.
func tierBound(n *process.Node, when string) error {
	if err := memory(n, when); err != nil {
		return err
	}
	u, err := n.Process().Usage()
	if err == nil && u.Peak > maxTierResident {
		err = fmt.Errorf("%s: %d MiB resident at most, more than %d", when, u.Peak>>20, maxTierResident>>20)
	}
	return err
}
