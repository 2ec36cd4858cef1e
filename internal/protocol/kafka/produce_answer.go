package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/stream"
)

// produced is the answer to a Produce, laid out as the request is.
type produced struct {
	observed
	log     stream.Log
	version int16
	acks    int16
	topics  []producedTopic
	ticket  *stream.Ticket // nil if nothing was appended

	throttleMillis int32
}

type producedTopic struct {
	name  string
	id    stream.ID
	parts []producedPart
}

type producedPart struct {
	partition int32
	shard     stream.Shard // none if there is no such partition
	entry     int          // its place among the ticket's results, or -1 if it was refused before
	result    stream.Appended
}

// Ready implements wire.Answer: the answer waits until the log is done with the batches.
func (a *produced) Ready() <-chan struct{} {
	if a.ticket == nil {
		return nil
	}
	return a.ticket.Done()
}

// collect takes over what became of the batches.
func (a *produced) collect() {
	var results []stream.Appended
	if a.ticket != nil {
		results = a.ticket.Results()
	}
	for t := range a.topics {
		for i := range a.topics[t].parts {
			p := &a.topics[t].parts[i]
			if p.entry >= 0 {
				p.result = results[p.entry]
			}
			if p.result.Err != nil {
				p.result.Start = a.start(p)
			}
		}
	}
}

// tellsStart are the errors with which Kafka tells where the partition starts: those that it finds at its log, and that are the producer's.
var tellsStart = map[int16]bool{
	kerr.InvalidRecord.Code: true, kerr.InvalidTimestamp.Code: true, kerr.OutOfOrderSequenceNumber.Code: true,
	kerr.DuplicateSequenceNumber.Code: true, kerr.InvalidProducerEpoch.Code: true,
}

// start returns the log start offset that goes with a partition's error, or -1.
func (a *produced) start(p *producedPart) stream.Offset {
	if p.shard == (stream.Shard{}) || !tellsStart[code(p.result.Err)] {
		return -1
	}
	bounds, err := a.log.Bounds(context.Background(), p.shard)
	if err != nil {
		return -1
	}
	return bounds.Start
}

// Encode writes, per partition: index i32, error i16, base offset i64, v2 log append time i64, v5 log start offset i64, v8 the records with errors
// and a message, v9 tags. Since v9 lengths are uvarints of one more, and since v13 topics are ids.
func (a *produced) Encode(f *wire.Frame) error {
	a.collect()
	if a.acks == 0 {
		if err := a.firstError(); err != nil {
			return fmt.Errorf("produce without acknowledgement failed: %w", err)
		}
		return wire.ErrNoAnswer
	}
	flexible := a.version >= 9
	b := appendLength(f.Buf, len(a.topics), flexible)
	for t := range a.topics {
		topic := &a.topics[t]
		if a.version >= produceByID {
			b = append(b, topic.id[:]...)
		} else {
			b = appendText(b, topic.name, flexible)
		}
		b = appendLength(b, len(topic.parts), flexible)
		for i := range topic.parts {
			b = topic.parts[i].append(b, a.version)
		}
		b = appendNoTags(b, flexible)
	}
	if a.version >= 1 {
		b = binary.BigEndian.AppendUint32(b, uint32(a.throttleMillis))
	}
	f.Buf = appendNoTags(b, flexible)
	return nil
}

func (p *producedPart) append(b []byte, version int16) []byte {
	r, base, at := &p.result, int64(-1), int64(-1)
	if r.Err == nil {
		base = int64(r.Base)
		if !r.Time.IsZero() {
			at = r.Time.UnixMilli()
		}
	}
	flexible := version >= 9
	b = binary.BigEndian.AppendUint32(b, uint32(p.partition))
	b = binary.BigEndian.AppendUint16(b, uint16(code(r.Err)))
	b = binary.BigEndian.AppendUint64(b, uint64(base))
	if version >= 2 {
		b = binary.BigEndian.AppendUint64(b, uint64(at))
	}
	if version >= 5 {
		b = binary.BigEndian.AppendUint64(b, uint64(r.Start))
	}
	if version >= 8 {
		b = appendBadRecords(b, r.Err, flexible)
		b = appendNullableText(b, errorMessage(r.Err), flexible)
	}
	return appendNoTags(b, flexible)
}

// appendBadRecords appends the records that err names, by their places in the batch, so that a producer can tell which of its records are at
// fault and which only were in their company (KIP-467).
func appendBadRecords(b []byte, err error, flexible bool) []byte {
	var bad *badRecords
	if err == nil || !errors.As(err, &bad) {
		return appendLength(b, 0, flexible)
	}
	b = appendLength(b, len(bad.at), flexible)
	for _, at := range bad.at {
		b = binary.BigEndian.AppendUint32(b, uint32(at))
		b = appendNullableText(b, &bad.reason, flexible)
		b = appendNoTags(b, flexible)
	}
	return b
}

// Done implements wire.Answer.
func (a *produced) Done(written int, err error) {
	a.end(written, code(a.firstError()), err)
}

func (a *produced) firstError() error {
	for t := range a.topics {
		for i := range a.topics[t].parts {
			if err := a.topics[t].parts[i].result.Err; err != nil {
				return err
			}
		}
	}
	return nil
}
