package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
)

// TestOneBrokerAndOneController asks for what only a larger cluster could do, and for what this one is.
func TestOneBrokerAndOneController(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *kafka.Config) { c.NodeID, c.DataDir = 5, "/data" })
	n.create(t, "t", 2, nil)
	r := n.raw(t)
	for name, row := range map[string]struct {
		topic     string
		partition int32
		replicas  []int32
		want      *kerr.Error
	}{
		"where it is":       {"t", 1, []int32{5}, nil},
		"nothing to cancel": {"t", 1, nil, kerr.NoReassignmentInProgress},
		"nowhere":           {"t", 1, []int32{}, kerr.InvalidReplicaAssignment},
		"another broker":    {"t", 1, []int32{1}, kerr.InvalidReplicaAssignment},
		"twice":             {"t", 1, []int32{5, 5}, kerr.InvalidReplicaAssignment},
		"no partition":      {"t", 2, []int32{5}, kerr.UnknownTopicOrPartition},
		"no topic":          {"u", 0, []int32{5}, kerr.UnknownTopicOrPartition},
	} {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		part := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		part.Partition, part.Replicas = row.partition, row.replicas
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: row.topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{part}}}
		got := ask[*kmsg.AlterPartitionAssignmentsResponse](r, 1, req).Topics[0].Partitions[0].ErrorCode
		if want := codeOf(row.want); got != want {
			t.Errorf("reassigned, %s: error %d, want %d", name, got, want)
		}
	}
	dirs := kmsg.NewPtrAlterReplicaLogDirsRequest()
	for _, dir := range []string{"/data", "/other"} {
		dirs.Dirs = append(dirs.Dirs, kmsg.AlterReplicaLogDirsRequestDir{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0, 2}}}})
	}
	moved := ask[*kmsg.AlterReplicaLogDirsResponse](r, 2, dirs)
	var got []int16
	for _, p := range moved.Topics[0].Partitions {
		got = append(got, p.ErrorCode)
	}
	if notThere := kerr.LogDirNotFound.Code; len(moved.Topics) != 1 || len(got) != 4 || got[0] != 0 || got[1] != kerr.UnknownTopicOrPartition.Code || got[2] != notThere || got[3] != notThere {
		t.Errorf("directories: %+v", moved)
	}
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	quorum.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	q := ask[*kmsg.DescribeQuorumResponse](r, 2, quorum)
	if p := q.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LeaderID != 5 || len(p.CurrentVoters) != 1 || p.CurrentVoters[0].ReplicaID != 5 || q.Nodes[0].NodeID != 5 {
		t.Errorf("quorum: %+v", q)
	}
	for id, want := range map[int32][3]*kerr.Error{
		5: {kerr.InvalidRequest, kerr.DuplicateVoter, kerr.InvalidRequest},
		6: {kerr.BrokerIDNotRegistered, kerr.UnsupportedVersion, kerr.VoterNotFound},
	} {
		broker := ask[*kmsg.UnregisterBrokerResponse](r, 0, &kmsg.UnregisterBrokerRequest{BrokerID: id}).ErrorCode
		added := ask[*kmsg.AddRaftVoterResponse](r, 1, &kmsg.AddRaftVoterRequest{VoterID: id}).ErrorCode
		removed := ask[*kmsg.RemoveRaftVoterResponse](r, 0, &kmsg.RemoveRaftVoterRequest{VoterID: id}).ErrorCode
		if broker != want[0].Code || added != want[1].Code || removed != want[2].Code {
			t.Errorf("%d: unregistered %d, added %d, removed %d", id, broker, added, removed)
		}
	}
}

func codeOf(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}
