package kinesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// rig is a service on memory and virtual time.
type rig struct {
	*Service
	t     *testing.T
	clock *clock.Virtual
	call  *aws.Call
}

var rigStart = time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)

// seeded is random bytes that are the same in every run.
func seeded() io.Reader { return rand.NewChaCha8([32]byte([]byte(strings.Repeat("kinesis ", 4)))) }

func newRig(t *testing.T) *rig {
	t.Helper()
	c := clock.NewVirtual(rigStart)
	random := seeded()
	return newRigOn(t, c, memlog.New(c, random), memstate.New(c), Config{})
}

func newRigOn(t *testing.T, c *clock.Virtual, log stream.Log, store state.Store, config Config) *rig {
	t.Helper()
	service, err := New(t.Context(), config, Dependencies{Log: log, State: store, Clock: c, Random: seeded(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{Service: service, t: t, clock: c, call: &aws.Call{Service: "kinesis", Region: "us-east-1", Account: "000000000000"}}
}

// must calls a handler that must succeed.
func must[In, Out any](r *rig, handler func(context.Context, *aws.Call, *In) (*Out, error), in *In) *Out {
	r.t.Helper()
	out, err := handler(r.t.Context(), r.call, in)
	if err != nil {
		r.t.Fatalf("%T: %v", in, err)
	}
	return out
}

// refused calls a handler that must fail with "Code: message"; a want that ends in * is a prefix.
func refused[In, Out any](r *rig, handler func(context.Context, *aws.Call, *In) (*Out, error), in *In, want string) {
	r.t.Helper()
	_, err := handler(r.t.Context(), r.call, in)
	if err == nil {
		r.t.Errorf("%T: succeeded, want %s", in, want)
		return
	}
	if _, ok := errors.AsType[*aws.Error](err); !ok {
		r.t.Errorf("%T: %v is not an AWS error", in, err)
	}
	if prefix, ok := strings.CutSuffix(want, "*"); ok && strings.HasPrefix(err.Error(), prefix) || err.Error() == want {
		return
	}
	r.t.Errorf("%T:\n got %v\nwant %s", in, err, want)
}

func (r *rig) create(name string, shards int32) {
	r.t.Helper()
	must(r, r.createStream, &api.CreateStreamInput{StreamName: &name, ShardCount: &shards})
}

func (r *rig) put(name, key, data string) *api.PutRecordOutput {
	r.t.Helper()
	return must(r, r.putRecord, &api.PutRecordInput{StreamName: &name, PartitionKey: &key, Data: []byte(data)})
}

// iterator returns a shard iterator; number may be "".
func (r *rig) iterator(name string, shard int32, kind api.ShardIteratorType, number string) string {
	r.t.Helper()
	in := &api.GetShardIteratorInput{StreamName: &name, ShardId: new(shardID(shard)), ShardIteratorType: &kind}
	if number != "" {
		in.StartingSequenceNumber = &number
	}
	return *must(r, r.getShardIterator, in).ShardIterator
}

func (r *rig) get(iterator string) *api.GetRecordsOutput {
	r.t.Helper()
	return must(r, r.getRecords, &api.GetRecordsInput{ShardIterator: &iterator})
}

// read returns "key=data" of what is after an iterator, joined by blanks.
func (r *rig) read(iterator string) string {
	r.t.Helper()
	return show(r.get(iterator).Records)
}

func show(records []api.Record) string {
	var parts []string
	for _, record := range records {
		parts = append(parts, fmt.Sprintf("%s=%s", *record.PartitionKey, record.Data))
	}
	return strings.Join(parts, " ")
}

// kafka appends one batch as a Kafka producer would, with CreateTime timestamps.
func (r *rig) kafka(shard stream.Shard, records ...batch.Record) stream.Offset {
	r.t.Helper()
	var b batch.Builder
	for _, record := range records {
		b.Add(record.Timestamp, record.Key, record.Value, record.Headers...)
	}
	return r.appendBatch(shard, b.Finish(batch.NoProducer))
}

func (r *rig) appendBatch(shard stream.Shard, b []byte) stream.Offset {
	r.t.Helper()
	results, err := r.log.Append(r.t.Context(), []stream.Append{{Shard: shard, Batch: b}}).Wait(r.t.Context())
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return results[0].Base
}

func (r *rig) topic(name string, shards int32) *stream.Stream {
	r.t.Helper()
	st, err := r.log.Create(r.t.Context(), stream.Spec{Name: stream.Name(name), Shards: shards})
	if err != nil {
		r.t.Fatal(err)
	}
	return st
}
