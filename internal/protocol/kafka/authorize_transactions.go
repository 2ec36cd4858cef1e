package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// authorizeInitProducerID wants WRITE on the transactional id; or, without one, IDEMPOTENT_WRITE on the cluster or WRITE on any topic (KIP-679).
func authorizeInitProducerID(_ context.Context, c *Client, req *kmsg.InitProducerIDRequest) kmsg.Response {
	err := error(nil)
	switch id := req.TransactionalID; {
	case id != nil && !c.require(acl.Write, acl.TransactionalID, *id):
		err = errTransactionalDenied
	case id == nil && !c.mayCluster(acl.IdempotentWrite) && !c.mayAny(acl.Write, acl.Topic):
		c.requireCluster(acl.IdempotentWrite) // to have it logged
		err = errClusterDenied
	default:
		return nil
	}
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch, resp.ErrorCode = -1, -1, code(err)
	return resp
}

// authorizeAddPartitionsToTxn wants WRITE on the transactional id and on each topic; if one is denied, none of the others is added. Since v4 only
// brokers send it.
func authorizeAddPartitionsToTxn(_ context.Context, c *Client, req *kmsg.AddPartitionsToTxnRequest) func(*kmsg.AddPartitionsToTxnResponse) {
	if req.Version >= 4 {
		if c.requireCluster(acl.ClusterAction) {
			return nil
		}
		req.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{}
		return func(resp *kmsg.AddPartitionsToTxnResponse) {
			resp.ErrorCode, resp.Transactions = code(errClusterDenied), nil
		}
	}
	topics, known := req.Topics, c.require(acl.Write, acl.TransactionalID, req.TransactionalID)
	writable := map[string]bool{}
	all := known
	for i := range topics {
		name := topics[i].Topic
		writable[name] = c.require(acl.Write, acl.Topic, name)
		all = all && writable[name]
	}
	if all {
		return nil
	}
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{}
	return func(resp *kmsg.AddPartitionsToTxnResponse) {
		resp.Topics = nil
		for i := range topics {
			t := kmsg.NewAddPartitionsToTxnResponseTopic()
			t.Topic = topics[i].Topic
			failure := kerr.OperationNotAttempted.Code
			switch {
			case !known:
				failure = code(errTransactionalDenied)
			case !writable[t.Topic]:
				failure = code(errTopicDenied)
			}
			for _, partition := range topics[i].Partitions {
				p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				p.Partition, p.ErrorCode = partition, failure
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
}

func authorizeAddOffsetsToTxn(_ context.Context, c *Client, req *kmsg.AddOffsetsToTxnRequest) kmsg.Response {
	switch {
	case !c.require(acl.Write, acl.TransactionalID, req.TransactionalID):
		return failed(req, errTransactionalDenied)
	case !c.require(acl.Read, acl.Group, req.Group):
		return failed(req, errGroupDenied)
	}
	return nil
}

func authorizeEndTxn(_ context.Context, c *Client, req *kmsg.EndTxnRequest) kmsg.Response {
	if c.require(acl.Write, acl.TransactionalID, req.TransactionalID) {
		return nil
	}
	return failed(req, errTransactionalDenied)
}

// authorizeWriteTxnMarkers is for brokers, and for administrators who end a hanging transaction (KIP-664).
func authorizeWriteTxnMarkers(_ context.Context, c *Client, req *kmsg.WriteTxnMarkersRequest) kmsg.Response {
	if c.mayCluster(acl.Alter) || c.requireCluster(acl.ClusterAction) {
		return nil
	}
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	for i := range req.Markers {
		m := kmsg.NewWriteTxnMarkersResponseMarker()
		m.ProducerID = req.Markers[i].ProducerID
		for _, asked := range req.Markers[i].Topics {
			t := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			t.Topic = asked.Topic
			for _, partition := range asked.Partitions {
				p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				p.Partition, p.ErrorCode = partition, code(errClusterDenied)
				t.Partitions = append(t.Partitions, p)
			}
			m.Topics = append(m.Topics, t)
		}
		resp.Markers = append(resp.Markers, m)
	}
	return resp
}

// authorizeTxnOffsetCommitWhole is about the transactional id and the group, of which each partition is told.
func authorizeTxnOffsetCommitWhole(_ context.Context, c *Client, req *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	err := errTransactionalDenied
	if c.require(acl.Write, acl.TransactionalID, req.TransactionalID) {
		if c.require(acl.Read, acl.Group, req.Group) {
			return nil
		}
		err = errGroupDenied
	}
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	for i := range req.Topics {
		resp.Topics = append(resp.Topics, deniedTxnCommit(&req.Topics[i], err))
	}
	return resp
}

func authorizeTxnOffsetCommit(ctx context.Context, c *Client, req *kmsg.TxnOffsetCommitRequest) func(*kmsg.TxnOffsetCommitResponse) {
	left, denied := split(req.Topics, func(t *kmsg.TxnOffsetCommitRequestTopic) bool {
		name := c.server.nameOf(ctx, t.Topic, t.TopicID)
		return name == "" || c.require(acl.Read, acl.Topic, name)
	})
	if len(denied) == 0 {
		return nil
	}
	req.Topics = left
	return func(resp *kmsg.TxnOffsetCommitResponse) {
		for i := range denied {
			resp.Topics = append(resp.Topics, deniedTxnCommit(&denied[i], errTopicDenied))
		}
	}
}

func deniedTxnCommit(asked *kmsg.TxnOffsetCommitRequestTopic, err error) kmsg.TxnOffsetCommitResponseTopic {
	t := kmsg.NewTxnOffsetCommitResponseTopic()
	t.Topic, t.TopicID = asked.Topic, asked.TopicID
	for _, partition := range asked.Partitions {
		p := kmsg.NewTxnOffsetCommitResponseTopicPartition()
		p.Partition, p.ErrorCode = partition.Partition, code(err)
		t.Partitions = append(t.Partitions, p)
	}
	return t
}

// authorizeDescribeTransactions leaves out of a transaction the topics that the client may not describe.
func authorizeDescribeTransactions(_ context.Context, c *Client, req *kmsg.DescribeTransactionsRequest) func(*kmsg.DescribeTransactionsResponse) {
	left, denied := split(req.TransactionalIDs, func(id *string) bool { return c.require(acl.Describe, acl.TransactionalID, *id) })
	req.TransactionalIDs = left
	return func(resp *kmsg.DescribeTransactionsResponse) {
		for i := range resp.TransactionStates {
			s := &resp.TransactionStates[i]
			s.Topics, _ = split(s.Topics, func(t *kmsg.DescribeTransactionsResponseTransactionStateTopic) bool {
				return c.may(acl.Describe, acl.Topic, t.Topic)
			})
		}
		for _, id := range denied {
			s := kmsg.NewDescribeTransactionsResponseTransactionState()
			s.TransactionalID, s.ErrorCode = id, code(errTransactionalDenied)
			resp.TransactionStates = append(resp.TransactionStates, s)
		}
	}
}

func authorizeListTransactions(_ context.Context, c *Client, _ *kmsg.ListTransactionsRequest) func(*kmsg.ListTransactionsResponse) {
	return func(resp *kmsg.ListTransactionsResponse) {
		resp.TransactionStates, _ = split(resp.TransactionStates, func(s *kmsg.ListTransactionsResponseTransactionState) bool {
			return c.may(acl.Describe, acl.TransactionalID, s.TransactionalID)
		})
	}
}
