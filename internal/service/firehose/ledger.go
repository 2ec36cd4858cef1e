package firehose

import "github.com/freshet/freshet/internal/protocol/aws"

// Ledger says what happens to each member of the requests that are served.
var Ledger = ledger()

func ledger() aws.Ledger {
	const (
		role     = "there are no roles to assume: the node writes with its own rights"
		logging  = "there is no CloudWatch Logs here; failures are in the node's log"
		disabled = "one that is not enabled is kept; an enabled one is refused"
	)
	l := aws.Ledger{}
	for operation, members := range map[string][]string{
		"CreateDeliveryStream": {
			"DeliveryStreamName", "DeliveryStreamType", "DirectPutSourceConfiguration", "KinesisStreamSourceConfiguration",
			"S3DestinationConfiguration", "ExtendedS3DestinationConfiguration", "Tags",
		},
		"DeleteDeliveryStream":             {"DeliveryStreamName"},
		"DescribeDeliveryStream":           {"DeliveryStreamName", "Limit", "ExclusiveStartDestinationId"},
		"ListDeliveryStreams":              {"Limit", "DeliveryStreamType", "ExclusiveStartDeliveryStreamName"},
		"ListTagsForDeliveryStream":        {"DeliveryStreamName", "ExclusiveStartTagKey", "Limit"},
		"PutRecord":                        {"DeliveryStreamName", "Record"},
		"PutRecordBatch":                   {"DeliveryStreamName", "Records"},
		"TagDeliveryStream":                {"DeliveryStreamName", "Tags"},
		"UntagDeliveryStream":              {"DeliveryStreamName", "TagKeys"},
		"UpdateDestination":                {"DeliveryStreamName", "CurrentDeliveryStreamVersionId", "DestinationId", "S3DestinationUpdate", "ExtendedS3DestinationUpdate"},
		"Record":                           {"Data"},
		"Tag":                              {"Key", "Value"},
		"BufferingHints":                   {"SizeInMBs", "IntervalInSeconds"},
		"KinesisStreamSourceConfiguration": {"KinesisStreamARN"},
		"EncryptionConfiguration":          {"NoEncryptionConfig"},
		"ProcessingConfiguration":          {"Enabled", "Processors"},
		"Processor":                        {"Type", "Parameters"},
		"ProcessorParameter":               {"ParameterName", "ParameterValue"},
		"DynamicPartitioningConfiguration": {"Enabled"},
	} {
		for _, member := range members {
			l[operation+"."+member] = aws.Enforced
		}
	}
	for _, s := range []string{"S3DestinationConfiguration", "S3DestinationUpdate", "ExtendedS3DestinationConfiguration", "ExtendedS3DestinationUpdate"} {
		for _, member := range []string{"BucketARN", "Prefix", "BufferingHints", "CompressionFormat", "EncryptionConfiguration"} {
			l[s+"."+member] = aws.Enforced
		}
		l[s+".ErrorOutputPrefix"] = aws.Stored("it is checked; what fails is tried again until it succeeds, so that nothing is written there")
		l[s+".RoleARN"] = aws.Stored(role)
		l[s+".CloudWatchLoggingOptions"] = aws.Stored(logging)
	}
	for _, s := range []string{"ExtendedS3DestinationConfiguration", "ExtendedS3DestinationUpdate"} {
		for _, member := range []string{"ProcessingConfiguration", "S3BackupMode", "FileExtension", "CustomTimeZone", "DynamicPartitioningConfiguration"} {
			l[s+"."+member] = aws.Enforced
		}
		l[s+".DataFormatConversionConfiguration"] = aws.Stored(disabled)
	}
	l["DeleteDeliveryStream.AllowForceDelete"] = aws.Stored("there is no KMS grant that could stand in the way")
	l["ExtendedS3DestinationConfiguration.S3BackupConfiguration"] = aws.Refused("there is no backup of source records")
	l["ExtendedS3DestinationUpdate.S3BackupUpdate"] = aws.Refused("there is no backup of source records")
	l["EncryptionConfiguration.KMSEncryptionConfig"] = aws.Refused("there is no KMS here")
	l["DynamicPartitioningConfiguration.RetryOptions"] = aws.Stored("dynamic partitioning cannot be enabled")
	l["KinesisStreamSourceConfiguration.RoleARN"] = aws.Stored(role)
	l["DirectPutSourceConfiguration.ThroughputHintInMBs"] = aws.Stored("there is no throughput limit to raise")
	l["CreateDeliveryStream.DeliveryStreamEncryptionConfigurationInput"] = aws.Refused("there is no KMS here")
	refuseOthers(l)
	return l
}

// refuseOthers enters the sources and destinations that are not served.
func refuseOthers(l aws.Ledger) {
	for _, source := range []string{"MSKSourceConfiguration", "DatabaseSourceConfiguration"} {
		l["CreateDeliveryStream."+source] = aws.Refused("only DirectPut and KinesisStreamAsSource are served")
	}
	for _, destination := range []string{
		"Redshift", "Elasticsearch", "Amazonopensearchservice", "Splunk", "HttpEndpoint", "AmazonOpenSearchServerless", "Snowflake", "Iceberg",
	} {
		refused := aws.Refused("only S3 destinations are served")
		l["CreateDeliveryStream."+destination+"DestinationConfiguration"] = refused
		l["UpdateDestination."+destination+"DestinationUpdate"] = refused
	}
}
