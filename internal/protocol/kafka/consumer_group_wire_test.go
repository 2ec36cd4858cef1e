package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func beatRequest(group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 60_000, []string{"t"}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return req
}

// TestConsumerGroupLifeInEveryVersion walks a member of KIP-848 through its life in each version.
func TestConsumerGroupLifeInEveryVersion(t *testing.T) {
	t.Parallel()
	n := start(t)
	topic := n.create(t, "t", 3, nil)
	for v := range int16(2) {
		r, id, member := n.raw(t), fmt.Sprint("g", v), "m"
		if v == 0 {
			member = "" // the server makes one up
		}
		beat := ask[*kmsg.ConsumerGroupHeartbeatResponse](r, v, beatRequest(id, member, 0))
		code(t, "join", beat.ErrorCode, nil)
		if beat.MemberEpoch != 2 || beat.Assignment == nil || len(beat.Assignment.Topics) != 1 || beat.Assignment.Topics[0].TopicID != topic.ID ||
			!slices.Equal(beat.Assignment.Topics[0].Partitions, []int32{0, 1, 2}) || beat.HeartbeatIntervalMillis != 1000 {
			t.Fatalf("%+v", beat)
		}
		member = *beat.MemberID
		beat = ask[*kmsg.ConsumerGroupHeartbeatResponse](r, v, beatRequest(id, member, 2))
		if code(t, "heartbeat", beat.ErrorCode, nil); beat.Assignment != nil {
			t.Fatalf("%+v", beat)
		}
		beat = ask[*kmsg.ConsumerGroupHeartbeatResponse](r, v, beatRequest(id, member, 9))
		if code(t, "fenced", beat.ErrorCode, kerr.FencedMemberEpoch); beat.ErrorMessage == nil || beat.MemberID != nil {
			t.Fatalf("%+v", beat)
		}
		consumerOffsets(t, r, id, member, topic.ID)
		consumerDescribed(t, r, v, id, member)

		beat = ask[*kmsg.ConsumerGroupHeartbeatResponse](r, v, beatRequest(id, member, -1))
		if code(t, "leave", beat.ErrorCode, nil); beat.MemberEpoch != -1 {
			t.Fatalf("%+v", beat)
		}
		del := kmsg.NewPtrDeleteGroupsRequest()
		del.Groups = []string{id}
		code(t, "delete", ask[*kmsg.DeleteGroupsResponse](r, 2, del).Groups[0].ErrorCode, nil)
	}
}

// consumerOffsets commits and fetches by member epochs.
func consumerOffsets(t *testing.T, r *raw, id, member string, topic [16]byte) {
	t.Helper()
	commit := func(v int16, epoch int32) int16 {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = id, member, epoch
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = 1, 7
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", TopicID: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
		return ask[*kmsg.OffsetCommitResponse](r, v, req).Topics[0].Partitions[0].ErrorCode
	}
	code(t, "commit v8", commit(8, 2), kerr.UnsupportedVersion)
	code(t, "commit v9", commit(9, 2), nil)
	code(t, "commit v10", commit(10, 2), nil)
	code(t, "stale commit", commit(9, 3), kerr.StaleMemberEpoch)
	fetch := func(member *string, epoch int32) kmsg.OffsetFetchResponseGroup {
		req := kmsg.NewPtrOffsetFetchRequest()
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.MemberID, g.MemberEpoch = id, member, epoch
		req.Groups = []kmsg.OffsetFetchRequestGroup{g}
		return ask[*kmsg.OffsetFetchResponse](r, 9, req).Groups[0]
	}
	for _, got := range []kmsg.OffsetFetchResponseGroup{fetch(&member, 2), fetch(nil, -1)} {
		if code(t, "fetch", got.ErrorCode, nil); len(got.Topics) != 1 || got.Topics[0].Partitions[0].Offset != 7 {
			t.Fatalf("%+v", got)
		}
	}
	code(t, "stale fetch", fetch(&member, 0).ErrorCode, kerr.StaleMemberEpoch)
	code(t, "a stranger's fetch", fetch(kmsg.StringPtr("x"), 1).ErrorCode, kerr.UnknownMemberID)
}

func consumerDescribed(t *testing.T, r *raw, v int16, id, member string) {
	t.Helper()
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{id, "none"}, true
	groups := ask[*kmsg.ConsumerGroupDescribeResponse](r, v, req).Groups
	g := groups[0]
	if code(t, "describe", g.ErrorCode, nil); g.State != "Stable" || g.Epoch != 2 || g.AssignmentEpoch != 2 || g.AssignorName != "uniform" || len(g.Members) != 1 ||
		g.AuthorizedOperations == -2147483648 {
		t.Fatalf("%+v", g)
	}
	m := g.Members[0]
	if m.MemberID != member || m.MemberEpoch != 2 || m.ClientID != "raw" || m.ClientHost != "/127.0.0.1" || !slices.Equal(m.SubscribedTopics, []string{"t"}) ||
		len(m.Assignment.TopicPartitions) != 1 || m.Assignment.TopicPartitions[0].Topic != "t" || len(m.TargetAssignment.TopicPartitions[0].Partitions) != 3 {
		t.Fatalf("%+v", m)
	}
	if want := []int8{-1, 1}[v]; m.MemberType != want {
		t.Fatalf("type %d, want %d", m.MemberType, want)
	}
	if code(t, "describe nothing", groups[1].ErrorCode, kerr.GroupIDNotFound); *groups[1].ErrorMessage != "Group none not found." {
		t.Fatalf("%+v", groups[1])
	}
	classic := kmsg.NewPtrDescribeGroupsRequest()
	classic.Groups = []string{id}
	if got := ask[*kmsg.DescribeGroupsResponse](r, 6, classic).Groups[0]; got.ErrorCode != kerr.GroupIDNotFound.Code || got.State != "Dead" ||
		*got.ErrorMessage != fmt.Sprintf("Group %s is not a classic group.", id) {
		t.Fatalf("%+v", got)
	}
	for filter, want := range map[string]int{"Consumer": 1, "classic": 0} {
		list := kmsg.NewPtrListGroupsRequest()
		list.TypesFilter, list.StatesFilter = []string{filter}, []string{"stable"}
		got := ask[*kmsg.ListGroupsResponse](r, 5, list).Groups
		if len(got) != want || want == 1 && (got[0].Group != id || got[0].GroupType != "consumer" || got[0].GroupState != "Stable" || got[0].ProtocolType != "consumer") {
			t.Fatalf("%s: %+v", filter, got)
		}
	}
}

// TestHeartbeatsThatNoMemberSends are refused in the words of Apache Kafka.
func TestHeartbeatsThatNoMemberSends(t *testing.T) {
	t.Parallel()
	r := start(t).raw(t)
	str := kmsg.StringPtr
	for message, change := range map[string]func(*kmsg.ConsumerGroupHeartbeatRequest){
		"MemberId can't be empty.":                              func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID = " " },
		"GroupId can't be empty.":                               func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" },
		"InstanceId can't be empty.":                            func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = str("") },
		"RackId can't be empty.":                                func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = str("") },
		"InstanceId can't be null.":                             func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -2 },
		"MemberEpoch is invalid.":                               func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 },
		"RebalanceTimeoutMs must be provided in first request.": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 },
		"TopicPartitions must be empty when (re-)joining.":      func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil },
		"Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil },
		"ServerAssignor sticky is not supported. Supported assignors: uniform, range.":            func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = str("sticky") },
		"SubscribedTopicRegex `a(` is not a valid regular expression: missing closing ).":         func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = str("a(") },
		"Consumer group g not found.": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = 1 },
	} {
		want := kerr.InvalidRequest
		switch message[:8] {
		case "ServerAs":
			want = kerr.UnsupportedAssignor
		case "Subscrib":
			want = kerr.InvalidRegularExpression
		case "Consumer":
			want = kerr.GroupIDNotFound
		}
		req := beatRequest("g", "m", 0)
		change(req)
		resp := ask[*kmsg.ConsumerGroupHeartbeatResponse](r, 1, req)
		if code(t, message, resp.ErrorCode, want); resp.ErrorMessage == nil || *resp.ErrorMessage != message {
			t.Errorf("%q, want %q", *resp.ErrorMessage, message)
		}
	}
}

// TestGroupConfigs sets, enforces and lists them.
func TestGroupConfigs(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 1, nil)
	r := n.raw(t)
	alter := func(op kmsg.IncrementalAlterConfigOp, name string, value *string) (int16, string) {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: "g",
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Op: op, Value: value}},
		}}
		got := ask[*kmsg.IncrementalAlterConfigsResponse](r, 1, req).Resources[0]
		if got.ErrorMessage == nil {
			return got.ErrorCode, ""
		}
		return got.ErrorCode, *got.ErrorMessage
	}
	const interval = "consumer.heartbeat.interval.ms"
	str := kmsg.StringPtr
	for _, row := range []struct {
		op      kmsg.IncrementalAlterConfigOp
		name    string
		value   *string
		code    int16
		message string
	}{
		{kmsg.IncrementalAlterConfigOpSet, interval, str("7000"), 0, ""},
		{kmsg.IncrementalAlterConfigOpSet, interval, str("1"), 40, interval + " must be greater than or equal to group.consumer.min.heartbeat.interval.ms"},
		{kmsg.IncrementalAlterConfigOpSet, "nonsense", str("1"), 40, "Unknown group config name: nonsense"},
		{kmsg.IncrementalAlterConfigOpSet, interval, nil, 42, "Null value not supported for : " + interval},
		{kmsg.IncrementalAlterConfigOpAppend, interval, str("1"), 40, "Can't APPEND to key " + interval + " because its type is not LIST."},
		{kmsg.IncrementalAlterConfigOpDelete, "nonsense", nil, 0, ""},
		{9, interval, str("1"), 42, "operation 9 on " + interval + " is unknown"},
	} {
		if code, message := alter(row.op, row.name, row.value); code != row.code || message != row.message {
			t.Errorf("%s %s: %d %q, want %d %q", row.op, row.name, code, message, row.code, row.message)
		}
	}
	if beat := ask[*kmsg.ConsumerGroupHeartbeatResponse](r, 1, beatRequest("g", "m", 0)); beat.HeartbeatIntervalMillis != 7000 {
		t.Errorf("told to send heartbeats each %d ms", beat.HeartbeatIntervalMillis)
	}
	described := func() kmsg.DescribeConfigsResponseResourceConfig {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.IncludeSynonyms = true
		req.Resources = []kmsg.DescribeConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: "g", ConfigNames: []string{interval},
		}}
		return ask[*kmsg.DescribeConfigsResponse](r, 4, req).Resources[0].Configs[0]
	}
	if c := described(); *c.Value != "7000" || c.Source != kmsg.ConfigSourceGroupConfig || len(c.ConfigSynonyms) != 2 || c.ConfigSynonyms[1].Name != "group."+interval {
		t.Errorf("%+v", c)
	}
	list := kmsg.NewPtrListConfigResourcesRequest()
	list.ResourceTypes = []int8{int8(kmsg.ConfigResourceTypeGroupConfig)}
	if got := ask[*kmsg.ListConfigResourcesResponse](r, 1, list).ConfigResources; len(got) != 1 || got[0].Name != "g" || got[0].Type != 32 {
		t.Errorf("%+v", got)
	}
	replace := kmsg.NewPtrAlterConfigsRequest()
	replace.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: "g"}}
	code(t, "replace", ask[*kmsg.AlterConfigsResponse](r, 2, replace).Resources[0].ErrorCode, nil)
	if c := described(); *c.Value != "5000" || c.Source != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("%+v", c)
	}
	if got := ask[*kmsg.ListConfigResourcesResponse](r, 1, list).ConfigResources; len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestFranzGoConsumers lets two clients of franz-go share a topic in a group of KIP-848, and one of the classic protocol join them.
func TestFranzGoConsumers(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.create(t, "t", 4, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	has := make(chan map[string]int, 100)
	client := func(name string, next bool) *kgo.Client {
		var mine int
		told := func(delta int) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
				mine += delta * len(topics["t"])
				has <- map[string]int{name: mine}
			}
		}
		options := []kgo.Opt{
			kgo.SeedBrokers(n.addr), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.WithContext(ctx), kgo.HeartbeatInterval(200 * time.Millisecond),
			kgo.OnPartitionsAssigned(told(1)), kgo.OnPartitionsRevoked(told(-1)), kgo.OnPartitionsLost(told(-1)),
		}
		if next { // the client joins by KIP-848 only with one of these two balancers
			options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
		} else {
			options = append(options, kgo.Balancers(kgo.CooperativeStickyBalancer()))
		}
		cl, err := kgo.NewClient(options...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		go func() {
			for !cl.PollFetches(ctx).IsClientClosed() && ctx.Err() == nil {
			}
		}()
		return cl
	}
	now := map[string]int{}
	await := func(want map[string]int) {
		t.Helper()
		for fmt.Sprint(now) != fmt.Sprint(want) {
			select {
			case news := <-has:
				for name, n := range news {
					now[name] = n
				}
			case <-ctx.Done():
				t.Fatalf("partitions %v, want %v", now, want)
			}
		}
	}
	client("a", true)
	await(map[string]int{"a": 4})
	if g, err := kadm.NewClient(n.client(t)).DescribeConsumerGroups(ctx, "g"); err != nil || g["g"].Err != nil {
		t.Fatalf("not a group of KIP-848: %v, %v", err, g["g"].Err)
	}
	b := client("b", true)
	await(map[string]int{"a": 2, "b": 2})
	client("c", false)
	await(map[string]int{"a": 2, "b": 1, "c": 1})
	b.Close()
	await(map[string]int{"a": 2, "b": 0, "c": 2})
}
