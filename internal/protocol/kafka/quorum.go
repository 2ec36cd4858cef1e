package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeQuorum tells of the controllers' quorum (KIP-595): this node alone, leader and only voter. Its log is not in Kafka's form: what it says of
// offsets is that there is none to wait for. v2 names the voters' directories and addresses (KIP-853).
func (s *Server) describeQuorum(_ context.Context, c *Client, req *kmsg.DescribeQuorumRequest) *kmsg.DescribeQuorumResponse {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	resp.ErrorMessage = messageOrEmpty(nil)
	if len(req.Topics) != 1 || req.Topics[0].Topic != metadataTopic || len(req.Topics[0].Partitions) != 1 || req.Topics[0].Partitions[0].Partition != 0 {
		err := refuse(kerr.UnknownTopicOrPartition, "the quorum is that of partition 0 of %s", metadataTopic)
		for i := range req.Topics {
			topic := kmsg.NewDescribeQuorumResponseTopic()
			topic.Topic = req.Topics[i].Topic
			for _, asked := range req.Topics[i].Partitions {
				p := kmsg.NewDescribeQuorumResponseTopicPartition()
				p.Partition, p.ErrorCode, p.ErrorMessage = asked.Partition, code(err), errorMessage(err)
				topic.Partitions = append(topic.Partitions, p)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp
	}
	voter := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	now := s.clock.Now().UnixMilli()
	voter.ReplicaID, voter.LogEndOffset, voter.LastFetchTimestamp, voter.LastCaughtUpTimestamp = s.cfg.NodeID, 0, now, now
	p := kmsg.NewDescribeQuorumResponseTopicPartition()
	p.LeaderID, p.LeaderEpoch, p.HighWatermark, p.ErrorMessage = s.cfg.NodeID, 1, 0, kmsg.StringPtr("")
	p.CurrentVoters = append(p.CurrentVoters, voter)
	topic := kmsg.NewDescribeQuorumResponseTopic()
	topic.Topic = metadataTopic
	topic.Partitions = append(topic.Partitions, p)
	resp.Topics = append(resp.Topics, topic)
	node := kmsg.NewDescribeQuorumResponseNode()
	node.NodeID = s.cfg.NodeID
	listener := kmsg.NewDescribeQuorumResponseNodeListener()
	listener.Name, listener.Host, listener.Port = c.listener.Name, c.listener.host, uint16(c.listener.port)
	node.Listeners = append(node.Listeners, listener)
	resp.Nodes = append(resp.Nodes, node)
	return resp
}

// addRaftVoter refuses to change the quorum (KIP-853): this node is a voter, and no other could keep the state.
func (s *Server) addRaftVoter(_ context.Context, _ *Client, req *kmsg.AddRaftVoterRequest) *kmsg.AddRaftVoterResponse {
	resp := req.ResponseKind().(*kmsg.AddRaftVoterResponse)
	err := refuse(kerr.UnsupportedVersion, "voters cannot be added: this node keeps the cluster's state alone")
	if req.VoterID == s.cfg.NodeID {
		err = refuse(kerr.DuplicateVoter, "The voter id for %d is already part of the set of voters.", req.VoterID)
	}
	resp.ErrorCode, resp.ErrorMessage = code(err), errorMessage(err)
	return resp
}

// removeRaftVoter refuses to remove the only voter, whose directory has no id.
func (s *Server) removeRaftVoter(_ context.Context, _ *Client, req *kmsg.RemoveRaftVoterRequest) *kmsg.RemoveRaftVoterResponse {
	resp := req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
	err := refuse(kerr.VoterNotFound, "Cannot remove voter %d from the set of voters, which is %d.", req.VoterID, s.cfg.NodeID)
	if req.VoterID == s.cfg.NodeID && req.VoterDirectoryID == [16]byte{} {
		err = refuse(kerr.InvalidRequest, "voter %d is the only one", req.VoterID)
	}
	resp.ErrorCode, resp.ErrorMessage = code(err), errorMessage(err)
	return resp
}

// unregisterBroker forgets a broker that is gone for good (KIP-746): none is, as this one has never had another.
func (s *Server) unregisterBroker(_ context.Context, _ *Client, req *kmsg.UnregisterBrokerRequest) *kmsg.UnregisterBrokerResponse {
	resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	err := refuse(kerr.BrokerIDNotRegistered, "Broker ID %d is not currently registered", req.BrokerID)
	if req.BrokerID == s.cfg.NodeID {
		err = refuse(kerr.InvalidRequest, "broker %d is this one, which serves all there is", req.BrokerID)
	}
	resp.ErrorCode, resp.ErrorMessage = code(err), errorMessage(err)
	return resp
}
