package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicsPattern are the topics that are moved.
const topicsPattern = "m-.*"

// sourceTopics are the source's topics with partitions and settings. Records are years old: no topic may go by their time.
var sourceTopics = []struct {
	name       string
	partitions int32
	settings   map[string]string
}{
	{"m-plain", 4, map[string]string{"retention.ms": "31536000000000", "max.message.bytes": "3000000"}},
	{"m-transacted", 3, map[string]string{"min.insync.replicas": "1", "retention.ms": "-1"}},
	{"m-compacted", 2, map[string]string{"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01"}},
	{"m-trimmed", 2, map[string]string{"retention.ms": "-1"}},
	{"m-stamped", 1, map[string]string{"message.timestamp.type": "LogAppendTime"}},
	{"m-empty", 5, map[string]string{"compression.type": "zstd"}},
}

// fill writes what is to be moved. It returns a client with an open transaction in partition 0 of m-transacted.
func fill(ctx context.Context, r *rig, source *kafka) (*kgo.Client, error) {
	began := time.Now()
	cl, err := kgo.NewClient(kgo.SeedBrokers(source.address))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	for _, t := range sourceTopics {
		settings := map[string]*string{}
		for k, v := range t.settings {
			settings[k] = &v
		}
		if _, err := admin.CreateTopic(ctx, t.partitions, 1, settings, t.name); err != nil {
			return nil, err
		}
	}
	if err := fillPlain(ctx, r, source.address); err != nil {
		return nil, err
	}
	for _, name := range []string{"m-trimmed", "m-stamped"} {
		if err := produce(ctx, source.address, name, r.rnd, r.records/10, kgo.Lz4Compression()); err != nil {
			return nil, err
		}
	}
	if err := fillCompacted(ctx, r, source.address, admin); err != nil {
		return nil, err
	}
	cut := kadm.Offsets{}
	cut.AddOffset("m-trimmed", 0, int64(r.records/40), -1)
	if _, err := admin.DeleteRecords(ctx, cut); err != nil {
		return nil, err
	}
	open, err := fillTransacted(ctx, r, source.address)
	if err != nil {
		return nil, err
	}
	fmt.Printf("filled in %s\n", time.Since(began).Round(time.Millisecond))
	return open, fillGroups(ctx, r, source, admin)
}

// fillPlain writes with every codec, in turns.
func fillPlain(ctx context.Context, r *rig, address string) error {
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for range 2 {
		for _, codec := range codecs {
			if err := produce(ctx, address, "m-plain", r.rnd, r.records/len(codecs)/2, codec); err != nil {
				return err
			}
		}
	}
	return nil
}

// produce writes records of all kinds into the partitions of a topic.
func produce(ctx context.Context, address, topic string, rnd *rand.Rand, n int, codec kgo.CompressionCodec) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.UniformBytesPartitioner(64<<10, true, false, nil)), kgo.ProducerBatchMaxBytes(2<<20), kgo.ProducerLinger(time.Duration(rnd.IntN(3))*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed error
	for range n {
		cl.Produce(ctx, anyRecord(rnd), func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) })
	}
	return errors.Join(cl.Flush(ctx), failed)
}

// anyRecord is a record as no test would think of: with and without key, value, headers; empty and nil are not the same.
func anyRecord(rnd *rand.Rand) *kgo.Record {
	record := &kgo.Record{Timestamp: time.UnixMilli(1_600_000_000_000 + rnd.Int64N(150_000_000_000))}
	record.Key = maybe(rnd, 20)
	size := 800
	if rnd.IntN(500) == 0 {
		size = 300_000
	}
	record.Value = maybe(rnd, size)
	for range max(0, rnd.IntN(6)-3) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: strings.Repeat("h", rnd.IntN(3)), Value: maybe(rnd, 10)})
	}
	return record
}

// maybe returns nothing, empty bytes, or up to size bytes that compress a little.
func maybe(rnd *rand.Rand, size int) []byte {
	switch rnd.IntN(12) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, 1+rnd.IntN(size))
	for i := range b {
		b[i] = byte('a' + rnd.IntN(4))
	}
	return b
}

// fillCompacted writes few keys many times, and waits until most are gone.
func fillCompacted(ctx context.Context, r *rig, address string, admin *kadm.Client) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic("m-compacted"))
	if err != nil {
		return err
	}
	defer cl.Close()
	var failed error
	for i := range r.records {
		key := fmt.Sprint("key-", r.rnd.IntN(1+r.records/20))
		if i%100 == 0 {
			key = fmt.Sprint("once-", i)
		}
		record := &kgo.Record{Key: []byte(key), Value: maybe(r.rnd, 400)}
		cl.Produce(ctx, record, func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) })
	}
	if err := errors.Join(cl.Flush(ctx), failed); err != nil {
		return err
	}
	for n := 0; ; n++ {
		// A segment ends, and can be compacted, when something comes behind it.
		for p := range 3 {
			if err := cl.ProduceSync(ctx, &kgo.Record{Key: fmt.Appendf(nil, "last-%d-%d", n, p)}).FirstErr(); err != nil {
				return err
			}
		}
		got, err := read(ctx, address, kgo.ReadCommitted(), "m-compacted")
		if err != nil {
			return err
		}
		if n := got.total(); n < r.records/2 {
			fmt.Printf("compaction has left %d of %d records\n", n, r.records)
			return nil
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// fillTransacted writes transactions of all sizes, every third of which is aborted, and begins one that stays open.
func fillTransacted(ctx context.Context, r *rig, address string) (*kgo.Client, error) {
	cl, err := transactor(address, "filler")
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for written := 0; written < r.records/2; {
		n := 1 + r.rnd.IntN(400)
		if err := transact(ctx, cl, r.rnd, n, r.rnd.IntN(3) > 0); err != nil {
			return nil, err
		}
		written += n
	}
	open, err := transactor(address, "open")
	if err != nil {
		return nil, err
	}
	if err := open.BeginTransaction(); err != nil {
		return nil, err
	}
	record := anyRecord(r.rnd)
	record.Topic, record.Partition = "m-transacted", 0
	if err := open.ProduceSync(ctx, record).FirstErr(); err != nil {
		return nil, err
	}
	return open, transact(ctx, cl, r.rnd, 100, true) // behind the open one
}

func transactor(address, id string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

func transact(ctx context.Context, cl *kgo.Client, rnd *rand.Rand, n int, commit bool) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	for range n {
		record := anyRecord(rnd)
		record.Topic, record.Partition = "m-transacted", int32(rnd.IntN(3))
		cl.Produce(ctx, record, nil)
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, kgo.TransactionEndTry(commit))
}

// groups have offsets anywhere: also on markers and in gaps.
const groups = 12

func fillGroups(ctx context.Context, r *rig, source *kafka, admin *kadm.Client) error {
	ends, err := admin.ListEndOffsets(ctx, "m-plain", "m-transacted", "m-compacted", "m-trimmed", "m-stamped", "m-empty")
	if err != nil {
		return err
	}
	for g := range groups {
		commit := kadm.Offsets{}
		ends.Each(func(o kadm.ListedOffset) {
			if at := r.rnd.Int64N(o.Offset + 1); r.rnd.IntN(4) > 0 {
				commit.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: at, LeaderEpoch: -1, Metadata: fmt.Sprint("by ", g)})
			}
		})
		if err := admin.CommitAllOffsets(ctx, fmt.Sprint("m-group-", g), commit); err != nil {
			return err
		}
	}
	// One of KIP-848, by Kafka's own consumer.
	out, err := source.Tool(ctx, "console-consumer", "--bootstrap-server", source.address, "--topic", "m-stamped", "--group", "m-group-848", "--from-beginning",
		"--max-messages", "100", "--timeout-ms", "30000", "--consumer-property", "group.protocol=consumer").CombinedOutput()
	if err != nil {
		return fmt.Errorf("consume in a group of KIP-848: %w\n%s", err, out)
	}
	return nil
}

// writeOn ends the open transaction and writes more, while the import follows. Kafka may be killed meanwhile: what fails is written anew by another process
// of the same transactional id, so that the source has some records twice, and some in transactions that were aborted.
func writeOn(ctx context.Context, address string, open *kgo.Client, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, 1))
	if err := open.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	cl, err := transactor(address, "open")
	if err != nil {
		return err
	}
	defer func() { cl.Close() }()
	for range 40 {
		for {
			err := errors.Join(transact(ctx, cl, rnd, 1+rnd.IntN(300), rnd.IntN(3) > 0), produce(ctx, address, "m-plain", rnd, 100, kgo.ZstdCompression()))
			if err == nil {
				break
			}
			fmt.Println("written anew:", err)
			cl.Close()
			if cl, err = transactor(address, "open"); err != nil {
				return err
			}
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
		}
		if err := pause(ctx, time.Duration(rnd.IntN(200))*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
