package msk

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakePlane has ports and topics, and serves nobody.
type fakePlane struct {
	t      *testing.T
	free   []int
	opened map[string]Spec
	opens  int
	topics map[string]map[string]*kmsg.MetadataResponseTopic // by namespace and name
	sets   map[string]map[string]string                      // configs, by topic
	noKeys bool
	fail   error                        // of Drop
	users  map[string]map[string]string // passwords, by namespace and name
}

// authorityARN is the one authority whose certificates a fakePlane knows.
const authorityARN = "arn:aws:acm-pca:eu-west-1:000000000000:certificate-authority/0f8fad5b-d9cb-469f-a165-70867728950e"

func newFakePlane(t *testing.T, ports int) *fakePlane {
	p := &fakePlane{t: t, opened: map[string]Spec{}, topics: map[string]map[string]*kmsg.MetadataResponseTopic{}, sets: map[string]map[string]string{}, users: map[string]map[string]string{}}
	for i := range ports {
		p.free = append(p.free, 9192+i)
	}
	return p
}

func (p *fakePlane) Address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

func (p *fakePlane) Open(_ context.Context, spec Spec) (Ports, error) {
	p.opens++
	if len(spec.Ports[IAM]) > 0 && p.noKeys {
		return nil, ErrNoKeys
	}
	for _, arn := range spec.Authorities {
		if arn != authorityARN {
			return nil, fmt.Errorf("%w: %s", ErrNoAuthority, arn)
		}
	}
	p.give(p.opened[spec.Namespace].Ports)
	delete(p.opened, spec.Namespace)
	got := Ports{}
	for _, access := range Accesses { // first those that can be had again
		for _, wanted := range spec.Ports[access] {
			i := slices.Index(p.free, wanted)
			if i < 0 {
				got[access] = append(got[access], 0)
				continue
			}
			got[access] = append(got[access], wanted)
			p.free = slices.Delete(p.free, i, i+1)
		}
	}
	for _, access := range Accesses {
		for i := range got[access] {
			switch {
			case got[access][i] != 0:
				continue
			case len(p.free) == 0:
				p.give(got)
				return nil, fmt.Errorf("%w of 9192-9199", ErrNoPorts)
			}
			got[access][i], p.free = p.free[0], p.free[1:]
		}
	}
	spec.Ports = got
	p.opened[spec.Namespace] = spec
	return got, nil
}

func (p *fakePlane) SetUsers(_ context.Context, namespace string, passwords map[string]string, remove []string) error {
	if p.users[namespace] == nil {
		p.users[namespace] = map[string]string{}
	}
	maps.Copy(p.users[namespace], passwords)
	for _, name := range remove {
		if name == "" {
			p.t.Error("a user without a name is removed")
		}
		delete(p.users[namespace], name)
	}
	return nil
}

func (p *fakePlane) give(back Ports) {
	for _, ports := range back {
		for _, port := range ports {
			if port != 0 {
				p.free = append(p.free, port)
			}
		}
	}
	slices.Sort(p.free)
}

func (p *fakePlane) Drop(_ context.Context, namespace string) error {
	if p.fail != nil {
		return p.fail
	}
	p.give(p.opened[namespace].Ports)
	delete(p.opened, namespace)
	delete(p.topics, namespace)
	return nil
}

func (p *fakePlane) Request(_ context.Context, namespace string, req kmsg.Request) (kmsg.Response, error) {
	if _, open := p.opened[namespace]; !open {
		p.t.Errorf("%s is not open", namespace)
	}
	topics := p.topics[namespace]
	if topics == nil {
		topics = map[string]*kmsg.MetadataResponseTopic{}
		p.topics[namespace] = topics
	}
	resp := req.ResponseKind()
	switch req := req.(type) {
	case *kmsg.MetadataRequest:
		p.metadata(topics, req, resp.(*kmsg.MetadataResponse))
	case *kmsg.CreateTopicsRequest:
		made := kmsg.NewCreateTopicsResponseTopic()
		asked := &req.Topics[0]
		made.Topic = asked.Topic
		made.ErrorCode, made.ErrorMessage = p.create(topics, asked)
		if made.ErrorCode == 0 {
			made.TopicID = topics[asked.Topic].TopicID
		}
		resp.(*kmsg.CreateTopicsResponse).Topics = append(resp.(*kmsg.CreateTopicsResponse).Topics, made)
	case *kmsg.DescribeConfigsRequest:
		r := kmsg.NewDescribeConfigsResponseResource()
		r.Configs = append(r.Configs, kmsg.DescribeConfigsResponseResourceConfig{Name: "max.message.bytes", Value: new("1"), Source: kmsg.ConfigSourceDefaultConfig})
		for key, v := range p.sets[req.Resources[0].ResourceName] {
			r.Configs = append(r.Configs, kmsg.DescribeConfigsResponseResourceConfig{Name: key, Value: &v, Source: kmsg.ConfigSourceDynamicTopicConfig})
		}
		resp.(*kmsg.DescribeConfigsResponse).Resources = append(resp.(*kmsg.DescribeConfigsResponse).Resources, r)
	case *kmsg.IncrementalAlterConfigsRequest:
		for _, c := range req.Resources[0].Configs {
			p.sets[req.Resources[0].ResourceName][c.Name] = *c.Value
		}
		resp.(*kmsg.IncrementalAlterConfigsResponse).Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, 1)
	case *kmsg.CreatePartitionsRequest:
		t := topics[req.Topics[0].Topic]
		t.Partitions = partitions(req.Topics[0].Count)
		resp.(*kmsg.CreatePartitionsResponse).Topics = make([]kmsg.CreatePartitionsResponseTopic, 1)
	case *kmsg.DeleteTopicsRequest:
		delete(topics, *req.Topics[0].Topic)
		resp.(*kmsg.DeleteTopicsResponse).Topics = make([]kmsg.DeleteTopicsResponseTopic, 1)
	default:
		p.t.Errorf("unexpected %T", req)
	}
	return resp, nil
}

func (p *fakePlane) metadata(topics map[string]*kmsg.MetadataResponseTopic, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) {
	if req.Topics == nil {
		for _, t := range topics {
			resp.Topics = append(resp.Topics, *t)
		}
	}
	for _, asked := range req.Topics {
		t := topics[*asked.Topic]
		if t == nil {
			t = &kmsg.MetadataResponseTopic{Topic: asked.Topic, ErrorCode: kerr.UnknownTopicOrPartition.Code}
		}
		resp.Topics = append(resp.Topics, *t)
	}
}

func (p *fakePlane) create(topics map[string]*kmsg.MetadataResponseTopic, asked *kmsg.CreateTopicsRequestTopic) (int16, *string) {
	switch {
	case topics[asked.Topic] != nil:
		return kerr.TopicAlreadyExists.Code, new("there is one")
	case asked.ReplicationFactor != 1:
		return kerr.InvalidReplicationFactor.Code, nil
	}
	p.sets[asked.Topic] = map[string]string{}
	for _, c := range asked.Configs {
		if c.Name == "wrong" {
			return kerr.InvalidConfig.Code, new("Unknown topic config name: wrong")
		}
		p.sets[asked.Topic][c.Name] = *c.Value
	}
	p.opens++ // a number that no other topic has
	t := &kmsg.MetadataResponseTopic{Topic: &asked.Topic, TopicID: [16]byte{byte(p.opens)}, Partitions: partitions(asked.NumPartitions)}
	topics[asked.Topic] = t
	return 0, nil
}

func partitions(n int32) []kmsg.MetadataResponseTopicPartition {
	all := make([]kmsg.MetadataResponseTopicPartition, n)
	for i := range all {
		all[i].Partition, all[i].Leader, all[i].Replicas, all[i].ISR = int32(i), 1, []int32{1}, []int32{1}
	}
	return all
}
