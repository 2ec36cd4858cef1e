package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// maxPartitionFetch bounds what one fetch brings of one partition, in bytes, but for a batch that is larger.
const maxPartitionFetch = 2 << 20

// maxFetch bounds what one fetch of a lane brings, in bytes, but for a batch that is larger.
const maxFetch = 4 << 20

// fetchWait is how long a broker waits for records where there are none, in milliseconds.
const fetchWait = 500

// errStale says that what was known of partitions is no more so: leaders, beginnings, topics are to be looked at again.
var errStale = errors.New("the cluster has changed")

// wanted is a partition to fetch from, and the offset.
type wanted struct {
	address
	from int64
	part *partition
}

// fetch asks the leaders for committed records, and returns the answer for each partition that has one.
func (s *side) fetch(ctx context.Context, all []wanted) (map[*partition]*kmsg.FetchResponseTopicPartition, error) {
	byLeader := map[int32][]wanted{}
	for _, w := range all {
		byLeader[w.leader] = append(byLeader[w.leader], w)
	}
	answers := make(chan map[*partition]*kmsg.FetchResponseTopicPartition, len(byLeader))
	brokers, brokersCtx := errgroup.WithContext(ctx)
	for leader, some := range byLeader {
		brokers.Go(func() error {
			got, err := s.fetchAt(brokersCtx, leader, some, maxFetch/len(byLeader), fetchWait)
			answers <- got
			return err
		})
	}
	if err := brokers.Wait(); err != nil {
		return nil, err
	}
	close(answers)
	merged := map[*partition]*kmsg.FetchResponseTopicPartition{}
	for some := range answers {
		for part, p := range some {
			merged[part] = p
		}
	}
	return merged, nil
}

func (s *side) fetchAt(ctx context.Context, leader int32, all []wanted, maxBytes int, waitMillis int32) (map[*partition]*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = waitMillis, 1, int32(maxBytes), 1, -1
	index := map[string]int{}
	for i := range all {
		w := &all[i]
		t, ok := index[w.topic]
		if !ok {
			topic := kmsg.NewFetchRequestTopic()
			topic.Topic, topic.TopicID = w.topic, w.id
			t = len(req.Topics)
			index[w.topic] = t
			req.Topics = append(req.Topics, topic)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = w.partition, w.from, maxPartitionFetch
		req.Topics[t].Partitions = append(req.Topics[t].Partitions, p)
	}
	answer, err := s.client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("fetch from the %s: %w", s.name, err)
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, fmt.Errorf("fetch from the %s: %w", s.name, err)
	}
	return s.judgeFetched(resp, all)
}

func (s *side) judgeFetched(resp *kmsg.FetchResponse, all []wanted) (map[*partition]*kmsg.FetchResponseTopicPartition, error) {
	type place struct {
		topic     string
		id        kadm.TopicID
		partition int32
	}
	named, byID := map[place]*wanted{}, map[place]*wanted{}
	for i := range all {
		w := &all[i]
		named[place{topic: w.topic, partition: w.partition}], byID[place{id: w.id, partition: w.partition}] = w, w
	}
	got := map[*partition]*kmsg.FetchResponseTopicPartition{}
	for t := range resp.Topics {
		topic := &resp.Topics[t]
		for i := range topic.Partitions {
			p := &topic.Partitions[i]
			w := named[place{topic: topic.Topic, partition: p.Partition}]
			if topic.Topic == "" {
				w = byID[place{id: topic.TopicID, partition: p.Partition}]
			}
			if w == nil {
				return nil, fmt.Errorf("fetch from the %s: it answers for a partition that was not asked for", s.name)
			}
			if err := judgeFetchedPartition(w, p); err != nil {
				return nil, err
			}
			got[w.part] = p
		}
	}
	return got, nil
}

func judgeFetchedPartition(w *wanted, p *kmsg.FetchResponseTopicPartition) error {
	err := kerr.ErrorForCode(p.ErrorCode)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.CorruptMessage):
		return &topicError{w.topic, fmt.Errorf("fetch partition %d from offset %d: %w", w.partition, w.from, err)}
	}
	// Leaders that moved, topics that are gone, offsets that were deleted before they were read: looking again tells which.
	return fmt.Errorf("fetch %s from offset %d: %w: %w", &w.address, w.from, errStale, err)
}

// fetchOne returns the batches of a partition from an offset on. A partition that ends there has none.
func (s *side) fetchOne(ctx context.Context, at address, from int64) ([]byte, error) {
	got, err := s.fetchAt(ctx, at.leader, []wanted{{address: at, from: from}}, maxFetch, 0)
	if err != nil {
		return nil, err
	}
	if p := got[nil]; p != nil {
		return p.RecordBatches, nil
	}
	return nil, fmt.Errorf("fetch %s from the %s: no answer for it", &at, s.name)
}

func sortByFirst(all []kmsg.FetchResponseTopicPartitionAbortedTransaction) {
	slices.SortFunc(all, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
}
