package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/stream"
)

// deleteRecords makes records before an offset unreadable; -1 means all that there are (KIP-107).
func (s *Server) deleteRecords(ctx context.Context, c *Client, req *kmsg.DeleteRecordsRequest) *kmsg.DeleteRecordsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for t := range req.Topics {
		if len(req.Topics[t].Partitions) == 0 {
			continue // Apache Kafka answers by partition, and so leaves such a topic out
		}
		from, to := &req.Topics[t], kmsg.NewDeleteRecordsResponseTopic()
		to.Topic = from.Topic
		st, err := s.topic(ctx, from.Topic)
		for i := range from.Partitions {
			p := kmsg.NewDeleteRecordsResponseTopicPartition()
			p.Partition, p.LowWatermark = from.Partitions[i].Partition, -1
			low, failed := stream.Offset(-1), err
			if failed == nil {
				low, failed = s.trim(ctx, st, &from.Partitions[i])
			}
			if p.ErrorCode = code(failed); failed == nil {
				p.LowWatermark = int64(low)
				s.logger.Info("records deleted", "topic", st.Name, "partition", p.Partition, "before", low, "peer", c.Addr, "client", c.ID)
			}
			to.Partitions = append(to.Partitions, p)
		}
		resp.Topics = append(resp.Topics, to)
	}
	return resp
}

func (s *Server) trim(ctx context.Context, st *stream.Stream, p *kmsg.DeleteRecordsRequestTopicPartition) (stream.Offset, error) {
	address, err := shard(st, p.Partition)
	if err != nil {
		return -1, err
	}
	switch {
	case p.Offset < -1:
		return -1, stream.ErrOutOfRange
	case offsets.Is(st):
		return -1, errInternalTopic
	case compacted(st) && st.Config.KeepAll:
		return -1, refuse(kerr.PolicyViolation, "the cleanup.policy of topic %s is compact alone: its records are not deleted by offset", st.Name)
	}
	return s.log.Trim(ctx, address, stream.Offset(p.Offset))
}
