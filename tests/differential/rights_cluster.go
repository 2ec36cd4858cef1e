package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// aboutAll are requests about the cluster, about transactions, users and tokens, and those for all that one may see.
var aboutAll = []func() kmsg.Request{
	func() kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, true
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeClusterAuthorizedOperations = true
		return req
	},
	func() kmsg.Request { return kmsg.NewPtrDescribeTopicPartitionsRequest() },
	func() kmsg.Request { return kmsg.NewPtrListGroupsRequest() },
	func() kmsg.Request { return kmsg.NewPtrListTransactionsRequest() },
	func() kmsg.Request {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = []string{"tx", "absent"}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = 1, "tx", []string{"tx", "absent"}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID = "tx", 987654
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionTimeoutMillis = 1000
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = new("tx"), -5
		return req
	},
	func() kmsg.Request { return rulesLike(every) },
	func() kmsg.Request { return newRules(allows(kmsg.ACLResourceTypeCluster, "x", kmsg.ACLOperationAlter)) },
	func() kmsg.Request {
		return noRules(rule{kmsg.ACLResourceTypeTopic, new("x"), kmsg.ACLResourcePatternTypeLiteral, nil, nil, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny})
	},
	func() kmsg.Request { return kmsg.NewPtrDescribeClientQuotasRequest() },
	func() kmsg.Request {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.ValidateOnly = true
		req.Entries = []kmsg.AlterClientQuotasRequestEntry{{
			Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user", Name: new("x")}},
			Ops:    []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1}},
		}}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		req.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "nobody"}}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		req.Deletions = []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "nobody", Mechanism: 1}}
		return req
	},
	func() kmsg.Request { return kmsg.NewPtrDescribeQuorumRequest() },
	func() kmsg.Request {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = 7
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.ValidateOnly, req.TimeoutMillis = true, 1000
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType = "group.version", 9, 1
		req.FeatureUpdates = append(req.FeatureUpdates, u)
		return req
	},
	func() kmsg.Request { return kmsg.NewPtrListConfigResourcesRequest() },
	func() kmsg.Request {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{
			{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1", ConfigNames: []string{"num.partitions"}},
			{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "", ConfigNames: []string{"num.partitions"}},
			{ResourceType: kmsg.ConfigResourceTypeBrokerLogger, ResourceName: "1", ConfigNames: []string{"no.such"}},
			{ResourceType: kmsg.ConfigResourceTypeClientMetrics, ResourceName: "x"},
		}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = true
		for _, kind := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics} {
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kind, "1"
			req.Resources = append(req.Resources, r)
		}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "owned", Partitions: []int32{0}}}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		req.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: "/no/such", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: "owned", Partitions: []int32{0}}}}}
		return req
	},
	func() kmsg.Request {
		req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
		req.TimeoutMillis = 1000
		req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: "owned", Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}
		return req
	},
	func() kmsg.Request { return kmsg.NewPtrListPartitionReassignmentsRequest() },
	func() kmsg.Request {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		req.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 987654, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "absent", Partitions: []int32{0}}}}}
		return req
	},
	func() kmsg.Request { return tokensOf(nil) },
	func() kmsg.Request { return tokensOf([]string{"bob"}) },
	func() kmsg.Request { return renewal([]byte("none"), -1) },
	func() kmsg.Request { return expiry([]byte("none"), -1) },
}

// tokenRights makes, shows, renews and ends delegation tokens where that takes rights.
func tokenRights(p *pair) error {
	alice, bob := p.as(password("alice")), p.as(password("bob"))
	defer alice.leave()
	defer bob.leave()
	if err := p.ownTokens(alice, bob); err != nil {
		return err
	}
	const users, tokens = kmsg.ACLResourceTypeUser, kmsg.ACLResourceTypeDelegationToken
	secret := func(name string) func(*side) []byte {
		return func(s *side) []byte { return recall[token](s, name).hmac }
	}
	named := func(name string, operation kmsg.ACLOperation) func(*side) kmsg.Request {
		return func(s *side) kmsg.Request { return newRules(allows(tokens, recall[token](s, name).id, operation)) }
	}
	held := func(rules ...rule) func(*side) kmsg.Request {
		return same(func() kmsg.Request { return newRules(rules...) })
	}
	for _, row := range []struct {
		step string
		make func(*side) kmsg.Request
	}{
		{"no right", held(allows(kmsg.ACLResourceTypeTopic, "x", kmsg.ACLOperationRead))},
		{"DESCRIBE of one of bob's", named("bob's own", kmsg.ACLOperationDescribe)},
		{"ALL of one of bob's", named("bob's own", kmsg.ACLOperationAll)},
		{"READ of one of bob's", named("bob's own", kmsg.ACLOperationRead)},
		{"DESCRIBE of all tokens", held(allows(tokens, "*", kmsg.ACLOperationDescribe))},
		{"DESCRIBE_TOKENS of bob", held(allows(users, "User:bob", kmsg.ACLOperationDescribeTokens))},
		{"DESCRIBE_TOKENS of everybody", held(allows(users, "*", kmsg.ACLOperationDescribeTokens))},
		{"CREATE_TOKENS for bob", held(allows(users, "User:bob", kmsg.ACLOperationCreateTokens))},
		{"CREATE_TOKENS for those that begin so", held(allows(users, "User:b", kmsg.ACLOperationCreateTokens).prefixed())},
		{"CREATE_TOKENS for everybody but bob", held(allows(users, "*", kmsg.ACLOperationCreateTokens), allows(users, "User:bob", kmsg.ACLOperationCreateTokens).denied())},
		{"ALL of bob", held(allows(users, "User:bob", kmsg.ACLOperationAll))},
		{"bob without User", held(allows(users, "bob", kmsg.ACLOperationAll))},
		{"a denial of her own", held(allows(users, "User:alice", kmsg.ACLOperationAll).denied(), allows(tokens, "*", kmsg.ACLOperationAll).denied())},
	} {
		p.give(row.step, row.make)
		for _, owners := range [][]string{nil, {}, {"alice"}, {"bob"}, {"alice", "bob"}, {"nobody"}} {
			alice.newestOf(row.step+": alice describes those of "+fmt.Sprintf("%q", owners), same(func() kmsg.Request { return tokensOf(owners) }))
		}
		for _, name := range []string{"bob's own", "alice's own", "alice's, which bob renews"} {
			alice.newestOf(row.step+": alice renews "+name, func(s *side) kmsg.Request { return renewal(secret(name)(s), 2*hour) })
			alice.newestOf(row.step+": alice changes the end of "+name, func(s *side) kmsg.Request { return expiry(secret(name)(s), 2*hour) })
			bob.newestOf(row.step+": bob renews "+name, func(s *side) kmsg.Request { return renewal(secret(name)(s), 2*hour) })
		}
		for _, owner := range []string{"alice", "bob", "carol"} {
			alice.newestOf(row.step+": alice makes one for "+owner, func(s *side) kmsg.Request {
				return newToken(func(r *kmsg.CreateDelegationTokenRequest) {
					r.OwnerPrincipalType, r.OwnerPrincipalName, r.MaxLifetimeMillis = new("User"), &owner, 0
				})(s, 0)
			})
		}
		p.take()
	}
	return p.workRights()
}

// ownTokens makes the tokens that are asked about.
func (p *pair) ownTokens(alice, bob *pair) error {
	for _, row := range []struct {
		name string
		as   *pair
		fill func(*kmsg.CreateDelegationTokenRequest)
	}{{"alice's own", alice, nil}, {"bob's own", bob, nil}, {"alice's, which bob renews", alice, renewedBy("User", "bob")}} {
		answers := row.as.newestOf("made, "+row.name, func(s *side) kmsg.Request { return newToken(row.fill)(s, 0) })
		if err := remember(p, row.name, answers, func(r *kmsg.CreateDelegationTokenResponse) token { return token{r.TokenID, r.HMAC} }); err != nil {
			return err
		}
	}
	alice.settled("alice has", same(func() kmsg.Request { return tokensOf(nil) }))
	bob.settled("bob has", same(func() kmsg.Request { return tokensOf(nil) }))
	return nil
}

// workRights asks for all, with a right of alice's, as who has come in with a token of hers.
func (p *pair) workRights() error {
	worker := p.as(func(s *side) error {
		t := recall[token](s, "alice's own")
		_, err := s.prove(t.id, t.hmac)
		return err
	})
	defer worker.leave()
	p.give("READ for alice", same(func() kmsg.Request {
		return newRules(allows(kmsg.ACLResourceTypeTopic, "owned", kmsg.ACLOperationRead), allows(kmsg.ACLResourceTypeUser, "*", kmsg.ACLOperationAll))
	}))
	worker.askAll("as who has a token", func(step string, build func(s *side, version int16) kmsg.Request) {
		worker.newestOf(step, func(s *side) kmsg.Request { return build(s, worker.newest(build(s, 0))) })
	})
	worker.newestOf("who has a token makes one", func(s *side) kmsg.Request { return newToken(nil)(s, 0) })
	p.take()
	return nil
}
