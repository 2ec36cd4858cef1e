package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/share"
	"github.com/freshet/freshet/internal/stream"
)

// notRead is the start offset of a partition that a share group has not begun to read.
const notRead = -1

// describeShareGroupOffsets tells how far share groups have come: in the topics that are asked for, or in all that they have read of. v1 tells
// how many records there are yet. What there is not, groups too, has not been read.
func (s *Server) describeShareGroupOffsets(ctx context.Context, _ *Client, req *kmsg.DescribeShareGroupOffsetsRequest) *kmsg.DescribeShareGroupOffsetsResponse {
	resp := kmsg.NewPtrDescribeShareGroupOffsetsResponse()
	for i := range req.Groups {
		from, to := &req.Groups[i], kmsg.NewDescribeShareGroupOffsetsResponseGroup()
		to.GroupID = from.GroupID
		positions, err := s.shares.Positions(from.GroupID)
		if err != nil {
			to.ErrorCode, to.ErrorMessage = s.shareCode(err), errorMessage(err)
		} else if to.Topics = s.askedOffsets(ctx, from.Topics, positions); from.Topics == nil {
			to.Topics = s.allOffsets(ctx, positions)
		}
		resp.Groups = append(resp.Groups, to)
	}
	return resp
}

type shareOffsetTopic = kmsg.DescribeShareGroupOffsetsResponseGroupTopic

// allOffsets tells all positions, but of topics that were deleted meanwhile, and of partitions beside these that have none.
func (s *Server) allOffsets(ctx context.Context, positions []share.Position) []shareOffsetTopic {
	var asked []kmsg.DescribeShareGroupOffsetsRequestGroupTopic
	for i, p := range positions {
		if i > 0 && p.Shard.Stream == positions[i-1].Shard.Stream {
			continue
		}
		st, err := s.log.StreamByID(ctx, p.Shard.Stream)
		if err != nil {
			continue
		}
		t := kmsg.NewDescribeShareGroupOffsetsRequestGroupTopic()
		t.Topic = string(st.Name)
		for n := range st.Shards {
			t.Partitions = append(t.Partitions, n)
		}
		asked = append(asked, t)
	}
	return s.askedOffsets(ctx, asked, positions)
}

func (s *Server) askedOffsets(ctx context.Context, asked []kmsg.DescribeShareGroupOffsetsRequestGroupTopic, positions []share.Position) []shareOffsetTopic {
	at := make(map[stream.Shard]*share.Position, len(positions))
	for i := range positions {
		at[positions[i].Shard] = &positions[i]
	}
	topics := make([]shareOffsetTopic, 0, len(asked))
	for i := range asked {
		t := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
		t.Topic = asked[i].Topic
		st, err := s.topic(ctx, t.Topic)
		if err == nil {
			t.TopicID = st.ID
		}
		for _, n := range asked[i].Partitions {
			address := stream.Shard{Stream: t.TopicID, Index: n}
			t.Partitions = append(t.Partitions, s.shareOffset(ctx, address, at[address]))
		}
		topics = append(topics, t)
	}
	return topics
}

// shareOffset tells one position, nil for none.
func (s *Server) shareOffset(ctx context.Context, address stream.Shard, at *share.Position) kmsg.DescribeShareGroupOffsetsResponseGroupTopicPartition {
	p := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
	p.Partition, p.StartOffset = address.Index, notRead
	if at == nil {
		return p
	}
	bounds, err := s.log.Bounds(ctx, address)
	if err != nil {
		p.ErrorCode, p.ErrorMessage = s.shareCode(err), errorMessage(err)
		return p
	}
	start := max(at.Start, bounds.Start)
	p.StartOffset, p.LeaderEpoch, p.Lag = int64(start), bounds.Epoch, max(0, int64(bounds.End-start)-at.Done)
	return p
}

// alterShareGroupOffsets lets a share group without members go on elsewhere.
func (s *Server) alterShareGroupOffsets(ctx context.Context, _ *Client, req *kmsg.AlterShareGroupOffsetsRequest) *kmsg.AlterShareGroupOffsetsResponse {
	resp := kmsg.NewPtrAlterShareGroupOffsetsResponse()
	var to []share.SetPosition
	for i := range req.Topics {
		from, t := &req.Topics[i], kmsg.NewAlterShareGroupOffsetsResponseTopic()
		t.Topic = from.Topic
		st, err := s.topic(ctx, t.Topic)
		if err == nil {
			t.TopicID = st.ID
		}
		for _, asked := range from.Partitions {
			address, err := stream.Shard{}, err
			if err == nil {
				address, err = shard(st, asked.Partition)
			}
			if err == nil && asked.StartOffset < 0 {
				err = refuse(kerr.InvalidRequest, "start offset %d is negative", asked.StartOffset)
			}
			p := kmsg.NewAlterShareGroupOffsetsResponseTopicPartition()
			if p.Partition = asked.Partition; err == nil {
				to = append(to, share.SetPosition{Shard: address, Start: stream.Offset(asked.StartOffset)})
			} else {
				p.ErrorCode, p.ErrorMessage = s.shareCode(err), errorMessage(err)
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	err := refuse(kerr.GroupIDNotFound, "Group %s is not a share group.", req.GroupID)
	if !s.groups.Exists(req.GroupID) {
		err = s.shares.Alter(ctx, req.GroupID, to)
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage, resp.Topics = s.shareCode(err), errorMessage(err), nil
	}
	return resp
}

// deleteShareGroupOffsets forgets how far a share group without members has come in topics.
func (s *Server) deleteShareGroupOffsets(ctx context.Context, _ *Client, req *kmsg.DeleteShareGroupOffsetsRequest) *kmsg.DeleteShareGroupOffsetsResponse {
	resp := kmsg.NewPtrDeleteShareGroupOffsetsResponse()
	ids := make([]stream.ID, len(req.Topics))
	errs := make([]error, len(req.Topics))
	for i := range req.Topics {
		st, err := s.topic(ctx, req.Topics[i].Topic)
		if errs[i] = err; err == nil {
			ids[i] = st.ID
		}
	}
	found, err := s.shares.ForgetStreams(ctx, req.GroupID, ids)
	if err = noSuchShareGroup(err, req.GroupID); err != nil {
		resp.ErrorCode, resp.ErrorMessage = s.shareCode(err), errorMessage(err)
		return resp
	}
	for i := range req.Topics {
		t := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		if t.Topic = req.Topics[i].Topic; found[i] {
			t.TopicID = ids[i]
		} else if errs[i] == nil {
			errs[i] = refuse(kerr.UnknownTopicOrPartition, "There is no offset information to delete.")
		}
		t.ErrorCode, t.ErrorMessage = s.shareCode(errs[i]), errorMessage(errs[i])
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// isShareGroup says whether err is that a group is not there among the classic ones, and is among the share groups.
func (s *Server) isShareGroup(err error, id string) bool {
	return errors.Is(err, kerr.GroupIDNotFound) && s.shares.Exists(id)
}
