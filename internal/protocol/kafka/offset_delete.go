package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/stream"
)

// offsetDelete removes committed offsets of topics that no member of the group reads (KIP-496).
func (s *Server) offsetDelete(ctx context.Context, _ *Client, req *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	var remove []group.Committed
	var places [][2]int // topic and partition of each in resp
	for _, t := range req.Topics {
		st, unknown, err := s.groupTopic(ctx, t.Topic, [16]byte{}, false)
		if err != nil {
			resp.ErrorCode = s.groupCode(err)
			return resp
		}
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition = p.Partition
			if st == nil || p.Partition < 0 || p.Partition >= st.Shards {
				rp.ErrorCode = unknown.Code
			} else {
				remove = append(remove, group.Committed{Topic: t.Topic, Shard: st.Shard(p.Partition)})
				places = append(places, [2]int{len(resp.Topics), len(rt.Partitions)})
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	errs, err := s.groups.DeleteOffsets(ctx, req.Group, remove)
	if err != nil {
		*resp = kmsg.OffsetDeleteResponse{ErrorCode: s.groupCode(err)}
		return resp
	}
	var deleted []stream.Shard
	for i, r := range remove {
		if errs[i] == nil {
			deleted = append(deleted, r.Shard)
		}
	}
	if len(deleted) > 0 {
		if err = s.txns.DropOffsets(ctx, req.Group, deleted); err != nil {
			*resp = kmsg.OffsetDeleteResponse{ErrorCode: s.groupCode(err)}
			return resp
		}
	}
	for i, place := range places {
		resp.Topics[place[0]].Partitions[place[1]].ErrorCode = s.groupCode(errs[i])
	}
	return resp
}
