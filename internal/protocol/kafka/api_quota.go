package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// quotaAPIs are the requests about what clients may take.
func quotaAPIs() []api {
	return []api{
		{key: kmsg.DescribeClientQuotas, min: 0, max: 1, serve: call((*Server).describeClientQuotas)},
		{key: kmsg.AlterClientQuotas, min: 0, max: 1, serve: call((*Server).alterClientQuotas)},
	}
}
