package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// telemetry asks for what clients push of their metrics (KIP-714): subscriptions and their configs, and pushes of clients whose ids are made up here.
func telemetry(p *pair) error {
	str := kmsg.StringPtr
	const set, del, add = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend
	for _, row := range []struct {
		step, name string
		settings   []setting
	}{
		{"none yet", "sub", nil},
		{"delete of none", "sub", []setting{{del, "metrics", nil}}},
		{"set", "sub", []setting{{set, "metrics", str("org.apache.kafka.")}, {set, "interval.ms", str("600000")}}},
		{"another", "other", []setting{{set, "match", str("client_id=somebody, client_software_name=.*")}}},
		{"append", "sub", []setting{{add, "metrics", str("x")}}},
		{"append to no list", "sub", []setting{{add, "interval.ms", str("1")}}},
		{"spaces", "sub", []setting{{set, "match", str(" client_id = differential , client_source_port=[0-9]+")}}},
		{"unknown key", "sub", []setting{{set, "no.such", str("1")}}},
		{"delete an unknown key", "sub", []setting{{del, "no.such", nil}}},
		{"no value", "sub", []setting{{set, "metrics", nil}}},
		{"no number", "sub", []setting{{set, "interval.ms", str("x")}}},
		{"too small", "sub", []setting{{set, "interval.ms", str("99")}}},
		{"too large", "sub", []setting{{set, "interval.ms", str("3600001")}}},
		{"a match without value", "sub", []setting{{set, "match", str("client_id")}}},
		{"a match with two", "sub", []setting{{set, "match", str("client_id=a=b")}}},
		{"a match of nothing", "sub", []setting{{set, "match", str("client=a")}}},
		{"a match that is no pattern", "sub", []setting{{set, "match", str("client_id=(")}}},
		{"empty lists", "empty", []setting{{set, "match", str("")}, {set, "metrics", str("")}}},
		{"twice", "sub", []setting{{set, "interval.ms", str("100")}, {set, "interval.ms", str("200")}}},
		{"no name", "", []setting{{set, "interval.ms", str("100")}}},
		{"delete", "other", []setting{{del, "match", nil}}},
	} {
		p.newestOf(row.step, same(func() kmsg.Request { return subscribing(row.name, row.settings) }))
		p.describedMetrics(row.step, row.name)
		p.settled(row.step+", listed", same(func() kmsg.Request {
			req := kmsg.NewPtrListConfigResourcesRequest()
			req.ResourceTypes = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
			return req
		}))
	}
	p.each("listed", func(_ *side, version int16) kmsg.Request {
		req := kmsg.NewPtrListConfigResourcesRequest()
		if version > 0 {
			req.ResourceTypes = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
		}
		return req
	})
	replaceSubscription(p)
	pushes(p)
	return nil
}

func subscribing(name string, settings []setting) *kmsg.IncrementalAlterConfigsRequest {
	return altering(kmsg.ConfigResourceTypeClientMetrics, name, false, settings)
}

func (p *pair) describedMetrics(step, name string) {
	p.settled(step+", then", same(func() kmsg.Request {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeClientMetrics, ResourceName: name}}
		return req
	}))
}

// replaceSubscription sets all configs of a subscription at once.
func replaceSubscription(p *pair) {
	for _, value := range []*string{kmsg.StringPtr("200"), kmsg.StringPtr("x"), nil} {
		p.each("replaced", func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAlterConfigsRequest()
			r := kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceTypeClientMetrics, ResourceName: "replaced"}
			r.Configs = []kmsg.AlterConfigsRequestResourceConfig{{Name: "interval.ms", Value: value}}
			req.Resources = append(req.Resources, r)
			return req
		})
		p.describedMetrics("replaced", "replaced")
	}
	p.newestOf("replaced, then deleted", same(func() kmsg.Request {
		return subscribing("replaced", []setting{{kmsg.IncrementalAlterConfigOpDelete, "interval.ms", nil}})
	}))
}

// pushes are of clients that are subscribed to one prefix, every ten minutes.
func pushes(p *pair) {
	one, two := [16]byte{15: 77}, [16]byte{0: 9, 15: 78}
	subscription := func(step string, id [16]byte) {
		p.newestOf(step, same(func() kmsg.Request {
			req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
			req.ClientInstanceID = id
			return req
		}))
	}
	push := func(step string, id [16]byte, change func(*side, *kmsg.PushTelemetryRequest)) {
		p.newestOf(step, func(s *side) kmsg.Request {
			req := kmsg.NewPtrPushTelemetryRequest()
			req.ClientInstanceID, req.Metrics = id, []byte{}
			req.SubscriptionID = recall[int32](s, fmt.Sprint(id))
			change(s, req)
			return req
		})
	}
	plain := func(*side, *kmsg.PushTelemetryRequest) {}
	for _, id := range [][16]byte{one, two} {
		responses := p.newestOf("subscription", same(func() kmsg.Request {
			req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
			req.ClientInstanceID = id
			return req
		}))
		for i, s := range p.sides() {
			if r, ok := responses[i].(*kmsg.GetTelemetrySubscriptionsResponse); ok {
				s.seen[fmt.Sprint(id)] = r.SubscriptionID
			}
		}
	}
	subscription("subscription, again", one)
	push("pushed", one, plain)
	push("pushed again", one, plain)
	subscription("subscription, after that", one)
	push("the last", one, func(_ *side, r *kmsg.PushTelemetryRequest) { r.Terminating = true })
	push("after the last", one, plain)
	push("another subscription", two, func(_ *side, r *kmsg.PushTelemetryRequest) { r.SubscriptionID++ })
	subscription("subscription, as told", two)
	wrongPushes(p, push)
	push("no client", [16]byte{}, plain)
	push("a reserved client", [16]byte{15: 1}, plain)
	p.newestOf("unsubscribed", same(func() kmsg.Request {
		return subscribing("sub", []setting{{kmsg.IncrementalAlterConfigOpDelete, "metrics", nil}, {kmsg.IncrementalAlterConfigOpDelete, "match", nil}, {kmsg.IncrementalAlterConfigOpDelete, "interval.ms", nil}})
	}))
}

// wrongPushes are each of a client that has not pushed before.
func wrongPushes(p *pair, push func(step string, id [16]byte, change func(*side, *kmsg.PushTelemetryRequest))) {
	for i, row := range []struct {
		step   string
		change func(*side, *kmsg.PushTelemetryRequest)
	}{
		{"no codec", func(_ *side, r *kmsg.PushTelemetryRequest) { r.CompressionType = 9 }},
		{"plain, no message", func(_ *side, r *kmsg.PushTelemetryRequest) { r.Metrics = []byte("no message") }},
		{"no gzip", func(_ *side, r *kmsg.PushTelemetryRequest) { r.CompressionType, r.Metrics = 1, []byte("no gzip") }},
		{"too large", func(_ *side, r *kmsg.PushTelemetryRequest) { r.Metrics = []byte(strings.Repeat("x", 1<<20+1)) }},
	} {
		id := [16]byte{1, byte(i), 15: 79}
		responses := p.newestOf(row.step+", subscription", same(func() kmsg.Request {
			req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
			req.ClientInstanceID = id
			return req
		}))
		for i, s := range p.sides() {
			if r, ok := responses[i].(*kmsg.GetTelemetrySubscriptionsResponse); ok {
				s.seen[fmt.Sprint(id)] = r.SubscriptionID
			}
		}
		push(row.step, id, row.change)
	}
}
