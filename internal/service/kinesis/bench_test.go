package kinesis

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

var benchCall = &aws.Call{Service: "kinesis", Region: "us-east-1", Account: "000000000000"}

// discard is a log whose appends cost nothing, so that a benchmark shows what the service costs.
type discard struct {
	stream.Log
	end stream.Offset
}

func (d *discard) Append(_ context.Context, entries []stream.Append) *stream.Ticket {
	t := stream.NewTicket(len(entries))
	for i := range entries {
		t.Results()[i] = stream.Appended{Base: d.end}
		d.end += 500
	}
	t.Finish()
	return t
}

func benchService(b *testing.B, wrap func(stream.Log) stream.Log) *Service {
	c := clock.NewVirtual(time.Unix(1.7e9, 0))
	s, err := New(b.Context(), Config{}, Dependencies{Log: wrap(memlog.New(c, seeded())), State: memstate.New(c), Clock: c, Random: seeded(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.createStream(b.Context(), benchCall, &api.CreateStreamInput{StreamName: new("s"), ShardCount: new(int32(4))}); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchPut(size int) *api.PutRecordsInput {
	in := &api.PutRecordsInput{StreamName: new("s")}
	for i := range 500 {
		in.Records = append(in.Records, api.PutRecordsRequestEntry{PartitionKey: new(fmt.Sprintf("key-%d", i)), Data: make([]byte, size)})
	}
	return in
}

func BenchmarkPutRecords(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, in := benchService(b, func(l stream.Log) stream.Log { return &discard{Log: l} }), benchPut(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.putRecords(b.Context(), benchCall, in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/record")
		})
	}
}

func BenchmarkGetRecords(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := benchService(b, func(l stream.Log) stream.Log { return l })
			for range 80 {
				if _, err := s.putRecords(b.Context(), benchCall, benchPut(size)); err != nil {
					b.Fatal(err)
				}
			}
			in := &api.GetShardIteratorInput{StreamName: new("s"), ShardId: new("0"), ShardIteratorType: new(api.ShardIteratorTypeTrimHorizon)}
			it, err := s.getShardIterator(b.Context(), benchCall, in)
			if err != nil {
				b.Fatal(err)
			}
			records := 0
			b.ReportAllocs()
			for b.Loop() {
				out, err := s.getRecords(b.Context(), benchCall, &api.GetRecordsInput{ShardIterator: it.ShardIterator})
				if err != nil {
					b.Fatal(err)
				}
				records += len(out.Records)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
		})
	}
}
