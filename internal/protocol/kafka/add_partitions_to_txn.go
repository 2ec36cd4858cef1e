package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/txn"
	"github.com/freshet/freshet/internal/stream"
)

// addPartitionsToTxn takes partitions into a transaction, all or none. v2: PRODUCER_FENCED. v4: of several transactions, and the question whether
// partitions are in them; brokers ask so. v5: TRANSACTION_ABORTABLE.
func (s *Server) addPartitionsToTxn(ctx context.Context, _ *Client, req *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnResponse {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	if req.Version >= 4 {
		for i := range req.Transactions {
			resp.Transactions = append(resp.Transactions, s.addToTransaction(ctx, req.Version, &req.Transactions[i]))
		}
		return resp
	}
	t := kmsg.NewAddPartitionsToTxnRequestTransaction()
	t.TransactionalID, t.ProducerID, t.ProducerEpoch = req.TransactionalID, req.ProducerID, req.ProducerEpoch
	for _, topic := range req.Topics {
		t.Topics = append(t.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: topic.Topic, Partitions: topic.Partitions})
	}
	added := s.addToTransaction(ctx, req.Version, &t)
	for _, topic := range added.Topics {
		rt := kmsg.NewAddPartitionsToTxnResponseTopic()
		rt.Topic = topic.Topic
		for _, p := range topic.Partitions {
			rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// addToTransaction takes partitions into one transaction, or tells of each whether it is in there.
func (s *Server) addToTransaction(ctx context.Context, version int16, t *kmsg.AddPartitionsToTxnRequestTransaction) kmsg.AddPartitionsToTxnResponseTransaction {
	resp, places, shards := s.transactionShards(ctx, t)
	producer := txn.Producer{ID: t.ProducerID, Epoch: t.ProducerEpoch}
	missing := false
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			missing = missing || p.ErrorCode != 0
		}
	}
	errs := make([]error, len(shards))
	var err error
	switch {
	case missing:
		err = kerr.OperationNotAttempted // because of the others
	case t.VerifyOnly:
		var each []error
		if each, err = s.txns.Verify(t.TransactionalID, producer, shards); err == nil {
			errs = each
		}
	default:
		err = s.txns.Add(ctx, t.TransactionalID, producer, shards)
	}
	const fencedAddPartitions = 2
	failure := s.txnCode(err, version, fencedAddPartitions)
	for i, place := range places {
		code := failure
		if err == nil {
			code = s.txnCode(errs[i], version, fencedAddPartitions)
		}
		resp.Topics[place[0]].Partitions[place[1]].ErrorCode = code
	}
	return resp
}

// transactionShards returns an answer with the errors of partitions that do not exist, the places in it of those that do, and these.
func (s *Server) transactionShards(ctx context.Context, t *kmsg.AddPartitionsToTxnRequestTransaction) (
	resp kmsg.AddPartitionsToTxnResponseTransaction, places [][2]int, shards []stream.Shard,
) {
	resp = kmsg.NewAddPartitionsToTxnResponseTransaction()
	resp.TransactionalID = t.TransactionalID
	for _, topic := range t.Topics {
		st, err := s.topic(ctx, topic.Topic)
		rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		rt.Topic = topic.Topic
		for _, partition := range topic.Partitions {
			rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			rp.Partition = partition
			if err != nil || partition < 0 || partition >= st.Shards {
				rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
			} else {
				places = append(places, [2]int{len(resp.Topics), len(rt.Partitions)})
				shards = append(shards, st.Shard(partition))
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, places, shards
}
