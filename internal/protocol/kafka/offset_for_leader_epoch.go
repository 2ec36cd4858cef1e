package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetForLeaderEpoch tells where the records of a leader epoch end, by which a consumer learns whether what it read was lost (KIP-320).
func (s *Server) offsetForLeaderEpoch(ctx context.Context, _ *Client, req *kmsg.OffsetForLeaderEpochRequest) *kmsg.OffsetForLeaderEpochResponse {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for t := range req.Topics {
		from, to := &req.Topics[t], kmsg.NewOffsetForLeaderEpochResponseTopic()
		to.Topic = from.Topic
		for i := range from.Partitions {
			p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			p.Partition, p.LeaderEpoch, p.EndOffset = from.Partitions[i].Partition, -1, -1
			p.ErrorCode = code(s.epochEnd(ctx, from.Topic, &from.Partitions[i], &p))
			to.Partitions = append(to.Partitions, p)
		}
		resp.Topics = append(resp.Topics, to)
	}
	return resp
}

func (s *Server) epochEnd(ctx context.Context, topic string, from *kmsg.OffsetForLeaderEpochRequestTopicPartition,
	to *kmsg.OffsetForLeaderEpochResponseTopicPartition,
) error {
	st, err := s.topic(ctx, topic)
	if err != nil {
		return err
	}
	address, err := shard(st, from.Partition)
	if err != nil {
		return err
	}
	bounds, err := s.log.Bounds(ctx, address)
	if err != nil {
		return err
	}
	if err = checkLeaderEpoch(from.CurrentLeaderEpoch, bounds.Epoch); err != nil {
		return err
	}
	epoch, end, err := s.log.EpochEnd(ctx, address, from.LeaderEpoch)
	if err != nil {
		return err
	}
	to.LeaderEpoch, to.EndOffset = epoch, int64(end)
	return nil
}
