package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/stream"
)

// offsetCommit keeps offsets, durable when it answers. v2-v4: the client may say how long. v6: leader epochs. v7: static members. v10: topics
// by id. v9: members of KIP-848, by their epoch. Generation -1 without a member comes from a reader that is none, and is taken while the group is empty.
func (s *Server) offsetCommit(ctx context.Context, _ *Client, req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	who := group.Commit{Member: req.MemberID, Instance: value(req.InstanceID), Generation: req.Generation, Epochs: req.Version >= 9}
	for {
		resp, good, cursors, err := s.commitCursors(ctx, req)
		if err == nil && len(cursors) > 0 {
			if err = kerr.GroupIDNotFound; !s.shares.Exists(req.Group) {
				err = s.groups.Commit(ctx, req.Group, who, cursors)
			}
		}
		if hungUp(ctx, err) {
			return nil
		}
		if errors.Is(err, stream.ErrNotFound) {
			continue // a topic was deleted meanwhile: look again which are there
		}
		code := s.groupCode(err)
		if code == kerr.GroupIDNotFound.Code && req.Version < 9 {
			code = kerr.IllegalGeneration.Code
		}
		for _, p := range good {
			p.ErrorCode = code
		}
		return resp
	}
}

// commitCursors returns the answer to req with the errors of partitions that cannot be committed, the other partitions of it, and cursors
// for these.
func (s *Server) commitCursors(ctx context.Context, req *kmsg.OffsetCommitRequest) (
	resp *kmsg.OffsetCommitResponse, good []*kmsg.OffsetCommitResponseTopicPartition, cursors []stream.Cursor, err error,
) {
	resp = kmsg.NewPtrOffsetCommitResponse()
	var retention time.Duration
	if req.Version >= 2 && req.Version <= 4 && req.RetentionTimeMillis > 0 {
		retention = time.Duration(req.RetentionTimeMillis) * time.Millisecond
	}
	for _, t := range req.Topics {
		st, unknown, err := s.groupTopic(ctx, t.Topic, t.TopicID, req.Version >= 10)
		if err != nil {
			return nil, nil, nil, err
		}
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions))
		for i, p := range t.Partitions {
			rp := &rt.Partitions[i]
			*rp = kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			switch {
			case st == nil:
				rp.ErrorCode = unknown.Code
			case p.Partition < 0 || p.Partition >= st.Shards:
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			case len(value(p.Metadata)) > s.groups.MaxMetadataBytes():
				rp.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				good = append(good, rp)
				cursors = append(cursors, stream.Cursor{
					Shard: st.Shard(p.Partition), Next: stream.Offset(p.Offset), Epoch: p.LeaderEpoch,
					Metadata: value(p.Metadata), Retention: retention,
				})
			}
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, good, cursors, nil
}

// groupTopic finds a topic by name or id. If there is none, stream is nil and unknown says so in the request's manner.
func (s *Server) groupTopic(ctx context.Context, name string, id stream.ID, byID bool) (st *stream.Stream, unknown *kerr.Error, err error) {
	unknown = kerr.UnknownTopicOrPartition
	if byID {
		unknown = kerr.UnknownTopicID
		st, err = s.log.StreamByID(ctx, id)
	} else {
		st, err = s.log.Stream(ctx, stream.Name(name))
	}
	if errors.Is(err, stream.ErrNotFound) || errors.Is(err, stream.ErrInvalid) {
		return nil, unknown, nil
	}
	return st, unknown, err
}
