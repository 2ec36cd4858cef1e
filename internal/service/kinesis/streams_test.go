package kinesis

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kinesis"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

func TestCreateStream(t *testing.T) {
	onDemand := &api.StreamModeDetails{StreamMode: new(api.StreamModeOnDemand)}
	provisioned := &api.StreamModeDetails{StreamMode: new(api.StreamModeProvisioned)}
	auto := new(api.RecordDistributionStrategyAuto)
	for name, test := range map[string]struct {
		in   api.CreateStreamInput
		want string // mode, shards and retention, or the error
	}{
		"nothing":          {api.CreateStreamInput{}, "ON_DEMAND 4 24h 1024KiB USER_PARTITION_KEY"},
		"count":            {api.CreateStreamInput{ShardCount: new(int32(7))}, "PROVISIONED 7 24h 1024KiB USER_PARTITION_KEY"},
		"provisioned":      {api.CreateStreamInput{ShardCount: new(int32(2)), StreamModeDetails: provisioned}, "PROVISIONED 2 24h 1024KiB USER_PARTITION_KEY"},
		"on demand":        {api.CreateStreamInput{StreamModeDetails: onDemand, RecordDistributionStrategy: auto, MaxRecordSizeInKiB: new(int32(10240))}, "ON_DEMAND 4 24h 10240KiB AUTO"},
		"on demand, count": {api.CreateStreamInput{StreamModeDetails: onDemand, ShardCount: new(int32(1))}, "ValidationException: ShardCount cannot*"},
		"no count":         {api.CreateStreamInput{StreamModeDetails: provisioned}, "ValidationException: ShardCount must*"},
		"warm":             {api.CreateStreamInput{ShardCount: new(int32(1)), WarmThroughputMiBps: new(int32(5))}, "InvalidArgumentException: WarmThroughputMiBps*"},
		"auto":             {api.CreateStreamInput{ShardCount: new(int32(1)), RecordDistributionStrategy: auto}, "InvalidArgumentException: RecordDistributionStrategy*"},
		"tags":             {api.CreateStreamInput{Tags: map[string]string{"aws:x": "y"}}, "InvalidArgumentException: Failed to add tags to stream s under account 000000000000 because*"},
		"limit": {api.CreateStreamInput{ShardCount: new(int32(20001))}, "LimitExceededException: This request would exceed the shard limit for the account 000000000000 in us-east-1. " +
			"Current shard count for the account: 0. Limit: 20000. Number of additional shards that would have resulted from this request: 20001. Refer to the AWS Service Limits page*"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			test.in.StreamName = new("s")
			if strings.Contains(test.want, "Exception") {
				refused(r, r.createStream, &test.in, test.want)
				return
			}
			must(r, r.createStream, &test.in)
			d := must(r, r.describeStreamSummary, &api.DescribeStreamSummaryInput{StreamName: new("s")}).StreamDescriptionSummary
			if d.StreamId != nil {
				t.Errorf("StreamId is %s: it leads SDKs away from this endpoint", *d.StreamId)
			}
			got := fmt.Sprintf("%s %d %dh %dKiB %s", *d.StreamModeDetails.StreamMode, *d.OpenShardCount, *d.RetentionPeriodHours, *d.MaxRecordSizeInKiB, *d.RecordDistributionStrategy)
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			refused(r, r.createStream, &test.in, "ResourceInUseException: Stream s under account 000000000000 already exists.")
		})
	}
}

func TestDescribeStream(t *testing.T) {
	r := newRig(t)
	r.create("s", 3)
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/s"
	d := must(r, r.describeStream, &api.DescribeStreamInput{StreamARN: &arn, Limit: new(int32(2))}).StreamDescription
	if *d.StreamARN != arn || *d.StreamStatus != "ACTIVE" || !*d.HasMoreShards || len(d.Shards) != 2 || !d.StreamCreationTimestamp.Equal(rigStart) || *d.EncryptionType != "NONE" {
		t.Errorf("got %+v", d)
	}
	d = must(r, r.describeStream, &api.DescribeStreamInput{StreamName: new("s"), ExclusiveStartShardId: d.Shards[1].ShardId}).StreamDescription
	text, _ := json.Marshal(d.Shards)
	want := `[{"ShardId":"shardId-000000000002","ParentShardId":null,"AdjacentParentShardId":null,"HashKeyRange":{` +
		`"StartingHashKey":"226854911280625642308916404954512140970","EndingHashKey":"340282366920938463463374607431768211455"},` +
		`"SequenceNumberRange":{"StartingSequenceNumber":"49672258771510437051098091738553893353313089639378059298","EndingSequenceNumber":null}}]`
	if string(text) != want || *d.HasMoreShards {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	refused(r, r.describeStream, &api.DescribeStreamInput{StreamName: new("none")}, "ResourceNotFoundException: Stream none under account 000000000000 not found.")
	refused(r, r.describeStream, &api.DescribeStreamInput{StreamARN: &arn, StreamName: new("t")}, "InvalidArgumentException: StreamName t does not match*")
}

func TestListStreamsPages(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.create(fmt.Sprintf("s%d", i), 1)
	}
	r.topic(strings.Repeat("long", 40), 1)
	var pages []string
	in := &api.ListStreamsInput{Limit: new(int32(2))}
	for {
		out := must(r, r.listStreams, in)
		pages = append(pages, strings.Join(out.StreamNames, " "))
		if len(out.StreamSummaries) != len(out.StreamNames) {
			t.Errorf("%d summaries of %d streams", len(out.StreamSummaries), len(out.StreamNames))
		}
		if !*out.HasMoreStreams {
			break
		}
		in.NextToken = out.NextToken
	}
	if got := strings.Join(pages, ", "); got != "s0 s1, s2 s3, s4" {
		t.Errorf("pages are %s", got)
	}
	if out := must(r, r.listStreams, &api.ListStreamsInput{ExclusiveStartStreamName: new("s2")}); strings.Join(out.StreamNames, " ") != "s3 s4" {
		t.Errorf("after s2 come %s", out.StreamNames)
	}
	r.clock.Advance(tokenLife + time.Millisecond)
	refused(r, r.listStreams, in, "ExpiredNextTokenException: *")
}

// A topic that Kafka made is a stream like any other; when Kafka adds partitions, all of them divide the key space anew.
func TestKafkaTopicIsAStream(t *testing.T) {
	r := newRig(t)
	st := r.topic("topic", 2)
	if got := must(r, r.describeStreamSummary, &api.DescribeStreamSummaryInput{StreamName: new("topic")}).StreamDescriptionSummary; *got.StreamModeDetails.StreamMode != "PROVISIONED" ||
		*got.RetentionPeriodHours != 168 || *got.MaxRecordSizeInKiB != 1024 {
		t.Errorf("described as %+v", got)
	}
	before := must(r, r.listShards, &api.ListShardsInput{StreamName: new("topic"), ExclusiveStartShardId: new(shardID(0))}).Shards
	if len(before) != 1 || *before[0].HashKeyRange.StartingHashKey != "170141183460469231731687303715884105728" {
		t.Errorf("two shards: %+v", before)
	}
	if _, err := r.log.Alter(t.Context(), st.ID, stream.Change{Shards: new(int32(4))}); err != nil {
		t.Fatal(err)
	}
	after := must(r, r.listShards, &api.ListShardsInput{StreamName: new("topic"), ExclusiveStartShardId: new(shardID(2))}).Shards
	if len(after) != 1 || *after[0].HashKeyRange.StartingHashKey != "255211775190703847597530955573826158592" || *after[0].HashKeyRange.EndingHashKey != maxHashKey.String() {
		t.Errorf("four shards: %+v", after)
	}
	out := must(r, r.putRecord, &api.PutRecordInput{StreamName: new("topic"), PartitionKey: new("k"), ExplicitHashKey: new(maxHashKey.String()), Data: []byte("v")})
	if *out.ShardId != shardID(3) {
		t.Errorf("the highest hash key is in %s", *out.ShardId)
	}
}

func TestRetention(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	increase := func(hours int32) *api.IncreaseStreamRetentionPeriodInput {
		return &api.IncreaseStreamRetentionPeriodInput{StreamName: new("s"), RetentionPeriodHours: &hours}
	}
	decrease := func(hours int32) *api.DecreaseStreamRetentionPeriodInput {
		return &api.DecreaseStreamRetentionPeriodInput{StreamName: new("s"), RetentionPeriodHours: &hours}
	}
	must(r, r.increaseRetention, increase(48))
	st, _ := r.log.Stream(t.Context(), "s")
	if st.Config.Retention != 48*time.Hour || st.Config.Timestamps != stream.LogAppendTime {
		t.Errorf("the log has %+v", st.Config)
	}
	refused(r, r.increaseRetention, increase(24), "InvalidArgumentException: Requested retention period (24 hours) for stream s can not be shorter than existing "+
		"retention period (48 hours). Use DecreaseRetentionPeriod API.")
	refused(r, r.decreaseRetention, decrease(72), "InvalidArgumentException: Requested retention period (72 hours) for stream s can not be longer than existing "+
		"retention period (48 hours). Use IncreaseRetentionPeriod API.")
	refused(r, r.decreaseRetention, decrease(23), "InvalidArgumentException: Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.")
	refused(r, r.increaseRetention, increase(8761), "InvalidArgumentException: Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.")
	must(r, r.decreaseRetention, decrease(24))
	if got := must(r, r.describeStreamSummary, &api.DescribeStreamSummaryInput{StreamName: new("s")}); *got.StreamDescriptionSummary.RetentionPeriodHours != 24 {
		t.Errorf("retention is %d", *got.StreamDescriptionSummary.RetentionPeriodHours)
	}
}

func TestTags(t *testing.T) {
	r := newRig(t)
	must(r, r.createStream, &api.CreateStreamInput{StreamName: new("s"), Tags: map[string]string{"a": "1", "b": "2"}})
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/s"
	tags := func() string {
		var parts []string
		for _, tag := range must(r, r.listTagsForResource, &api.ListTagsForResourceInput{ResourceARN: &arn}).Tags {
			parts = append(parts, *tag.Key+"="+*tag.Value)
		}
		return strings.Join(parts, " ")
	}
	must(r, r.addTagsToStream, &api.AddTagsToStreamInput{StreamName: new("s"), Tags: map[string]string{"b": "3", "c": ""}})
	must(r, r.tagResource, &api.TagResourceInput{ResourceARN: &arn, Tags: map[string]string{"d": "4"}})
	must(r, r.removeTagsFromStream, &api.RemoveTagsFromStreamInput{StreamName: new("s"), TagKeys: []string{"a", "none"}})
	if got := tags(); got != "b=3 c= d=4" {
		t.Errorf("tags are %s", got)
	}
	must(r, r.untagResource, &api.UntagResourceInput{ResourceARN: &arn, TagKeys: []string{"d"}})
	out := must(r, r.listTagsForStream, &api.ListTagsForStreamInput{StreamName: new("s"), Limit: new(int32(1))})
	if len(out.Tags) != 1 || !*out.HasMoreTags {
		t.Errorf("first page: %+v", out)
	}
	out = must(r, r.listTagsForStream, &api.ListTagsForStreamInput{StreamName: new("s"), ExclusiveStartTagKey: new("b")})
	if len(out.Tags) != 1 || *out.Tags[0].Key != "c" || *out.HasMoreTags {
		t.Errorf("second page: %+v", out)
	}
	many := map[string]string{}
	for i := range 49 {
		many[fmt.Sprint(i)] = ""
	}
	refused(r, r.addTagsToStream, &api.AddTagsToStreamInput{StreamName: new("s"), Tags: many},
		"InvalidArgumentException: Failed to add tags to stream s under account 000000000000 because a given stream cannot have more than 50 tags associated with it.")
	const invalid = "InvalidArgumentException: Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @ :."
	illegal := func(action string) string {
		return "InvalidArgumentException: Failed to " + action + " stream s under account 000000000000 because some tags contained illegal characters. " +
			"The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@',':'."
	}
	refused(r, r.addTagsToStream, &api.AddTagsToStreamInput{StreamName: new("s"), Tags: map[string]string{"a": "100%", "b": ";"}}, invalid)
	refused(r, r.addTagsToStream, &api.AddTagsToStreamInput{StreamName: new("s"), Tags: map[string]string{"a": "100%"}}, illegal("add tags to"))
	refused(r, r.removeTagsFromStream, &api.RemoveTagsFromStreamInput{StreamName: new("s"), TagKeys: []string{"%", "ab;"}}, invalid)
	refused(r, r.removeTagsFromStream, &api.RemoveTagsFromStreamInput{StreamName: new("s"), TagKeys: []string{"%"}}, illegal("remove tags from"))
	refused(r, r.tagResource, &api.TagResourceInput{ResourceARN: new("arn:aws:kinesis:us-east-1:000000000000:queue/q"), Tags: many}, "ResourceNotFoundException: *")
}

func TestConsumers(t *testing.T) {
	r := newRig(t)
	r.create("s", 1)
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/s"
	register := &api.RegisterStreamConsumerInput{StreamARN: &arn, ConsumerName: new("app"), Tags: map[string]string{"a": "1"}}
	c := must(r, r.registerConsumer, register).Consumer
	if want := fmt.Sprintf("%s/consumer/app:%d", arn, rigStart.Unix()); *c.ConsumerARN != want || *c.ConsumerStatus != "ACTIVE" {
		t.Errorf("registered as %s, %s", *c.ConsumerARN, *c.ConsumerStatus)
	}
	refused(r, r.registerConsumer, register, "ResourceInUseException: Consumer app of stream s*")
	for _, in := range []*api.DescribeStreamConsumerInput{{ConsumerARN: c.ConsumerARN}, {StreamARN: &arn, ConsumerName: new("app")}} {
		if d := must(r, r.describeConsumer, in).ConsumerDescription; *d.ConsumerARN != *c.ConsumerARN || *d.StreamARN != arn {
			t.Errorf("described as %+v", d)
		}
	}
	refused(r, r.describeConsumer, &api.DescribeStreamConsumerInput{ConsumerARN: new(*c.ConsumerARN + "1")}, "ResourceNotFoundException: Consumer app of stream s*")
	refused(r, r.describeConsumer, &api.DescribeStreamConsumerInput{StreamARN: &arn}, "InvalidArgumentException: Both streamARN and consumer name must be provided if consumerARN is not provied.")
	must(r, r.tagResource, &api.TagResourceInput{ResourceARN: c.ConsumerARN, Tags: map[string]string{"b": "2"}})
	must(r, r.untagResource, &api.UntagResourceInput{ResourceARN: c.ConsumerARN, TagKeys: []string{"a"}})
	if tags := must(r, r.listTagsForResource, &api.ListTagsForResourceInput{ResourceARN: c.ConsumerARN}).Tags; len(tags) != 1 || *tags[0].Key != "b" {
		t.Errorf("tags are %+v", tags)
	}
	for i := range 4 {
		must(r, r.registerConsumer, &api.RegisterStreamConsumerInput{StreamARN: &arn, ConsumerName: new(fmt.Sprint(i))})
	}
	first := must(r, r.listConsumers, &api.ListStreamConsumersInput{StreamARN: &arn, MaxResults: new(int32(3))})
	second := must(r, r.listConsumers, &api.ListStreamConsumersInput{StreamARN: &arn, NextToken: first.NextToken})
	refused(r, r.listConsumers, &api.ListStreamConsumersInput{StreamARN: &arn, NextToken: first.NextToken, StreamCreationTimestamp: &rigStart},
		"InvalidArgumentException: NextToken and StreamCreationTimestamp cannot be provided together.")
	if len(first.Consumers) != 3 || len(second.Consumers) != 2 || *second.Consumers[1].ConsumerName != "app" || second.NextToken != nil {
		t.Errorf("pages of %d and %d", len(first.Consumers), len(second.Consumers))
	}
	refused(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("s")}, "ResourceInUseException: DeleteStream can't delete 000000000000:s because "+
		"there are consumers associated with this data stream. To delete s anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of "+
		"all the consumers that are associated with it.")
	must(r, r.deregisterConsumer, &api.DeregisterStreamConsumerInput{ConsumerARN: c.ConsumerARN})
	refused(r, r.deregisterConsumer, &api.DeregisterStreamConsumerInput{ConsumerARN: c.ConsumerARN}, "ResourceNotFoundException: *")
	must(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("s"), EnforceConsumerDeletion: new(true)})
	if left, err := r.state.List(t.Context(), consumerKind, ""); err != nil || len(left) != 0 {
		t.Errorf("%d consumers are left, %v", len(left), err)
	}
	refused(r, r.describeStream, &api.DescribeStreamInput{StreamName: new("s")}, "ResourceNotFoundException: *")
}

// reshard puts a stream into the state after its shard 0 of two was split into 2 and 3, ten seconds after it was made.
func (r *rig) reshard(name string) {
	r.t.Helper()
	st, err := r.log.Stream(r.t.Context(), stream.Name(name))
	if err != nil {
		r.t.Fatal(err)
	}
	bounds, err := r.log.Bounds(r.t.Context(), st.Shard(0))
	if err != nil {
		r.t.Fatal(err)
	}
	if st, err = r.log.Alter(r.t.Context(), st.ID, stream.Change{Shards: new(int32(4))}); err != nil {
		r.t.Fatal(err)
	}
	created, closed := rigStart.UnixMilli(), rigStart.Add(10*time.Second).UnixMilli()
	halves, quarters := evenRanges(2), evenRanges(4)
	setting := func(h hashRange, created, closed int64) shardSetting {
		return shardSetting{First: h.first.String(), Last: h.last.String(), Created: created, Closed: closed}
	}
	changed := defaultSettings()
	changed.Shards = []shardSetting{setting(halves[0], created, closed), setting(halves[1], created, 0), setting(quarters[0], closed, 0), setting(quarters[1], closed, 0)}
	changed.Shards[0].End = bounds.End
	changed.Shards[2].Parent, changed.Shards[3].Parent = new(int32(0)), new(int32(0))
	text, _ := json.Marshal(changed)
	if _, err := r.state.Apply(r.t.Context(), state.Change{Key: settingsKey(st.ID), If: state.Any, Value: text}); err != nil {
		r.t.Fatal(err)
	}
}

func TestListShardsFilters(t *testing.T) {
	r := newRig(t)
	r.create("s", 2)
	r.clock.Advance(time.Minute)
	r.reshard("s")
	at := func(after time.Duration) *time.Time { return new(rigStart.Add(after)) }
	list := func(in *api.ListShardsInput) string {
		in.StreamName = new("s")
		var parts []string
		for _, sh := range must(r, r.listShards, in).Shards {
			parts = append(parts, strings.TrimPrefix(*sh.ShardId, "shardId-00000000000"))
		}
		return strings.Join(parts, "")
	}
	for _, test := range []struct {
		filter *api.ShardFilter
		want   string
	}{
		{nil, "0123"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeFromTrimHorizon)}, "0123"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeAtTrimHorizon)}, "01"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeAtLatest)}, "123"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeAfterShardId), ShardId: new(shardID(1))}, "23"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeAtTimestamp), Timestamp: at(-time.Hour)}, "01"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeAtTimestamp), Timestamp: at(5 * time.Second)}, "01"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeAtTimestamp), Timestamp: at(20 * time.Second)}, "123"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeFromTimestamp), Timestamp: at(5 * time.Second)}, "0123"},
		{&api.ShardFilter{Type: new(api.ShardFilterTypeFromTimestamp), Timestamp: at(20 * time.Second)}, "123"},
	} {
		if got := list(&api.ListShardsInput{ShardFilter: test.filter}); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.filter, got, test.want)
		}
	}
	if got := list(&api.ListShardsInput{ExclusiveStartShardId: new(shardID(2))}); got != "3" {
		t.Errorf("after shard 2: got %s", got)
	}
	r.clock.Advance(25 * time.Hour)
	if got := list(&api.ListShardsInput{}); got != "123" {
		t.Errorf("when retention has passed: got %s", got)
	}
	if got := list(&api.ListShardsInput{ShardFilter: &api.ShardFilter{Type: new(api.ShardFilterTypeAtTrimHorizon)}}); got != "123" {
		t.Errorf("at the later trim horizon: got %s", got)
	}
	refused(r, r.listShards, &api.ListShardsInput{StreamName: new("s"), ShardFilter: &api.ShardFilter{Type: new(api.ShardFilterTypeAtTimestamp)}}, "InvalidArgumentException: Timestamp must*")
	refused(r, r.listShards, &api.ListShardsInput{StreamName: new("s"), ShardFilter: &api.ShardFilter{Type: new(api.ShardFilterTypeAfterShardId)}}, "InvalidArgumentException: ShardId must*")
	for kind, member := range map[api.ShardFilterType]string{api.ShardFilterTypeAtLatest: "ShardId", api.ShardFilterTypeAfterShardId: "Timestamp"} {
		all := &api.ShardFilter{Type: &kind, ShardId: new(shardID(0)), Timestamp: at(0)}
		refused(r, r.listShards, &api.ListShardsInput{StreamName: new("s"), ShardFilter: all},
			fmt.Sprintf("InvalidArgumentException: %s cannot be provided in a ShardFilter of type %s.", member, kind))
	}
	refused(r, r.listShards, &api.ListShardsInput{StreamName: new("s"), StreamCreationTimestamp: at(time.Hour)}, "ResourceNotFoundException: Stream s*")
}

func TestListShardsTokens(t *testing.T) {
	r := newRig(t)
	r.create("s", 5)
	filter := &api.ShardFilter{Type: new(api.ShardFilterTypeAfterShardId), ShardId: new(shardID(0))}
	first := must(r, r.listShards, &api.ListShardsInput{StreamName: new("s"), MaxResults: new(int32(3)), ShardFilter: filter})
	second := must(r, r.listShards, &api.ListShardsInput{NextToken: first.NextToken})
	if len(first.Shards) != 3 || len(second.Shards) != 1 || *second.Shards[0].ShardId != shardID(4) || second.NextToken != nil {
		t.Errorf("pages of %d and %d", len(first.Shards), len(second.Shards))
	}
	refused(r, r.listShards, &api.ListShardsInput{}, "InvalidArgumentException: Either NextToken or StreamName should be provided.")
	refused(r, r.listShards, &api.ListShardsInput{StreamName: new("s"), NextToken: first.NextToken}, "InvalidArgumentException: NextToken and StreamName cannot be provided together.")
	refused(r, r.listShards, &api.ListShardsInput{ShardFilter: filter, NextToken: first.NextToken}, "InvalidArgumentException: NextToken and ShardFilter cannot be provided together.")
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/s"
	refused(r, r.listShards, &api.ListShardsInput{StreamARN: &arn, NextToken: first.NextToken}, "InvalidArgumentException: NextToken and StreamARN cannot be provided together.")
	refused(r, r.listShards, &api.ListShardsInput{NextToken: new("x")}, "InvalidArgumentException: Invalid NextToken.")
	refused(r, r.listShards, &api.ListShardsInput{NextToken: new(r.iterator("s", 0, "LATEST", ""))}, "InvalidArgumentException: Invalid NextToken.")
	r.clock.Advance(300*time.Second + time.Millisecond)
	refused(r, r.listShards, &api.ListShardsInput{NextToken: first.NextToken}, "ExpiredNextTokenException: *")
}

// A reader of a closed shard is told of its children at the end, and not before; a writer goes to the open ones.
func TestClosedShard(t *testing.T) {
	for _, gap := range []int64{0, 3} {
		c := clock.NewVirtual(rigStart)
		log := memlog.New(c, seeded())
		log.LeaveGaps(gap)
		testClosedShard(t, newRigOn(t, c, log, memstate.New(c), Config{}))
	}
}

func testClosedShard(t *testing.T, r *rig) {
	r.create("s", 2)
	must(r, r.putRecord, &api.PutRecordInput{StreamName: new("s"), PartitionKey: new("k"), ExplicitHashKey: new("0"), Data: []byte("1")})
	must(r, r.putRecord, &api.PutRecordInput{StreamName: new("s"), PartitionKey: new("k"), ExplicitHashKey: new("0"), Data: []byte("2")})
	r.reshard("s")
	out := must(r, r.getRecords, &api.GetRecordsInput{ShardIterator: new(r.iterator("s", 0, "TRIM_HORIZON", "")), Limit: new(int32(1))})
	if show(out.Records) != "k=1" || out.ChildShards != nil || out.NextShardIterator == nil {
		t.Errorf("first page: %+v", out)
	}
	out = r.get(*out.NextShardIterator)
	if show(out.Records) != "k=2" || out.NextShardIterator != nil || len(out.ChildShards) != 2 || *out.ChildShards[1].ShardId != shardID(3) || out.ChildShards[1].ParentShards[0] != shardID(0) {
		t.Errorf("last page: %+v", out)
	}
	d := must(r, r.describeStream, &api.DescribeStreamInput{StreamName: new("s")}).StreamDescription
	end := *d.Shards[0].SequenceNumberRange.EndingSequenceNumber
	if out := r.get(r.iterator("s", 0, "AFTER_SEQUENCE_NUMBER", end)); out.NextShardIterator != nil || len(out.Records) != 0 {
		t.Errorf("after the end: %+v", out)
	}
	if start := *d.Shards[2].SequenceNumberRange.StartingSequenceNumber; start <= end || *d.Shards[2].ParentShardId != shardID(0) {
		t.Errorf("child begins at %s, its parent ends at %s", start, end)
	}
	put := must(r, r.putRecord, &api.PutRecordInput{StreamName: new("s"), PartitionKey: new("k"), ExplicitHashKey: new("0"), Data: []byte("3")})
	if *put.ShardId != shardID(2) {
		t.Errorf("a record for the split range went to %s", *put.ShardId)
	}
}

// AUTO spreads records over the shards whatever their keys, and needs none.
func TestAutoDistribution(t *testing.T) {
	r := newRig(t)
	must(r, r.createStream, &api.CreateStreamInput{StreamName: new("s"), RecordDistributionStrategy: new(api.RecordDistributionStrategyAuto)})
	shards := map[string]bool{}
	for range 4 {
		shards[*must(r, r.putRecord, &api.PutRecordInput{StreamName: new("s"), Data: []byte("v")}).ShardId] = true
	}
	if len(shards) != 4 {
		t.Errorf("four records are in %d shards", len(shards))
	}
	r.put("s", "k", "w")
	keys := map[string]string{}
	for i := range int32(4) {
		for _, record := range r.get(r.iterator("s", i, api.ShardIteratorTypeTrimHorizon, "")).Records {
			keys[string(record.Data)] = value(record.PartitionKey, "absent")
		}
	}
	if keys["v"] != "absent" || keys["w"] != "k" {
		t.Errorf("keys by data: %v", keys)
	}
}

// What a service handed out, its successor on the same data honours; and it removes what deleted streams left.
func TestRestart(t *testing.T) {
	c := clock.NewVirtual(rigStart)
	log, store := memlog.New(c, seeded()), memstate.New(c)
	before := newRigOn(t, c, log, store, Config{})
	before.create("s", 1)
	before.create("gone", 1)
	must(before, before.addTagsToStream, &api.AddTagsToStreamInput{StreamName: new("gone"), Tags: map[string]string{"a": "1"}})
	must(before, before.addTagsToStream, &api.AddTagsToStreamInput{StreamName: new("s"), Tags: map[string]string{"a": "1"}})
	number := *before.put("s", "k", "v").SequenceNumber
	it := before.iterator("s", 0, "TRIM_HORIZON", "")
	gone, _ := log.Stream(t.Context(), "gone")
	if err := log.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	after := newRigOn(t, c, log, store, Config{})
	if out := after.get(it); show(out.Records) != "k=v" || *out.Records[0].SequenceNumber != number {
		t.Errorf("read %+v", out)
	}
	if err := after.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := store.List(t.Context(), settingsKind, ""); len(left) != 1 {
		t.Errorf("%d settings are left, want those of s", len(left))
	}
}

func TestLimits(t *testing.T) {
	c := clock.NewVirtual(rigStart)
	r := newRigOn(t, c, memlog.New(c, seeded()), memstate.New(c), Config{ShardLimit: 10, OnDemandStreamLimit: 1})
	r.create("s", 6)
	must(r, r.createStream, &api.CreateStreamInput{StreamName: new("d")})
	d := must(r, r.describeLimits, &api.DescribeLimitsInput{})
	if *d.ShardLimit != 10 || *d.OpenShardCount != 10 || *d.OnDemandStreamCount != 1 || *d.OnDemandStreamCountLimit != 1 {
		t.Errorf("limits are %d %d %d %d", *d.ShardLimit, *d.OpenShardCount, *d.OnDemandStreamCount, *d.OnDemandStreamCountLimit)
	}
	refused(r, r.createStream, &api.CreateStreamInput{StreamName: new("e"), ShardCount: new(int32(1))}, "LimitExceededException: *")
	must(r, r.deleteStream, &api.DeleteStreamInput{StreamName: new("s")})
	refused(r, r.createStream, &api.CreateStreamInput{StreamName: new("e")}, "LimitExceededException: This request would exceed the limit of 1 streams*")
}
