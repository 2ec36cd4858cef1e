package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// maxDescribedPartitions bounds one answer (max.request.partition.size.limit); the cursor tells where the next one begins.
const maxDescribedPartitions = 2000

// describeTopicPartitions describes topics in order of their names, so many partitions at a time as the client likes (KIP-966).
func (s *Server) describeTopicPartitions(ctx context.Context, c *Client, req *kmsg.DescribeTopicPartitionsRequest) *kmsg.DescribeTopicPartitionsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	names, err := s.describedNames(ctx, c, req)
	if err != nil {
		return nil // the response has no place for an error: the connection is closed
	}
	if req.Cursor != nil && (req.Cursor.Partition < 0 || len(req.Topics) > 0 && !slices.Contains(names, req.Cursor.Topic)) {
		return refuseDescription(req, resp)
	}
	left := max(1, min(maxDescribedPartitions, int(req.ResponsePartitionLimit)))
	for _, name := range names {
		first := int32(0)
		if req.Cursor != nil && req.Cursor.Topic == name {
			first = req.Cursor.Partition
		}
		t, next := s.describePartitions(ctx, c, name, first, left)
		if left == 0 || next > 0 {
			cursor := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
			cursor.Topic, cursor.Partition = name, max(first, next)
			resp.NextCursor = &cursor
		}
		if left == 0 {
			return resp
		}
		resp.Topics = append(resp.Topics, t)
		if next > 0 {
			return resp
		}
		left -= len(t.Partitions)
	}
	return resp
}

// refuseDescription answers each topic that is asked for that the cursor is wrong: it must point into one of them.
func refuseDescription(req *kmsg.DescribeTopicPartitionsRequest, resp *kmsg.DescribeTopicPartitionsResponse) *kmsg.DescribeTopicPartitionsResponse {
	for i := range req.Topics {
		t := kmsg.NewDescribeTopicPartitionsResponseTopic()
		t.Topic, t.ErrorCode = &req.Topics[i].Topic, kerr.InvalidRequest.Code
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// describedNames returns the names asked for, or all, ordered, from the cursor on.
func (s *Server) describedNames(ctx context.Context, c *Client, req *kmsg.DescribeTopicPartitionsRequest) ([]string, error) {
	var names []string
	for i := range req.Topics {
		names = append(names, req.Topics[i].Topic)
	}
	if len(names) == 0 {
		all, err := s.log.Streams(ctx)
		if err != nil {
			return nil, err
		}
		for _, st := range all {
			if name := string(st.Name); c.may(acl.Describe, acl.Topic, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if req.Cursor != nil {
		at, _ := slices.BinarySearch(names, req.Cursor.Topic)
		names = names[at:]
	}
	return names, nil
}

// describePartitions describes up to limit partitions of a topic from first on; next is the one after them, or 0 if there are no more.
func (s *Server) describePartitions(ctx context.Context, c *Client, name string, first int32, limit int) (t kmsg.DescribeTopicPartitionsResponseTopic, next int32) {
	t = kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic, t.IsInternal = &name, internalName(name)
	if err := checkTopicName(name); err != nil {
		t.ErrorCode = code(err)
		return t, 0
	}
	if !c.require(acl.Describe, acl.Topic, name) {
		t.ErrorCode = code(errTopicDenied)
		return t, 0
	}
	t.AuthorizedOperations = c.operations(acl.Topic, name) // of the name, whether there is a topic or not
	st, err := s.topic(ctx, name)
	if err != nil {
		t.ErrorCode = code(err)
		return t, 0
	}
	t.TopicID = st.ID
	self := []int32{s.cfg.NodeID}
	for i := first; i < st.Shards; i++ {
		if len(t.Partitions) == limit {
			return t, i
		}
		p := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		p.Partition, p.LeaderID, p.LeaderEpoch = i, s.cfg.NodeID, s.leaderEpoch(ctx, st.Shard(i))
		p.Replicas, p.ISR = self, self
		p.EligibleLeaderReplicas, p.LastKnownELR = []int32{}, []int32{} // Java's admin client takes no null
		t.Partitions = append(t.Partitions, p)
	}
	return t, 0
}
