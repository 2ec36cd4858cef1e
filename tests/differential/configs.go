package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func describeConfigs(p *pair) error {
	if err := p.create(topic{name: "described", partitions: 1, replicas: 1, configs: map[string]string{"retention.ms": "1000"}}); err != nil {
		return err
	}
	asked := func(kind kmsg.ConfigResourceType, name string, keys ...string) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeConfigsRequest()
			req.IncludeSynonyms, req.IncludeDocumentation = true, true
			req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
			return req
		}
	}
	p.each("topic", asked(kmsg.ConfigResourceTypeTopic, "described"))
	p.each("some keys", asked(kmsg.ConfigResourceTypeTopic, "described", "retention.ms", "cleanup.policy", "no.such"))
	p.each("no keys", asked(kmsg.ConfigResourceTypeTopic, "described", []string{}...))
	p.each("no topic", asked(kmsg.ConfigResourceTypeTopic, "never-was"))
	p.each("no name", asked(kmsg.ConfigResourceTypeTopic, ""))
	p.each("bad name", asked(kmsg.ConfigResourceTypeTopic, "no name"))
	p.each("some of the broker's", asked(kmsg.ConfigResourceTypeBroker, "1", "log.retention.ms", "num.partitions", "message.max.bytes", "no.such"))
	p.each("default broker", asked(kmsg.ConfigResourceTypeBroker, ""))
	p.each("another broker", asked(kmsg.ConfigResourceTypeBroker, "9"))
	p.each("a broker that is no number", asked(kmsg.ConfigResourceTypeBroker, "one"))
	p.each("an unknown kind", asked(77, "x"))
	for kind := range int8(5) {
		p.each(fmt.Sprint("resources of kind ", 1<<kind), func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrListConfigResourcesRequest()
			if v > 0 {
				req.ResourceTypes = []int8{1 << kind}
			}
			return req
		})
	}
	return nil
}

// setting is one change of a config.
type setting struct {
	op    kmsg.IncrementalAlterConfigOp
	key   string
	value *string
}

func alterConfigs(p *pair) error {
	str := kmsg.StringPtr
	const set, del, add, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	rows := []struct {
		step     string
		settings []setting
	}{
		{"set", []setting{{set, "retention.ms", str("5000")}}},
		{"set to its default", []setting{{set, "cleanup.policy", str("delete")}}},
		{"append", []setting{{add, "cleanup.policy", str("compact")}}},
		{"append again", []setting{{add, "cleanup.policy", str("compact")}}},
		{"subtract", []setting{{sub, "cleanup.policy", str("delete")}}},
		{"subtract what is not there", []setting{{sub, "cleanup.policy", str("delete")}}},
		{"append to no list", []setting{{add, "retention.ms", str("1")}}},
		{"delete", []setting{{del, "retention.ms", nil}}},
		{"delete what is not set", []setting{{del, "retention.ms", nil}}},
		{"unknown key", []setting{{set, "no.such", str("1")}}},
		{"delete an unknown key", []setting{{del, "no.such", nil}}},
		{"no value", []setting{{set, "retention.ms", nil}}},
		{"no number", []setting{{set, "retention.ms", str("x")}}},
		{"too small", []setting{{set, "segment.bytes", str("1")}}},
		{"twice", []setting{{set, "retention.ms", str("1")}, {set, "retention.ms", str("2")}}},
		{"unknown operation", []setting{{9, "retention.ms", str("1")}}},
		{"good and bad", []setting{{set, "max.message.bytes", str("2000")}, {set, "retention.ms", str("x")}}},
	}
	for _, v := range p.versions(kmsg.NewPtrIncrementalAlterConfigsRequest()) {
		name := fmt.Sprintf("altered-v%d", v)
		if err := p.create(topic{name: name, partitions: 1, replicas: 1}); err != nil {
			return err
		}
		for _, row := range rows {
			for _, only := range []bool{true, false} {
				p.ask(fmt.Sprintf("%s, validate only %v", row.step, only), v, same(func() kmsg.Request { return altering(kmsg.ConfigResourceTypeTopic, name, only, row.settings) }))
			}
			p.explicit(row.step, name)
		}
		p.ask("no topic", v, same(func() kmsg.Request {
			return altering(kmsg.ConfigResourceTypeTopic, "never-was", false, rows[0].settings)
		}))
	}
	return replaceConfigs(p)
}

func altering(kind kmsg.ConfigResourceType, name string, only bool, settings []setting) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = only
	r := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kind, ResourceName: name}
	for _, s := range settings {
		r.Configs = append(r.Configs, kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: s.key, Op: s.op, Value: s.value})
	}
	req.Resources = append(req.Resources, r)
	return req
}

// explicit compares what is set on a topic.
func (p *pair) explicit(step, name string) {
	p.settled(step+", then", same(func() kmsg.Request {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name, ConfigNames: []string{"retention.ms", "cleanup.policy", "max.message.bytes"},
		}}
		return req
	}))
}

// replaceConfigs sets all configs of a topic at once.
func replaceConfigs(p *pair) error {
	if err := p.create(topic{name: "replaced", partitions: 1, replicas: 1, configs: map[string]string{"retention.ms": "1000"}}); err != nil {
		return err
	}
	for _, row := range []struct {
		step, topic, key string
		value            *string
	}{
		{"one", "replaced", "max.message.bytes", kmsg.StringPtr("3000")},
		{"bad", "replaced", "max.message.bytes", kmsg.StringPtr("-3")},
		{"unknown", "replaced", "no.such", kmsg.StringPtr("1")},
		{"no value", "replaced", "retention.ms", nil},
		{"no topic", "never-was", "retention.ms", kmsg.StringPtr("1")},
	} {
		p.each("replace, "+row.step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAlterConfigsRequest()
			r := kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: row.topic}
			r.Configs = []kmsg.AlterConfigsRequestResourceConfig{{Name: row.key, Value: row.value}}
			req.Resources = append(req.Resources, r)
			return req
		})
		p.explicit("replace, "+row.step, "replaced")
	}
	return nil
}
