package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerKeys are configs whose defaults are the same on both sides, of every type and kind of effect.
var brokerKeys = []string{
	"background.threads", "compression.gzip.level", "compression.type", "compression.zstd.level", "delete.topic.enable", "group.coordinator.cached.buffer.max.bytes",
	"follower.replication.throttled.rate", "group.share.session.timeout.ms", "leader.replication.throttled.rate", "log.cleaner.delete.retention.ms", "log.cleaner.io.buffer.load.factor", "log.cleaner.min.cleanable.ratio",
	"log.cleanup.policy", "log.flush.interval.ms", "log.index.interval.bytes", "log.local.retention.ms", "log.message.timestamp.type", "log.preallocate",
	"log.retention.bytes", "log.retention.hours", "log.retention.minutes", "log.retention.ms", "log.roll.hours", "log.roll.jitter.ms", "log.roll.ms",
	"log.segment.bytes", "max.connection.creation.rate", "max.connections.per.ip", "max.connections.per.ip.overrides", "message.max.bytes",
	"num.io.threads", "num.recovery.threads.per.data.dir", "producer.id.expiration.ms", "quota.window.num", "remote.log.reader.threads", "replica.alter.log.dirs.io.max.bytes.per.second",
	"transaction.partition.verification.enable", "transactional.id.expiration.ms", "unclean.leader.election.enable",
}

// The names of BROKER resources.
const broker, everyBroker = "1", ""

// brokers alters configs of the broker and of all brokers, and looks at what topics have from there (KIP-226).
func brokers(p *pair) error {
	if err := p.create(topic{name: "follower", partitions: 1, replicas: 1}, topic{name: "settled", partitions: 1, replicas: 1, configs: map[string]string{
		"retention.ms": "1000", "cleanup.policy": "compact", "segment.bytes": "1500000",
	}}); err != nil {
		return err
	}
	p.followed("before")
	for _, row := range brokerSteps() {
		step := fmt.Sprintf("%s of %q", row.step, row.name)
		for _, only := range []bool{true, false} {
			p.newestOf(fmt.Sprintf("%s, validate only %v", step, only), same(func() kmsg.Request { return altering(kmsg.ConfigResourceTypeBroker, row.name, only, row.settings) }))
		}
		p.followed(step)
	}
	p.each("in every version", func(*side, int16) kmsg.Request {
		return altering(kmsg.ConfigResourceTypeBroker, broker, false, []setting{{kmsg.IncrementalAlterConfigOpSet, "log.retention.ms", kmsg.StringPtr("4000")}})
	})
	p.followed("in every version")
	return p.replaceBrokers()
}

// brokerStep alters the configs of a broker, or of every broker.
type brokerStep struct {
	name, step string
	settings   []setting
}

// brokerSteps are what is done to brokers' configs, one after the other: right and wrong.
func brokerSteps() []brokerStep {
	str := kmsg.StringPtr
	const set, del, add, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	one := func(key, value string) []setting { return []setting{{set, key, str(value)}} }
	return []brokerStep{
		{broker, "two", []setting{{set, "log.retention.ms", str("3600000")}, {set, "log.roll.ms", str("5000")}}},
		{everyBroker, "three", []setting{{set, "log.retention.ms", str("7200000")}, {set, "log.segment.bytes", str("3000000")}, {set, "compression.type", str("lz4")}}},
		{broker, "the same", one("log.retention.ms", "3600000")},
		{broker, "a list", one("log.cleanup.policy", "compact")},
		{broker, "more of a list", []setting{{add, "log.cleanup.policy", str("delete")}}},
		{broker, "less of a list", []setting{{sub, "log.cleanup.policy", str("compact")}}},
		{broker, "more of no list", []setting{{add, "log.retention.ms", str("1")}}},
		{broker, "more of what cannot be altered", []setting{{add, "num.partitions", str("1")}}},
		{broker, "taken back", []setting{{del, "log.retention.ms", nil}, {del, "log.cleanup.policy", nil}}},
		{everyBroker, "taken back", []setting{{del, "compression.type", nil}}},
		{broker, "taken back again", []setting{{del, "log.retention.ms", str("x")}, {del, "num.partitions", nil}, {del, "no.such", nil}}},
		{broker, "rates of replicas", []setting{{set, "leader.replication.throttled.rate", str("5")}, {set, "replica.alter.log.dirs.io.max.bytes.per.second", str("6")}}},
		{everyBroker, "rates of replicas", one("follower.replication.throttled.rate", "7")},
		{broker, "a rate of replicas that is none", one("leader.replication.throttled.rate", "-1")},
		{broker, "rates of replicas taken back", []setting{{del, "leader.replication.throttled.rate", nil}, {del, "replica.alter.log.dirs.io.max.bytes.per.second", nil}}},
		{broker, "what cannot be altered", []setting{{set, "num.partitions", str("2")}, {set, "log.retention.ms", str("x")}, {set, "broker.id", str("2")}}},
		{everyBroker, "what cannot be altered", one("log.retention.hours", "2")},
		{everyBroker, "what is a broker's own", one("sasl.kerberos.service.name", "x")},
		{broker, "what is a listener's own", one("ssl.keystore.location", "/x")},
		{broker, "no value", []setting{{set, "log.retention.ms", nil}, {add, "log.cleanup.policy", nil}}},
		{broker, "twice", []setting{{set, "log.retention.ms", str("1")}, {set, "log.retention.ms", str("2")}}},
		{broker, "an unknown operation", []setting{{9, "log.retention.ms", str("1")}}},
		{broker, "no number", one("log.retention.ms", "x")},
		{broker, "no int", one("message.max.bytes", "2147483648")},
		{broker, "nothing", one("log.retention.ms", "")},
		{broker, "zero", one("log.retention.ms", "0")},
		{broker, "too small", one("log.segment.bytes", "1")},
		{broker, "no word", one("log.message.timestamp.type", "x")},
		{broker, "too small a share", one("log.cleaner.min.cleanable.ratio", "-1")},
		{broker, "no boolean", one("log.preallocate", "x")},
		{broker, "threads", one("num.io.threads", "16")},
		{broker, "too many threads", one("num.io.threads", "33")},
		{broker, "too few threads", one("num.io.threads", "7")},
		{everyBroker, "no connections", one("max.connections", "0")},
		{everyBroker, "no connections from anywhere", one("max.connections.per.ip", "0")},
		{everyBroker, "bounds of addresses", one("max.connections.per.ip.overrides", "127.0.0.2:5")},
		{everyBroker, "bounds of nobody", one("max.connections.per.ip.overrides", "nonsense")},
		{everyBroker, "too little memory", one("log.cleaner.dedupe.buffer.size", "1000")},
		{everyBroker, "too long", one("group.consumer.assignment.interval.ms", "15001")},
		{"9", "another broker", one("log.retention.ms", "1")},
		{"one", "a broker that is no number", one("log.retention.ms", "1")},
	}
}

// followed compares what the broker and all brokers are set to, and what topics have from there.
func (p *pair) followed(step string) {
	for _, r := range []kmsg.DescribeConfigsRequestResource{
		{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: broker, ConfigNames: brokerKeys},
		{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: everyBroker},
		{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "follower"},
		{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "settled"},
	} {
		p.settled(fmt.Sprintf("%s, then %q", step, r.ResourceName), same(func() kmsg.Request {
			req := kmsg.NewPtrDescribeConfigsRequest()
			req.IncludeSynonyms = true
			req.Resources = []kmsg.DescribeConfigsRequestResource{r}
			return req
		}))
	}
}

// replaceBrokers sets all that is set of the broker at once, and leaves nothing.
func (p *pair) replaceBrokers() error {
	for _, row := range []struct {
		step  string
		pairs []kmsg.AlterConfigsRequestResourceConfig
	}{
		{"with one", []kmsg.AlterConfigsRequestResourceConfig{{Name: "log.roll.ms", Value: kmsg.StringPtr("9000")}}},
		{"with a wrong one", []kmsg.AlterConfigsRequestResourceConfig{{Name: "log.roll.ms", Value: kmsg.StringPtr("x")}}},
		{"with what cannot be altered", []kmsg.AlterConfigsRequestResourceConfig{{Name: "num.partitions", Value: kmsg.StringPtr("9000")}}},
		{"with no value", []kmsg.AlterConfigsRequestResourceConfig{{Name: "log.roll.ms"}}},
		{"with nothing", nil},
	} {
		p.each("replace "+row.step, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAlterConfigsRequest()
			req.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: broker, Configs: row.pairs}}
			return req
		})
		p.followed("replace " + row.step)
	}
	var left []setting
	for _, key := range []string{"log.retention.ms", "log.segment.bytes", "max.connections.per.ip.overrides", "follower.replication.throttled.rate"} {
		left = append(left, setting{kmsg.IncrementalAlterConfigOpDelete, key, nil})
	}
	p.newestOf("leave nothing", same(func() kmsg.Request { return altering(kmsg.ConfigResourceTypeBroker, everyBroker, false, left) }))
	p.followed("after")
	return nil
}
