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

// produceByID is the first version of Produce that names topics by their ids alone (KIP-516).
const produceByID = 13

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
	a := &produced{log: s.log, version: r.Version, acks: req.Acks, topics: make([]producedTopic, len(req.Topics))}
	a.begin(c, r)
	entries := make([]stream.Append, 0, 8)
	for t := range req.Topics {
		topic := &req.Topics[t]
		st, err := s.produceTopic(ctx, &req, topic)
		to := &a.topics[t]
		to.name, to.id, to.parts = topic.Topic, topic.TopicID, make([]producedPart, len(topic.Partitions))
		for i := range topic.Partitions {
			p := &to.parts[i]
			p.partition, p.entry = topic.Partitions[i].Partition, -1
			var entry stream.Append
			if entry, p.result.Err = s.produceEntry(ctx, st, err, &topic.Partitions[i], r.Version); p.result.Err == nil {
				p.entry = len(entries)
				entries = append(entries, entry)
			}
			p.shard = entry.Shard
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
	var st *stream.Stream
	var err error
	if req.Version >= produceByID {
		st, err = s.topicByID(ctx, t.TopicID)
	} else {
		st, err = s.topic(ctx, t.Topic)
	}
	if err == nil && req.Acks == -1 && !s.cfg.AcceptAnyRF && minInSync(st) > 1 {
		return nil, refuse(kerr.NotEnoughReplicas, "topic %s wants %d replicas in sync, there is 1", st.Name, minInSync(st))
	}
	return st, err
}

// produceEntry checks one partition's batch; err is what is wrong with its topic.
func (s *Server) produceEntry(ctx context.Context, st *stream.Stream, err error, p *kmsg.ProduceRequestTopicPartition, version int16) (entry stream.Append, _ error) {
	if err != nil {
		return entry, err
	}
	if entry.Shard, err = shard(st, p.Partition); err != nil {
		return entry, err
	}
	entry.Batch = p.Records
	return entry, s.checkBatch(ctx, st, p.Records, version)
}
