package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listPartitionReassignments answers that nothing is moving between brokers: there is one.
func (s *Server) listPartitionReassignments(_ context.Context, _ *Client, req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	return req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
}

// electLeaders answers for each partition that it has its leader. v1 asked for no partition means all, of which none needs an election: they are
// left out, as Apache Kafka does.
func (s *Server) electLeaders(ctx context.Context, _ *Client, req *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	for i := range req.Topics {
		from, to := &req.Topics[i], kmsg.NewElectLeadersResponseTopic()
		to.Topic = from.Topic
		st, err := s.topic(ctx, from.Topic)
		for _, partition := range from.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition = partition
			failed := err
			if failed == nil {
				_, failed = shard(st, partition)
			}
			if failed == nil {
				failed = refuse(kerr.ElectionNotNeeded, "the partition has its leader")
			}
			p.ErrorCode, p.ErrorMessage = code(failed), errorMessage(failed)
			to.Partitions = append(to.Partitions, p)
		}
		resp.Topics = append(resp.Topics, to)
	}
	return resp
}
