package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/quota"
	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
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
// v3 brings the transactional id, v7 zstd, v8 messages and record numbers with errors, v11 TRANSACTION_ABORTABLE, v12 partitions that join the
// transaction by being written to (KIP-890), v13 topic ids.
func (s *Server) produce(ctx context.Context, c *Client, r *wire.Request) (wire.Answer, error) {
	r.Pooled = true // nothing below keeps the records: the log copies them
	req := kmsg.ProduceRequest{Version: r.Version}
	if err := r.Decode(ctx, &req); err != nil {
		return nil, fmt.Errorf("Produce v%d: %w", r.Version, err)
	}
	lastOfEach(&req)
	a := &produced{log: s.log, version: r.Version, acks: req.Acks, topics: make([]producedTopic, len(req.Topics))}
	a.begin(c, r)
	c.take(quota.ProducerBytes, float64(r.Bytes))
	entries := make([]stream.Append, 0, 8)
	coder := recoder{server: s}
	defer coder.release()
	for t := range req.Topics {
		topic := &req.Topics[t]
		st, err := s.produceTopic(ctx, c, &req, topic)
		to := &a.topics[t]
		to.name, to.id, to.parts = topic.Topic, topic.TopicID, make([]producedPart, len(topic.Partitions))
		for i := range topic.Partitions {
			p := &to.parts[i]
			p.partition, p.entry = topic.Partitions[i].Partition, -1
			var entry stream.Append
			if entry, p.result.Err = s.produceEntry(ctx, &coder, st, err, &topic.Partitions[i], &req); p.result.Err == nil {
				p.entry = len(entries)
				entries = append(entries, entry)
			}
			p.shard = entry.Shard
		}
	}
	hold := txn.Hold{}
	if req.TransactionID != nil && len(entries) > 0 {
		entries, hold = s.holdTransaction(a, *req.TransactionID, entries)
	}
	if len(entries) > 0 {
		a.ticket = s.log.Append(ctx, entries)
	}
	hold.Release()
	return a, nil
}

// produceTopic finds a topic, or says why none of its partitions may be produced to.
func (s *Server) produceTopic(ctx context.Context, c *Client, req *kmsg.ProduceRequest, t *kmsg.ProduceRequestTopic) (*stream.Stream, error) {
	switch {
	case req.Version < firstProduce:
		return nil, refuse(kerr.UnsupportedVersion, "Produce v%d writes a record format of the past; the lowest version is %d", req.Version, firstProduce)
	case req.Acks < -1 || req.Acks > 1:
		return nil, refuse(kerr.InvalidRequiredAcks, "acks must be -1, 0 or 1, not %d", req.Acks)
	case req.TransactionID != nil && !c.require(acl.Write, acl.TransactionalID, *req.TransactionID):
		return nil, errTransactionalDenied
	}
	var st *stream.Stream
	var err error
	switch {
	case req.Version < produceByID && !c.require(acl.Write, acl.Topic, t.Topic):
		return nil, errTopicDenied
	case req.Version < produceByID:
		st, err = s.topic(ctx, t.Topic)
	default:
		if st, err = s.topicByID(ctx, t.TopicID); err == nil && !c.require(acl.Write, acl.Topic, string(st.Name)) {
			return nil, errTopicDenied
		}
	}
	if err == nil && offsets.Is(st) {
		return nil, errInternalTopic
	}
	if err == nil && req.Acks == -1 && !s.cfg.AcceptAnyRF && s.minInSync(st) > 1 {
		return nil, refuse(kerr.NotEnoughReplicas, "topic %s wants %d replicas in sync, there is 1", st.Name, s.minInSync(st))
	}
	return st, err
}

// produceEntry checks one partition's batch; err is what is wrong with its topic.
func (s *Server) produceEntry(ctx context.Context, coder *recoder, st *stream.Stream, err error, p *kmsg.ProduceRequestTopicPartition, req *kmsg.ProduceRequest) (entry stream.Append, _ error) {
	if err != nil {
		return entry, err
	}
	if entry.Shard, err = shard(st, p.Partition); err != nil {
		return entry, err
	}
	if err := s.checkBatch(ctx, st, p.Records, req.Version, req.TransactionID != nil); err != nil {
		return entry, err
	}
	entry.Batch, err = coder.recompress(ctx, st, p.Records)
	return entry, err
}
