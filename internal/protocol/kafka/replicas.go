package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// listPartitionReassignments answers that nothing is moving between brokers: there is one.
func (s *Server) listPartitionReassignments(_ context.Context, _ *Client, req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	return req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
}

// The elections that ElectLeaders v1 can ask for (KIP-460); v0 is about preferred leaders.
const (
	preferredElection = 0
	uncleanElection   = 1
)

// electLeaders answers for each partition that it has its leader. v1 asked for no partition means all, of which none needs an election: they are
// left out, as Apache Kafka does.
func (s *Server) electLeaders(ctx context.Context, _ *Client, req *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	known := req.Version == 0 || req.ElectionType == preferredElection || req.ElectionType == uncleanElection
	if !known && (req.Topics == nil || len(req.Topics) > 0) {
		resp.ErrorCode = kerr.InvalidRequest.Code
	}
	for i := range req.Topics {
		from, to := &req.Topics[i], kmsg.NewElectLeadersResponseTopic()
		to.Topic = from.Topic
		for _, partition := range from.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition = partition
			err := refuse(kerr.InvalidRequest, "Unknown election type %d", req.ElectionType)
			if known {
				err = s.electLeader(ctx, from.Topic, partition)
			}
			p.ErrorCode, p.ErrorMessage = code(err), errorMessage(err)
			to.Partitions = append(to.Partitions, p)
		}
		resp.Topics = append(resp.Topics, to)
	}
	return resp
}

func (s *Server) electLeader(ctx context.Context, topic string, partition int32) error {
	st, err := s.topic(ctx, topic)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		return refuse(kerr.UnknownTopicOrPartition, "No such topic as %s", topic)
	case err != nil:
		return err
	}
	if _, err = shard(st, partition); err != nil {
		return refuse(kerr.UnknownTopicOrPartition, "No such partition as %s-%d", topic, partition)
	}
	return refuse(kerr.ElectionNotNeeded, "Leader election not needed for topic partition.")
}
