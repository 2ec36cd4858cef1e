package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/stream"
)

// What a ListOffsets may ask for in place of a time, with the version that brought it.
const (
	latestOffset          = -1
	earliestOffset        = -2
	maxTimestamp          = -3 // v7, KIP-734
	earliestLocal         = -4 // v8, KIP-405
	latestTiered          = -5 // v9, KIP-1005
	earliestPendingUpload = -6 // v11, KIP-1023
)

var offsetQuestions = map[int64]int16{latestOffset: 0, earliestOffset: 0, maxTimestamp: 7, earliestLocal: 8, latestTiered: 9, earliestPendingUpload: 11}

// listOffsets finds offsets by time, or the ends of partitions. v0, which Burrow and other exporters of lag ask whatever is advertised, answers with a list:
// here of the one offset of v1, or of none. v1 answers one offset with its timestamp, v2 knows isolation levels: who reads committed finds nothing from the
// first open transaction on. v4 knows leader epochs. Of a topic that is not tiered the earliest local offset is the earliest, and there is no tiered or
// pending one.
func (s *Server) listOffsets(ctx context.Context, c *Client, req *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	type asked struct {
		topic     string
		partition int32
	}
	seen := map[asked]int{} // -1 when a repeated one is answered: there is one answer to it
	for t := range req.Topics {
		for _, p := range req.Topics[t].Partitions {
			seen[asked{req.Topics[t].Topic, p.Partition}]++
		}
	}
	for t := range req.Topics {
		from, to := &req.Topics[t], kmsg.NewListOffsetsResponseTopic()
		to.Topic = from.Topic
		st, err := s.topic(ctx, from.Topic)
		if err == nil && offsets.Is(st) {
			s.offsets.Await(ctx, st.ID)
		}
		for i := range from.Partitions {
			p := kmsg.NewListOffsetsResponseTopicPartition()
			p.Partition = from.Partitions[i].Partition
			failed := err
			timestamp := from.Partitions[i].Timestamp
			first, known := offsetQuestions[timestamp]
			switch key := (asked{from.Topic, p.Partition}); {
			case seen[key] < 0:
				continue
			case seen[key] > 1:
				seen[key] = -1
				failed = refuse(kerr.InvalidRequest, "partition is asked for more than once")
			case timestamp < 0 && (!known || req.Version < first): // whether there is the partition or not
				failed = refuse(kerr.UnsupportedVersion, "ListOffsets v%d does not know the timestamp %d", req.Version, timestamp)
			}
			if err := checkIsolation(req.IsolationLevel); err != nil {
				failed = err
			}
			if failed == nil {
				failed = s.listOffset(ctx, c, st, &from.Partitions[i], req, &p)
			}
			if p.ErrorCode = code(failed); failed != nil {
				p.Offset, p.Timestamp, p.LeaderEpoch = -1, -1, -1
			}
			if req.Version == 0 && p.Offset >= 0 && from.Partitions[i].MaxNumOffsets > 0 {
				p.OldStyleOffsets = []int64{p.Offset}
			}
			to.Partitions = append(to.Partitions, p)
		}
		if len(to.Partitions) > 0 || len(from.Partitions) == 0 {
			resp.Topics = append(resp.Topics, to)
		}
	}
	return resp
}

func (s *Server) listOffset(ctx context.Context, c *Client, st *stream.Stream, from *kmsg.ListOffsetsRequestTopicPartition, req *kmsg.ListOffsetsRequest,
	to *kmsg.ListOffsetsResponseTopicPartition,
) error {
	address, err := shard(st, from.Partition)
	if err != nil {
		return err
	}
	bounds, err := s.log.Bounds(ctx, address)
	if err != nil {
		return err
	}
	if err = checkLeaderEpoch(from.CurrentLeaderEpoch, bounds.Epoch); err != nil {
		return err
	}
	at, found, ok := stream.Offset(-1), time.Time{}, true
	to.Timestamp = -1
	switch from.Timestamp {
	case latestOffset:
		if at = bounds.End; req.IsolationLevel == 1 {
			at = bounds.LastStable
		}
		to.Offset, to.LeaderEpoch = int64(at), bounds.Epoch
		return nil
	case earliestOffset:
		at = bounds.Start
	case earliestLocal, latestTiered, earliestPendingUpload:
		at, ok, err = s.tieredOffset(ctx, st, address, &bounds, from.Timestamp)
	case maxTimestamp:
		at, found, ok, err = s.log.Latest(ctx, address)
	default:
		at, found, ok, err = s.log.OffsetAt(ctx, address, time.UnixMilli(from.Timestamp))
	}
	if err != nil {
		s.logFailure(ctx, err, c, "ListOffsets", address, at)
		return err
	}
	if !ok || !found.IsZero() && req.IsolationLevel == 1 && at >= bounds.LastStable {
		to.Offset, to.LeaderEpoch = -1, -1
		return nil
	}
	if !found.IsZero() {
		to.Timestamp = found.UnixMilli()
	}
	to.Offset, to.LeaderEpoch = int64(at), s.epochAt(ctx, address, at, bounds.Epoch)
	return nil
}
