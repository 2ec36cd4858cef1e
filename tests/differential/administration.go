package main

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func administration(p *pair) error {
	if err := p.create(topic{name: "managed", partitions: 2, replicas: 1}); err != nil {
		return err
	}
	for _, topics := range [][]string{nil, {"managed"}, {"managed", "never-was"}} {
		for kind := range int8(3) {
			p.each(fmt.Sprintf("elect leaders of %q, kind %d", topics, kind), func(*side, int16) kmsg.Request {
				req := kmsg.NewPtrElectLeadersRequest()
				req.ElectionType, req.TimeoutMillis = kind, 5000
				for _, t := range topics {
					req.Topics = append(req.Topics, kmsg.ElectLeadersRequestTopic{Topic: t, Partitions: []int32{0, 5}})
				}
				return req
			})
		}
		p.each(fmt.Sprintf("reassignments of %q", topics), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrListPartitionReassignmentsRequest()
			for _, t := range topics {
				req.Topics = append(req.Topics, kmsg.ListPartitionReassignmentsRequestTopic{Topic: t, Partitions: []int32{0, 5}})
			}
			return req
		})
		if topics == nil {
			continue // everything of both, which earlier scenarios filled
		}
		p.each(fmt.Sprintf("log dirs of %q", topics), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			for _, t := range topics {
				req.Topics = append(req.Topics, kmsg.DescribeLogDirsRequestTopic{Topic: t, Partitions: []int32{0, 1}})
			}
			return req
		})
	}
	p.each("describe ACLs", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
		return req
	})
	p.each("create an ACL", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrCreateACLsRequest()
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.Principal, c.Host, c.Operation, c.PermissionType = 2, "t", "User:x", "*", 3, 3
		req.Creations = append(req.Creations, c)
		return req
	})
	p.each("delete ACLs", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDeleteACLsRequest()
		f := kmsg.NewDeleteACLsRequestFilter()
		f.ResourceType, f.ResourcePatternType, f.Operation, f.PermissionType = 1, 1, 1, 1
		req.Filters = append(req.Filters, f)
		return req
	})
	return controllers(p)
}

// controllers asks what Kafka's brokers pass on to their controllers, of which there is one, without others to choose from.
func controllers(p *pair) error {
	for _, row := range []struct {
		step      string
		topic     string
		partition int32
		replicas  []int32
	}{
		{"as it is", "managed", 0, []int32{1}},
		{"cancelled", "managed", 0, nil},
		{"to nobody", "managed", 0, []int32{}},
		{"to another broker", "managed", 0, []int32{7}},
		{"to more", "managed", 0, []int32{1, 7}},
		{"twice to one", "managed", 0, []int32{1, 1}},
		{"no such partition", "managed", 9, []int32{1}},
		{"no such topic", "never-was", 0, []int32{1}},
	} {
		p.each("reassigned, "+row.step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			req.TimeoutMillis = 5000
			part := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			part.Partition, part.Replicas = row.partition, row.replicas
			req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: row.topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{part}}}
			return req
		})
	}
	quorum(p)
	features(p)
	directories(p)
	return nil
}

// quorum asks about brokers and voters.
func quorum(p *pair) {
	for _, row := range []struct {
		step, topic string
		partition   int32
	}{{"the metadata", "__cluster_metadata", 0}, {"another partition", "__cluster_metadata", 1}, {"a topic", "managed", 0}} {
		p.each("quorum of "+row.step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeQuorumRequest()
			req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: row.topic, Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{Partition: row.partition}}}}
			return req
		})
	}
	for _, broker := range []int32{-1, 7} {
		p.each(fmt.Sprint("unregister broker ", broker), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrUnregisterBrokerRequest()
			req.BrokerID = broker
			return req
		})
	}
	for _, voter := range []int32{1, 7} {
		p.each(fmt.Sprint("add voter ", voter), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAddRaftVoterRequest()
			req.VoterID, req.VoterDirectoryID, req.TimeoutMillis = voter, [16]byte{1}, 1000
			req.Listeners = []kmsg.AddRaftVoterRequestListener{{Name: "CONTROLLER", Host: "localhost", Port: 1}}
			return req
		})
		p.each(fmt.Sprint("remove voter ", voter), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrRemoveRaftVoterRequest()
			req.VoterID, req.VoterDirectoryID = voter, [16]byte{1}
			return req
		})
	}
}

// features asks for levels of features, without changing them.
func features(p *pair) {
	for _, row := range []struct {
		step, feature string
		level         int16
		upgrade       int8
	}{
		{"to what it is", "group.version", 1, 1},
		{"an unknown one", "no.such", 1, 1},
		{"too high", "group.version", 9, 1},
		{"down without asking for it", "transaction.version", 1, 1},
		{"an unknown way", "group.version", 1, 9},
		{"no name", "", 1, 1},
		{"to what it is", "metadata.version", 30, 1},
		{"too low", "metadata.version", 3, 3},
		{"from the future", "metadata.version", 99, 1},
	} {
		p.each("feature, "+row.step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			req.TimeoutMillis, req.ValidateOnly = 1000, true
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel, u.UpgradeType = row.feature, row.level, row.upgrade
			req.FeatureUpdates = append(req.FeatureUpdates, u)
			return req
		})
	}
}

// directories asks for partitions to be moved to directories that are not there.
func directories(p *pair) {
	for _, dir := range []string{"/no/such", "relative", ""} {
		p.each(fmt.Sprintf("moved to directory %q", dir), func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			req.Dirs = []kmsg.AlterReplicaLogDirsRequestDir{{Dir: dir, Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{
				{Topic: "managed", Partitions: []int32{0, 9}}, {Topic: "never-was", Partitions: []int32{0}},
			}}}
			return req
		})
	}
}

// reading are the requests that change nothing, so that random ones leave both sides alike. DescribeConfigs is not among them: the scenario of that
// name asks for all there is.
func reading() []kmsg.Request {
	return []kmsg.Request{
		kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrMetadataRequest(), kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrFindCoordinatorRequest(),
		kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrListGroupsRequest(), kmsg.NewPtrOffsetForLeaderEpochRequest(),
		kmsg.NewPtrDescribeTopicPartitionsRequest(), kmsg.NewPtrDescribeClusterRequest(), kmsg.NewPtrListPartitionReassignmentsRequest(),
		kmsg.NewPtrDescribeACLsRequest(), kmsg.NewPtrHeartbeatRequest(), kmsg.NewPtrDescribeLogDirsRequest(), kmsg.NewPtrListConfigResourcesRequest(),
		kmsg.NewPtrDescribeProducersRequest(), kmsg.NewPtrDescribeTransactionsRequest(), kmsg.NewPtrListTransactionsRequest(),
		kmsg.NewPtrDescribeClientQuotasRequest(), kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), kmsg.NewPtrConsumerGroupDescribeRequest(),
		kmsg.NewPtrShareGroupDescribeRequest(), kmsg.NewPtrDescribeShareGroupOffsetsRequest(),
	}
}

// random sends requests whose members are drawn from what exists and what does not.
func random(p *pair) error {
	if err := p.create(topic{name: "some", partitions: 2, replicas: 1}); err != nil {
		return err
	}
	p.fill("some", 3)
	for _, req := range reading() {
		for _, v := range p.versions(req) {
			if req.Key() == int16(kmsg.Metadata) && v < 4 {
				continue // creates what it asks for
			}
			for i := range p.random {
				seed := [2]uint64{p.seed, uint64(req.Key())<<32 | uint64(v)<<16 | uint64(i)}
				p.ask(fmt.Sprint("number ", i), v, func(s *side) kmsg.Request {
					d := drawer{rnd: rand.New(rand.NewPCG(seed[0], seed[1])), side: s}
					drawn := kmsg.RequestForKey(req.Key())
					for d.fill("", reflect.ValueOf(drawn).Elem()); repeats(reflect.ValueOf(drawn).Elem()); {
						d.fill("", reflect.ValueOf(drawn).Elem())
					}
					if m, ok := drawn.(*kmsg.MetadataRequest); ok {
						m.AllowAutoTopicCreation = false
					}
					return drawn
				})
			}
		}
	}
	return nil
}

// repeats says that a request names something twice, which has another meaning in each of Kafka's requests.
func repeats(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "UnknownTags" && repeats(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice:
		seen := map[string]bool{}
		for i := range v.Len() {
			w := walker{side: newSide("", "", "")}
			key := w.key(0, v.Index(i))
			if v.Index(i).Kind() != reflect.Struct {
				key = fmt.Sprint(v.Index(i).Interface())
			}
			if seen[key] || repeats(v.Index(i)) {
				return true
			}
			seen[key] = true
		}
	}
	return false
}

type drawer struct {
	rnd  *rand.Rand
	side *side
}

func (d *drawer) fill(field string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "UnknownTags" && name != "Version" {
				d.fill(name, v.Field(i))
			}
		}
	case reflect.Bool:
		v.SetBool(d.rnd.IntN(2) == 0)
	case reflect.String:
		v.SetString([]string{"", "some", "fetched", "kept", "keeper", "1", "bad name", "cleanup.policy", "retention.ms", "Empty"}[d.rnd.IntN(10)])
	case reflect.Pointer:
		if d.rnd.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			d.fill(field, v.Elem())
		}
	case reflect.Array:
		id := [][16]byte{{}, {7, 7}, d.side.topicID("some")}[d.rnd.IntN(3)]
		reflect.Copy(v, reflect.ValueOf(id))
	case reflect.Slice:
		n := d.rnd.IntN(4)
		if n == 3 && d.rnd.IntN(2) == 0 {
			return // null, where it may be
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			d.fill(field, v.Index(i))
		}
	default:
		v.SetInt(d.number(field))
	}
}

// number draws a value of a field: mostly one that means something.
func (d *drawer) number(field string) int64 {
	numbers := []int64{-3, -2, -1, 0, 0, 1, 2, 4, 8, 100}
	if slices.Contains([]string{"Timestamp"}, field) {
		numbers = append(numbers, firstTimestamp, firstTimestamp+1500)
	}
	return numbers[d.rnd.IntN(len(numbers))]
}
