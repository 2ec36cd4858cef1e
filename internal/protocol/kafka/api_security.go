package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// securityAPIs are the requests by which clients prove who they are, let others be who they are, and of whoever administers those who can.
func securityAPIs() []api {
	return []api{
		{key: kmsg.SASLHandshake, min: 0, max: 1, serve: call((*Server).saslHandshake)},
		{key: kmsg.SASLAuthenticate, min: 0, max: 2, serve: call((*Server).saslAuthenticate)},
		{key: kmsg.CreateDelegationToken, min: 1, max: 3, serve: call((*Server).createDelegationToken)},
		{key: kmsg.RenewDelegationToken, min: 1, max: 2, serve: call((*Server).renewDelegationToken)},
		{key: kmsg.ExpireDelegationToken, min: 1, max: 2, serve: call((*Server).expireDelegationToken)},
		{key: kmsg.DescribeDelegationToken, min: 1, max: 3, serve: call((*Server).describeDelegationToken)},
		{key: kmsg.DescribeUserSCRAMCredentials, min: 0, max: 0, serve: call((*Server).describeUserScramCredentials)},
		{key: kmsg.AlterUserSCRAMCredentials, min: 0, max: 0, serve: call((*Server).alterUserScramCredentials)},
	}
}
