package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// groupAPIs are the requests of groups, share groups among them, and of whoever administers them.
func groupAPIs() []api {
	return append(shareAPIs(), []api{
		{key: kmsg.OffsetCommit, min: 0, max: 10, serve: call((*Server).offsetCommit)},
		{key: kmsg.OffsetFetch, min: 0, max: 10, serve: call((*Server).offsetFetch)},
		{key: kmsg.FindCoordinator, min: 0, max: 6, serve: call((*Server).findCoordinator)},
		{key: kmsg.JoinGroup, min: 0, max: 9, serve: call((*Server).joinGroup), waits: true},
		{key: kmsg.Heartbeat, min: 0, max: 4, serve: call((*Server).heartbeat)},
		{key: kmsg.LeaveGroup, min: 0, max: 5, serve: call((*Server).leaveGroup)},
		{key: kmsg.SyncGroup, min: 0, max: 5, serve: call((*Server).syncGroup), waits: true},
		{key: kmsg.DescribeGroups, min: 0, max: 6, serve: call((*Server).describeGroups)},
		{key: kmsg.ListGroups, min: 0, max: 5, serve: call((*Server).listGroups)},
		{key: kmsg.DeleteGroups, min: 0, max: 2, serve: call((*Server).deleteGroups)},
		{key: kmsg.OffsetDelete, min: 0, max: 0, serve: call((*Server).offsetDelete)},
		{key: kmsg.ConsumerGroupHeartbeat, min: 0, max: 1, serve: call((*Server).consumerGroupHeartbeat)},
		{key: kmsg.ConsumerGroupDescribe, min: 0, max: 1, serve: call((*Server).consumerGroupDescribe)},
		{key: kmsg.StreamsGroupHeartbeat, min: 0, max: 0, serve: call((*Server).streamsGroupHeartbeat)},
		{key: kmsg.StreamsGroupDescribe, min: 0, max: 0, serve: call((*Server).streamsGroupDescribe)},
	}...)
}
