package kafka

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/offsets"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
)

// describeTransactions tells how transactional ids stand (KIP-664). The partitions are those of the open transaction; of a group, the one
// of __consumer_offsets that Apache Kafka would keep its offsets in, for that is how tools know it.
func (s *Server) describeTransactions(ctx context.Context, _ *Client, req *kmsg.DescribeTransactionsRequest) *kmsg.DescribeTransactionsResponse {
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	for _, id := range req.TransactionalIDs {
		d := kmsg.NewDescribeTransactionsResponseTransactionState()
		d.TransactionalID = id
		t, err := s.txns.Describe(id)
		if d.ErrorCode = s.txnCode(err, 0, 0); err == nil {
			d.State, d.TimeoutMillis, d.StartTimestamp = string(t.State), int32(t.Timeout/time.Millisecond), startedMillis(&t)
			d.ProducerID, d.ProducerEpoch = t.ProducerID, t.Epoch
			d.Topics = s.touchedTopics(ctx, &t)
		}
		resp.TransactionStates = append(resp.TransactionStates, d)
	}
	return resp
}

func startedMillis(t *txn.Txn) int64 {
	if t.Started.IsZero() {
		return -1
	}
	return t.Started.UnixMilli()
}

// The topic in which Apache Kafka keeps groups' offsets, and how many partitions it has by default.
const (
	offsetsTopic      = "__consumer_offsets"
	offsetsPartitions = 50
)

func (s *Server) touchedTopics(ctx context.Context, t *txn.Txn) []kmsg.DescribeTransactionsResponseTransactionStateTopic {
	byName := map[string][]int32{}
	for _, shard := range t.Touched() {
		if st, err := s.log.StreamByID(ctx, shard.Stream); err == nil { // else it was deleted
			byName[string(st.Name)] = append(byName[string(st.Name)], shard.Index)
		}
	}
	for g := range t.Groups {
		if p := offsets.Partition(g, offsetsPartitions); !slices.Contains(byName[offsetsTopic], p) {
			byName[offsetsTopic] = append(byName[offsetsTopic], p)
		}
	}
	topics := []kmsg.DescribeTransactionsResponseTransactionStateTopic{}
	for _, name := range slices.SortedFunc(maps.Keys(byName), strings.Compare) {
		topic := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
		topic.Topic, topic.Partitions = name, byName[name]
		slices.Sort(topic.Partitions)
		topics = append(topics, topic)
	}
	return topics
}
