package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rights asks, as alice, for everything there is to be asked for, with one right after the other.
func rights(p *pair) error {
	if err := p.create(topic{name: "owned", partitions: 1, replicas: 1}, topic{name: "other", partitions: 1, replicas: 1}); err != nil {
		return err
	}
	p.fill("owned", 3)
	p.fill("other", 3)
	p.settled("there is a coordinator of transactions", same(func() kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = 1, "tx", []string{"tx"}
		return req
	}))
	alice := p.as(password("alice"))
	defer alice.leave()
	alice.askAll("without a right", alice.each)
	var sets [][]rule
	for operation := kmsg.ACLOperationAll; operation <= kmsg.ACLOperationDescribeTokens; operation++ {
		for _, on := range []struct {
			kind kmsg.ACLResourceType
			name string
		}{
			{kmsg.ACLResourceTypeTopic, "owned"},
			{kmsg.ACLResourceTypeGroup, "mine"},
			{kmsg.ACLResourceTypeTransactionalId, "tx"},
			{kmsg.ACLResourceTypeCluster, "kafka-cluster"},
			{kmsg.ACLResourceTypeUser, "User:bob"},
		} {
			sets = append(sets, []rule{allows(on.kind, on.name, operation)})
		}
	}
	read := func(kind kmsg.ACLResourceType, name string) rule { return allows(kind, name, kmsg.ACLOperationRead) }
	const topics, groups, transactions = kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup, kmsg.ACLResourceTypeTransactionalId
	write := allows(topics, "owned", kmsg.ACLOperationWrite)
	sets = append(sets,
		[]rule{read(topics, "o").prefixed()},
		[]rule{read(topics, "*")},
		[]rule{read(topics, "*"), read(topics, "ow").prefixed().denied()},
		[]rule{read(topics, "*"), read(topics, "owned").denied().to("User:alice", "10.0.0.1")},
		[]rule{read(topics, "*").to("User:*", "127.0.0.1")},
		[]rule{read(topics, "*").to("User:bob", "*"), read(topics, "owned").to("Group:alice", "*")},
		[]rule{read(topics, "owned"), allows(topics, "owned", kmsg.ACLOperationDescribe).denied()},
		[]rule{allows(topics, "owned", kmsg.ACLOperationAll), allows(topics, "*", kmsg.ACLOperationWrite).denied()},
		[]rule{read(topics, "owned"), read(groups, "mine")},
		[]rule{read(topics, "owned"), read(groups, "m").prefixed(), read(transactions, "t").prefixed(), allows(transactions, "tx", kmsg.ACLOperationWrite)},
		[]rule{write, allows(transactions, "tx", kmsg.ACLOperationWrite)},
		[]rule{allows(topics, "absent", kmsg.ACLOperationCreate), allows(topics, "absent", kmsg.ACLOperationDescribeConfigs)},
		[]rule{allows(topics, "abs", kmsg.ACLOperationAll).prefixed()},
		[]rule{allows(topics, "*", kmsg.ACLOperationAll), allows(groups, "*", kmsg.ACLOperationAll), allows(transactions, "*", kmsg.ACLOperationAll)},
	)
	for _, set := range sets {
		p.hold(set, alice)
	}
	return nil
}

// hold gives rules, asks for everything, and takes them away.
func (p *pair) hold(set []rule, alice *pair) {
	p.give(fmt.Sprint(set), same(func() kmsg.Request { return newRules(set...) }))
	alice.askAll(fmt.Sprint(set), func(step string, build func(s *side, version int16) kmsg.Request) {
		alice.newestOf(step, func(s *side) kmsg.Request { return build(s, alice.newest(build(s, 0))) })
	})
	p.take()
}

// give makes rules, and waits until Kafka's broker has heard of them.
func (p *pair) give(step string, build func(*side) kmsg.Request) {
	p.newestOf("given "+step, build)
	p.settled("there are "+step, same(func() kmsg.Request { return rulesLike(every) }))
}

// take ends all rules.
func (p *pair) take() {
	p.newestOf("taken away", same(func() kmsg.Request { return noRules(every) }))
	p.settled("there are none", same(func() kmsg.Request { return rulesLike(every) }))
}

// askAll asks for all there is, so that little changes where it is allowed.
func (p *pair) askAll(step string, ask func(step string, build func(s *side, version int16) kmsg.Request)) {
	for _, topics := range [][]string{{"owned"}, {"other"}, {"absent"}, {"owned", "absent", "other"}} {
		for _, build := range aboutTopics {
			ask(fmt.Sprintf("%s, topics %q", step, topics), func(_ *side, version int16) kmsg.Request { return build(topics, version) })
		}
	}
	for _, build := range aboutGroups {
		ask(step+", group", func(s *side, _ int16) kmsg.Request { return build(s, "mine") })
		ask(step+", another group", func(s *side, _ int16) kmsg.Request { return build(s, "theirs") })
	}
	for _, build := range aboutAll {
		ask(step, func(*side, int16) kmsg.Request { return build() })
	}
}

// each makes a slice of what is made of each topic.
func each[T any](topics []string, of func(string) T) []T {
	var all []T
	for _, t := range topics {
		all = append(all, of(t))
	}
	return all
}

// aboutTopics are requests that name topics.
var aboutTopics = []func(topics []string, version int16) kmsg.Request{
	func(topics []string, version int16) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.AllowAutoTopicCreation, req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = false, true, true
		if version < 4 {
			topics = []string{"other"} // others it would create
		}
		req.Topics = each(topics, func(t string) kmsg.MetadataRequestTopic { return kmsg.MetadataRequestTopic{Topic: &t} })
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics = each(topics, func(t string) kmsg.DescribeTopicPartitionsRequestTopic {
			return kmsg.DescribeTopicPartitionsRequestTopic{Topic: t}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		req.Topics = each(topics, func(t string) kmsg.ListOffsetsRequestTopic {
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Timestamp = -1
			return kmsg.ListOffsetsRequestTopic{Topic: t, Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.ReplicaID = -1
		req.Topics = each(topics, func(t string) kmsg.OffsetForLeaderEpochRequestTopic {
			return kmsg.OffsetForLeaderEpochRequestTopic{Topic: t, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{CurrentLeaderEpoch: -1}}}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.ValidateOnly, req.TimeoutMillis = true, 1000
		req.Topics = each(topics, func(t string) kmsg.CreateTopicsRequestTopic {
			r := kmsg.NewCreateTopicsRequestTopic()
			r.Topic, r.NumPartitions, r.ReplicationFactor = t, 1, 1
			return r
		})
		return req
	},
	func(topics []string, version int16) kmsg.Request {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 1000
		topics = each(topics, func(t string) string { return "absent-" + t })
		req.TopicNames = topics
		req.Topics = each(topics, func(t string) kmsg.DeleteTopicsRequestTopic { return kmsg.DeleteTopicsRequestTopic{Topic: &t} })
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 1000
		req.Topics = each(topics, func(t string) kmsg.DeleteRecordsRequestTopic {
			return kmsg.DeleteRecordsRequestTopic{Topic: t, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 1}}}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.ValidateOnly, req.TimeoutMillis = true, 1000
		req.Topics = each(topics, func(t string) kmsg.CreatePartitionsRequestTopic {
			return kmsg.CreatePartitionsRequestTopic{Topic: t, Count: 2}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = each(topics, func(t string) kmsg.DescribeProducersRequestTopic {
			return kmsg.DescribeProducersRequestTopic{Topic: t, Partitions: []int32{0}}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = each(topics, func(t string) kmsg.DescribeConfigsRequestResource {
			return kmsg.DescribeConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: t, ConfigNames: []string{"cleanup.policy"}}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.ValidateOnly = true
		req.Resources = each(topics, func(t string) kmsg.AlterConfigsRequestResource {
			return kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: t}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = true
		req.Resources = each(topics, func(t string) kmsg.IncrementalAlterConfigsRequestResource {
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, t
			return r
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrElectLeadersRequest()
		req.TimeoutMillis = 1000
		req.Topics = each(topics, func(t string) kmsg.ElectLeadersRequestTopic {
			return kmsg.ElectLeadersRequestTopic{Topic: t, Partitions: []int32{0}}
		})
		return req
	},
	func(topics []string, _ int16) kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID = "tx", 987654
		one := kmsg.NewAddPartitionsToTxnRequestTransaction()
		one.TransactionalID, one.ProducerID = "tx", 987654
		for _, t := range topics {
			req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: t, Partitions: []int32{0}})
			one.Topics = append(one.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: t, Partitions: []int32{0}})
		}
		req.Transactions = append(req.Transactions, one)
		return req
	},
}

// idOf is a topic's id, or the one that no topic has.
func (s *side) idOf(t string) [16]byte {
	if t == "absent" {
		return [16]byte{7, 7}
	}
	return s.topicID(t)
}

// offsetOf commits an offset of a topic.
func (s *side) offsetOf(t string) kmsg.OffsetCommitRequestTopic {
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	return kmsg.OffsetCommitRequestTopic{Topic: t, TopicID: s.idOf(t), Partitions: []kmsg.OffsetCommitRequestTopicPartition{part}}
}

// aboutGroups are requests that name a group.
var aboutGroups = []func(s *side, group string) kmsg.Request{
	func(s *side, group string) kmsg.Request {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.Generation = group, -1
		req.Topics = each([]string{"owned", "other", "absent"}, s.offsetOf)
		return req
	},
	func(s *side, group string) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group = group
		req.Topics = each([]string{"owned", "other", "absent"}, func(t string) kmsg.OffsetFetchRequestTopic {
			return kmsg.OffsetFetchRequestTopic{Topic: t, Partitions: []int32{0}}
		})
		req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1, Topics: each([]string{"owned", "other", "absent"}, func(t string) kmsg.OffsetFetchRequestGroupTopic {
			return kmsg.OffsetFetchRequestGroupTopic{Topic: t, TopicID: s.idOf(t), Partitions: []int32{0}}
		})}}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group = group
		req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: group, MemberEpoch: -1}}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = group, "consumer", 1, 1
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		return req
	},
	func(_ *side, group string) kmsg.Request { return beating(group, "nobody", 1) },
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID, req.Members = group, "nobody", []kmsg.LeaveGroupRequestMember{{MemberID: "nobody"}}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation, req.ProtocolType, req.Protocol = group, "nobody", 1, new("consumer"), new("range")
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrShareGroupDescribeRequest()
		req.GroupIDs, req.IncludeAuthorizedOperations = []string{group}, true
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		req.Topics = each([]string{"owned", "other", "absent"}, func(t string) kmsg.OffsetDeleteRequestTopic {
			return kmsg.OffsetDeleteRequestTopic{Topic: t, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}
		})
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{group + "-absent"}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.Group = "tx", 987654, group
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.ProducerID, req.Group, req.Generation = "tx", 987654, group, -1
		req.Topics = each([]string{"other", "absent"}, func(t string) kmsg.TxnOffsetCommitRequestTopic {
			return kmsg.TxnOffsetCommitRequestTopic{Topic: t, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{LeaderEpoch: -1}}}
		})
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch = group, "nobody", 5
		req.SubscribedTopicNames = []string{"other"}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.GroupID, req.MemberID, req.MemberEpoch = group, "nobody", 5
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
		req.Groups = []kmsg.DescribeShareGroupOffsetsRequestGroup{{GroupID: group}}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
		req.GroupID = group
		req.Topics = []kmsg.DeleteShareGroupOffsetsRequestTopic{{Topic: "owned"}, {Topic: "other"}}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: group}}
		return req
	},
	func(_ *side, group string) kmsg.Request {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = true
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
		req.Resources = append(req.Resources, r)
		return req
	},
}
