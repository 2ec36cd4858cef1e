package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
	"github.com/freshet/freshet/internal/stream"
)

// txnOffsetCommit stages offsets of a group until the transaction ends. v2: leader epochs. v3: who speaks for the group, as in OffsetCommit
// (KIP-447). v5: the group need not have been added (KIP-890).
func (s *Server) txnOffsetCommit(ctx context.Context, _ *Client, req *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	var cursors []stream.Cursor
	var places [][2]int
	for _, t := range req.Topics {
		st, unknown, err := s.groupTopic(ctx, t.Topic, t.TopicID, false)
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			switch {
			case err != nil:
				rp.ErrorCode = s.groupCode(err)
			case st == nil || p.Partition < 0 || p.Partition >= st.Shards:
				rp.ErrorCode = unknown.Code
			case len(value(p.Metadata)) > s.groups.MaxMetadataBytes():
				rp.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				places = append(places, [2]int{len(resp.Topics), len(rt.Partitions)})
				cursors = append(cursors, stream.Cursor{
					Shard: st.Shard(p.Partition), Next: stream.Offset(p.Offset), Epoch: p.LeaderEpoch, Metadata: value(p.Metadata),
				})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	code := s.stage(ctx, req, cursors)
	for _, place := range places {
		resp.Topics[place[0]].Partitions[place[1]].ErrorCode = code
	}
	return resp
}

// stage returns the error that all of cursors share.
func (s *Server) stage(ctx context.Context, req *kmsg.TxnOffsetCommitRequest, cursors []stream.Cursor) int16 {
	if req.Group == "" {
		return kerr.InvalidGroupID.Code
	}
	if len(cursors) == 0 {
		return 0
	}
	who := group.Commit{Member: req.MemberID, Instance: value(req.InstanceID), Generation: req.Generation}
	if req.Version < 3 {
		who = group.Commit{Generation: -1}
	}
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	err := s.txns.Stage(ctx, req.TransactionalID, p, req.Group, cursors, req.Version >= joiningCommit, func() error {
		if s.shares.Exists(req.Group) {
			return kerr.GroupIDNotFound
		}
		return s.groups.MayStage(ctx, req.Group, who, cursors)
	})
	if known := writeError(err, req.Version >= abortableCommit); known != nil {
		return known.Code
	}
	return s.txnCode(err, req.Version, 0)
}
