package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// writeTxnMarkers ends transactions in single partitions. Between brokers of Apache Kafka it is how all of them end; here there are only
// administrators who end one that hangs (KIP-664). v2: what the marker's epoch must be is known by the version of the transaction (KIP-1228).
func (s *Server) writeTxnMarkers(ctx context.Context, _ *Client, req *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	for i := range req.Markers {
		m := &req.Markers[i]
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		for _, t := range m.Topics {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			for _, partition := range t.Partitions {
				rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				rp.Partition, rp.ErrorCode = partition, code(s.writeMarker(ctx, m, t.Topic, partition))
				rt.Partitions = append(rt.Partitions, rp)
			}
			rm.Topics = append(rm.Topics, rt)
		}
		resp.Markers = append(resp.Markers, rm)
	}
	return resp
}

func (s *Server) writeMarker(ctx context.Context, m *kmsg.WriteTxnMarkersRequestMarker, topic string, partition int32) error {
	if m.ProducerID < 0 || m.ProducerEpoch < 0 {
		return refuse(kerr.InvalidRequest, "a marker is of a producer with an epoch, not of %d with %d", m.ProducerID, m.ProducerEpoch)
	}
	st, err := s.topic(ctx, topic)
	if err != nil {
		return err
	}
	at, err := shard(st, partition)
	if err != nil {
		return err
	}
	if m.TransactionVersion >= 2 {
		if err := s.checkBumped(ctx, m, at); err != nil {
			return err
		}
	}
	marker := batch.AppendMarker(nil, batch.Marker{
		ProducerID: m.ProducerID, Epoch: m.ProducerEpoch, Commit: m.Committed, CoordinatorEpoch: m.CoordinatorEpoch, Time: s.clock.Now(),
	})
	_, _, err = s.cfg.Transactor.Transact(ctx, []stream.Append{{Shard: at, Batch: marker}}, nil, nil)
	return err
}

// checkBumped wants the marker of a transaction that has an epoch of its own to have the next one.
func (s *Server) checkBumped(ctx context.Context, m *kmsg.WriteTxnMarkersRequestMarker, at stream.Shard) error {
	producers, err := s.log.Producers(ctx, at)
	if err != nil {
		return err
	}
	for _, p := range producers {
		if p.ID == m.ProducerID && p.TransactionFirst >= 0 && m.ProducerEpoch <= p.Epoch {
			return refuse(kerr.InvalidProducerEpoch, "the transaction of producer %d has epoch %d, its marker needs a later one than %d", p.ID, p.Epoch, m.ProducerEpoch)
		}
	}
	return nil
}
