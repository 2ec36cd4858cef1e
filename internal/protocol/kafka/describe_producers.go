package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// describeProducers tells what partitions remember of producers, and since where they have transactions open (KIP-664): kafka-transactions.sh and
// Flink's sink look for hanging ones with it. A producer's last timestamp is when the log took its last batch or marker.
func (s *Server) describeProducers(ctx context.Context, _ *Client, req *kmsg.DescribeProducersRequest) *kmsg.DescribeProducersResponse {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for t := range req.Topics {
		from, to := &req.Topics[t], kmsg.NewDescribeProducersResponseTopic()
		to.Topic = from.Topic
		st, err := (*stream.Stream)(nil), checkTopicName(from.Topic)
		if err == nil {
			st, err = s.topic(ctx, from.Topic)
		}
		for _, partition := range from.Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition = partition
			failed := err
			if failed == nil {
				p.ActiveProducers, failed = s.producersOf(ctx, st, partition)
			}
			p.ErrorCode, p.ErrorMessage = code(failed), errorMessage(failed)
			to.Partitions = append(to.Partitions, p)
		}
		resp.Topics = append(resp.Topics, to)
	}
	return resp
}

func (s *Server) producersOf(ctx context.Context, st *stream.Stream, partition int32) ([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, error) {
	address, err := shard(st, partition)
	if err != nil {
		return nil, err
	}
	producers, err := s.log.Producers(ctx, address)
	if err != nil {
		return nil, err
	}
	all := make([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, 0, len(producers))
	for _, p := range producers {
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch, a.LastSequence = p.ID, int32(p.Epoch), p.LastSequence
		a.LastTimestamp, a.CoordinatorEpoch, a.CurrentTxnStartOffset = p.LastTimestamp.UnixMilli(), p.CoordinatorEpoch, int64(p.TransactionFirst)
		all = append(all, a)
	}
	return all, nil
}
