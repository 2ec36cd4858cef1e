package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/tests/process"
)

// Stalled readers ask for much, read the beginning of the answer, and then nothing for a while.
const (
	stalledCount = 1500
	stalledMiB   = 64 // of the topic
	stalledTime  = 30 * time.Second
	stalledFetch = 8 << 20 // more than the kernel takes for who does not read
	stalledLeast = 900_000 // of an answer: where there is no memory for more it has one batch
)

func stalledReaders(ctx context.Context, r *rig) error {
	node, err := r.node(ctx)
	if err != nil {
		return err
	}
	if err := fillTopic(ctx, r, node, "stalled", stalledMiB); err != nil {
		return err
	}
	if err := bystanding(ctx, node, "alone", func() error { wait(ctx, 10*time.Second); return nil }); err != nil {
		return err
	}
	var readers []*stalled
	defer func() {
		for _, c := range readers {
			c.Close()
		}
	}()
	err = bystanding(ctx, node, fmt.Sprintf("while %d come", stalledCount), func() error {
		for range stalledCount {
			c, err := stall(ctx, node)
			if err != nil {
				return err
			}
			readers = append(readers, c)
		}
		return nil
	})
	if err == nil {
		err = bystanding(ctx, node, "while they have stopped within an answer", func() error { wait(ctx, stalledTime); return nil })
	}
	if err = errors.Join(err, memory(node, "with them")); err != nil {
		return err
	}
	whole, closed, wrong := goOn(readers)
	say("they go on: %d have their whole answer, %d were cut off", whole, closed)
	return errors.Join(wrong, memory(node, "after them"))
}

// stalled is one of them, and how much it has read of the length of its first answer.
type stalled struct {
	*conn
	head [4]byte
	read int
}

// stall asks for a large answer and for more behind it, and reads a little of the first one, if it comes soon.
func stall(ctx context.Context, node *process.Node) (*stalled, error) {
	c, err := dial(ctx, node.Kafka)
	if err != nil {
		return nil, err
	}
	s := &stalled{conn: c}
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		return s, err
	}
	for range 4 {
		if err := c.send(11, fetchAll("stalled")); err != nil {
			return s, err
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		return s, err
	}
	s.read, _ = io.ReadFull(c, s.head[:]) // one whose answer has to wait for memory reads it later
	return s, nil
}

func fetchAll(topic string) *kmsg.FetchRequest {
	fetch := kmsg.NewPtrFetchRequest()
	fetch.MaxBytes, fetch.MaxWaitMillis = stalledFetch, 100
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{{PartitionMaxBytes: stalledFetch, CurrentLeaderEpoch: -1}}}}
	return fetch
}

// goOn reads the rest of the first answer on every connection. One may have been cut off meanwhile, by a server that gave up on it.
func goOn(readers []*stalled) (whole, closed int, wrong error) {
	var mu sync.Mutex
	var work sync.WaitGroup
	for _, s := range readers {
		work.Go(func() {
			n, err := s.finish()
			mu.Lock()
			defer mu.Unlock()
			var timeout net.Error
			switch {
			case err == nil:
				whole++
			case errors.As(err, &timeout) && timeout.Timeout():
				wrong = fmt.Errorf("a reader that goes on gets no more than %d of %d bytes within %s", n, s.length(), 2*patience)
			case s.read == len(s.head) && s.length() < stalledLeast:
				wrong = err
			default:
				closed++
			}
		})
	}
	work.Wait()
	return whole, closed, wrong
}

// length returns how long the answer is, as far as that is known.
func (s *stalled) length() int64 { return int64(binary.BigEndian.Uint32(s.head[:])) }

// finish reads the answer to its end, and ends the connection. It returns how much of it there was.
func (s *stalled) finish() (int64, error) {
	defer s.Close()
	if err := errors.Join(s.SetReadDeadline(time.Now().Add(2*patience)), s.Conn.(*net.TCPConn).SetReadBuffer(1<<20)); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s, s.head[s.read:])
	if s.read += n; err != nil {
		return 0, err
	}
	if s.length() < stalledLeast {
		return 0, fmt.Errorf("an answer of %d bytes", s.length())
	}
	return io.CopyN(io.Discard, s, s.length())
}

// fillTopic makes a topic of one partition with so many MiB that do not compress.
func fillTopic(ctx context.Context, r *rig, node *process.Node, topic string, mib int) error {
	if err := createTopic(ctx, node, topic, 1); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer client.Close()
	const size = stalledLeast // what a producer's batch takes by default
	var failed atomic.Value
	for written := 0; written < mib<<20; written += size {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(r.random.Uint32())
		}
		client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(err)
			}
		})
	}
	err = client.Flush(ctx)
	if wrong, ok := failed.Load().(error); ok {
		err = errors.Join(err, wrong)
	}
	return err
}
