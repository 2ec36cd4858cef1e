package kafka_test

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/govern/acl"
)

// accesses are requests about topic t, group g and transactional id x, with what each needs.
var accesses = append(topicAccesses, append(clusterAccesses, append(groupAccesses, transactionAccesses...)...)...)

var topicAccesses = []access{
	{kmsg.Produce, "by name", 9, asks(func(r *kmsg.ProduceRequest) {
		r.Acks = -1
		r.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: plain(1)}}}}
	}), []right{onTopic("t", acl.Write)}},
	{kmsg.Produce, "by id", 13, asksID(func(r *kmsg.ProduceRequest, id [16]byte) {
		r.Acks = -1
		r.Topics = []kmsg.ProduceRequestTopic{{TopicID: id, Partitions: []kmsg.ProduceRequestTopicPartition{{Records: plain(1)}}}}
	}), []right{onTopic("t", acl.Write)}},
	{kmsg.Produce, "in a transaction", 9, asks(func(r *kmsg.ProduceRequest) {
		r.Acks, r.TransactionID = -1, kmsg.StringPtr("x")
		r.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: transactional(1, batch.Producer{ID: 1})}}}}
	}), []right{onTransaction(acl.Write), onTopic("t", acl.Write)}},
	{kmsg.Fetch, "by name", 12, asks(func(r *kmsg.FetchRequest) {
		r.MaxBytes = 1 << 20
		r.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{kmsg.NewFetchRequestTopicPartition()}}}
	}), []right{onTopic("t", acl.Read)}},
	{kmsg.Fetch, "by id", 13, asksID(func(r *kmsg.FetchRequest, id [16]byte) {
		r.MaxBytes = 1 << 20
		r.Topics = []kmsg.FetchRequestTopic{{TopicID: id, Partitions: []kmsg.FetchRequestTopicPartition{kmsg.NewFetchRequestTopicPartition()}}}
	}), []right{onTopic("t", acl.Read)}},
	{kmsg.ListOffsets, "", 7, asks(func(r *kmsg.ListOffsetsRequest) {
		r.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{CurrentLeaderEpoch: -1, Timestamp: -1}}}}
	}), []right{onTopic("t", acl.Describe)}},
	{kmsg.Metadata, "", 9, asks(func(r *kmsg.MetadataRequest) {
		r.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}}
	}), []right{onTopic("t", acl.Describe)}},
	{kmsg.Metadata, "by id", 12, asksID(func(r *kmsg.MetadataRequest, id [16]byte) {
		r.Topics = []kmsg.MetadataRequestTopic{{TopicID: id}}
	}), []right{onTopic("t", acl.Describe)}},
	{kmsg.CreateTopics, "", 5, asks(func(r *kmsg.CreateTopicsRequest) {
		r.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "new", NumPartitions: 1, ReplicationFactor: 1}}
		r.ValidateOnly = true
	}), []right{onTopic("new", acl.Create), onTopic("new", acl.DescribeConfigs)}},
	{kmsg.CreateTopics, "by right on the cluster", 4, asks(func(r *kmsg.CreateTopicsRequest) {
		r.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "new", NumPartitions: 1, ReplicationFactor: 1}}
		r.ValidateOnly = true
	}), []right{{acl.Create, acl.Cluster, acl.ClusterName, noTopic}}},
	{kmsg.DeleteTopics, "by name", 5, asks(func(r *kmsg.DeleteTopicsRequest) {
		r.TopicNames = []string{"none"}
	}), []right{onTopic("none", acl.Delete)}},
	{kmsg.DeleteTopics, "by right on the cluster", 5, asks(func(r *kmsg.DeleteTopicsRequest) {
		r.TopicNames = []string{"none"}
	}), []right{{acl.Delete, acl.Cluster, acl.ClusterName, noTopic}}},
	{kmsg.DeleteTopics, "by name beside an id", 6, asks(func(r *kmsg.DeleteTopicsRequest) {
		r.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("none")}}
	}), []right{onTopic("none", acl.Delete)}},
	{kmsg.DeleteTopics, "by id", 6, asksID(func(r *kmsg.DeleteTopicsRequest, id [16]byte) {
		r.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: id}, {TopicID: id}} // twice, so that it is not deleted
	}), []right{onTopic("t", acl.Delete)}},
	{kmsg.DeleteRecords, "", 1, asks(func(r *kmsg.DeleteRecordsRequest) {
		r.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "t", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{}}}}
	}), []right{onTopic("t", acl.Delete)}},
	{kmsg.OffsetForLeaderEpoch, "", 4, asks(func(r *kmsg.OffsetForLeaderEpochRequest) {
		r.ReplicaID = -1
		r.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: -1}}}}
	}), []right{onTopic("t", acl.Describe)}},
	{kmsg.CreatePartitions, "", 2, asks(func(r *kmsg.CreatePartitionsRequest) {
		r.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 2}}
		r.ValidateOnly = true
	}), []right{onTopic("t", acl.Alter)}},
	{kmsg.DescribeTopicPartitions, "", 0, asks(func(r *kmsg.DescribeTopicPartitionsRequest) {
		r.Topics, r.ResponsePartitionLimit = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "t"}}, 10
	}), []right{onTopic("t", acl.Describe)}},
	{kmsg.DescribeProducers, "", 0, asks(func(r *kmsg.DescribeProducersRequest) {
		r.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	}), []right{onTopic("t", acl.Read)}},
	{kmsg.DescribeConfigs, "", 2, asks(func(r *kmsg.DescribeConfigsRequest) {
		for _, which := range configured {
			r.Resources = append(r.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: which.kind, ResourceName: which.name})
		}
	}), []right{onTopic("t", acl.DescribeConfigs), onGroup(acl.DescribeConfigs), onCluster(acl.DescribeConfigs)}},
	{kmsg.AlterConfigs, "", 1, asks(func(r *kmsg.AlterConfigsRequest) {
		for _, which := range configured {
			r.Resources = append(r.Resources, kmsg.AlterConfigsRequestResource{ResourceType: which.kind, ResourceName: which.name})
		}
		r.ValidateOnly = true
	}), []right{onTopic("t", acl.AlterConfigs), onGroup(acl.AlterConfigs), onCluster(acl.AlterConfigs)}},
	{kmsg.IncrementalAlterConfigs, "", 1, asks(func(r *kmsg.IncrementalAlterConfigsRequest) {
		for _, which := range configured {
			r.Resources = append(r.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: which.kind, ResourceName: which.name})
		}
		r.ValidateOnly = true
	}), []right{onTopic("t", acl.AlterConfigs), onGroup(acl.AlterConfigs), onCluster(acl.AlterConfigs)}},
}

// configured are resources with configs, of each kind of right one.
var configured = []struct {
	kind kmsg.ConfigResourceType
	name string
}{{kmsg.ConfigResourceTypeTopic, "t"}, {kmsg.ConfigResourceTypeGroupConfig, "g"}, {kmsg.ConfigResourceTypeBroker, "1"}}

var clusterAccesses = []access{
	{kmsg.DescribeACLs, "", 2, asks(func(r *kmsg.DescribeACLsRequest) {
		r.ResourceType, r.ResourcePatternType, r.Operation, r.PermissionType = 1, 1, 1, 1
	}), []right{onCluster(acl.Describe)}},
	{kmsg.CreateACLs, "", 2, asks(func(r *kmsg.CreateACLsRequest) {
		r.Creations = []kmsg.CreateACLsRequestCreation{{
			ResourceType: 2, ResourceName: "t", ResourcePatternType: 3, Principal: "User:nobody", Host: "*", Operation: 3, PermissionType: 3,
		}}
	}), []right{onCluster(acl.Alter)}},
	{kmsg.DeleteACLs, "", 2, asks(func(r *kmsg.DeleteACLsRequest) {
		none := "User:none"
		r.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: 1, ResourcePatternType: 1, Principal: &none, Operation: 1, PermissionType: 1}}
	}), []right{onCluster(acl.Alter)}},
	{kmsg.AlterReplicaLogDirs, "", 1, asks(func(r *kmsg.AlterReplicaLogDirsRequest) {
		r.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: "/none", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "t", Partitions: []int32{0}}}}}
	}), []right{onCluster(acl.Alter)}},
	{kmsg.DescribeLogDirs, "", 3, asks(func(*kmsg.DescribeLogDirsRequest) {}), []right{onCluster(acl.Describe)}},
	{kmsg.ElectLeaders, "", 2, asks(func(r *kmsg.ElectLeadersRequest) {
		r.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	}), []right{onCluster(acl.Alter)}},
	{kmsg.AlterPartitionAssignments, "", 0, asks(func(r *kmsg.AlterPartitionAssignmentsRequest) {
		r.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "t", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}
	}), []right{onCluster(acl.Alter)}},
	{kmsg.ListPartitionReassignments, "", 0, asks(func(*kmsg.ListPartitionReassignmentsRequest) {}), []right{onCluster(acl.Describe)}},
	{kmsg.DescribeClientQuotas, "", 1, asks(func(*kmsg.DescribeClientQuotasRequest) {}), []right{onCluster(acl.DescribeConfigs)}},
	{kmsg.AlterClientQuotas, "", 1, asks(func(r *kmsg.AlterClientQuotasRequest) {
		r.Entries = []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user", Name: kmsg.StringPtr("u")}}}}
		r.ValidateOnly = true
	}), []right{onCluster(acl.AlterConfigs)}},
	{kmsg.DescribeUserSCRAMCredentials, "", 0, asks(func(*kmsg.DescribeUserSCRAMCredentialsRequest) {}), []right{onCluster(acl.Describe)}},
	{kmsg.AlterUserSCRAMCredentials, "", 0, asks(func(r *kmsg.AlterUserSCRAMCredentialsRequest) {
		r.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "none", Mechanism: 1}}
	}), []right{onCluster(acl.Alter)}},
	{kmsg.DescribeQuorum, "", 1, asks(func(r *kmsg.DescribeQuorumRequest) {
		r.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}
	}), []right{onCluster(acl.Describe)}},
	{kmsg.UpdateFeatures, "", 1, asks(func(r *kmsg.UpdateFeaturesRequest) { r.ValidateOnly = true }), []right{onCluster(acl.Alter)}},
	{kmsg.UnregisterBroker, "", 0, asks(func(r *kmsg.UnregisterBrokerRequest) { r.BrokerID = 77 }), []right{onCluster(acl.Alter)}},
	{kmsg.AddRaftVoter, "", 0, asks(func(*kmsg.AddRaftVoterRequest) {}), []right{onCluster(acl.Alter)}},
	{kmsg.RemoveRaftVoter, "", 0, asks(func(*kmsg.RemoveRaftVoterRequest) {}), []right{onCluster(acl.Alter)}},
	{kmsg.ListConfigResources, "", 1, asks(func(*kmsg.ListConfigResourcesRequest) {}), []right{onCluster(acl.DescribeConfigs)}},
	{kmsg.CreateDelegationToken, "for somebody else", 3, asks(func(r *kmsg.CreateDelegationTokenRequest) {
		r.OwnerPrincipalType, r.OwnerPrincipalName = kmsg.StringPtr("User"), kmsg.StringPtr("other")
	}), []right{{acl.CreateTokens, acl.User, "User:other", noToken}}},
}

var groupAccesses = []access{
	{kmsg.OffsetCommit, "", 8, asks(func(r *kmsg.OffsetCommitRequest) {
		r.Group, r.Generation = "g", -1
		r.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{}}}}
	}), []right{onGroup(acl.Read), onTopic("t", acl.Read)}},
	{kmsg.OffsetCommit, "by id", 10, asksID(func(r *kmsg.OffsetCommitRequest, id [16]byte) {
		r.Group, r.Generation = "g", -1
		r.Topics = []kmsg.OffsetCommitRequestTopic{{TopicID: id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{}}}}
	}), []right{onGroup(acl.Read), onTopic("t", acl.Read)}},
	{kmsg.OffsetFetch, "without an error of its own", 1, asks(func(r *kmsg.OffsetFetchRequest) {
		r.Group, r.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	}), []right{onGroup(acl.Describe), onTopic("t", acl.Describe)}},
	{kmsg.OffsetFetch, "of one group", 6, asks(func(r *kmsg.OffsetFetchRequest) {
		r.Group, r.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	}), []right{onGroup(acl.Describe), onTopic("t", acl.Describe)}},
	{kmsg.OffsetFetch, "of groups", 8, asks(func(r *kmsg.OffsetFetchRequest) {
		r.Groups = []kmsg.OffsetFetchRequestGroup{{Group: "g", Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}
	}), []right{onGroup(acl.Describe), onTopic("t", acl.Describe)}},
	{kmsg.FindCoordinator, "of a group", 3, asks(func(r *kmsg.FindCoordinatorRequest) { r.CoordinatorKey = "g" }), []right{onGroup(acl.Describe)}},
	{kmsg.FindCoordinator, "of groups", 4, asks(func(r *kmsg.FindCoordinatorRequest) { r.CoordinatorKeys = []string{"g"} }), []right{onGroup(acl.Describe)}},
	{kmsg.FindCoordinator, "of a transaction", 4, asks(func(r *kmsg.FindCoordinatorRequest) {
		r.CoordinatorType, r.CoordinatorKeys = 1, []string{"x"}
	}), []right{onTransaction(acl.Describe)}},
	{kmsg.FindCoordinator, "of a share group's state", 6, asks(func(r *kmsg.FindCoordinatorRequest) {
		r.CoordinatorType, r.CoordinatorKeys = 2, []string{"g:AAAAAAAAAAAAAAAAAAAAAA:0"}
	}), []right{onCluster(acl.ClusterAction)}},
	{kmsg.JoinGroup, "", 5, asks(func(r *kmsg.JoinGroupRequest) {
		r.Group, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = "g", 10_000, 10_000, "consumer"
		r.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
	}), []right{onGroup(acl.Read)}},
	{kmsg.Heartbeat, "", 3, asks(func(r *kmsg.HeartbeatRequest) { r.Group, r.MemberID = "g", "m" }), []right{onGroup(acl.Read)}},
	{kmsg.LeaveGroup, "", 2, asks(func(r *kmsg.LeaveGroupRequest) { r.Group, r.MemberID = "g", "m" }), []right{onGroup(acl.Read)}},
	{kmsg.SyncGroup, "", 3, asks(func(r *kmsg.SyncGroupRequest) { r.Group, r.MemberID = "g", "m" }), []right{onGroup(acl.Read)}},
	{kmsg.DescribeGroups, "", 4, asks(func(r *kmsg.DescribeGroupsRequest) { r.Groups = []string{"g"} }), []right{onGroup(acl.Describe)}},
	{kmsg.DeleteGroups, "", 1, asks(func(r *kmsg.DeleteGroupsRequest) { r.Groups = []string{"g"} }), []right{onGroup(acl.Delete)}},
	{kmsg.OffsetDelete, "", 0, asks(func(r *kmsg.OffsetDeleteRequest) {
		r.Group, r.Topics = "g", []kmsg.OffsetDeleteRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}
	}), []right{onGroup(acl.Delete)}},
	{kmsg.ConsumerGroupHeartbeat, "", 0, asks(func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.Group, r.MemberID, r.MemberEpoch, r.SubscribedTopicNames = "g", "m", 5, []string{"t"}
	}), []right{onGroup(acl.Read), onTopic("t", acl.Describe)}},
	{kmsg.ConsumerGroupDescribe, "", 0, asks(func(r *kmsg.ConsumerGroupDescribeRequest) { r.Groups = []string{"g"} }), []right{onGroup(acl.Describe)}},
	{kmsg.StreamsGroupHeartbeat, "", 0, asks(func(r *kmsg.StreamsGroupHeartbeatRequest) {
		r.Group, r.MemberID, r.MemberEpoch = "g", "m", 5
		r.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{{SourceTopics: []string{"t"}}}}
	}), []right{onGroup(acl.Read), onTopic("t", acl.Describe)}},
	{kmsg.StreamsGroupDescribe, "", 0, asks(func(r *kmsg.StreamsGroupDescribeRequest) { r.Groups = []string{"g"} }), []right{onGroup(acl.Describe)}},
	{kmsg.ShareGroupHeartbeat, "", 1, asks(func(r *kmsg.ShareGroupHeartbeatRequest) {
		r.GroupID, r.MemberID, r.MemberEpoch, r.SubscribedTopicNames = "g", "m", 5, []string{"t"}
	}), []right{onGroup(acl.Read), onTopic("t", acl.Describe)}},
	{kmsg.ShareGroupDescribe, "", 1, asks(func(r *kmsg.ShareGroupDescribeRequest) { r.GroupIDs = []string{"g"} }), []right{onGroup(acl.Describe)}},
	{kmsg.ShareFetch, "", 1, asksID(func(r *kmsg.ShareFetchRequest, id [16]byte) {
		r.GroupID, r.MemberID, r.MaxBytes = kmsg.StringPtr("g"), kmsg.StringPtr("AAAAAAAAAAAAAAAAAAAAAA"), 1<<20
		r.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: id, Partitions: []kmsg.ShareFetchRequestTopicPartition{{}}}}
	}), []right{onGroup(acl.Read), onTopic("t", acl.Read)}},
	{kmsg.ShareAcknowledge, "", 1, asksID(func(r *kmsg.ShareAcknowledgeRequest, _ [16]byte) {
		r.GroupID, r.MemberID = kmsg.StringPtr("g"), kmsg.StringPtr("AAAAAAAAAAAAAAAAAAAAAA")
	}), []right{onGroup(acl.Read)}},
	{kmsg.DescribeShareGroupOffsets, "", 0, asks(func(r *kmsg.DescribeShareGroupOffsetsRequest) {
		r.Groups = []kmsg.DescribeShareGroupOffsetsRequestGroup{{GroupID: "g", Topics: []kmsg.DescribeShareGroupOffsetsRequestGroupTopic{{Topic: "t", Partitions: []int32{0}}}}}
	}), []right{onGroup(acl.Describe), onTopic("t", acl.Describe)}},
	{kmsg.AlterShareGroupOffsets, "", 0, asks(func(r *kmsg.AlterShareGroupOffsetsRequest) { r.GroupID = "g" }), []right{onGroup(acl.Read)}},
	{kmsg.DeleteShareGroupOffsets, "", 0, asks(func(r *kmsg.DeleteShareGroupOffsetsRequest) { r.GroupID = "g" }), []right{onGroup(acl.Delete)}},
}

var transactionAccesses = []access{
	{kmsg.InitProducerID, "idempotent", 4, asks(func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = -1, -1 }), []right{onCluster(acl.IdempotentWrite)}},
	{kmsg.InitProducerID, "transactional", 4, asks(func(r *kmsg.InitProducerIDRequest) {
		r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.TransactionTimeoutMillis = kmsg.StringPtr("x"), -1, -1, 1000
	}), []right{onTransaction(acl.Write)}},
	{kmsg.AddPartitionsToTxn, "", 3, asks(func(r *kmsg.AddPartitionsToTxnRequest) {
		r.TransactionalID, r.ProducerID = "x", 1
		r.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	}), []right{onTransaction(acl.Write), onTopic("t", acl.Write)}},
	{
		kmsg.AddOffsetsToTxn, "", 3, asks(func(r *kmsg.AddOffsetsToTxnRequest) { r.TransactionalID, r.Group, r.ProducerID = "x", "g", 1 }),
		[]right{onTransaction(acl.Write), onGroup(acl.Read)},
	},
	{kmsg.EndTxn, "", 3, asks(func(r *kmsg.EndTxnRequest) { r.TransactionalID, r.ProducerID = "x", 1 }), []right{onTransaction(acl.Write)}},
	{kmsg.WriteTxnMarkers, "", 1, asks(func(r *kmsg.WriteTxnMarkersRequest) {
		r.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 1, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "none", Partitions: []int32{0}}}}}
	}), []right{onCluster(acl.Alter)}},
	{kmsg.TxnOffsetCommit, "", 3, asks(func(r *kmsg.TxnOffsetCommitRequest) {
		r.TransactionalID, r.Group, r.ProducerID, r.Generation = "x", "g", 1, -1
		r.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{}}}}
	}), []right{onTransaction(acl.Write), onGroup(acl.Read), onTopic("t", acl.Read)}},
	{kmsg.DescribeTransactions, "", 0, asks(func(r *kmsg.DescribeTransactionsRequest) { r.TransactionalIDs = []string{"x"} }), []right{onTransaction(acl.Describe)}},
}
