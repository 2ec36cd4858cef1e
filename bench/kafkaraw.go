package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
)

const (
	// rawConnections is how many connections send prepared requests.
	rawConnections = 16
	// rawInFlight is how many requests a connection sends before the first is answered: as many as Kafka's producers do.
	rawInFlight = 5
	// rawVersion is the version of the prepared requests: the first whose tagged fields nobody needs to look at.
	rawVersion = 9
	// pacedRecords is how many records a request at a fixed rate has: one request each millisecond at the usual rate, as Kafka's tool sends them.
	pacedRecords = 20
)

// prepared sends requests that were made before: a client that costs as little as one can, so that it leaves the machine to the server. Records of 100
// bytes wait for nobody: each request is one batch of so many of them, for one partition.
func (t *kafkaTurn) prepared() error {
	const topic, partitions = "prepared", 6
	if err := t.topic(topic, partitions); err != nil {
		return err
	}
	for i := range int32(partitions) { // a topic is listed before all its partitions take records
		if err := t.first(preparedRequest(topic, i, 1, smallBytes)); err != nil {
			return err
		}
	}
	for _, each := range []int{1, 100} {
		requests := t.records / rawConnections * rawConnections
		if each > 1 {
			requests = smallTimes * t.records / each / rawConnections * rawConnections
		}
		var took time.Duration
		cost, err := t.cost(func() (err error) {
			began := time.Now()
			err = t.sendPrepared(topic, partitions, each, requests/rawConnections)
			took = time.Since(began)
			return err
		})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("produce, 100 B, %d a request, %d raw connections", each, rawConnections)
		t.row(name, float64(requests*each)/took.Seconds(), "rec/s")
		if t.server.process() != nil {
			t.row(name+", server CPU by requests", cost.Seconds()/float64(requests)*1e6, "s/M")
		}
	}
	return t.paced(topic, partitions)
}

// paced sends prepared requests at a fixed rate, one after the other to each partition, whether those before are answered or not. Each request's time
// begins when it is handed to the socket: what the client oversleeps is not the server's.
func (t *kafkaTurn) paced(topic string, partitions int) error {
	requests := make([][]byte, partitions)
	for i := range requests {
		requests[i] = preparedRequest(topic, int32(i), pacedRecords, t.options.bytes)
	}
	conn, err := net.Dial("tcp", t.server.address())
	if err != nil {
		return err
	}
	defer conn.Close()
	times := make([]time.Duration, t.options.rate*t.options.seconds/pacedRecords)
	sent := make(chan time.Time, len(times))
	failed := make(chan error, 1)
	go func() {
		began, every := time.Now(), time.Second*pacedRecords/time.Duration(t.options.rate)
		for i := range times {
			time.Sleep(time.Until(began.Add(time.Duration(i) * every)))
			sent <- time.Now()
			if _, err := conn.Write(requests[i%partitions]); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	in := bufio.NewReader(conn)
	for i := range times {
		if err := readProduced(in); err != nil {
			conn.Close() // and with it who writes
			return errors.Join(err, <-failed)
		}
		times[i] = time.Since(<-sent)
	}
	name := fmt.Sprintf("at rate, requests of %d records", pacedRecords)
	t.row(name+", p50", quantile(times, 50), "ms")
	t.row(name+", p99", quantile(times, 99), "ms")
	t.row(name+", p99.9", quantile(times, 99.9), "ms")
	return <-failed
}

// first sends a request until it is taken.
func (t *kafkaTurn) first(request []byte) error {
	ctx, cancel := context.WithTimeout(t.ctx, startPatience)
	defer cancel()
	for {
		err := sendAgain(t.server.address(), request, 1)
		if !errors.Is(err, kerr.NotLeaderForPartition) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// sendPrepared has each connection send so many requests to a partition and wait for all answers.
func (t *kafkaTurn) sendPrepared(topic string, partitions, each, requests int) error {
	errs := make([]error, rawConnections)
	var work sync.WaitGroup
	for i := range errs {
		request := preparedRequest(topic, int32(i%partitions), each, smallBytes)
		work.Go(func() { errs[i] = sendAgain(t.server.address(), request, requests) })
	}
	work.Wait()
	return errors.Join(errs...)
}

// preparedRequest is a whole frame: a Produce with acks=all of one batch of so many records of a size.
func preparedRequest(topic string, partition int32, records, size int) []byte {
	var b batch.Builder
	for range records {
		b.Add(time.Now().UnixMilli(), nil, bytes.Repeat([]byte("x"), size))
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = rawVersion, -1, 30_000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: topic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: b.Finish(batch.NoProducer)}}}}
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("prepared")).AppendRequest(nil, req, 0)
}

// sendAgain sends one request so many times, some at once, and looks at every answer.
func sendAgain(address string, request []byte, times int) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	slots := make(chan struct{}, rawInFlight)
	failed := make(chan error, 1)
	go func() {
		for range times {
			slots <- struct{}{}
			if _, err := conn.Write(request); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	in := bufio.NewReader(conn)
	for range times {
		if err := readProduced(in); err != nil {
			conn.Close() // and with it who writes
			for len(slots) > 0 {
				<-slots
			}
			return errors.Join(err, <-failed)
		}
		<-slots
	}
	return <-failed
}

// readProduced reads one answer: length i32, correlation i32, no tags, body.
func readProduced(in *bufio.Reader) error {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return err
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(in, frame); err != nil {
		return err
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = rawVersion
	if err := resp.ReadFrom(frame[5:]); err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}
