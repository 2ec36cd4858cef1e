package kafka_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a server on memory, for tests.
type node struct {
	*kafka.Server
	log   *memlog.Log
	clock clock.Clock
	addr  string
	reads *atomic.Int64 // how often the server has read from the log
}

// countedLog counts what is read.
type countedLog struct {
	stream.Log
	reads atomic.Int64
}

// Read implements stream.Log.
func (l *countedLog) Read(ctx context.Context, shard stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	l.reads.Add(1)
	return l.Log.Read(ctx, shard, from, maxBytes)
}

// start runs a server until the test ends.
func start(t testing.TB, change ...func(*kafka.Config)) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := kafka.Config{Listener: l, Clock: clock.Real(), NodeID: 1, AcceptAnyRF: true, AutoCreateTopics: true}
	for _, f := range change {
		f(&cfg)
	}
	log := memlog.New(cfg.Clock, rand.NewChaCha8([32]byte{1}))
	counted := &countedLog{Log: log}
	if cfg.Log = counted; cfg.State == nil {
		cfg.State = memstate.New(cfg.Clock)
	}
	cfg.Transactor = transactor{log, cfg.State}
	s, err := kafka.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return &node{s, log, cfg.Clock, l.Addr().String(), &counted.reads}
}

// transactor is a kafka.Transactor on memory.
type transactor struct {
	log   *memlog.Log
	store state.Store
}

// Transact implements kafka.Transactor.
func (t transactor) Transact(ctx context.Context, entries []stream.Append, cursors []stream.OwnedCursors, changes []state.Change) ([]stream.Appended, []int64, error) {
	results, err := t.log.Transact(ctx, entries, cursors)
	if err != nil {
		return nil, nil, err
	}
	versions, err := t.store.Apply(ctx, changes...)
	return results, versions, err
}

// eventually waits for a condition that other goroutines bring about.
var eventually = clocktest.Eventually

// client connects a franz-go client to the node until the test ends.
func (n *node) client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(n.addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (n *node) create(t testing.TB, topic string, partitions int32, configs map[string]*string) *stream.Stream {
	t.Helper()
	resp, err := kadm.NewClient(n.client(t)).CreateTopic(t.Context(), partitions, 1, configs, topic)
	if err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
	st, err := n.log.Stream(t.Context(), stream.Name(topic))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// consume reads n records of a topic from its start.
func (n *node) consume(t testing.TB, topic string, want int, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	opts = append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)
	cl := n.client(t, opts...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), want, err)
		}
		got = append(got, fetches.Records()...)
	}
	return got
}

func TestRecordsAreReadAsTheyWereProduced(t *testing.T) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := start(t)
			n.create(t, "events", 3, nil)
			cl := n.client(t, kgo.ProducerBatchCompression(codec))
			const records = 5000
			for i := range records {
				cl.Produce(t.Context(), &kgo.Record{
					Topic: "events", Key: fmt.Appendf(nil, "key-%d", i%17), Value: fmt.Appendf(nil, "value-%d", i),
					Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}},
				}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if err := cl.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := n.consume(t, "events", records)
			last := map[string]int{}
			for _, r := range got {
				var i int
				if _, err := fmt.Sscanf(string(r.Value), "value-%d", &i); err != nil {
					t.Fatal(err)
				}
				key := string(r.Key)
				if before, ok := last[key]; ok && before >= i {
					t.Fatalf("key %s: value %d after %d", key, i, before)
				}
				last[key] = i
				if len(r.Headers) != 1 || string(r.Headers[0].Value) != "v" {
					t.Fatalf("headers %v", r.Headers)
				}
			}
		})
	}
}

func TestTopicIsCreatedWhenAProducerAsksForIt(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *kafka.Config) { c.DefaultPartitions = 4 })
	cl := n.client(t, kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "new", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	st, err := n.log.Stream(t.Context(), "new")
	if err != nil || st.Shards != 4 {
		t.Fatalf("stream %+v, %v", st, err)
	}
}

func TestOffsetsAreListed(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "events", 1, nil)
	cl := n.client(t)
	base := time.UnixMilli(1_700_000_000_000)
	for i := range 10 {
		r := &kgo.Record{Topic: "events", Value: []byte("v"), Timestamp: base.Add(time.Duration(i) * time.Second)}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(cl)
	for _, row := range []struct {
		name string
		list func(context.Context, ...string) (kadm.ListedOffsets, error)
		want int64
	}{
		{"start", adm.ListStartOffsets, 0},
		{"end", adm.ListEndOffsets, 10},
		{"committed", adm.ListCommittedOffsets, 10},
		{"time", func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
			return adm.ListOffsetsAfterMilli(ctx, base.Add(2500*time.Millisecond).UnixMilli(), topics...)
		}, 3},
		{"largest time", adm.ListMaxTimestampOffsets, 9},
	} {
		listed, err := row.list(t.Context(), "events")
		if err != nil {
			t.Fatal(row.name, err)
		}
		got, ok := listed.Lookup("events", 0)
		if !ok || got.Err != nil || got.Offset != row.want {
			t.Errorf("%s: got %+v, want offset %d", row.name, got, row.want)
		}
	}
}
