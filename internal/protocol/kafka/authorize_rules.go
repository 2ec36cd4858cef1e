package kafka

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// rules say who may make which request. A request without a rule nobody may make while there is an authorizer; a test sees to it that each that is
// served has one. Those about groups, transactions and share groups are in authorize_groups.go and so on.
var rules = map[kmsg.Key]rule{
	// By their handlers: these come in bytes, describe topics that may have to be hidden, or belong to what authenticates.
	kmsg.Produce:                 anyone, // WRITE on topics and the transactional id, else 29, 53
	kmsg.Fetch:                   anyone, // READ on topics, else 29
	kmsg.Metadata:                anyone, // DESCRIBE on topics, CREATE to create them, else 29; those not asked for by name are left out
	kmsg.DescribeTopicPartitions: anyone, // DESCRIBE on topics, else 29 or left out
	kmsg.DescribeCluster:         anyone, // DESCRIBE on the cluster for what may be done to it
	kmsg.SASLHandshake:           anyone,
	kmsg.SASLAuthenticate:        anyone,
	kmsg.ApiVersions:             anyone,
	// A token's owner and renewers alone renew and expire it.
	kmsg.RenewDelegationToken:  anyone,
	kmsg.ExpireDelegationToken: anyone,
	// Telemetry is every client's to send.
	kmsg.GetTelemetrySubscriptions: anyone,
	kmsg.PushTelemetry:             anyone,

	kmsg.ListOffsets:             inParts(authorizeListOffsets),
	kmsg.DeleteRecords:           inParts(authorizeDeleteRecords),
	kmsg.OffsetForLeaderEpoch:    inParts(authorizeOffsetForLeaderEpoch),
	kmsg.CreateTopics:            inParts(authorizeCreateTopics),
	kmsg.DeleteTopics:            inParts(authorizeDeleteTopics),
	kmsg.CreatePartitions:        inParts(authorizeCreatePartitions),
	kmsg.DescribeConfigs:         inParts(authorizeDescribeConfigs),
	kmsg.AlterConfigs:            inParts(authorizeAlterConfigs),
	kmsg.IncrementalAlterConfigs: inParts(authorizeIncrementalAlterConfigs),
	kmsg.DescribeProducers:       inParts(authorizeDescribeProducers),

	kmsg.DescribeACLs:                 onCluster(acl.Describe),
	kmsg.CreateACLs:                   inWhole(authorizeCreateACLs),
	kmsg.DeleteACLs:                   inWhole(authorizeDeleteACLs),
	kmsg.AlterReplicaLogDirs:          inWhole(authorizeAlterReplicaLogDirs),
	kmsg.DescribeLogDirs:              onCluster(acl.Describe),
	kmsg.ElectLeaders:                 inWhole(authorizeElectLeaders),
	kmsg.AlterPartitionAssignments:    inWhole(authorizeAlterPartitionAssignments),
	kmsg.ListPartitionReassignments:   onCluster(acl.Describe),
	kmsg.DescribeClientQuotas:         onCluster(acl.DescribeConfigs),
	kmsg.AlterClientQuotas:            inWhole(authorizeAlterClientQuotas),
	kmsg.DescribeUserSCRAMCredentials: onCluster(acl.Describe),
	kmsg.AlterUserSCRAMCredentials:    inWhole(authorizeAlterUserSCRAMCredentials),
	kmsg.DescribeQuorum:               onCluster(acl.Describe),
	kmsg.UpdateFeatures:               onCluster(acl.Alter),
	kmsg.UnregisterBroker:             onCluster(acl.Alter),
	kmsg.AddRaftVoter:                 onCluster(acl.Alter),
	kmsg.RemoveRaftVoter:              onCluster(acl.Alter),
	kmsg.ListConfigResources:          onCluster(acl.DescribeConfigs),
	kmsg.CreateDelegationToken:        inWhole(authorizeCreateDelegationToken),
	kmsg.DescribeDelegationToken:      inParts(authorizeDescribeDelegationToken),

	kmsg.OffsetCommit:           inWhole(authorizeOffsetCommitGroup).then(inParts(authorizeOffsetCommit)),
	kmsg.OffsetFetch:            inParts(authorizeOffsetFetch),
	kmsg.FindCoordinator:        inParts(authorizeFindCoordinator),
	kmsg.JoinGroup:              onGroup(acl.Read, func(r *kmsg.JoinGroupRequest) string { return r.Group }),
	kmsg.Heartbeat:              onGroup(acl.Read, func(r *kmsg.HeartbeatRequest) string { return r.Group }),
	kmsg.LeaveGroup:             onGroup(acl.Read, func(r *kmsg.LeaveGroupRequest) string { return r.Group }),
	kmsg.SyncGroup:              onGroup(acl.Read, func(r *kmsg.SyncGroupRequest) string { return r.Group }),
	kmsg.DescribeGroups:         inParts(authorizeDescribeGroups),
	kmsg.ListGroups:             inParts(authorizeListGroups),
	kmsg.DeleteGroups:           inParts(authorizeDeleteGroups),
	kmsg.OffsetDelete:           onGroup(acl.Delete, func(r *kmsg.OffsetDeleteRequest) string { return r.Group }).then(inParts(authorizeOffsetDelete)),
	kmsg.ConsumerGroupHeartbeat: onGroup(acl.Read, func(r *kmsg.ConsumerGroupHeartbeatRequest) string { return r.Group }).then(inWhole(authorizeSubscription)),
	kmsg.ConsumerGroupDescribe:  inParts(authorizeConsumerGroupDescribe),
	kmsg.StreamsGroupHeartbeat:  onGroup(acl.Read, func(r *kmsg.StreamsGroupHeartbeatRequest) string { return r.Group }).then(inWhole(authorizeTopology)),
	kmsg.StreamsGroupDescribe:   inParts(authorizeStreamsGroupDescribe),

	kmsg.InitProducerID:       inWhole(authorizeInitProducerID),
	kmsg.AddPartitionsToTxn:   inParts(authorizeAddPartitionsToTxn),
	kmsg.AddOffsetsToTxn:      inWhole(authorizeAddOffsetsToTxn),
	kmsg.EndTxn:               inWhole(authorizeEndTxn),
	kmsg.WriteTxnMarkers:      inWhole(authorizeWriteTxnMarkers),
	kmsg.TxnOffsetCommit:      inWhole(authorizeTxnOffsetCommitWhole).then(inParts(authorizeTxnOffsetCommit)),
	kmsg.DescribeTransactions: inParts(authorizeDescribeTransactions),
	kmsg.ListTransactions:     inParts(authorizeListTransactions),

	kmsg.ShareGroupHeartbeat:       onGroup(acl.Read, func(r *kmsg.ShareGroupHeartbeatRequest) string { return r.GroupID }).then(inWhole(authorizeShareSubscription)),
	kmsg.ShareGroupDescribe:        inParts(authorizeShareGroupDescribe),
	kmsg.ShareFetch:                anyone, // by its handler: READ on the group, else 30, and on topics, else 29
	kmsg.ShareAcknowledge:          onGroup(acl.Read, func(r *kmsg.ShareAcknowledgeRequest) string { return value(r.GroupID) }).then(inParts(authorizeShareAcknowledge)),
	kmsg.DescribeShareGroupOffsets: inParts(authorizeDescribeShareGroupOffsets),
	kmsg.AlterShareGroupOffsets:    onGroup(acl.Read, func(r *kmsg.AlterShareGroupOffsetsRequest) string { return r.GroupID }).then(inParts(authorizeAlterShareGroupOffsets)),
	kmsg.DeleteShareGroupOffsets:   onGroup(acl.Delete, func(r *kmsg.DeleteShareGroupOffsetsRequest) string { return r.GroupID }).then(inParts(authorizeDeleteShareGroupOffsets)),
}
