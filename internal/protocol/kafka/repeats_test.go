package kafka_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// TestPartitionsProducedToTwice: of what a request has for a partition the last counts, and is answered, in every version.
func TestPartitionsProducedToTwice(t *testing.T) {
	t.Parallel()
	n := start(t)
	st, other := n.create(t, "t", 3, nil), n.create(t, "u", 1, nil)
	r := n.raw(t)
	for version, at := int16(3), int64(0); version <= 13; version, at = version+1, at+2 {
		req := produceRequest(st, sent{1, plain(1)}, sent{0, plain(3)}, sent{1, plain(5)}, sent{2, plain(1)})
		req.Topics = append(req.Topics, produceRequest(other, sent{0, plain(1)}).Topics[0], produceRequest(st, sent{1, plain(2)}, sent{2, nil}).Topics[0])
		resp := ask[*kmsg.ProduceResponse](r, version, req)
		if len(resp.Topics) != 2 || len(resp.Topics[0].Partitions) != 3 || len(resp.Topics[1].Partitions) != 1 {
			t.Fatalf("v%d: %+v", version, resp.Topics)
		}
		for i, want := range []kmsg.ProduceResponseTopicPartition{{Partition: 1, BaseOffset: at}, {BaseOffset: at / 2 * 3}, {Partition: 2, BaseOffset: -1, ErrorCode: kerr.CorruptMessage.Code}} {
			got := resp.Topics[0].Partitions[i]
			if got.Partition != want.Partition || got.BaseOffset != want.BaseOffset || (got.ErrorCode != 0) != (want.ErrorCode != 0) {
				t.Errorf("v%d: %+v, want %+v", version, got, want)
			}
		}
		bounds, err := n.log.Bounds(t.Context(), st.Shard(1))
		if err != nil || int64(bounds.End) != at+2 {
			t.Errorf("v%d: partition 1 ends at %d, %v", version, bounds.End, err)
		}
	}
}

// TestTopicsNamedTwice shows that nothing is done of what a request asks twice of a topic, and that it is told once.
func TestTopicsNamedTwice(t *testing.T) {
	t.Parallel()
	n := start(t)
	st, other := n.create(t, "t", 2, nil), n.create(t, "u", 1, nil)
	r, name := n.raw(t), kmsg.StringPtr
	invalid := kerr.InvalidRequest.Code

	create := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range []string{"new", "new", "alone"} {
		create.Topics = append(create.Topics, kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: 1, ReplicationFactor: 1})
	}
	created := ask[*kmsg.CreateTopicsResponse](r, 7, create).Topics
	if len(created) != 2 || created[0].ErrorCode != invalid || created[1].ErrorCode != 0 {
		t.Errorf("created: %+v", created)
	}

	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 3}, {Topic: "t", Count: 4}, {Topic: "u", Count: 2}}
	grown := ask[*kmsg.CreatePartitionsResponse](r, 3, grow).Topics
	if now, err := n.log.Stream(t.Context(), "t"); err != nil || now.Shards != 2 || len(grown) != 2 || grown[0].ErrorCode != invalid || grown[1].ErrorCode != 0 {
		t.Errorf("grown: %+v, %+v, %v", grown, now, err)
	}

	for what, topics := range map[string][]kmsg.DeleteTopicsRequestTopic{
		"two names":  {{Topic: name("t")}, {Topic: name("t")}},
		"two ids":    {{TopicID: st.ID}, {TopicID: st.ID}},
		"each":       {{TopicID: st.ID}, {Topic: name("t")}},
		"both":       {{TopicID: st.ID, Topic: name("t")}},
		"neither":    {{}},
		"no topic's": {{Topic: name("none")}, {Topic: name("none")}},
	} {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Topics = topics
		if got := ask[*kmsg.DeleteTopicsResponse](r, 6, req).Topics; len(got) != 1 || got[0].ErrorCode != invalid {
			t.Errorf("delete by %s: %+v", what, got)
		}
	}
	old := kmsg.NewPtrDeleteTopicsRequest()
	old.TopicNames = []string{"t", "u", "t"}
	if got := ask[*kmsg.DeleteTopicsResponse](r, 5, old).Topics; len(got) != 2 || got[0].ErrorCode != invalid || got[1].ErrorCode != 0 {
		t.Errorf("delete in v5: %+v", got)
	}
	if _, err := n.log.StreamByID(t.Context(), st.ID); err != nil {
		t.Errorf("the topic named twice: %v", err)
	}
	if _, err := n.log.StreamByID(t.Context(), other.ID); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("the topic named once: %v", err)
	}
}

// TestMetadataByNameAndID shows which of the two counts, and that a topic asked for twice is told once.
func TestMetadataByNameAndID(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "t", 1, nil)
	r, name := n.raw(t), kmsg.StringPtr
	for _, row := range []struct {
		what    string
		version int16
		asked   []kmsg.MetadataRequestTopic
		want    []int16
	}{
		{"twice by name", 1, []kmsg.MetadataRequestTopic{{Topic: name("t")}, {Topic: name("t")}}, []int16{0}},
		{"twice by id", 12, []kmsg.MetadataRequestTopic{{TopicID: st.ID}, {TopicID: st.ID}}, []int16{0}},
		{"id and another name", 12, []kmsg.MetadataRequestTopic{{TopicID: st.ID, Topic: name("x")}}, []int16{0}},
		{"id before v12", 11, []kmsg.MetadataRequestTopic{{TopicID: st.ID, Topic: name("t")}}, []int16{kerr.InvalidRequest.Code}},
		{"no name before v12", 10, []kmsg.MetadataRequestTopic{{}}, []int16{kerr.InvalidRequest.Code}},
	} {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = row.asked
		var got []int16
		for _, topic := range ask[*kmsg.MetadataResponse](r, row.version, req).Topics {
			if got = append(got, topic.ErrorCode); topic.ErrorCode == 0 && *topic.Topic != "t" {
				t.Errorf("%s: topic %s", row.what, *topic.Topic)
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: errors %v, want %v", row.what, got, row.want)
		}
	}
}

func TestGroupsNamedTwiceAreDeletedOnce(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	r := n.raw(t)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group = "g" // this makes it
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 0}}}}
	ask[*kmsg.OffsetCommitResponse](r, 0, commit)
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{"g", "none", "g"}
	got := ask[*kmsg.DeleteGroupsResponse](r, 2, req).Groups
	if len(got) != 2 || got[0].ErrorCode != 0 || got[1].ErrorCode != kerr.GroupIDNotFound.Code {
		t.Errorf("deleted: %+v", got)
	}
}

func TestConfigsNamedTwice(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	r, str := n.raw(t), kmsg.StringPtr
	topic, invalid := kmsg.ConfigResourceTypeTopic, kerr.InvalidRequest.Code

	incremental := func(name string, configs ...kmsg.IncrementalAlterConfigsRequestResourceConfig) kmsg.IncrementalAlterConfigsRequestResource {
		return kmsg.IncrementalAlterConfigsRequestResource{ResourceType: topic, ResourceName: name, Configs: configs}
	}
	set := kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: "retention.ms", Value: str("1000")}
	odd, oddList := set, set
	odd.Op, oddList.Name, oddList.Value, oddList.Op = 9, "cleanup.policy", str(""), 9
	for what, row := range map[string]struct {
		resources []kmsg.IncrementalAlterConfigsRequestResource
		want      []int16
	}{
		"topic":          {[]kmsg.IncrementalAlterConfigsRequestResource{incremental("t", set), incremental("t", set)}, []int16{invalid, invalid}},
		"key":            {[]kmsg.IncrementalAlterConfigsRequestResource{incremental("t", set, set)}, []int16{invalid}},
		"operation":      {[]kmsg.IncrementalAlterConfigsRequestResource{incremental("t", odd)}, []int16{invalid}},
		"list operation": {[]kmsg.IncrementalAlterConfigsRequestResource{incremental("t", oddList)}, []int16{invalid}},
		"bad name":       {[]kmsg.IncrementalAlterConfigsRequestResource{incremental("a b", set)}, []int16{kerr.InvalidTopicException.Code}},
	} {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = row.resources
		var got []int16
		for _, resource := range ask[*kmsg.IncrementalAlterConfigsResponse](r, 1, req).Resources {
			got = append(got, resource.ErrorCode)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("incremental, %s: errors %v, want %v", what, got, row.want)
		}
	}
	whole := kmsg.AlterConfigsRequestResource{ResourceType: topic, ResourceName: "t", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: str("1000")}}}
	twice := whole
	twice.Configs = append(slices.Clone(whole.Configs), whole.Configs...)
	for what, resources := range map[string][]kmsg.AlterConfigsRequestResource{"topic": {whole, whole}, "key": {twice}} {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Resources = resources
		for _, resource := range ask[*kmsg.AlterConfigsResponse](r, 2, req).Resources {
			if resource.ErrorCode != invalid {
				t.Errorf("whole, %s: %+v", what, resource)
			}
		}
	}
	if st, err := n.log.Stream(t.Context(), "t"); err != nil || st.Config.Retention != 0 {
		t.Errorf("the topic was changed: %+v, %v", st, err)
	}
}
