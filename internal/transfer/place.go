package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// Records come to lie at the offset that they are meant for, or nowhere: a batch has its offset as the producer's sequence number, so that the
// target takes it only behind the one before (KIP-98). Whatever an importer that was killed has still under way, and whatever two of them do at a
// time, can so be repeated neither by the same nor by another one. The producer is that of a transactional id, the same each time; its epoch
// stays as it was made, because a new epoch would begin with any offset.
const producerEpoch = 0

// address is a partition of the target, as requests need it.
type address struct {
	topic     string
	id        kadm.TopicID
	partition int32
	leader    int32
}

// String is the partition as people write it.
func (a *address) String() string { return fmt.Sprintf("%s/%d", a.topic, a.partition) }

// placement is one batch for the target.
type placement struct {
	address
	piece
}

// takenError says that the target's partition did not end where it was thought to: another wrote to it, or an earlier attempt of our own.
type takenError struct {
	address
	at    int64
	cause error
}

// Error names the place.
func (e *takenError) Error() string {
	return fmt.Sprintf("%s does not go on at offset %d: %v", &e.address, e.at, e.cause)
}

// topicError ends the transfer of one topic; the others go on.
type topicError struct {
	topic string
	cause error
}

// Error names the topic.
func (e *topicError) Error() string { return e.topic + ": " + e.cause.Error() }

// Unwrap returns why.
func (e *topicError) Unwrap() error { return e.cause }

// place appends batches, no more than one for each partition, and returns when all are acknowledged. The error, if any, is that of one of them.
func (s *side) place(ctx context.Context, producer int64, all []placement) error {
	byLeader := map[int32][]placement{}
	for _, p := range all {
		byLeader[p.leader] = append(byLeader[p.leader], p)
	}
	var brokers errgroup.Group
	for leader, some := range byLeader {
		brokers.Go(func() error { return s.placeAt(ctx, leader, producer, some) })
	}
	return brokers.Wait()
}

func (s *side) placeAt(ctx context.Context, leader int32, producer int64, all []placement) error {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(requestTimeout.Milliseconds())
	index := map[string]int{}
	for i := range all {
		p := &all[i]
		t, ok := index[p.topic]
		if !ok {
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic, topic.TopicID = p.topic, p.id
			t = len(req.Topics)
			index[p.topic] = t
			req.Topics = append(req.Topics, topic)
		}
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = p.partition, stamped(&p.piece, producer)
		req.Topics[t].Partitions = append(req.Topics[t].Partitions, rp)
	}
	answer, err := s.client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return fmt.Errorf("produce to the %s: %w", s.name, err)
	}
	return s.judgePlaced(answer.(*kmsg.ProduceResponse), all)
}

// judgePlaced finds what was not placed. That of a topic alone comes last, so that others are not taken for it.
func (s *side) judgePlaced(resp *kmsg.ProduceResponse, all []placement) error {
	var failed error
	answered := 0
	for _, t := range resp.Topics {
		for i := range t.Partitions {
			rp := &t.Partitions[i]
			for _, p := range all {
				if p.partition != rp.Partition || p.topic != t.Topic && (p.id != t.TopicID || t.TopicID == kadm.TopicID{}) {
					continue
				}
				answered++
				err := judgeOne(&p, rp)
				if own := (*topicError)(nil); failed == nil || err != nil && errors.As(failed, &own) {
					failed = err
				}
			}
		}
	}
	if failed == nil && answered != len(all) {
		return fmt.Errorf("the %s answered for %d of %d partitions that were produced to", s.name, answered, len(all))
	}
	return failed
}

func judgeOne(p *placement, rp *kmsg.ProduceResponseTopicPartition) error {
	err := kerr.ErrorForCode(rp.ErrorCode)
	if rp.ErrorMessage != nil && *rp.ErrorMessage != "" && err != nil {
		err = fmt.Errorf("%w: %s", err, *rp.ErrorMessage)
	}
	switch {
	case err == nil && rp.BaseOffset == p.at:
		return nil
	case err == nil:
		return &topicError{p.topic, fmt.Errorf("others have written to partition %d of the target: records for offset %d came to lie at %d", p.partition, p.at, rp.BaseOffset)}
	case errors.Is(err, kerr.OutOfOrderSequenceNumber), errors.Is(err, kerr.DuplicateSequenceNumber), errors.Is(err, kerr.InvalidProducerEpoch):
		return &takenError{p.address, p.at, err}
	case kerr.IsRetriable(err), errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.KafkaStorageError):
		return fmt.Errorf("produce to %s: %w", &p.address, err)
	}
	return &topicError{p.topic, fmt.Errorf("the target refuses records of partition %d for offset %d: %w", p.partition, p.at, err)}
}
