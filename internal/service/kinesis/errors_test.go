package kinesis

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

func TestFailure(t *testing.T) {
	call := &aws.Call{Account: "000000000000"}
	for _, test := range []struct {
		err  error
		want string // code, or "" for what the front door answers as its own failure
	}{
		{stream.ErrNotFound, "ResourceNotFoundException"},
		{stream.ErrExists, "ResourceInUseException"},
		{stream.ErrTooLarge, "InvalidArgumentException"},
		{stream.ErrTimestamp, "InvalidArgumentException"},
		{stream.ErrFull, "InternalFailureException"},
		{stream.ErrClosed, "ServiceUnavailable"},
		{stream.ErrUnavailable, "ServiceUnavailable"},
		{state.ErrClosed, "ServiceUnavailable"},
		{dryRun(), "DryRunOperationException"},
		{&stream.CorruptError{File: "f"}, ""},
		{context.Canceled, ""},
	} {
		err := failure(call, "s", fmt.Errorf("wrapped: %w", test.err))
		code := ""
		if known, ok := errors.AsType[*aws.Error](err); ok {
			code = known.Code
		}
		if code != test.want {
			t.Errorf("%v is answered %q, want %q", test.err, code, test.want)
		}
		if code == "" && !errors.Is(err, test.err) {
			t.Errorf("%v became %v", test.err, err)
		}
	}
	if err := failure(call, "s", nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
}

// fullShard is a log whose disk has no room for one of its shards.
type fullShard struct {
	stream.Log
	shard int32
}

func (f fullShard) Append(_ context.Context, entries []stream.Append) *stream.Ticket {
	t := stream.NewTicket(len(entries))
	for i := range entries {
		t.Results()[i].Base = 41
		if entries[i].Shard.Index == f.shard {
			t.Results()[i] = stream.Appended{Err: stream.ErrFull}
		}
	}
	t.Finish()
	return t
}

// What could not be written fails alone, in its place in the answer, and is to be sent again.
func TestPutRecordsFailsInPart(t *testing.T) {
	c := clock.NewVirtual(rigStart)
	r := newRigOn(t, c, fullShard{memlog.New(c, seeded()), 1}, memstate.New(c), Config{})
	r.create("s", 2)
	in := &api.PutRecordsInput{StreamName: new("s")}
	for i := range 4 {
		hash := "0"
		if i%2 == 1 {
			hash = maxHashKey.String()
		}
		in.Records = append(in.Records, api.PutRecordsRequestEntry{PartitionKey: new("k"), ExplicitHashKey: &hash, Data: []byte("v")})
	}
	out := must(r, r.putRecords, in)
	if *out.FailedRecordCount != 2 {
		t.Errorf("%d failed", *out.FailedRecordCount)
	}
	for i, e := range out.Records {
		if i%2 == 1 {
			if value(e.ErrorCode, "") != "InternalFailure" || value(e.ErrorMessage, "") == "" || e.SequenceNumber != nil || e.ShardId != nil {
				t.Errorf("entry %d is %+v", i, e)
			}
			continue
		}
		q, err := parseSequence(value(e.SequenceNumber, ""))
		if err != nil || q.index != uint64(42+i/2) || e.ErrorCode != nil {
			t.Errorf("entry %d is %+v, %s, %v", i, e, q.dump(), err)
		}
	}
	refused(r, r.putRecord, &api.PutRecordInput{StreamName: new("s"), PartitionKey: new("k"), ExplicitHashKey: new(maxHashKey.String()), Data: []byte("v")},
		"InternalFailureException: The disk is full*")
}
