package main

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// spray is a load by Go producers, each a client of its own in this process: Kafka's tool is always one, and costs more than the server.
type spray struct {
	name       string
	producers  int
	partitions int
	bytes      int // of a record
	records    int // of all together, or somewhat less: each sends as many as the others
	linger     time.Duration
	tls        bool
	spread     bool // each record to another partition; else one has a batch's worth before the next one's turn
}

// sent is how many records all send together.
func (s *spray) sent() int { return s.records / s.producers * s.producers }

// topic names the topic of s.
func (s *spray) topic() string {
	name := fmt.Sprintf("spray-%d-%d", s.producers, s.partitions)
	if s.tls {
		name += "-tls"
	}
	return name
}

// sprayBuffered is how many records the Go producers keep between them, however many there are. Were it for each of them, 64 would keep all
// there is to send in over a GiB of memory of this process, and first of all the row would measure that.
const sprayBuffered = 20_000

// sprayLinger is a producer's patience where a row does not say otherwise, as the Java client's.
const sprayLinger = 5 * time.Millisecond

// manyProducers compares 64 producers, and so 64 connections, with one.
func (t *kafkaTurn) manyProducers() error {
	for _, n := range []int{1, 64} {
		s := spray{name: fmt.Sprintf("%d Go producers", n), producers: n, partitions: 6, bytes: t.options.bytes, records: t.records, linger: sprayLinger}
		if err := t.sprayRow(s); err != nil {
			return err
		}
	}
	return nil
}

const (
	// smallBytes is the size of a small record.
	smallBytes = 100
	// smallTimes is how many times the records of other rows are small ones: as many bytes, or it would be the clients' connecting that is measured.
	smallTimes = 10
)

// small is many small requests: records of 100 bytes that wait for nobody, and records spread over more partitions than fill a batch.
func (t *kafkaTurn) small() error {
	return errors.Join(
		t.sprayRow(spray{name: "100 B, no linger, 16 producers", producers: 16, partitions: 6, bytes: smallBytes, records: smallTimes * t.records}),
		t.sprayRow(spray{name: "2,000 partitions, 16 producers", producers: 16, partitions: 2000, bytes: t.options.bytes, records: t.records, linger: sprayLinger, spread: true}),
	)
}

// sprayRow adds the rows of a load on a topic of its own: throughput, and what it cost the server by bytes and by requests.
func (t *kafkaTurn) sprayRow(s spray) error {
	topic := s.topic()
	if err := t.topic(topic, s.partitions); err != nil {
		return err
	}
	var took time.Duration
	var requests int64
	cost, err := t.cost(func() (err error) {
		took, requests, err = t.spray(topic, s)
		return err
	})
	if err != nil {
		return err
	}
	gib := float64(s.sent()*s.bytes) / (1 << 30)
	t.row("produce, "+s.name, gib*1024/took.Seconds(), "MiB/s")
	t.row("produce, "+s.name+", records", float64(s.sent())/took.Seconds(), "rec/s")
	if t.server.process() != nil {
		t.row("produce, "+s.name+", server CPU", cost.Seconds()/gib, "s/GiB")
		t.row("produce, "+s.name+", server CPU by requests", cost.Seconds()/float64(requests)*1e6, "s/M")
	}
	return nil
}

// spray produces all records of s and returns how long it took until the last was acknowledged, and how many requests that were.
func (t *kafkaTurn) spray(topic string, s spray) (time.Duration, int64, error) {
	var requests produceRequests
	options := []kgo.Opt{
		kgo.SeedBrokers(t.server.address()), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(s.linger), kgo.WithHooks(&requests),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(max(1, sprayBuffered/s.producers)),
	}
	if s.tls {
		options = append(options, t.throughTLS()...)
	}
	if s.spread {
		options = append(options, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	}
	clients := make([]*kgo.Client, s.producers)
	for i := range clients {
		c, err := kgo.NewClient(options...)
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		clients[i] = c
	}
	payload := bytes.Repeat([]byte("x"), s.bytes)
	errs := make([]error, s.producers)
	began := time.Now()
	var work sync.WaitGroup
	for i, c := range clients {
		work.Go(func() {
			var once sync.Once
			for range s.records / s.producers {
				c.Produce(t.ctx, kgo.SliceRecord(payload), func(_ *kgo.Record, err error) {
					if err != nil {
						once.Do(func() { errs[i] = err })
					}
				})
			}
			if err := c.Flush(t.ctx); err != nil {
				once.Do(func() { errs[i] = err })
			}
		})
	}
	work.Wait()
	return time.Since(began), requests.n.Load(), errors.Join(errs...)
}

// produceRequests counts the Produce requests of clients.
type produceRequests struct{ n atomic.Int64 }

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (r *produceRequests) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, _ kgo.BrokerE2E) {
	if key == int16(kmsg.Produce) {
		r.n.Add(1)
	}
}
