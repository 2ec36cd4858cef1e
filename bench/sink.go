package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/tests/kit"
	"github.com/freshet/freshet/tests/process"
)

// sink is a broker that reads what producers send, acknowledges it and forgets it: what the clients can do on this machine if the server does
// next to nothing. Every topic that is asked for exists and has sinkPartitions partitions.
type sink struct {
	listener net.Listener
	host     string
	port     int32
}

const sinkPartitions = 6

// sinkTurn measures the producers against a sink.
func sinkTurn(ctx context.Context, o options, out *rows, run int, tools *kit.Kafka) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	s := &sink{listener: l}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return err
	}
	s.host, s.port = host, int32(number)
	go s.accept()
	t := &kafkaTurn{ctx: ctx, options: o, out: out, run: run, subject: "sink", server: s, tools: tools, records: o.records}
	if err := t.steps([]step{{"latency", t.latency}, {"producers", t.manyProducers}, {"small", t.small}, {"prepared", t.prepared}}); err != nil {
		return err
	}
	if !o.only.MatchString("produce") {
		return nil
	}
	for _, row := range []struct {
		name       string
		properties []string
	}{{"produce default", nil}, {"produce 128 KiB", largeBatches}} {
		p, err := t.produce("java", o.records, -1, row.properties...)
		if err != nil {
			return err
		}
		t.row(row.name, p.mibPerSecond, "MiB/s")
	}
	return nil
}

func (s *sink) start(context.Context, string) (time.Duration, error) { return 0, nil }
func (s *sink) address() string                                      { return s.listener.Addr().String() }
func (s *sink) secured() string                                      { return "" }
func (s *sink) process() *process.Process                            { return nil }

func (s *sink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if err := s.serve(c); !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				fmt.Println("sink:", err)
			}
		}()
	}
}

// serve answers one client's requests: frames of length i32, key i16, version i16, correlation i32, client id, body.
func (s *sink) serve(c net.Conn) error {
	in := bufio.NewReaderSize(c, 64<<10)
	var frame []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if cap(frame) < n {
			frame = make([]byte, n)
		}
		b := frame[:n]
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		key, version := int16(binary.BigEndian.Uint16(b)), int16(binary.BigEndian.Uint16(b[2:]))
		req := kmsg.RequestForKey(key)
		if req == nil {
			return fmt.Errorf("no request has the key %d", key)
		}
		req.SetVersion(version)
		body := 10 + max(0, int(int16(binary.BigEndian.Uint16(b[8:]))))
		if req.IsFlexible() {
			body++ // no tags
		}
		if err := req.ReadFrom(b[body:]); err != nil {
			return err
		}
		resp := s.answer(req)
		resp.SetVersion(version)
		out := append(make([]byte, 4, 1<<10), b[4:8]...)
		if resp.IsFlexible() && key != int16(kmsg.ApiVersions) {
			out = append(out, 0)
		}
		out = resp.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := c.Write(out); err != nil {
			return err
		}
	}
}

// answer says yes to what a producer asks.
func (s *sink) answer(req kmsg.Request) kmsg.Response {
	resp := req.ResponseKind()
	switch resp := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		for key, highest := range map[kmsg.Key]int16{kmsg.Produce: 12, kmsg.Metadata: 12, kmsg.ApiVersions: 4, kmsg.InitProducerID: 4} {
			k := kmsg.NewApiVersionsResponseApiKey()
			k.ApiKey, k.MaxVersion = int16(key), highest
			resp.ApiKeys = append(resp.ApiKeys, k)
		}
	case *kmsg.MetadataResponse:
		s.metadata(req.(*kmsg.MetadataRequest), resp)
	case *kmsg.InitProducerIDResponse:
		resp.ProducerID = time.Now().UnixNano()
	case *kmsg.ProduceResponse:
		for _, topic := range req.(*kmsg.ProduceRequest).Topics {
			t := kmsg.NewProduceResponseTopic()
			t.Topic = topic.Topic
			for _, partition := range topic.Partitions {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition = partition.Partition
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
	return resp
}

func (s *sink) metadata(req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) {
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = 1, s.host, s.port
	resp.Brokers, resp.ControllerID = append(resp.Brokers, b), 1
	for _, topic := range req.Topics {
		t := kmsg.NewMetadataResponseTopic()
		t.Topic = topic.Topic
		for i := range int32(sinkPartitions) {
			p := kmsg.NewMetadataResponseTopicPartition()
			p.Partition, p.Leader, p.Replicas, p.ISR = i, 1, []int32{1}, []int32{1}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
}
