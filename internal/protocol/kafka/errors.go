package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/stream"
)

func refuse(kind *kerr.Error, format string, args ...any) error {
	return refusal.New(kind, format, args...)
}

// kinds maps the errors of the log to Kafka's, first match first. Nothing else does.
var kinds = []struct {
	is   error
	kind *kerr.Error
}{
	{stream.ErrNotFound, kerr.UnknownTopicOrPartition},
	{stream.ErrExists, kerr.TopicAlreadyExists},
	{stream.ErrTooMany, kerr.PolicyViolation},
	{stream.ErrOutOfRange, kerr.OffsetOutOfRange},
	{stream.ErrTooLarge, kerr.MessageTooLarge},
	{stream.ErrTimestamp, kerr.InvalidTimestamp},
	{stream.ErrFenced, kerr.InvalidProducerEpoch},
	{stream.ErrOutOfOrder, kerr.OutOfOrderSequenceNumber},
	{stream.ErrStale, kerr.DuplicateSequenceNumber},
	{stream.ErrTransaction, kerr.InvalidTxnState},
	{stream.ErrCoordinator, kerr.TransactionCoordinatorFenced},
	{stream.ErrFull, kerr.KafkaStorageError}, // clients retry it: a full disk may get room
	{stream.ErrClosed, kerr.NotLeaderForPartition},
	{stream.ErrUnavailable, kerr.NotLeaderForPartition},
	{stream.ErrInvalid, kerr.InvalidRequest},
	{context.Canceled, kerr.RequestTimedOut},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
}

var faults = map[batch.Fault]*kerr.Error{
	batch.Truncated:    kerr.CorruptMessage,
	batch.Magic:        kerr.InvalidRecord,
	batch.Checksum:     kerr.CorruptMessage,
	batch.Inconsistent: kerr.InvalidRecord,
	batch.Compression:  kerr.UnsupportedCompressionType,
	batch.TooBig:       kerr.MessageTooLarge,
}

// code returns Kafka's error code for err, 0 for nil.
func code(err error) int16 {
	if err == nil {
		return 0
	}
	var r *refusal.Error
	if errors.As(err, &r) {
		return r.Kind.Code
	}
	var b *batch.Error
	if errors.As(err, &b) && faults[b.Fault] != nil {
		return faults[b.Fault].Code
	}
	if isDamage(err) {
		return kerr.CorruptMessage.Code
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return k.kind.Code
		}
	}
	return kerr.UnknownServerError.Code
}

// isDamage says whether stored bytes are not what was written. Clients are told what Kafka's brokers tell them: CORRUPT_MESSAGE, which Java's
// consumer and librdkafka raise to their user. KAFKA_STORAGE_ERROR says that another replica may do better: they look for it for ever, and say nothing.
func isDamage(err error) bool {
	var corrupt *stream.CorruptError
	return errors.As(err, &corrupt)
}

// logFailure logs an error of reading a partition that is the node's and not the client's: what is answered is only a code.
func (s *Server) logFailure(ctx context.Context, err error, c *Client, api string, at stream.Shard, offset stream.Offset) {
	if !isDamage(err) && code(err) != kerr.UnknownServerError.Code {
		return
	}
	var topic stream.Name
	if st, err := s.log.StreamByID(ctx, at.Stream); err == nil { // else it was deleted meanwhile
		topic = st.Name
	}
	s.logger.Error("kafka read failed", "api", api, "topic", topic, "partition", at.Index, "offset", offset, "peer", c.Addr, "client", c.ID, "error", err)
}

// errorMessage returns what a client is told beside the code, nil for no error. The log does not find streams; Kafka does not host partitions.
func errorMessage(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	if errors.Is(err, stream.ErrNotFound) {
		text = kerr.UnknownTopicOrPartition.Description
	}
	return &text
}

// messageOrEmpty is errorMessage where Kafka tells success with an empty message.
func messageOrEmpty(err error) *string {
	if err == nil {
		return new(string)
	}
	return errorMessage(err)
}
