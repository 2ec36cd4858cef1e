package kafka

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// alterPartitionAssignments moves partitions between brokers (KIP-455): every partition stays where it is, as there is one broker. Asking for just that
// is done at once. v1 says whether the number of replicas may change, which it cannot.
func (s *Server) alterPartitionAssignments(ctx context.Context, _ *Client, req *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	for i := range req.Topics {
		from, to := &req.Topics[i], kmsg.NewAlterPartitionAssignmentsResponseTopic()
		to.Topic = from.Topic
		for _, asked := range from.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			err := s.reassign(ctx, from.Topic, asked.Partition, asked.Replicas)
			p.Partition, p.ErrorCode, p.ErrorMessage = asked.Partition, code(err), errorMessage(err)
			to.Partitions = append(to.Partitions, p)
		}
		resp.Topics = append(resp.Topics, to)
	}
	return resp
}

// reassign says what comes of moving a partition to replicas; nil cancels what is moving.
func (s *Server) reassign(ctx context.Context, topic string, partition int32, replicas []int32) error {
	st, err := s.topic(ctx, topic)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return refuse(kerr.UnknownTopicOrPartition, "Unable to find a topic named %s.", topic)
	case err != nil:
		return err
	}
	if _, err := shard(st, partition); err != nil {
		return refuse(kerr.UnknownTopicOrPartition, "Unable to find partition %s:%d.", topic, partition)
	}
	if replicas == nil {
		return refuse(kerr.NoReassignmentInProgress, "No partition reassignment is in progress.")
	}
	if len(replicas) == 0 {
		return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	for i, broker := range replicas {
		switch {
		case slices.Contains(replicas[:i], broker):
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", broker)
		case broker != s.cfg.NodeID:
			return refuse(kerr.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", broker)
		}
	}
	return nil
}
