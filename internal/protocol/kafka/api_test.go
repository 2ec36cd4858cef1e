package kafka_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/freshet/freshet/internal/protocol/kafka"
)

// send sends a request without reading its answer.
func (r *raw) send(version int16, req kmsg.Request) {
	r.t.Helper()
	req.SetVersion(version)
	r.id++
	if _, err := r.conn.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, r.id)); err != nil {
		r.t.Fatal(err)
	}
}

// receive reads the body of one answer, header and all.
func (r *raw) receive() []byte {
	r.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(r.conn, size[:]); err != nil {
		r.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r.conn, b); err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *raw) expectClosed() {
	r.t.Helper()
	_ = r.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := r.conn.Read(make([]byte, 1)); n != 0 || err == nil {
		r.t.Fatal("the connection has bytes")
	} else if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
		r.t.Fatal("the connection is open")
	}
}

// versions asks for the advertised versions with ApiVersions of a version.
func (r *raw) versions(version int16) *kmsg.ApiVersionsResponse {
	r.t.Helper()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "raw", "1.0"
	r.send(version, req)
	resp := kmsg.NewPtrApiVersionsResponse()
	if resp.Version = version; version > 4 {
		resp.Version = 0
	}
	if err := resp.ReadFrom(r.receive()[4:]); err != nil {
		r.t.Fatal(err)
	}
	return resp
}

func TestApiVersions(t *testing.T) {
	t.Parallel()
	n := start(t)
	r := n.raw(t)
	for v := range int16(5) {
		resp := r.versions(v)
		if resp.ErrorCode != 0 || len(resp.ApiKeys) < 30 || (len(resp.FinalizedFeatures) > 0) != (v >= 3) {
			t.Errorf("v%d: %+v", v, resp)
		}
		for name, level := range map[string]int16{"group.version": 1, "share.version": 1, "transaction.version": 2, "metadata.version": 30} {
			supported := func(f kmsg.ApiVersionsResponseSupportedFeature) bool {
				return f.Name == name && f.MaxVersion == level
			}
			finalized := func(f kmsg.ApiVersionsResponseFinalizedFeature) bool {
				return f.Name == name && f.MaxVersionLevel == level
			}
			// A lowest level of 0 is more than clients before v4 can read.
			if slices.ContainsFunc(resp.SupportedFeatures, supported) != (v >= 4 || v == 3 && name == "metadata.version") || slices.ContainsFunc(resp.FinalizedFeatures, finalized) != (v >= 3) {
				t.Errorf("v%d: %+v, %+v", v, resp.SupportedFeatures, resp.FinalizedFeatures)
			}
		}
		for _, key := range resp.ApiKeys {
			if newest := kmsg.RequestForKey(key.ApiKey).MaxVersion(); key.MinVersion < 0 || key.MaxVersion > newest || key.MinVersion > key.MaxVersion {
				t.Errorf("%s: %d to %d, the codec has %d", kmsg.NameForKey(key.ApiKey), key.MinVersion, key.MaxVersion, newest)
			}
		}
	}
	if resp := r.versions(5); resp.ErrorCode != kerr.UnsupportedVersion.Code || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].MaxVersion != 4 {
		t.Errorf("v5: %+v", resp)
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "bad name", "1.0"
	r.send(3, req)
	if got := int16(binary.BigEndian.Uint16(r.receive()[4:])); got != kerr.InvalidRequest.Code {
		t.Errorf("bad name: error %d", got)
	}
	for _, unknown := range []struct {
		req     kmsg.Request
		version int16
	}{{kmsg.NewPtrMetadataRequest(), 14}, {kmsg.NewPtrFetchRequest(), 3}, {kmsg.NewPtrVoteRequest(), 0}} {
		r := n.raw(t)
		r.send(unknown.version, unknown.req)
		r.expectClosed()
	}
}

// TestNewestVersionsAreThoseOfKafka43 holds the table against the release whose protocol is spoken.
func TestNewestVersionsAreThoseOfKafka43(t *testing.T) {
	release := kversion.V4_3_0()
	for _, a := range kafka.APIs() {
		if newest, ok := release.LookupMaxKeyVersion(a.Key); !ok || a.Max != newest {
			t.Errorf("%s: up to v%d, Kafka 4.3 has v%d (%v)", a.Name, a.Max, newest, ok)
		}
	}
}

// TestRandomRequests sends what no client would, in every advertised version: each is answered or refused, and the server goes on.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	observed := map[int16]int{}
	n := start(t, func(c *kafka.Config) {
		c.MaxPartitions = 100
		c.Observe = func(o kafka.Observation) {
			mu.Lock()
			defer mu.Unlock()
			if o.ClientID == "raw" {
				observed[o.Key]++
			}
		}
	})
	n.create(t, "some", 3, nil)
	keys := n.raw(t).versions(4).ApiKeys
	r := n.raw(t)
	sent := map[int16]int{}
	for _, key := range keys {
		if slices.Contains([]int16{int16(kmsg.JoinGroup), int16(kmsg.SyncGroup), int16(kmsg.ApiVersions)}, key.ApiKey) {
			continue // they may wait, or answer with another header
		}
		for v := key.MinVersion; v <= key.MaxVersion; v++ {
			for range 5 {
				req := kmsg.RequestForKey(key.ApiKey)
				fill(rnd, reflect.ValueOf(req).Elem())
				if p, ok := req.(*kmsg.ProduceRequest); ok && p.Acks == 0 {
					p.Acks = 1
				}
				if f, ok := req.(*kmsg.FetchRequest); ok {
					f.MaxWaitMillis = 0
				}
				ask[kmsg.Response](r, v, req)
				sent[key.ApiKey]++
			}
		}
	}
	for key, want := range sent {
		eventually(t, kmsg.NameForKey(key)+" is observed", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return observed[key] == want
		})
	}
}

func fill(r *rand.Rand, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "UnknownTags" {
				fill(r, v.Field(i))
			}
		}
	case v.CanInt():
		v.SetInt([]int64{-3, -2, -1, 0, 0, 1, 2, 4, 8, 100}[r.IntN(10)])
	case v.Kind() == reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case v.Kind() == reflect.String:
		v.SetString([]string{"", "some", "other", "1", "bad name", "cleanup.policy", "retention.ms"}[r.IntN(7)])
	case v.Kind() == reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case v.Kind() == reflect.Slice:
		length := r.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), length, length))
		for i := range length {
			fill(r, v.Index(i))
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *kafka.Config) { c.AdvertisedHost, c.AdvertisedPort, c.NodeID = "example.org", 1234, 5 })
	r := n.raw(t)
	spec := kmsg.NewPtrCreateTopicsRequest()
	for _, name := range []string{"b", "a"} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, 3
		spec.Topics = append(spec.Topics, topic)
	}
	if resp := ask[*kmsg.CreateTopicsResponse](r, 7, spec); resp.Topics[0].ErrorCode != 0 || resp.Topics[1].ReplicationFactor != 1 {
		t.Fatalf("%+v", resp)
	}
	st, err := n.log.Stream(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for v := range int16(14) {
		all := kmsg.NewPtrMetadataRequest()
		if v == 0 {
			all.Topics = []kmsg.MetadataRequestTopic{}
		}
		resp := ask[*kmsg.MetadataResponse](r, v, all)
		if len(resp.Brokers) != 1 || resp.Brokers[0].Host != "example.org" || resp.Brokers[0].Port != 1234 || resp.Brokers[0].NodeID != 5 {
			t.Errorf("v%d: brokers %+v", v, resp.Brokers)
		}
		if len(resp.Topics) != 2 || *resp.Topics[0].Topic != "a" || len(resp.Topics[1].Partitions) != 2 || resp.Topics[0].Partitions[1].Leader != 5 {
			t.Errorf("v%d: topics %+v", v, resp.Topics)
		}
		if v >= 2 && (resp.ClusterID == nil || *resp.ClusterID != n.ClusterID()) || v >= 10 && resp.Topics[0].TopicID != st.ID {
			t.Errorf("v%d: cluster %v, topic id %x", v, resp.ClusterID, resp.Topics[0].TopicID)
		}
		none := kmsg.NewPtrMetadataRequest()
		none.Topics = []kmsg.MetadataRequestTopic{}
		if resp = ask[*kmsg.MetadataResponse](r, v, none); v > 0 && len(resp.Topics) != 0 {
			t.Errorf("v%d: asked for none: %+v", v, resp.Topics)
		}
	}
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	req.Topics = []kmsg.MetadataRequestTopic{
		{Topic: kmsg.StringPtr("no such")},
		{Topic: kmsg.StringPtr("__cluster_metadata")},
		{TopicID: [16]byte{1}},
		{TopicID: st.ID},
	}
	var got []int16
	for _, topic := range ask[*kmsg.MetadataResponse](r, 12, req).Topics {
		got = append(got, topic.ErrorCode)
	}
	if want := []int16{kerr.InvalidTopicException.Code, kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code, 0}; !slices.Equal(got, want) {
		t.Errorf("errors %v, want %v", got, want)
	}
}

func TestTopicAdministration(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *kafka.Config) { c.MaxPartitions, c.AcceptAnyRF = 10, false })
	r := n.raw(t)
	str := kmsg.StringPtr
	validateOnly := false
	create := func(change func(*kmsg.CreateTopicsRequestTopic)) int16 {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.ValidateOnly = validateOnly
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
		change(&topic)
		req.Topics = append(req.Topics, topic)
		return ask[*kmsg.CreateTopicsResponse](r, 7, req).Topics[0].ErrorCode
	}
	assign := func(partitions ...int32) func(*kmsg.CreateTopicsRequestTopic) {
		return func(t *kmsg.CreateTopicsRequestTopic) {
			t.NumPartitions, t.ReplicationFactor = -1, -1
			for _, p := range partitions {
				t.ReplicaAssignment = append(t.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: p, Replicas: []int32{1}})
			}
		}
	}
	for name, row := range map[string]struct {
		change func(*kmsg.CreateTopicsRequestTopic)
		want   *kerr.Error
	}{
		"no partition":        {func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = 0 }, kerr.InvalidPartitions},
		"more than a request": {func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = 10_001 }, kerr.PolicyViolation},
		"metadata topic":      {func(t *kmsg.CreateTopicsRequestTopic) { t.Topic = "__cluster_metadata" }, kerr.InvalidRequest},
		"too many partitions": {func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = 11 }, kerr.InvalidPartitions},
		"three replicas":      {func(t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = 3 }, kerr.InvalidReplicationFactor},
		"no replica":          {func(t *kmsg.CreateTopicsRequestTopic) { t.ReplicationFactor = 0 }, kerr.InvalidReplicationFactor},
		"bad name":            {func(t *kmsg.CreateTopicsRequestTopic) { t.Topic = "a b" }, kerr.InvalidTopicException},
		"no name":             {func(t *kmsg.CreateTopicsRequestTopic) { t.Topic = "" }, kerr.InvalidTopicException},
		"unknown config": {func(t *kmsg.CreateTopicsRequestTopic) {
			t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "x", Value: str("1")}}
		}, kerr.InvalidConfig},
		"null config": {func(t *kmsg.CreateTopicsRequestTopic) {
			t.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
		}, kerr.InvalidConfig},
		"gap in the assignment":  {assign(0, 2), kerr.InvalidReplicaAssignment},
		"assigned twice":         {assign(0, 0), kerr.InvalidReplicaAssignment},
		"assignment and numbers": {func(t *kmsg.CreateTopicsRequestTopic) { assign(0)(t); t.NumPartitions = 1 }, kerr.InvalidRequest},
	} {
		if got := create(row.change); got != row.want.Code {
			t.Errorf("%s: error %d, want %v", name, got, row.want)
		}
	}
	if got := create(assign(1, 0)); got != 0 {
		t.Fatalf("created with an assignment: %d", got)
	}
	for _, validateOnly = range []bool{true, false} {
		if got := create(func(t *kmsg.CreateTopicsRequestTopic) { t.NumPartitions = 0 }); got != kerr.TopicAlreadyExists.Code {
			t.Errorf("created again with no partition, only validated %v: %d", validateOnly, got)
		}
	}
	grow := func(count int32) int16 {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: count}}
		return ask[*kmsg.CreatePartitionsResponse](r, 3, req).Topics[0].ErrorCode
	}
	if got := []int16{grow(2), grow(1), grow(11), grow(5)}; !slices.Equal(got, []int16{kerr.InvalidPartitions.Code, kerr.InvalidPartitions.Code, kerr.InvalidPartitions.Code, 0}) {
		t.Errorf("growing: %v", got)
	}
	remove := func(topic kmsg.DeleteTopicsRequestTopic) int16 {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Topics = []kmsg.DeleteTopicsRequestTopic{topic}
		return ask[*kmsg.DeleteTopicsResponse](r, 6, req).Topics[0].ErrorCode
	}
	st, err := n.log.Stream(t.Context(), "t")
	if err != nil || st.Shards != 5 {
		t.Fatal(st, err)
	}
	got := []int16{
		remove(kmsg.DeleteTopicsRequestTopic{Topic: str("none")}), remove(kmsg.DeleteTopicsRequestTopic{TopicID: [16]byte{9}}),
		remove(kmsg.DeleteTopicsRequestTopic{Topic: str("t"), TopicID: st.ID}), remove(kmsg.DeleteTopicsRequestTopic{TopicID: st.ID}),
	}
	if want := []int16{kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code, kerr.InvalidRequest.Code, 0}; !slices.Equal(got, want) {
		t.Errorf("deleting: %v, want %v", got, want)
	}
}

func TestConfigAdministration(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	adm := kadm.NewClient(n.client(t))
	explicit := func() map[string]string {
		t.Helper()
		rs, err := adm.DescribeTopicConfigs(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]string{}
		for _, c := range rs[0].Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				set[c.Key] = c.MaybeValue()
			}
		}
		return set
	}
	expect := func(want map[string]string) {
		t.Helper()
		if got := explicit(); !reflect.DeepEqual(got, want) {
			t.Errorf("set are %v, want %v", got, want)
		}
	}
	alter := func(configs ...kadm.AlterConfig) int16 {
		t.Helper()
		rs, err := adm.AlterTopicConfigs(t.Context(), configs, "t")
		if err != nil {
			t.Fatal(err)
		}
		var failed *kerr.Error
		if err, ok := rs[0].Err.(*kerr.Error); ok {
			failed = err
			return failed.Code
		}
		return 0
	}
	str := kmsg.StringPtr
	expect(map[string]string{})
	alter(kadm.AlterConfig{Name: "retention.ms", Value: str("604800000")}, kadm.AlterConfig{Name: "cleanup.policy", Value: str("delete")})
	expect(map[string]string{"retention.ms": "604800000", "cleanup.policy": "delete"})
	alter(kadm.AlterConfig{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: str("compact")}, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.ms"})
	expect(map[string]string{"cleanup.policy": "delete,compact"})
	alter(kadm.AlterConfig{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: str("delete")})
	expect(map[string]string{"cleanup.policy": "compact"})
	if got := alter(kadm.AlterConfig{Name: "retention.ms", Value: str("1")}, kadm.AlterConfig{Name: "nonsense", Value: str("1")}); got != kerr.InvalidConfig.Code {
		t.Errorf("unknown key: %d", got)
	}
	if got := alter(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "nonsense"}); got != 0 {
		t.Errorf("unknown key deleted: %d", got)
	}
	expect(map[string]string{"cleanup.policy": "compact"})
	if rs, err := adm.AlterTopicConfigsState(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: str("5000")}}, "t"); err != nil || rs[0].Err != nil {
		t.Error(rs, err)
	}
	expect(map[string]string{"max.message.bytes": "5000"})
	brokers, err := adm.DescribeBrokerConfigs(t.Context(), 1)
	if err != nil || len(brokers[0].Configs) < 30 {
		t.Error(brokers, err)
	}
}

func TestDescribeTopicPartitionsPages(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, name := range []string{"b", "a", "c"} {
		n.create(t, name, 3, nil)
	}
	r := n.raw(t)
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 2
	var got []string
	for pages := 0; ; pages++ {
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](r, 0, req)
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				got = append(got, *topic.Topic+string(rune('0'+p.Partition)))
			}
		}
		if resp.NextCursor == nil {
			break
		}
		if pages > 10 {
			t.Fatal("it does not end")
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
	}
	if want := []string{"a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"}; !slices.Equal(got, want) {
		t.Errorf("partitions %v, want %v", got, want)
	}
}

func TestDescribeTopicPartitionsCursorAndLimit(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, name := range []string{"a", "b"} {
		n.create(t, name, 2, nil)
	}
	r := n.raw(t)
	type cursor = kmsg.DescribeTopicPartitionsRequestCursor
	both, refused := []string{"a", "b"}, []string{"a error 42", "b error 42"}
	for name, row := range map[string]struct {
		topics []string
		cursor *cursor
		limit  int32
		want   []string
	}{
		"no limit is one":            {both, nil, 0, []string{"a0"}},
		"nor is a negative one":      {both, nil, -5, []string{"a0"}},
		"from the cursor on":         {both, &cursor{Topic: "a", Partition: 1}, 9, []string{"a1", "b0", "b1"}},
		"behind the last partition":  {both, &cursor{Topic: "a", Partition: 2}, 9, []string{"b0", "b1"}},
		"another topic":              {both, &cursor{Topic: "aa"}, 9, refused},
		"a topic not asked for":      {both[1:], &cursor{Topic: "a"}, 9, refused[1:]},
		"a negative partition":       {both, &cursor{Topic: "a", Partition: -1}, 9, refused},
		"all, from an unknown topic": {nil, &cursor{Topic: "aa"}, 9, []string{"b0", "b1"}},
	} {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Cursor, req.ResponsePartitionLimit = row.cursor, row.limit
		for _, topic := range row.topics {
			req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: topic})
		}
		var got []string
		for _, topic := range ask[*kmsg.DescribeTopicPartitionsResponse](r, 0, req).Topics {
			if topic.ErrorCode != 0 {
				got = append(got, fmt.Sprintf("%s error %d", *topic.Topic, topic.ErrorCode))
			}
			for _, p := range topic.Partitions {
				got = append(got, fmt.Sprint(*topic.Topic, p.Partition))
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func TestOffsetsOfLeaderEpochs(t *testing.T) {
	t.Parallel()
	n := start(t)
	st := n.create(t, "events", 1, nil)
	n.put(t, st, 0, 10)
	n.put(t, st, 0, 10)
	n.log.BumpEpochs()
	n.put(t, st, 0, 10)
	r := n.raw(t)
	for _, row := range []struct {
		current, asked int32
		code           int16
		epoch          int32
		end            int64
	}{{-1, 0, 0, 0, 2}, {1, 1, 0, 1, 3}, {-1, 7, 0, -1, -1}, {0, 0, kerr.FencedLeaderEpoch.Code, -1, -1}, {-2, 0, kerr.FencedLeaderEpoch.Code, -1, -1}, {5, 0, kerr.UnknownLeaderEpoch.Code, -1, -1}} {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: "events", Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{
			{CurrentLeaderEpoch: row.current, LeaderEpoch: row.asked},
		}}}
		for v := int16(2); v <= 4; v++ {
			p := ask[*kmsg.OffsetForLeaderEpochResponse](r, v, req).Topics[0].Partitions[0]
			if p.ErrorCode != row.code || p.LeaderEpoch != row.epoch || p.EndOffset != row.end {
				t.Errorf("v%d, %+v: %+v", v, row, p)
			}
		}
	}
	for timestamp, want := range map[int64]int32{-1: 1, -2: 0, -3: 0} {
		if p := ask[*kmsg.ListOffsetsResponse](r, 7, listRequest("events", timestamp)).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LeaderEpoch != want && timestamp != -3 {
			t.Errorf("offset %d has epoch %d, want %d", timestamp, p.LeaderEpoch, want)
		}
	}
	for timestamp, version := range map[int64]int16{-3: 6, -4: 7, -5: 8, -6: 10, -7: 11} {
		for _, topic := range []string{"events", "none"} {
			if p := ask[*kmsg.ListOffsetsResponse](r, version, listRequest(topic, timestamp)).Topics[0].Partitions[0]; p.ErrorCode != kerr.UnsupportedVersion.Code {
				t.Errorf("timestamp %d of topic %s in v%d: %+v", timestamp, topic, version, p)
			}
		}
	}
	stale := listRequest("events", -1)
	stale.Topics[0].Partitions[0].CurrentLeaderEpoch = -2
	if p := ask[*kmsg.ListOffsetsResponse](r, 4, stale).Topics[0].Partitions[0]; p.ErrorCode != kerr.FencedLeaderEpoch.Code {
		t.Errorf("leader epoch -2: %+v", p)
	}
}
