package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// transactionAPIs are the requests of transactional producers and of whoever administers their transactions.
func transactionAPIs() []api {
	return []api{
		{key: kmsg.AddPartitionsToTxn, min: 0, max: 5, serve: call((*Server).addPartitionsToTxn)},
		{key: kmsg.AddOffsetsToTxn, min: 0, max: 4, serve: call((*Server).addOffsetsToTxn)},
		{key: kmsg.EndTxn, min: 0, max: 5, serve: call((*Server).endTxn)},
		{key: kmsg.WriteTxnMarkers, min: 1, max: 2, serve: call((*Server).writeTxnMarkers)},
		{key: kmsg.TxnOffsetCommit, min: 0, max: 5, serve: call((*Server).txnOffsetCommit)},
		{key: kmsg.DescribeTransactions, min: 0, max: 0, serve: call((*Server).describeTransactions)},
		{key: kmsg.ListTransactions, min: 0, max: 2, serve: call((*Server).listTransactions)},
	}
}
