package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// shareAPIs are the requests of share groups and of whoever administers them. Version 0 of the first four was an early access's.
func shareAPIs() []api {
	return []api{
		{key: kmsg.ShareGroupHeartbeat, min: 1, max: 1, serve: call((*Server).shareGroupHeartbeat)},
		{key: kmsg.ShareGroupDescribe, min: 1, max: 1, serve: call((*Server).shareGroupDescribe)},
		{key: kmsg.ShareFetch, min: 1, max: 2, raw: (*Server).shareFetch},
		{key: kmsg.ShareAcknowledge, min: 1, max: 2, serve: call((*Server).shareAcknowledge)},
		{key: kmsg.DescribeShareGroupOffsets, min: 0, max: 1, serve: call((*Server).describeShareGroupOffsets)},
		{key: kmsg.AlterShareGroupOffsets, min: 0, max: 0, serve: call((*Server).alterShareGroupOffsets)},
		{key: kmsg.DeleteShareGroupOffsets, min: 0, max: 0, serve: call((*Server).deleteShareGroupOffsets)},
	}
}
