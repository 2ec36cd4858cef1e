package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// offsetFetch tells committed offsets; -1 where there is none. v2: no topics = all of the group. v5: leader epochs. v7: require_stable:
// UNSTABLE_OFFSET_COMMIT while an open transaction may change an offset (KIP-447). v8: several groups at once. v9: members of KIP-848, by their
// epoch. v10: topics by id.
func (s *Server) offsetFetch(ctx context.Context, _ *Client, req *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := kmsg.NewPtrOffsetFetchResponse()
	if req.Version >= 8 {
		for _, g := range req.Groups {
			resp.Groups = append(resp.Groups, s.fetchGroup(ctx, req, g))
		}
		return resp
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics != nil || req.Version < 2 {
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = t.Topic, t.Partitions
		g.Topics = append(g.Topics, gt)
	}
	fetched := s.fetchGroup(ctx, req, g)
	if ctx.Err() != nil {
		return nil
	}
	resp.ErrorCode = fetched.ErrorCode
	for _, t := range fetched.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetchGroup tells the offsets of one group: those of g's topics, or all if these are nil.
func (s *Server) fetchGroup(ctx context.Context, req *kmsg.OffsetFetchRequest, g kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group = g.Group
	version := req.Version
	var staged map[stream.Shard]bool
	if req.RequireStable {
		staged = s.txns.Staged(g.Group) // before the offsets are read: what is committed in between is among them
	}
	err := s.groups.MayFetch(g.Group, g.MemberID, g.MemberEpoch)
	var cursors []stream.Cursor
	if err == nil {
		cursors, err = s.groups.Offsets(ctx, g.Group)
	}
	if err != nil {
		return s.fetchFailed(version, g, err)
	}
	if g.Topics == nil {
		resp.Topics, err = s.allTopics(ctx, cursors, staged)
		resp.ErrorCode = s.groupCode(err)
		return resp
	}
	committed := make(map[stream.Shard]stream.Cursor, len(cursors))
	for _, cur := range cursors {
		committed[cur.Shard] = cur
	}
	for _, t := range g.Topics {
		st, unknown, err := s.groupTopic(ctx, t.Topic, t.TopicID, version >= 10)
		if err != nil {
			return s.fetchFailed(version, g, err)
		}
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, i := range t.Partitions {
			p := noOffset(i)
			switch {
			case st == nil && version >= 10:
				p.ErrorCode = unknown.Code
			case st != nil && staged[st.Shard(i)]:
				p.ErrorCode = kerr.UnstableOffsetCommit.Code
			case st != nil:
				if cur, ok := committed[st.Shard(i)]; ok {
					p = committedOffset(cur)
				}
			}
			rt.Partitions = append(rt.Partitions, p)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetchFailed says that a group's offsets cannot be told: v0 and v1 have no place for that but beside each partition.
func (s *Server) fetchFailed(version int16, g kmsg.OffsetFetchRequestGroup, err error) kmsg.OffsetFetchResponseGroup {
	resp := kmsg.NewOffsetFetchResponseGroup()
	resp.Group, resp.ErrorCode = g.Group, s.groupCode(err)
	if version >= 2 {
		return resp
	}
	for _, t := range g.Topics {
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic = t.Topic
		for _, i := range t.Partitions {
			p := noOffset(i)
			p.ErrorCode = resp.ErrorCode
			rt.Partitions = append(rt.Partitions, p)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// allTopics tells cursors, which are ordered by topic, but for those that are staged.
func (s *Server) allTopics(ctx context.Context, cursors []stream.Cursor, staged map[stream.Shard]bool) ([]kmsg.OffsetFetchResponseGroupTopic, error) {
	topics := []kmsg.OffsetFetchResponseGroupTopic{}
	for _, cur := range cursors {
		if n := len(topics); n == 0 || topics[n-1].TopicID != cur.Shard.Stream {
			st, err := s.log.StreamByID(ctx, cur.Shard.Stream)
			if errors.Is(err, stream.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return nil, err
			}
			t := kmsg.NewOffsetFetchResponseGroupTopic()
			t.Topic, t.TopicID = string(st.Name), st.ID
			topics = append(topics, t)
		}
		t := &topics[len(topics)-1]
		p := committedOffset(cur)
		if staged[cur.Shard] {
			p = noOffset(cur.Shard.Index)
			p.ErrorCode = kerr.UnstableOffsetCommit.Code
		}
		t.Partitions = append(t.Partitions, p)
	}
	return topics, nil
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, -1, -1, new(string)
	return p
}

func committedOffset(cur stream.Cursor) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = cur.Shard.Index, int64(cur.Next), cur.Epoch, &cur.Metadata
	return p
}
