package msk

import (
	"maps"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
)

// refused says why operations are not served.
var refused = map[string]string{
	"CreateChannel": noChannels, "UpdateChannel": noChannels,
	"CreateReplicator": noReplicators, "UpdateReplicationInfo": noReplicators,
	"CreateVpcConnection": noConnections,
}

const (
	noChannels    = "topics of clusters are not delivered to S3 or Iceberg"
	noReplicators = "clusters are not replicated; MirrorMaker 2 between two clusters does that"
	noConnections = "there are no VPCs: every client that reaches the node reaches its clusters"
)

// Ledger says what happens to each member of the requests.
var Ledger = ledger()

// Why members have no effect.
const (
	oneBroker   = "one broker of the node serves every cluster, of whatever version"
	noMachines  = "there are no instances and volumes: clusters share the node's"
	noNetwork   = "there are no subnets and security groups: listeners are where the node listens"
	noExporters = "the node's own metrics are at /metrics of the AWS address"
	noLogGroups = "brokers write into the node's log"
	noKeys      = "the log is not encrypted on the disk"
	noZookeeper = "there is no ZooKeeper"
	policyIdle  = "a policy lets other accounts connect through VPC connections, of which there are none"
)

// ledger joins what has an effect and what has none.
func ledger() aws.Ledger {
	all := maps.Clone(idle)
	for owner, members := range effective {
		for member := range strings.FieldsSeq(members) {
			all[owner+"."+member] = aws.Enforced
		}
	}
	return all
}

// idle are the members without effect.
var idle = aws.Ledger{
	"CreateCluster.kafkaVersion":            aws.Stored(oneBroker),
	"ProvisionedRequest.kafkaVersion":       aws.Stored(oneBroker),
	"CreateConfiguration.kafkaVersions":     aws.Stored(oneBroker),
	"CreateCluster.rebalancing":             aws.Stored(oneBroker),
	"CreateCluster.enhancedMonitoring":      aws.Stored(noExporters),
	"CreateCluster.openMonitoring":          aws.Stored(noExporters),
	"CreateCluster.loggingInfo":             aws.Stored(noLogGroups),
	"CreateCluster.storageMode":             aws.Stored(noMachines),
	"ProvisionedRequest.rebalancing":        aws.Stored(oneBroker),
	"ProvisionedRequest.enhancedMonitoring": aws.Stored(noExporters),
	"ProvisionedRequest.openMonitoring":     aws.Stored(noExporters),
	"ProvisionedRequest.loggingInfo":        aws.Stored(noLogGroups),
	"ProvisionedRequest.storageMode":        aws.Stored(noMachines),
	"ServerlessRequest.vpcConfigs":          aws.Stored(noNetwork),

	"BrokerNodeGroupInfo.brokerAZDistribution": aws.Stored(noNetwork),
	"BrokerNodeGroupInfo.clientSubnets":        aws.Stored(noNetwork),
	"BrokerNodeGroupInfo.securityGroups":       aws.Stored(noNetwork),
	"BrokerNodeGroupInfo.zoneIds":              aws.Stored(noNetwork),
	"BrokerNodeGroupInfo.instanceType":         aws.Stored(noMachines),
	"BrokerNodeGroupInfo.storageInfo":          aws.Stored(noMachines),
	"ConnectivityInfo.vpcConnectivity":         aws.Refused(noConnections),
	"ConnectivityInfo.networkType":             aws.Stored(noNetwork),

	"EncryptionInfo.encryptionAtRest": aws.Stored(noKeys),
	"EncryptionInTransit.inCluster":   aws.Stored(oneBroker),

	"UpdateBrokerStorage.targetBrokerEBSVolumeInfo": aws.Stored(noMachines),
	"UpdateBrokerType.targetInstanceType":           aws.Stored(noMachines),
	"UpdateClusterKafkaVersion.targetKafkaVersion":  aws.Stored(oneBroker),
	"UpdateConnectivity.zookeeperAccess":            aws.Stored(noZookeeper),
	"UpdateMonitoring.enhancedMonitoring":           aws.Stored(noExporters),
	"UpdateMonitoring.openMonitoring":               aws.Stored(noExporters),
	"UpdateMonitoring.loggingInfo":                  aws.Stored(noLogGroups),
	"UpdateRebalancing.rebalancing":                 aws.Stored(oneBroker),
	"UpdateStorage.provisionedThroughput":           aws.Stored(noMachines),
	"UpdateStorage.storageMode":                     aws.Stored(noMachines),
	"UpdateStorage.volumeSizeGB":                    aws.Stored(noMachines),
	"DeleteReplicator.currentVersion":               aws.Stored(noReplicators),
	"PutClusterPolicy.policy":                       aws.Stored(policyIdle),
}

// effective are the members that have the effect of AWS's, by the operation or structure that they are of.
var effective = map[string]string{
	"BatchAssociateScramSecret":      "clusterArn secretArnList",
	"BatchDisassociateScramSecret":   "clusterArn secretArnList",
	"ListScramSecrets":               "clusterArn maxResults nextToken",
	"Iam":                            "enabled",
	"ServerlessRequest":              "clientAuthentication",
	"ServerlessClientAuthentication": "sasl",
	"ServerlessSasl":                 "iam",
	"Scram":                          "enabled",
	"CreateCluster":                  "brokerNodeGroupInfo clientAuthentication clusterName configurationInfo encryptionInfo numberOfBrokerNodes tags",
	"CreateClusterV2":                "clusterName tags provisioned serverless",
	"CreateConfiguration":            "description name serverProperties",
	"CreateTopic":                    "clusterArn topicName partitionCount replicationFactor configs",
	"DeleteChannel":                  "channelArn clusterArn",
	"DeleteReplicator":               "replicatorArn",
	"DeleteVpcConnection":            "arn",
	"DescribeChannel":                "channelArn clusterArn",
	"DescribeReplicator":             "replicatorArn",
	"DescribeVpcConnection":          "arn",
	"ListChannels":                   "clusterArn maxResults nextToken topicNameFilter",
	"ListClientVpcConnections":       "clusterArn maxResults nextToken",
	"ListReplicators":                "maxResults nextToken replicatorNameFilter",
	"ListVpcConnections":             "maxResults nextToken",
	"RejectClientVpcConnection":      "clusterArn vpcConnectionArn",
	"DeleteCluster":                  "clusterArn currentVersion",
	"DeleteClusterPolicy":            "clusterArn",
	"DeleteConfiguration":            "arn",
	"DeleteTopic":                    "clusterArn topicName",
	"DescribeCluster":                "clusterArn",
	"DescribeClusterOperation":       "clusterOperationArn",
	"DescribeClusterOperationV2":     "clusterOperationArn",
	"DescribeClusterV2":              "clusterArn",
	"DescribeConfiguration":          "arn",
	"DescribeConfigurationRevision":  "arn revision",
	"DescribeTopic":                  "clusterArn topicName",
	"DescribeTopicPartitions":        "clusterArn topicName maxResults nextToken",
	"GetBootstrapBrokers":            "clusterArn",
	"GetClusterPolicy":               "clusterArn",
	"GetCompatibleKafkaVersions":     "clusterArn",
	"ListClusterOperations":          "clusterArn maxResults nextToken",
	"ListClusterOperationsV2":        "clusterArn maxResults nextToken",
	"ListClusters":                   "clusterNameFilter maxResults nextToken",
	"ListClustersV2":                 "clusterNameFilter clusterTypeFilter maxResults nextToken",
	"ListConfigurationRevisions":     "arn maxResults nextToken",
	"ListConfigurations":             "maxResults nextToken",
	"ListKafkaVersions":              "maxResults nextToken",
	"ListNodes":                      "clusterArn maxResults nextToken",
	"ListTagsForResource":            "resourceArn",
	"ListTopics":                     "clusterArn maxResults nextToken topicNameFilter",
	"PutClusterPolicy":               "clusterArn currentVersion",
	"RebootBroker":                   "brokerIds clusterArn",
	"TagResource":                    "resourceArn tags",
	"UntagResource":                  "resourceArn tagKeys",
	"UpdateBrokerCount":              "clusterArn currentVersion targetNumberOfBrokerNodes",
	"UpdateBrokerStorage":            "clusterArn currentVersion",
	"UpdateBrokerType":               "clusterArn currentVersion",
	"UpdateClusterConfiguration":     "clusterArn configurationInfo currentVersion",
	"UpdateClusterKafkaVersion":      "clusterArn configurationInfo currentVersion",
	"UpdateConfiguration":            "arn description serverProperties",
	"UpdateConnectivity":             "clusterArn connectivityInfo currentVersion",
	"UpdateMonitoring":               "clusterArn currentVersion",
	"UpdateRebalancing":              "clusterArn currentVersion",
	"UpdateSecurity":                 "clientAuthentication clusterArn currentVersion encryptionInfo",
	"UpdateStorage":                  "clusterArn currentVersion",
	"UpdateTopic":                    "clusterArn topicName configs partitionCount",
	"BrokerNodeGroupInfo":            "connectivityInfo",
	"ClientAuthentication":           "sasl tls unauthenticated",
	"ConfigurationInfo":              "arn revision",
	"EncryptionInfo":                 "encryptionInTransit",
	"ProvisionedRequest":             "brokerNodeGroupInfo clientAuthentication configurationInfo encryptionInfo numberOfBrokerNodes",
	"ConnectivityInfo":               "publicAccess",
	"Sasl":                           "scram iam",
	"Tls":                            "certificateAuthorityArnList enabled",
	"Unauthenticated":                "enabled",
	"EncryptionInTransit":            "clientBroker",
	"PublicAccess":                   "type",
}
