package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/protocol/kafka/share"
	"github.com/freshet/freshet/internal/stream"
)

// shareGroupHeartbeat is a share group member's joining, sign of life and leaving, by its epoch (KIP-932). It answers what the member is to take
// records of, if that has changed.
func (s *Server) shareGroupHeartbeat(ctx context.Context, c *Client, req *kmsg.ShareGroupHeartbeatRequest) *kmsg.ShareGroupHeartbeatResponse {
	resp := kmsg.NewPtrShareGroupHeartbeatResponse()
	told, settings, err := s.shareBeat(ctx, c, req)
	if hungUp(ctx, err) {
		return nil
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = s.shareCode(err), errorMessage(err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch = &req.MemberID, told.Epoch
	if told.Epoch == share.LeaveEpoch {
		return resp
	}
	resp.HeartbeatIntervalMillis = int32(settings.Heartbeat.Milliseconds())
	if told.Wait > 0 { // another look when it is worth one
		resp.HeartbeatIntervalMillis = min(resp.HeartbeatIntervalMillis, int32(told.Wait.Milliseconds())+1)
	}
	if told.Told {
		resp.Assignment = &kmsg.ShareGroupHeartbeatResponseAssignment{}
		for _, run := range byStream(told.Assignment) {
			t := kmsg.NewShareGroupHeartbeatResponseAssignmentTopicPartition()
			t.TopicID = run[0].Stream
			for _, shard := range run {
				t.Partitions = append(t.Partitions, shard.Index)
			}
			resp.Assignment.TopicPartitions = append(resp.Assignment.TopicPartitions, t)
		}
	}
	return resp
}

func (s *Server) shareBeat(ctx context.Context, c *Client, req *kmsg.ShareGroupHeartbeatRequest) (share.Beaten, share.Settings, error) {
	var wrong string
	switch {
	case req.MemberID == "":
		wrong = "MemberId can't be empty."
	case req.GroupID == "":
		wrong = "GroupId can't be empty."
	case req.RackID != nil && *req.RackID == "":
		wrong = "RackId can't be empty."
	case req.MemberEpoch == share.JoinEpoch && len(req.SubscribedTopicNames) == 0:
		wrong = "SubscribedTopicNames must be set in first request."
	case req.MemberEpoch < share.LeaveEpoch:
		wrong = "MemberEpoch is invalid."
	}
	if wrong != "" {
		return share.Beaten{}, share.Settings{}, refuse(kerr.InvalidRequest, "%s", wrong)
	}
	if s.groups.Exists(req.GroupID) {
		return share.Beaten{}, share.Settings{}, refuse(kerr.GroupIDNotFound, "Group %s is not a share group.", req.GroupID)
	}
	told, settings, err := s.shares.Beat(ctx, req.GroupID, share.Beat{
		Member: req.MemberID, Client: c.ID, Host: "/" + c.Host(), Epoch: req.MemberEpoch, Rack: req.RackID, Topics: req.SubscribedTopicNames,
	})
	return told, settings, noSuchShareGroup(err, req.GroupID)
}

// noSuchShareGroup words that there is no such group as Kafka does.
func noSuchShareGroup(err error, id string) error {
	if errors.Is(err, kerr.GroupIDNotFound) {
		return refuse(kerr.GroupIDNotFound, "Group %s not found.", id)
	}
	return err
}

// byStream cuts shards, which are ordered, into those of one stream each.
func byStream(shards []stream.Shard) [][]stream.Shard {
	var runs [][]stream.Shard
	for i, s := range shards {
		if i == 0 || s.Stream != shards[i-1].Stream {
			runs = append(runs, nil)
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], s)
	}
	return runs
}

// shareGroupDescribe tells share groups with their members.
func (s *Server) shareGroupDescribe(ctx context.Context, c *Client, req *kmsg.ShareGroupDescribeRequest) *kmsg.ShareGroupDescribeResponse {
	resp := kmsg.NewPtrShareGroupDescribeResponse()
	for _, id := range req.GroupIDs {
		g := s.describeShareGroup(ctx, id)
		if req.IncludeAuthorizedOperations && g.ErrorCode == 0 {
			g.AuthorizedOperations = c.operations(acl.Group, id)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func (s *Server) describeShareGroup(ctx context.Context, id string) kmsg.ShareGroupDescribeResponseGroup {
	g := kmsg.NewShareGroupDescribeResponseGroup()
	g.GroupID = id
	d, err := s.shares.Describe(id)
	if err != nil {
		err = noSuchShareGroup(err, id)
		g.ErrorCode, g.ErrorMessage = s.shareCode(err), errorMessage(err)
		return g
	}
	g.GroupState, g.GroupEpoch, g.AssignmentEpoch, g.Assignor = d.State, d.Epoch, d.AssignedEpoch, share.Assignor
	for _, m := range d.Members {
		gm := kmsg.NewShareGroupDescribeResponseGroupMember()
		gm.MemberID, gm.RackID, gm.MemberEpoch, gm.ClientID, gm.ClientHost = m.ID, optional(m.Rack), m.Epoch, m.Client, m.Host
		gm.SubscribedTopicNames = m.Topics
		for _, run := range byStream(m.Assignment) {
			st, err := s.log.StreamByID(ctx, run[0].Stream)
			if err != nil {
				continue // it was deleted, which the member will be told
			}
			t := kmsg.NewShareGroupDescribeResponseGroupMemberAssignmentTopicPartition()
			t.TopicID, t.Topic = st.ID, string(st.Name)
			for _, shard := range run {
				t.Partitions = append(t.Partitions, shard.Index)
			}
			gm.Assignment.TopicPartitions = append(gm.Assignment.TopicPartitions, t)
		}
		g.Members = append(g.Members, gm)
	}
	return g
}
