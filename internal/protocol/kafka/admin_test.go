package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
)

func TestDescribeConfigsWithoutNamesTellsAll(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", ConfigNames: []string{}}}
	if got := len(ask[*kmsg.DescribeConfigsResponse](n.raw(t), 4, req).Resources[0].Configs); got != len(kafka.TopicSettings()) {
		t.Errorf("%d configs, want %d", got, len(kafka.TopicSettings()))
	}
}

func TestBrokerConfigsAreWhatIsSet(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *kafka.Config) {
		c.Groups = group.Config{OffsetsRetention: 2 * group.DefaultOffsetsRetention, MaxMembers: 7, InitialDelay: -1}
	})
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1"}}
	got := map[string]string{}
	for _, c := range ask[*kmsg.DescribeConfigsResponse](n.raw(t), 4, req).Resources[0].Configs {
		line := "unset"
		if c.Value != nil {
			line = *c.Value
		}
		line += " " + c.Source.String()
		for _, s := range c.ConfigSynonyms {
			line += fmt.Sprintf(", %s=%s %s", s.Name, *s.Value, s.Source)
		}
		got[c.Name] = line
	}
	const static, def = " STATIC_BROKER_CONFIG", " DEFAULT_CONFIG"
	for name, want := range map[string]string{
		"offsets.retention.minutes":        "20160" + static + ", offsets.retention.minutes=20160" + static + ", offsets.retention.minutes=10080" + def,
		"group.max.size":                   "7" + static + ", group.max.size=7" + static + ", group.max.size=5000" + def,
		"group.initial.rebalance.delay.ms": "0" + static + ", group.initial.rebalance.delay.ms=0" + static + ", group.initial.rebalance.delay.ms=100" + def,
		"node.id":                          "1" + static + ", node.id=1" + static,
		"group.min.session.timeout.ms":     "6000" + def + ", group.min.session.timeout.ms=6000" + def,
		"group.max.session.timeout.ms":     "1800000" + def + ", group.max.session.timeout.ms=1800000" + def,
		"offset.metadata.max.bytes":        "4096" + def + ", offset.metadata.max.bytes=4096" + def,
		"auto.create.topics.enable":        "true" + def + ", auto.create.topics.enable=true" + def,
		"num.partitions":                   "1" + def + ", num.partitions=1" + def,
		"fetch.max.bytes":                  "57671680" + def + ", fetch.max.bytes=57671680" + def,
		"socket.request.max.bytes":         "104857600" + def + ", socket.request.max.bytes=104857600" + def,
		"connections.max.idle.ms":          "600000" + def + ", connections.max.idle.ms=600000" + def,
		"log.retention.hours":              "168" + def + ", log.retention.hours=168" + def,
		"log.retention.ms":                 "unset" + def,
		"log.roll.ms":                      "unset" + def,
		"log.roll.jitter.ms":               "unset" + def,
		"log.flush.interval.ms":            "unset" + def,
		"log.segment.bytes":                "1073741824" + def + ", log.segment.bytes=1073741824" + def,
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestDefaultsOfTopicConfigsComeFromTheBrokerWhereItHasThem(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t"}}
	synonyms := map[string]int{}
	for _, c := range ask[*kmsg.DescribeConfigsResponse](n.raw(t), 4, req).Resources[0].Configs {
		synonyms[c.Name] = len(c.ConfigSynonyms)
	}
	for name, want := range map[string]int{"retention.ms": 0, "segment.ms": 0, "segment.jitter.ms": 0, "flush.ms": 0, "segment.bytes": 1, "cleanup.policy": 1} {
		if synonyms[name] != want {
			t.Errorf("%s has %d synonyms, want %d", name, synonyms[name], want)
		}
	}
}

func TestRecordsOfCompactedTopicsAreNotDeletedByOffset(t *testing.T) {
	t.Parallel()
	n := start(t)
	r := n.raw(t)
	for policy, want := range map[string]int16{"compact": kerr.PolicyViolation.Code, "compact,delete": 0, "delete": 0, "": 0} {
		name := map[string]string{"compact": "a", "compact,delete": "b", "delete": "c", "": "d"}[policy]
		n.create(t, name, 1, map[string]*string{"cleanup.policy": &policy})
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: -1}}}}
		if got := ask[*kmsg.DeleteRecordsResponse](r, 2, req).Topics[0].Partitions[0].ErrorCode; got != want {
			t.Errorf("cleanup.policy %s: error %d, want %d", policy, got, want)
		}
	}
}

func TestDeleteRecordsOfNoPartitionsLeavesTheTopicOut(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "a", 1, nil)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "a"}, {Topic: "never-was"}}
	if got := ask[*kmsg.DeleteRecordsResponse](n.raw(t), 2, req).Topics; len(got) != 0 {
		t.Errorf("answered for %+v", got)
	}
}

func TestCleanupPolicyCanBeEmptied(t *testing.T) {
	t.Parallel()
	n := start(t)
	policy := "compact"
	n.create(t, "t", 1, map[string]*string{"cleanup.policy": &policy})
	r := n.raw(t)
	const appended, subtracted = kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	for _, row := range []struct {
		op     kmsg.IncrementalAlterConfigOp
		value  string
		code   int16
		policy string
	}{
		{appended, "", kerr.InvalidConfig.Code, "compact"},
		{subtracted, "", 0, "compact"},
		{subtracted, "compact", 0, ""},
		{appended, "", 0, ""},
		{appended, "delete", 0, "delete"},
		{appended, "delete, compact", 0, "delete,compact"},
	} {
		req, config := kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t",
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "cleanup.policy", Op: row.op, Value: &row.value}},
		}}
		config.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "t", ConfigNames: []string{"cleanup.policy"}}}
		code := ask[*kmsg.IncrementalAlterConfigsResponse](r, 1, req).Resources[0].ErrorCode
		if got := *ask[*kmsg.DescribeConfigsResponse](r, 4, config).Resources[0].Configs[0].Value; code != row.code || got != row.policy {
			t.Errorf("%s %q: error %d, then %q, want %d and %q", row.op, row.value, code, got, row.code, row.policy)
		}
	}
}

func TestDescribeLogDirsTellsTheDisk(t *testing.T) {
	t.Parallel()
	var failed atomic.Pointer[error]
	n := start(t, func(c *kafka.Config) {
		c.DiskSpace = func(context.Context) (int64, int64, error) {
			if err := failed.Load(); err != nil {
				return 0, 0, *err
			}
			return 1000, 600, nil
		}
	})
	r := n.raw(t)
	sizes := func(v int16) [2]int64 {
		dir := ask[*kmsg.DescribeLogDirsResponse](r, v, kmsg.NewPtrDescribeLogDirsRequest()).Dirs[0]
		return [2]int64{dir.TotalBytes, dir.UsableBytes}
	}
	for v := range int16(6) {
		if got, want := sizes(v), [2]int64{1000, 600}; v >= 4 && got != want || v < 4 && got != [2]int64{-1, -1} {
			t.Errorf("v%d: %v", v, got)
		}
	}
	err := errors.New("no such disk")
	failed.Store(&err)
	if got := sizes(4); got != [2]int64{-1, -1} {
		t.Errorf("a disk that cannot be told: %v", got)
	}
}

// TestErrorsSpeakOfTopics holds the messages for names and topics that are wrong against Apache Kafka's.
func TestErrorsSpeakOfTopics(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	r := n.raw(t)
	text := func(s *string) string {
		if s == nil {
			return "nothing"
		}
		return *s
	}
	long := strings.Repeat("x", 250)
	for name, want := range map[string]string{
		"a b": "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
		"":    "Topic name is invalid: the empty string is not allowed",
		".":   "Topic name is invalid: '.' is not allowed",
		"..":  "Topic name is invalid: '..' is not allowed",
		long:  "Topic name is invalid: the length of '" + long + "' is longer than the max allowed length 249",
		// As long in bytes, not in characters.
		strings.Repeat("é", 130): "Topic name is invalid: '" + strings.Repeat("é", 130) +
			"' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
	} {
		create, describe := kmsg.NewPtrCreateTopicsRequest(), kmsg.NewPtrDescribeConfigsRequest()
		create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: 1, ReplicationFactor: 1}}
		describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name}}
		created, described := ask[*kmsg.CreateTopicsResponse](r, 7, create).Topics[0], ask[*kmsg.DescribeConfigsResponse](r, 4, describe).Resources[0]
		if text(created.ErrorMessage) != want || text(described.ErrorMessage) != want {
			t.Errorf("%q is refused with %s and %s, want %s", name, text(created.ErrorMessage), text(described.ErrorMessage), want)
		}
	}
	remove, alter, elect := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest(), kmsg.NewPtrElectLeadersRequest()
	remove.TopicNames = []string{"none"}
	alter.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "none"}}
	elect.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "none", Partitions: []int32{0}}, {Topic: "t", Partitions: []int32{0, 9}}}
	elected := ask[*kmsg.ElectLeadersResponse](r, 2, elect).Topics
	for want, got := range map[string]*string{
		"This server does not host this topic-partition.": ask[*kmsg.DeleteTopicsResponse](r, 5, remove).Topics[0].ErrorMessage,
		"The topic 'none' does not exist.":                ask[*kmsg.IncrementalAlterConfigsResponse](r, 1, alter).Resources[0].ErrorMessage,
		"No such topic as none":                           elected[0].Partitions[0].ErrorMessage,
		"Leader election not needed for topic partition.": elected[1].Partitions[0].ErrorMessage,
		"No such partition as t-9":                        elected[1].Partitions[1].ErrorMessage,
	} {
		if text(got) != want {
			t.Errorf("message %s, want %s", text(got), want)
		}
	}
}

func TestCreateTopicsBoundsThePartitionsOfARequest(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *kafka.Config) { c.DefaultPartitions = 2 }).raw(t)
	for name, row := range map[string]struct {
		topics map[string]int32
		want   int16
	}{
		"as many as there may be": {map[string]int32{"a": 5000, "b": 4998, "c": -1}, 0},
		"one more":                {map[string]int32{"a": 5000, "b": 4999, "c": -1}, kerr.PolicyViolation.Code},
	} {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.ValidateOnly = true
		for topic, partitions := range row.topics {
			req.Topics = append(req.Topics, kmsg.CreateTopicsRequestTopic{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1})
		}
		for _, topic := range ask[*kmsg.CreateTopicsResponse](r, 7, req).Topics {
			if topic.ErrorCode != row.want {
				t.Errorf("%s: topic %s: error %d, want %d", name, topic.Topic, topic.ErrorCode, row.want)
			}
		}
	}
}

func TestElectionsOfUnknownTypeAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	r := n.raw(t)
	const refused, needless = "42", "84"
	for version, want := range map[int16]string{0: "0 " + needless, 1: "42 " + refused, 2: "42 " + refused} {
		req := kmsg.NewPtrElectLeadersRequest()
		req.ElectionType = 5
		req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{0}}}
		resp := ask[*kmsg.ElectLeadersResponse](r, version, req)
		if got := fmt.Sprint(resp.ErrorCode, resp.Topics[0].Partitions[0].ErrorCode); got != want {
			t.Errorf("v%d: errors %s, want %s", version, got, want)
		}
	}
	for topics, want := range map[bool]int16{false: kerr.InvalidRequest.Code, true: 0} { // all partitions, and none
		req := kmsg.NewPtrElectLeadersRequest()
		if req.ElectionType = 5; topics {
			req.Topics = []kmsg.ElectLeadersRequestTopic{}
		}
		if got := ask[*kmsg.ElectLeadersResponse](r, 2, req).ErrorCode; got != want {
			t.Errorf("asked for none %v: error %d, want %d", topics, got, want)
		}
	}
}

// TestResourcesWithoutConfigs shows what is said of those that have a name and no configs, and of those that have none.
func TestResourcesWithoutConfigs(t *testing.T) {
	t.Parallel()
	r := start(t).raw(t)
	const topic, group, metrics = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics
	for _, row := range []struct {
		kind     kmsg.ConfigResourceType
		name     string
		describe int16
		set      int16
		remove   int16
	}{
		{group, "g", 0, kerr.InvalidConfig.Code, 0},
		{group, "", kerr.InvalidRequest.Code, kerr.InvalidRequest.Code, kerr.InvalidRequest.Code},
		{metrics, "m", 0, kerr.InvalidRequest.Code, 0},
		{metrics, "", kerr.InvalidRequest.Code, kerr.InvalidRequest.Code, kerr.InvalidRequest.Code},
		{topic, "", kerr.InvalidTopicException.Code, kerr.InvalidRequest.Code, kerr.InvalidRequest.Code},
	} {
		describe, replace := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrAlterConfigsRequest()
		describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: row.kind, ResourceName: row.name}}
		replace.Resources = []kmsg.AlterConfigsRequestResource{{
			ResourceType: row.kind, ResourceName: row.name,
			Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "nonsense", Value: kmsg.StringPtr("1")}},
		}}
		change := func(op kmsg.IncrementalAlterConfigOp) int16 {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
				ResourceType: row.kind, ResourceName: row.name,
				Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "nonsense", Op: op, Value: kmsg.StringPtr("1")}},
			}}
			return ask[*kmsg.IncrementalAlterConfigsResponse](r, 1, req).Resources[0].ErrorCode
		}
		got := []int16{
			ask[*kmsg.DescribeConfigsResponse](r, 4, describe).Resources[0].ErrorCode, change(kmsg.IncrementalAlterConfigOpSet),
			ask[*kmsg.AlterConfigsResponse](r, 2, replace).Resources[0].ErrorCode, change(kmsg.IncrementalAlterConfigOpDelete),
		}
		if want := []int16{row.describe, row.set, row.set, row.remove}; !slices.Equal(got, want) {
			t.Errorf("%s %q: errors %v, want %v", row.kind, row.name, got, want)
		}
	}
}

func TestAuthorizedOperationsOfUnknownTopics(t *testing.T) {
	t.Parallel()
	r := start(t).raw(t)
	const all, unknown = 3576, -2147483648
	describe := kmsg.NewPtrDescribeTopicPartitionsRequest()
	describe.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "none"}}
	if got := ask[*kmsg.DescribeTopicPartitionsResponse](r, 0, describe).Topics[0].AuthorizedOperations; got != all {
		t.Errorf("DescribeTopicPartitions: %d", got)
	}
	for include, want := range map[bool]int32{true: all, false: unknown} {
		req := kmsg.NewPtrMetadataRequest()
		req.IncludeTopicAuthorizedOperations = include
		req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("none")}, {TopicID: [16]byte{1}}}
		topics := ask[*kmsg.MetadataResponse](r, 12, req).Topics
		if got := topics[0].AuthorizedOperations; got != want || topics[1].AuthorizedOperations != unknown {
			t.Errorf("Metadata, included %v: %d of a name and %d of an id", include, got, topics[1].AuthorizedOperations)
		}
	}
}

func TestDescribeLogDirsLeavesOutWhatIsNotThere(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 2, nil)
	r := n.raw(t)
	for name, row := range map[string]struct {
		topic      string
		partitions []int32
		want       []int32
	}{
		"all there":     {"t", []int32{0, 1}, []int32{0, 1}},
		"one there":     {"t", []int32{9, 1}, []int32{1}},
		"none there":    {"t", []int32{9}, nil},
		"none asked":    {"t", nil, nil},
		"unknown topic": {"none", []int32{0}, nil},
	} {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: row.topic, Partitions: row.partitions}}
		var got []int32
		topics := ask[*kmsg.DescribeLogDirsResponse](r, 4, req).Dirs[0].Topics
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				got = append(got, p.Partition)
			}
		}
		if !slices.Equal(got, row.want) || len(topics) > 0 != (len(row.want) > 0) {
			t.Errorf("%s: %+v, want %v", name, topics, row.want)
		}
	}
}
