package firehose

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/firehose"
	"github.com/freshet/freshet/internal/stream"
)

const (
	// maxBatchBytes bounds the data, maxBatchRecords the records of one PutRecordBatch; the model has the latter, too.
	maxBatchBytes   = 4 << 20
	maxBatchRecords = 500
	// maxPooledPut bounds the memory of one request's batch that is kept for another.
	maxPooledPut = 1 << 20
)

func (s *Service) putRecord(ctx context.Context, call *aws.Call, in *api.PutRecordInput) (*api.PutRecordOutput, error) {
	d, err := s.direct(ctx, call, *in.DeliveryStreamName)
	if err != nil {
		return nil, err
	}
	m := s.meters.of(d.Name)
	m.putRecords.Add(1)
	source, appended, err := s.append(ctx, d, []api.Record{*in.Record})
	if err != nil {
		m.rejected.Add(1)
		return nil, unavailable(err)
	}
	m.count(1, len(in.Record.Data))
	return &api.PutRecordOutput{RecordId: new(recordID(source, appended.Base)), Encrypted: new(false)}, nil
}

func (s *Service) putRecordBatch(ctx context.Context, call *aws.Call, in *api.PutRecordBatchInput) (*api.PutRecordBatchOutput, error) {
	d, err := s.direct(ctx, call, *in.DeliveryStreamName)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, r := range in.Records {
		size += len(r.Data)
	}
	if size > maxBatchBytes {
		return nil, invalidArgument("Records size exceeds 4 MB limit")
	}
	m := s.meters.of(d.Name)
	m.putBatches.Add(1)
	source, appended, err := s.append(ctx, d, in.Records)
	out := &api.PutRecordBatchOutput{FailedPutCount: new(int32), Encrypted: new(false), RequestResponses: make([]api.PutRecordBatchResponseEntry, len(in.Records))}
	if err != nil {
		m.rejected.Add(int64(len(in.Records)))
		*out.FailedPutCount = int32(len(in.Records))
		s.logger.Warn("records were not written", "delivery_stream", d.Name, "records", len(in.Records), "error", err, "request", call.RequestID)
		failed := failedEntry(unavailable(err))
		for i := range out.RequestResponses {
			out.RequestResponses[i] = failed
		}
		return out, nil
	}
	m.count(len(in.Records), size)
	for i := range out.RequestResponses {
		out.RequestResponses[i].RecordId = new(recordID(source, appended.Base+stream.Offset(i)))
	}
	return out, nil
}

// failedEntry says of one record what a failed PutRecord says of its.
func failedEntry(err error) api.PutRecordBatchResponseEntry {
	if known, ok := err.(*aws.Error); ok {
		return api.PutRecordBatchResponseEntry{ErrorCode: &known.Code, ErrorMessage: &known.Message}
	}
	return api.PutRecordBatchResponseEntry{ErrorCode: new("InternalFailure"), ErrorMessage: new("Internal Service Failure")}
}

// direct finds a delivery stream that records can be put into.
func (s *Service) direct(ctx context.Context, call *aws.Call, name string) (*delivery, error) {
	d, err := s.find(ctx, call, name)
	switch {
	case err != nil:
		return nil, err
	case d.Status != api.DeliveryStreamStatusActive:
		return nil, notFound(call, name)
	case d.Type != api.DeliveryStreamTypeDirectPut:
		return nil, invalidArgument("This operation is not permitted on %s delivery stream type.", d.Type)
	}
	return d, nil
}

// append writes records to the internal stream as one batch, durable when it returns.
func (s *Service) append(ctx context.Context, d *delivery, records []api.Record) (stream.ID, stream.Appended, error) {
	source, err := s.findSource(ctx, d)
	if err != nil {
		return stream.ID{}, stream.Appended{}, fmt.Errorf("put into %s: %w", d.Name, err)
	}
	w, _ := s.puts.Get().(*batch.Builder)
	if w == nil {
		w = new(batch.Builder)
	}
	w.Reset()
	now := s.clock.Now().UnixMilli()
	for _, r := range records {
		data := r.Data
		if data == nil {
			data = []byte{} // nothing was put: that is not a tombstone
		}
		w.Add(now, nil, data)
	}
	// The log copies the batch within Append; the builder is free before it is durable.
	ticket := s.log.Append(ctx, []stream.Append{{Shard: source.Shard(0), Batch: w.Finish(batch.NoProducer)}})
	if w.Bytes() <= maxPooledPut {
		s.puts.Put(w)
	}
	results, err := ticket.Wait(ctx)
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		return stream.ID{}, stream.Appended{}, fmt.Errorf("put into %s: %w", d.Name, err)
	}
	return source.ID, results[0], nil
}

// recordID names a record for its producer: the stream's life and the offset in it.
func recordID(source stream.ID, offset stream.Offset) string {
	return fmt.Sprintf("%s%016x", source, offset)
}
