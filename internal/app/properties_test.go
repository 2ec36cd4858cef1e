package app

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/service/msk"
)

// What the ledger of package msk says is applied is known to brokers, and can be set when they start.
func TestEveryAppliedPropertyIsKnown(t *testing.T) {
	values := map[string]string{
		"auto.create.topics.enable": "true", "compression.type": "lz4", "log.cleanup.policy": "compact", "log.message.timestamp.type": "CreateTime",
		"log.segment.bytes": "2000000", "delete.topic.enable": "true", "unclean.leader.election.enable": "true", "log.preallocate": "true",
	}
	for _, p := range msk.Properties() {
		if p.Key == openACLs {
			continue // access control lists have it
		}
		value := values[p.Key]
		if value == "" {
			value = "7"
		}
		if err := kafka.CheckProperty(p.Key, value); p.Applied && err != nil {
			t.Errorf("%s: %v", p.Key, err)
		}
	}
	given := map[string]string{openACLs: "false", "log.retention.hours": "3"}
	if got := brokerProperties(given); !maps.Equal(got, map[string]string{"log.retention.hours": "3"}) || len(given) != 2 {
		t.Errorf("%v", got)
	}
}

func TestKafkaConfigsAreRead(t *testing.T) {
	c := Config{KafkaConfigs: []string{"log.cleanup.policy=compact", "delete", " log.retention.hours = 24"}}
	v := &validation{}
	want := map[string]string{"log.cleanup.policy": "compact,delete", "log.retention.hours": "24"}
	if got := c.kafkaConfigs(v); !maps.Equal(got, want) || len(v.errs) > 0 {
		t.Errorf("%v, %v", got, v.errs)
	}
	for _, row := range []struct{ config, wrong string }{
		{"nonsense", "no broker config"},
		{"no.such=1", "Unknown broker config name: no.such"},
		{"num.partitions=3", "--default-partitions"},
		{"log.retention.hours=x", "Not a number of type INT"},
		{"ssl.keystore.location=/tmp/x", "read again when they change"},
		{"default.replication.factor=3", "always what it is"},
		{"group.min.session.timeout.ms=9999999", "smallest"},
		{"group.share.session.timeout.ms=70000", "share groups"},
	} {
		v := &validation{}
		(&Config{KafkaConfigs: []string{row.config}}).kafkaConfigs(v)
		if err := errors.Join(v.errs...); err == nil || !strings.Contains(err.Error(), row.wrong) {
			t.Errorf("%s: %v", row.config, err)
		}
	}
	v = &validation{}
	(&Config{KafkaConfigs: []string{"log.roll.hours=1", "log.roll.hours=2"}}).kafkaConfigs(v)
	if err := errors.Join(v.errs...); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}
