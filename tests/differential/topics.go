package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func apiVersions(p *pair) error {
	build := func(*side) kmsg.Request {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "differential", "1"
		return req
	}
	for v := range int16(5) {
		p.ask("all", v, build)
	}
	p.ask("a name that is none", 3, func(*side) kmsg.Request {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "no name", "1"
		return req
	})
	return nil
}

func cluster(p *pair) error {
	p.each("plain", func(*side, int16) kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() })
	p.each("operations", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeClusterAuthorizedOperations = true
		return req
	})
	p.each("controllers", func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = 2
		return req
	})
	return nil
}

// topic is one topic of a CreateTopics request, as rows of a table say it.
type topic struct {
	name       string
	partitions int32
	replicas   int16
	assigned   [][]int32 // brokers by partition
	configs    map[string]string
}

func (t topic) request() kmsg.CreateTopicsRequestTopic {
	r := kmsg.NewCreateTopicsRequestTopic()
	r.Topic, r.NumPartitions, r.ReplicationFactor = t.name, t.partitions, t.replicas
	for i, brokers := range t.assigned {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), brokers
		r.ReplicaAssignment = append(r.ReplicaAssignment, a)
	}
	for _, name := range sorted(t.configs) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, kmsg.StringPtr(t.configs[name])
		r.Configs = append(r.Configs, c)
	}
	return r
}

func creating(validateOnly bool, topics ...topic) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.ValidateOnly = 10_000, validateOnly
	for _, t := range topics {
		req.Topics = append(req.Topics, t.request())
	}
	return req
}

// create makes topics on both sides and waits until both know them.
func (p *pair) create(topics ...topic) error {
	resp := p.newestOf("create", same(func() kmsg.Request { return creating(false, topics...) }))
	for _, t := range topics {
		for _, r := range resp {
			if r == nil {
				return fmt.Errorf("topics are not created")
			}
		}
		if err := p.learn(t.name); err != nil {
			return err
		}
	}
	return nil
}

// learn remembers a topic's id under its name. Kafka's brokers hear of a topic a moment after its creation is answered.
func (p *pair) learn(name string) error {
	for _, s := range p.sides() {
		req := kmsg.NewPtrMetadataRequest()
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = []kmsg.MetadataRequestTopic{topic}
		req.AllowAutoTopicCreation = false
		var id [16]byte
		for deadline := time.Now().Add(patience); id == [16]byte{}; time.Sleep(10 * time.Millisecond) {
			resp, ok := s.ask(12, req).response.(*kmsg.MetadataResponse)
			if ok && len(resp.Topics) == 1 && resp.Topics[0].ErrorCode == 0 && s.leads(name) {
				id = resp.Topics[0].TopicID
			} else if time.Now().After(deadline) {
				return fmt.Errorf("%s does not know topic %s", s.name, name)
			}
		}
		s.seen["id of "+name] = id
		s.call(hex.EncodeToString(id[:]), "id of "+name)
	}
	return nil
}

// leads says that the broker serves partition 0 of a topic, which in Kafka may be later than it is in the metadata.
func (s *side) leads(name string) bool {
	resp, ok := s.ask(7, listing(s, name, 0, -1, -1)).response.(*kmsg.ListOffsetsResponse)
	return ok && resp.Topics[0].Partitions[0].ErrorCode == 0
}

func (s *side) topicID(name string) [16]byte { return recall[[16]byte](s, "id of "+name) }

func createTopics(p *pair) error {
	rows := []struct {
		step   string
		topics []topic
	}{
		{"valid", []topic{{name: "a", partitions: 3, replicas: 1}}},
		{"defaults", []topic{{name: "b", partitions: -1, replicas: -1}}},
		{"exists", []topic{{name: "a", partitions: 3, replicas: 1}}},
		{"no partitions", []topic{{name: "c", partitions: 0, replicas: 1}}},
		{"negative partitions", []topic{{name: "c", partitions: -2, replicas: 1}}},
		{"no replicas", []topic{{name: "c", partitions: 1, replicas: 0}}},
		{"too many replicas", []topic{{name: "c", partitions: 1, replicas: 3}}},
		{"twice in a request", []topic{{name: "c", partitions: 1, replicas: 1}, {name: "c", partitions: 1, replicas: 1}}},
		{"configs", []topic{{name: "d", partitions: 1, replicas: 1, configs: map[string]string{"retention.ms": "1000", "cleanup.policy": "compact,delete"}}}},
		{"unknown config", []topic{{name: "e", partitions: 1, replicas: 1, configs: map[string]string{"no.such": "1"}}}},
		{"bad config", []topic{{name: "e", partitions: 1, replicas: 1, configs: map[string]string{"retention.ms": "soon"}}}},
		{"config out of range", []topic{{name: "e", partitions: 1, replicas: 1, configs: map[string]string{"min.insync.replicas": "0"}}}},
		{"bad policy", []topic{{name: "e", partitions: 1, replicas: 1, configs: map[string]string{"cleanup.policy": "burn"}}}},
		{"assigned", []topic{{name: "f", partitions: -1, replicas: -1, assigned: [][]int32{{1}, {1}}}}},
		{"assigned and counted", []topic{{name: "g", partitions: 2, replicas: 1, assigned: [][]int32{{1}, {1}}}}},
		{"assigned to nobody", []topic{{name: "g", partitions: -1, replicas: -1, assigned: [][]int32{{7}}}}},
		{"assigned twice", []topic{{name: "g", partitions: -1, replicas: -1, assigned: [][]int32{{1, 1}}}}},
		{"good and bad", []topic{{name: "h", partitions: 1, replicas: 1}, {name: "i", partitions: 0, replicas: 1}}},
	}
	prefixed := func(v int16, topics []topic) []topic {
		var all []topic
		for _, t := range topics {
			t.name = fmt.Sprintf("create-v%d-%s", v, t.name)
			all = append(all, t)
		}
		return all
	}
	for _, row := range rows {
		for _, only := range []bool{true, false} {
			p.each(fmt.Sprintf("%s, validate only %v", row.step, only), func(_ *side, v int16) kmsg.Request { return creating(only, prefixed(v, row.topics)...) })
		}
	}
	for _, name := range []string{"", ".", "..", "a b", "ä", "__x", "a/b", strings.Repeat("x", 250), strings.Repeat("y", 249)} {
		p.newestOf("name "+shorten(name), same(func() kmsg.Request { return creating(true, topic{name: name, partitions: 1, replicas: 1}) }))
	}
	return nil
}

func deleteTopics(p *pair) error {
	for _, v := range p.versions(kmsg.NewPtrDeleteTopicsRequest()) {
		name := fmt.Sprintf("delete-v%d", v)
		if err := p.create(topic{name: name, partitions: 1, replicas: 1}, topic{name: name + "-id", partitions: 1, replicas: 1}); err != nil {
			return err
		}
		byName := same(func() kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis = 10_000
			for _, n := range []string{name, "never-was"} {
				req.TopicNames = append(req.TopicNames, n)
				req.Topics = append(req.Topics, kmsg.DeleteTopicsRequestTopic{Topic: kmsg.StringPtr(n)})
			}
			return req
		})
		p.ask("by name", v, byName)
		p.ask("again", v, byName)
		if v < 6 {
			continue
		}
		byID := func(s *side) kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis = 10_000
			req.Topics = []kmsg.DeleteTopicsRequestTopic{{TopicID: s.topicID(name + "-id")}, {TopicID: [16]byte{1, 2, 3}}}
			return req
		}
		p.ask("by id", v, byID)
		p.ask("both", v, func(s *side) kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("x"), TopicID: [16]byte{1, 2, 3}}}
			return req
		})
	}
	return nil
}

func metadata(p *pair) error {
	if err := p.create(topic{name: "known", partitions: 2, replicas: 1}); err != nil {
		return err
	}
	asked := func(names ...string) func(*side, int16) kmsg.Request {
		return func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics = []kmsg.MetadataRequestTopic{}
			req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, v >= 8 && v <= 10
			for _, n := range names {
				t := kmsg.NewMetadataRequestTopic()
				t.Topic = kmsg.StringPtr(n)
				req.Topics = append(req.Topics, t)
			}
			return req
		}
	}
	p.each("one topic", asked("known"))
	for v := int16(4); v <= p.newest(kmsg.NewPtrMetadataRequest()); v++ { // older ones create it
		p.ask("a topic that is not there", v, func(s *side) kmsg.Request {
			req := asked("known", "not-there")(s, v)
			req.(*kmsg.MetadataRequest).AllowAutoTopicCreation = false
			return req
		})
	}
	p.each("a name that is none", asked("no name"))
	for _, v := range p.versions(kmsg.NewPtrMetadataRequest()) {
		if v == 0 {
			continue // asks for all topics with an empty list
		}
		p.ask("no topics", v, func(s *side) kmsg.Request { return asked()(s, v) })
	}
	for v := int16(10); v <= p.newest(kmsg.NewPtrMetadataRequest()); v++ {
		p.ask("by id", v, func(s *side) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			req.AllowAutoTopicCreation = false
			for _, id := range [][16]byte{s.topicID("known"), {9, 9}} {
				req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{TopicID: id})
			}
			return req
		})
	}
	described := func(limit int32, names ...string) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeTopicPartitionsRequest()
			req.ResponsePartitionLimit = limit
			for _, n := range names {
				req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: n})
			}
			return req
		}
	}
	p.each("described", described(100, "known", "not-there"))
	p.each("described, a page", described(1, "known", "not-there"))
	return nil
}

func partitions(p *pair) error {
	for _, v := range p.versions(kmsg.NewPtrCreatePartitionsRequest()) {
		name := fmt.Sprintf("partitions-v%d", v)
		if err := p.create(topic{name: name, partitions: 2, replicas: 1}); err != nil {
			return err
		}
		for _, row := range []struct {
			step     string
			topic    string
			count    int32
			assigned [][]int32
			only     bool
		}{
			{"validated", name, 5, nil, true},
			{"grown", name, 3, nil, false},
			{"the same", name, 3, nil, false},
			{"fewer", name, 1, nil, false},
			{"none", name, 0, nil, false},
			{"negative", name, -1, nil, false},
			{"unknown topic", "never-was", 3, nil, false},
			{"assigned", name, 4, [][]int32{{1}}, false},
			{"too few assigned", name, 7, [][]int32{{1}}, false},
			{"assigned to nobody", name, 5, [][]int32{{9}}, false},
		} {
			p.ask(row.step, v, same(func() kmsg.Request {
				req := kmsg.NewPtrCreatePartitionsRequest()
				req.TimeoutMillis, req.ValidateOnly = 10_000, row.only
				t := kmsg.NewCreatePartitionsRequestTopic()
				t.Topic, t.Count = row.topic, row.count
				for _, brokers := range row.assigned {
					t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: brokers})
				}
				req.Topics = append(req.Topics, t)
				return req
			}))
		}
	}
	return nil
}
