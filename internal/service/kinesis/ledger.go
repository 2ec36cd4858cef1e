package kinesis

import "github.com/freshet/freshet/internal/protocol/aws"

// Ledger says what happens to each member of the requests that are served.
var Ledger = ledger()

func ledger() aws.Ledger {
	reserved := aws.Unread("AWS reserves it for future use; it is not looked at")
	l := aws.Ledger{
		"CreateStream.WarmThroughputMiBps": aws.Stored("there is no throughput limit to warm up for"),
	}
	for operation, members := range map[string][]string{
		"AddTagsToStream":               {"StreamName", "StreamARN", "Tags"},
		"CreateStream":                  {"StreamName", "ShardCount", "StreamModeDetails", "Tags", "MaxRecordSizeInKiB", "RecordDistributionStrategy"},
		"DecreaseStreamRetentionPeriod": {"StreamName", "StreamARN", "RetentionPeriodHours"},
		"DeleteStream":                  {"StreamName", "StreamARN", "EnforceConsumerDeletion"},
		"DeregisterStreamConsumer":      {"StreamARN", "ConsumerName", "ConsumerARN"},
		"DescribeStream":                {"StreamName", "StreamARN", "Limit", "ExclusiveStartShardId"},
		"DescribeStreamConsumer":        {"StreamARN", "ConsumerName", "ConsumerARN"},
		"DescribeStreamSummary":         {"StreamName", "StreamARN"},
		"GetRecords":                    {"ShardIterator", "Limit", "StreamARN", "DryRun"},
		"GetShardIterator":              {"StreamName", "StreamARN", "ShardId", "ShardIteratorType", "StartingSequenceNumber", "Timestamp", "DryRun"},
		"IncreaseStreamRetentionPeriod": {"StreamName", "StreamARN", "RetentionPeriodHours"},
		"ListShards": {
			"StreamName", "StreamARN", "NextToken", "ExclusiveStartShardId", "MaxResults", "StreamCreationTimestamp",
			"ShardFilter",
		},
		"ListStreamConsumers":    {"StreamARN", "NextToken", "MaxResults", "StreamCreationTimestamp"},
		"ListStreams":            {"Limit", "ExclusiveStartStreamName", "NextToken"},
		"ListTagsForResource":    {"ResourceARN"},
		"ListTagsForStream":      {"StreamName", "StreamARN", "ExclusiveStartTagKey", "Limit"},
		"PutRecord":              {"StreamName", "StreamARN", "Data", "PartitionKey", "ExplicitHashKey", "SequenceNumberForOrdering", "DryRun"},
		"PutRecords":             {"StreamName", "StreamARN", "Records", "DryRun"},
		"PutRecordsRequestEntry": {"Data", "PartitionKey", "ExplicitHashKey"},
		"RegisterStreamConsumer": {"StreamARN", "ConsumerName", "Tags"},
		"RemoveTagsFromStream":   {"StreamName", "StreamARN", "TagKeys"},
		"ShardFilter":            {"Type", "ShardId", "Timestamp"},
		"StartingPosition":       {"Type", "SequenceNumber", "Timestamp"},
		"StreamModeDetails":      {"StreamMode"},
		"SubscribeToShard":       {"ConsumerARN", "ShardId", "StartingPosition", "DryRun"},
		"TagResource":            {"ResourceARN", "Tags"},
		"UntagResource":          {"ResourceARN", "TagKeys"},
	} {
		for _, member := range members {
			l[operation+"."+member] = aws.Enforced
		}
	}
	for _, operation := range []string{
		"AddTagsToStream", "DecreaseStreamRetentionPeriod", "DeleteStream", "DeregisterStreamConsumer", "DescribeStream", "DescribeStreamConsumer",
		"DescribeStreamSummary", "GetRecords", "GetShardIterator", "IncreaseStreamRetentionPeriod", "ListShards", "ListStreamConsumers",
		"ListTagsForResource", "ListTagsForStream", "PutRecord", "PutRecords", "RegisterStreamConsumer", "RemoveTagsFromStream", "SubscribeToShard",
		"TagResource", "UntagResource",
	} {
		l[operation+".StreamId"] = reserved
	}
	return l
}
