package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/wire"
	"github.com/freshet/freshet/internal/stream"
)

// firstProduce is the lowest version of Produce that is served. Lower ones are advertised and refused: old librdkafka concludes from the
// range which codecs it may use (KAFKA-18659).
const firstProduce = 3

// produce appends without waiting for the disk: its answer is written when the log's ticket is done, so that what a client pipelines goes into
// one group commit. acks 1 and -1 are the same here, for there are no replicas; with acks 0 there is no answer, and an error closes
// the connection. The request's timeout bounds waiting for replicas, so there is nothing that it bounds.
//
// v3 brings the transactional id, which is refused, v7 zstd, v8 messages and record numbers with errors, v13 topic ids.
func (s *Server) produce(ctx context.Context, c *Client, r *wire.Request) (wire.Answer, error) {
	r.Pooled = true // nothing below keeps the records: the log copies them
	req := kmsg.ProduceRequest{Version: r.Version}
	if err := r.Decode(ctx, &req); err != nil {
		return nil, fmt.Errorf("Produce v%d: %w", r.Version, err)
	}
	a := &produced{acks: req.Acks}
	a.begin(c, r)
	a.resp.Default()
	a.resp.Version = r.Version
	a.prepare(&req)
	var entries []stream.Append
	for t := range req.Topics {
		topic := &req.Topics[t]
		st, err := s.produceTopic(ctx, &req, topic)
		for p := range topic.Partitions {
			from, to := &topic.Partitions[p], &a.resp.Topics[t].Partitions[p]
			entry, err := produceEntry(st, err, from, r.Version)
			if err != nil {
				setProduceError(to, err)
			} else {
				entries = append(entries, entry)
				a.slots = append(a.slots, to)
			}
		}
	}
	if len(entries) > 0 {
		a.ticket = s.log.Append(ctx, entries)
	}
	return a, nil
}

// produceTopic finds a topic, or says why none of its partitions may be produced to.
func (s *Server) produceTopic(ctx context.Context, req *kmsg.ProduceRequest, t *kmsg.ProduceRequestTopic) (*stream.Stream, error) {
	switch {
	case req.Version < firstProduce:
		return nil, refuse(kerr.UnsupportedVersion, "Produce v%d writes a record format of the past; the lowest version is %d", req.Version, firstProduce)
	case req.Acks < -1 || req.Acks > 1:
		return nil, refuse(kerr.InvalidRequiredAcks, "acks must be -1, 0 or 1, not %d", req.Acks)
	case req.TransactionID != nil:
		return nil, refuse(kerr.InvalidTxnState, "transactions are not supported")
	}
	st, err := s.topicNamedOr(ctx, t.Topic, t.TopicID)
	if err == nil && req.Acks == -1 && !s.cfg.AcceptAnyRF && minInSync(st) > 1 {
		return nil, refuse(kerr.NotEnoughReplicas, "topic %s wants %d replicas in sync, there is 1", st.Name, minInSync(st))
	}
	return st, err
}

func produceEntry(st *stream.Stream, err error, p *kmsg.ProduceRequestTopicPartition, version int16) (stream.Append, error) {
	if err != nil {
		return stream.Append{}, err
	}
	address, err := shard(st, p.Partition)
	if err != nil {
		return stream.Append{}, err
	}
	return stream.Append{Shard: address, Batch: p.Records}, checkRecords(p.Records, version, compacted(st))
}

// produced is the answer to a Produce.
type produced struct {
	observed
	acks   int16
	resp   kmsg.ProduceResponse
	ticket *stream.Ticket                        // nil if nothing was appended
	slots  []*kmsg.ProduceResponseTopicPartition // where the ticket's results go
}

// prepare lays out the response as the request is.
func (a *produced) prepare(req *kmsg.ProduceRequest) {
	a.resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	for t := range req.Topics {
		from, to := &req.Topics[t], &a.resp.Topics[t]
		to.Topic, to.TopicID = from.Topic, from.TopicID
		to.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(from.Partitions))
		for p := range from.Partitions {
			to.Partitions[p].Default()
			to.Partitions[p].Partition = from.Partitions[p].Partition
		}
	}
}

func (a *produced) Ready() <-chan struct{} {
	if a.ticket == nil {
		return nil
	}
	return a.ticket.Done()
}

func (a *produced) Encode(f *wire.Frame) error {
	if a.ticket != nil {
		for i, result := range a.ticket.Results() {
			setProduced(a.slots[i], &result)
		}
	}
	if a.acks == 0 {
		if code := a.errorCode(); code != 0 {
			return fmt.Errorf("produce without acknowledgement failed: %w", kerr.ErrorForCode(code))
		}
		return wire.ErrNoAnswer
	}
	f.Buf = a.resp.AppendTo(f.Buf)
	return nil
}

func (a *produced) Done(written int, err error) {
	if a.acks == 0 && err == nil {
		written = 0
	}
	a.end(written, a.errorCode(), err)
}

func (a *produced) errorCode() int16 {
	for t := range a.resp.Topics {
		for p := range a.resp.Topics[t].Partitions {
			if code := a.resp.Topics[t].Partitions[p].ErrorCode; code != 0 {
				return code
			}
		}
	}
	return 0
}

func setProduceError(p *kmsg.ProduceResponseTopicPartition, err error) {
	p.ErrorCode, p.ErrorMessage, p.BaseOffset = code(err), errorMessage(err), -1
}

func setProduced(p *kmsg.ProduceResponseTopicPartition, result *stream.Appended) {
	if result.Err != nil {
		setProduceError(p, result.Err)
		return
	}
	p.BaseOffset, p.LogStartOffset = int64(result.Base), int64(result.Start)
	if !result.Time.IsZero() {
		p.LogAppendTime = result.Time.UnixMilli()
	}
}
