package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/share"
)

// shareAcknowledge takes what a member of a share group says of its records (KIP-932), v2 that it needs more time for them (KIP-1222). What is
// answered is on the disk.
func (s *Server) shareAcknowledge(ctx context.Context, c *Client, req *kmsg.ShareAcknowledgeRequest) *kmsg.ShareAcknowledgeResponse {
	resp := kmsg.NewPtrShareAcknowledgeResponse()
	r, err := s.readShareRequest(c, req.GroupID, req.MemberID, req.ShareSessionEpoch, req.IsRenewAck)
	var rows []share.Answered
	var done share.Fetched
	if err == nil {
		for i := range req.Topics {
			t := &req.Topics[i]
			st, err := s.topicByID(ctx, t.TopicID)
			for j := range t.Partitions {
				p := &t.Partitions[j]
				r.Shards = s.askShare(r.Shards, st, err, t.TopicID, p.Partition, shareAcks(len(p.AcknowledgementBatches), func(i int) share.Ack {
					b := &p.AcknowledgementBatches[i]
					return shareAck(b.FirstOffset, b.LastOffset, b.AcknowledgeTypes)
				}), &rows)
			}
		}
		done, err = s.shares.Acknowledge(ctx, &r)
		rows = append(rows, done.Shards...)
	}
	if hungUp(ctx, err) {
		return nil
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = s.shareCode(err), errorMessage(err)
		return resp
	}
	resp.AcquisitionLockTimeoutMillis = int32(done.Lock.Milliseconds())
	for i := range req.Topics {
		from, to := &req.Topics[i], kmsg.NewShareAcknowledgeResponseTopic()
		to.TopicID = from.TopicID
		for j := range from.Partitions {
			p := kmsg.NewShareAcknowledgeResponseTopicPartition()
			p.Partition = from.Partitions[j].Partition
			answered := false
			for k := range rows {
				if rows[k].Shard.Index != p.Partition || rows[k].Shard.Stream != to.TopicID {
					continue
				}
				err := rows[k].Err
				if err == nil {
					err = rows[k].AckErr
				}
				answered = true
				p.ErrorCode, p.ErrorMessage = s.shareCode(err), errorMessage(err)
			}
			if answered { // Kafka says nothing of partitions of which nothing was said
				to.Partitions = append(to.Partitions, p)
			}
		}
		if len(to.Partitions) > 0 {
			resp.Topics = append(resp.Topics, to)
		}
	}
	return resp
}
