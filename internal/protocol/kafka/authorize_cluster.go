package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/principal"
)

func authorizeCreateACLs(_ context.Context, c *Client, req *kmsg.CreateACLsRequest) kmsg.Response {
	if c.requireCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrCreateACLsResponse()
	for range req.Creations {
		r := kmsg.NewCreateACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = code(errClusterDenied), errorMessage(errClusterDenied)
		resp.Results = append(resp.Results, r)
	}
	return resp
}

func authorizeDeleteACLs(_ context.Context, c *Client, req *kmsg.DeleteACLsRequest) kmsg.Response {
	if c.requireCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrDeleteACLsResponse()
	for range req.Filters {
		r := kmsg.NewDeleteACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = code(errClusterDenied), errorMessage(errClusterDenied)
		resp.Results = append(resp.Results, r)
	}
	return resp
}

func authorizeAlterReplicaLogDirs(_ context.Context, c *Client, req *kmsg.AlterReplicaLogDirsRequest) kmsg.Response {
	if c.requireCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	for i := range req.Dirs {
		for _, asked := range req.Dirs[i].Topics {
			t := kmsg.NewAlterReplicaLogDirsResponseTopic()
			t.Topic = asked.Topic
			for _, partition := range asked.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition, p.ErrorCode = partition, code(errClusterDenied)
				t.Partitions = append(t.Partitions, p)
			}
			resp.Topics = append(resp.Topics, t)
		}
	}
	return resp
}

// authorizeElectLeaders answers each partition too: v0 has no error but theirs.
func authorizeElectLeaders(_ context.Context, c *Client, req *kmsg.ElectLeadersRequest) kmsg.Response {
	if c.requireCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrElectLeadersResponse()
	resp.ErrorCode = code(errClusterDenied)
	for i := range req.Topics {
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, partition := range req.Topics[i].Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = partition, code(errClusterDenied), errorMessage(errClusterDenied)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// authorizeAlterPartitionAssignments names each partition too: Kafka's admin client gives the error only to those that it finds in the answer, and
// takes it for a server's fault if one is missing.
func authorizeAlterPartitionAssignments(_ context.Context, c *Client, req *kmsg.AlterPartitionAssignmentsRequest) kmsg.Response {
	if c.requireCluster(acl.Alter) {
		return nil
	}
	resp := failed(req, errClusterDenied).(*kmsg.AlterPartitionAssignmentsResponse)
	for i := range req.Topics {
		t := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, of := range req.Topics[i].Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = of.Partition, code(errClusterDenied), errorMessage(errClusterDenied)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func authorizeAlterClientQuotas(_ context.Context, c *Client, req *kmsg.AlterClientQuotasRequest) kmsg.Response {
	if c.requireCluster(acl.AlterConfigs) {
		return nil
	}
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	for i := range req.Entries {
		entry := kmsg.NewAlterClientQuotasResponseEntry()
		entry.ErrorCode, entry.ErrorMessage = code(errClusterDenied), errorMessage(errClusterDenied)
		for _, part := range req.Entries[i].Entity {
			entry.Entity = append(entry.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: part.Type, Name: part.Name})
		}
		resp.Entries = append(resp.Entries, entry)
	}
	return resp
}

func authorizeAlterUserSCRAMCredentials(_ context.Context, c *Client, req *kmsg.AlterUserSCRAMCredentialsRequest) kmsg.Response {
	if c.requireCluster(acl.Alter) {
		return nil
	}
	var users []string
	for i := range req.Deletions {
		users = append(users, req.Deletions[i].Name)
	}
	for i := range req.Upsertions {
		users = append(users, req.Upsertions[i].Name)
	}
	slices.Sort(users)
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	for _, user := range slices.Compact(users) {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User, r.ErrorCode, r.ErrorMessage = user, code(errClusterDenied), errorMessage(errClusterDenied)
		resp.Results = append(resp.Results, r)
	}
	return resp
}

// authorizeCreateDelegationToken wants CREATE_TOKENS of whom a token is for, if that is somebody else (KIP-373). Who may make none at all is told so first.
func authorizeCreateDelegationToken(_ context.Context, c *Client, req *kmsg.CreateDelegationTokenRequest) kmsg.Response {
	owner := c.tokenOwner(req)
	if !c.mayUseTokens() || owner == c.Principal() || c.require(acl.CreateTokens, acl.User, owner.String()) {
		return nil
	}
	return c.noToken(req, errTokenDenied)
}

// authorizeDescribeDelegationToken leaves out tokens that are not the client's to see: those that it neither has nor renews, and of which it may
// describe neither the token nor the tokens of their owner.
func authorizeDescribeDelegationToken(_ context.Context, c *Client, _ *kmsg.DescribeDelegationTokenRequest) func(*kmsg.DescribeDelegationTokenResponse) {
	return func(resp *kmsg.DescribeDelegationTokenResponse) {
		self := c.Principal()
		resp.TokenDetails, _ = split(resp.TokenDetails, func(t *kmsg.DescribeDelegationTokenResponseTokenDetail) bool {
			owner := principal.Principal{Type: t.PrincipalType, Name: t.PrincipalName}
			requester := principal.Principal{Type: t.TokenRequesterPrincipalType, Name: t.TokenRequesterPrincipalName}
			renews := slices.ContainsFunc(t.Renewers, func(r kmsg.DescribeDelegationTokenResponseTokenDetailRenewer) bool {
				return r.PrincipalType == self.Type && r.PrincipalName == self.Name
			})
			return owner == self || requester == self || renews ||
				c.may(acl.Describe, acl.DelegationToken, t.TokenID) || c.may(acl.DescribeTokens, acl.User, owner.String())
		})
	}
}
