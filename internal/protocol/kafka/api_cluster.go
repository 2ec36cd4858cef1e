package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// clusterAPIs are requests about several brokers and controllers, which tools ask of any cluster, and those of telemetry. They are answered for the one that there is.
func clusterAPIs() []api {
	return []api{
		{key: kmsg.AlterReplicaLogDirs, min: 0, max: 2, serve: call((*Server).alterReplicaLogDirs)},
		{key: kmsg.AlterPartitionAssignments, min: 0, max: 1, serve: call((*Server).alterPartitionAssignments)},
		{key: kmsg.DescribeQuorum, min: 0, max: 2, serve: call((*Server).describeQuorum)},
		{key: kmsg.UpdateFeatures, min: 0, max: 2, serve: call((*Server).updateFeatures)},
		{key: kmsg.UnregisterBroker, min: 0, max: 0, serve: call((*Server).unregisterBroker)},
		{key: kmsg.AddRaftVoter, min: 0, max: 1, serve: call((*Server).addRaftVoter)},
		{key: kmsg.GetTelemetrySubscriptions, min: 0, max: 0, serve: call((*Server).getTelemetrySubscriptions)},
		{key: kmsg.PushTelemetry, min: 0, max: 0, serve: call((*Server).pushTelemetry)},
		{key: kmsg.RemoveRaftVoter, min: 0, max: 0, serve: call((*Server).removeRaftVoter)},
	}
}
