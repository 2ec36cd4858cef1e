package offsets

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// The ids of topics in the recorded bytes.
const (
	firstTopic  = "13c75be0902348b2bf06529b714bd47e"
	secondTopic = "323fba6a38714577966ffea73fe90648"
)

func topicID(t *testing.T, s string) stream.ID {
	t.Helper()
	id, err := stream.ParseID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// recorded is a record as an Apache Kafka 4.3.1 wrote it, but for offsets: it writes them in version 4, with the topic's id.
func recorded(t *testing.T, key, value string) record {
	t.Helper()
	k, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := hex.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	return record{k, v}
}

func same(t *testing.T, what string, got, want record) {
	t.Helper()
	if !bytes.Equal(got.key, want.key) {
		t.Errorf("%s: key\n%x, want\n%x", what, got.key, want.key)
	}
	if !bytes.Equal(got.value, want.value) {
		t.Errorf("%s: value\n%x, want\n%x", what, got.value, want.value)
	}
}

func TestOffsetsHaveKafkasBytes(t *testing.T) {
	committed := time.UnixMilli(0x01a2284bdfec)
	plain := stream.Cursor{Shard: stream.Shard{Stream: topicID(t, firstTopic), Index: 1}, Next: 7, Epoch: -1, Metadata: "remark", Committed: committed}
	same(t, "with a remark", offsetRecord("simple-g", "t1", &plain), recorded(t, "0001000873696d706c652d670002743100000001",
		"00030000000000000007ffffffff000672656d61726b000001a2284bdfec"))
	epoch := stream.Cursor{Shard: stream.Shard{Stream: topicID(t, secondTopic)}, Next: 3, Committed: committed}
	same(t, "with a leader epoch", offsetRecord("simple-g", "t2", &epoch), recorded(t, "0001000873696d706c652d670002743200000000",
		"00030000000000000003000000000000000001a2284bdfec"))
	expiring := stream.Cursor{
		Shard: stream.Shard{Stream: topicID(t, firstTopic)}, Next: 5, Committed: time.UnixMilli(0x01a2284be04c), Retention: time.Hour,
	}
	want := "00010000000000000005" + "0000" + "000001a2284be04c" + "000001a22882cecc"
	same(t, "that expires", offsetRecord("expire-g", "t1", &expiring), recorded(t, "000100086578706972652d670002743100000000", want))
}

func TestClassicGroupsHaveKafkasBytes(t *testing.T) {
	subscription, err := hex.DecodeString("00030000000100027431000000040000000000000000ffffffffffff")
	if err != nil {
		t.Fatal(err)
	}
	assignment, err := hex.DecodeString("0000000000010002743100000003000000000000000100000002ffffffff")
	if err != nil {
		t.Fatal(err)
	}
	const member = "cid-b1da8a2a-a750-4472-b554-6813f5301254"
	d := &group.Document{
		State: group.Stable, Since: time.UnixMilli(0x01a2284bdd71), Generation: 1, ProtocolType: "consumer", Protocol: "cooperative-sticky", Leader: member,
		Members: []group.MemberDocument{{
			ID: member, Client: "cid", Host: "/127.0.0.1", Session: 45 * time.Second, Rebalance: time.Minute, Assignment: assignment,
			Protocols: []group.ProtocolDocument{{Name: "range", Metadata: []byte("other")}, {Name: "cooperative-sticky", Metadata: subscription}},
		}},
	}
	const key = "00020009636c61737369632d67"
	same(t, "stable", classicRecord("classic-g", d), recorded(t, key, "00030008636f6e73756d6572000000010012636f6f70657261746976652d737469636b790028"+
		"6369642d62316461386132612d613735302d343437322d623535342d363831336635333031323534000001a2284bdd7100000001002863"+
		"69642d62316461386132612d613735302d343437322d623535342d363831336635333031323534ffff0003636964000a2f3132372e302e302e310000ea600000afc8"+
		"0000001c00030000000100027431000000040000000000000000ffffffffffff0000001e0000000000010002743100000003000000000000000100000002ffffffff"))
	empty := &group.Document{State: group.Empty, Since: time.UnixMilli(0x01a2284bdf46), Generation: 2, ProtocolType: "consumer"}
	same(t, "empty", classicRecord("classic-g", empty), recorded(t, key, "00030008636f6e73756d657200000002ffffffff000001a2284bdf4600000000"))
	d.Members[0].Instance = "static"
	var back kmsg.GroupMetadataValue
	if err := back.ReadFrom(classicRecord("classic-g", d).value); err != nil || len(back.Members) != 1 || *back.Members[0].InstanceID != "static" {
		t.Errorf("static member: %+v, %v", back, err)
	}
}

func TestConsumerGroupsHaveKafkasBytes(t *testing.T) {
	const member = "J6zc89snQx-lBHA0-Lk-Ng"
	partitions := []int32{0, 1, 2}
	s := &group.ConsumerSnapshot{
		Group: group.ConsumerDocument{Epoch: 3, TargetEpoch: 2, TargetAt: time.UnixMilli(0x01a2284c6fc6)},
		Members: []group.ConsumerMemberDocument{{
			ID: member, Client: "console-consumer", Host: "/127.0.0.1", Rebalance: 5 * time.Minute, Topics: []string{"t1"}, Epoch: 2,
			Assigned: []group.HeldDocument{{Topic: firstTopic, Partitions: partitions, Epochs: []int32{2, 2, 2}}},
		}},
		Targets: []assignor.Assignment{{topicID(t, firstTopic): partitions}},
	}
	const of, ofMember = "000467383438", "00164a367a633839736e51782d6c424841302d4c6b2d4e67"
	want := []record{
		recorded(t, "0005"+of+ofMember, "0000000011636f6e736f6c652d636f6e73756d65720b2f3132372e302e302e310203743101000493e00001000100"),
		recorded(t, "0003"+of, "00000000000300"),
		recorded(t, "0007"+of+ofMember, "000002"+firstTopic+"040000000000000001000000020000"),
		recorded(t, "0006"+of, "000000000002010008000001a2284c6fc6"),
		recorded(t, "0008"+of+ofMember, "00000000000200000000"+"0002"+firstTopic+"0400000000000000010000000201000d040000000200000002000000020100"),
	}
	got := consumerRecords("g848", s)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		same(t, "record", got[i], want[i])
	}
	regex := &group.ConsumerMemberDocument{ID: "AAAAAAAAAAAAAAAAAAAAAC", Client: "kgo", Host: "/127.0.0.1", Pattern: ".*", Rebalance: time.Minute}
	same(t, "pattern", memberRecord("regex-g", regex), recorded(t, "0005000772656765782d670016"+strings.Repeat("41", 21)+"43",
		"00000000046b676f0b2f3132372e302e302e3101032e2a0000ea600001000100"))
}

// TestMembersOnTheWayHaveKafkasBytes: a static member of KIP-848 that gives a partition up to one of the classic protocol.
func TestMembersOnTheWayHaveKafkasBytes(t *testing.T) {
	const id, of, topic = "mixed", "00056d69786564", "b5c746d19fb146d8ac6575a08b59f870"
	const first, second = "0016327049526c465a7a52783263617747354a5931727451", "00164d36495a6a68616d5441327565414a59425748534567"
	static := &group.ConsumerMemberDocument{
		ID: "2pIRlFZzRx2cawG5JY1rtQ", Instance: "inst", Rack: "r1", Client: "console-consumer", Host: "/127.0.0.1", Rebalance: 5 * time.Minute,
		Topics: []string{"t1"}, Assignor: "range", Epoch: 2, Previous: 2, Phase: "revoking",
		Assigned: []group.HeldDocument{{Topic: topic, Partitions: []int32{0, 1}, Epochs: []int32{2, 2}}},
		Revoking: []group.HeldDocument{{Topic: topic, Partitions: []int32{2}, Epochs: []int32{2}}},
	}
	same(t, "static member", memberRecord(id, static), recorded(t, "0005"+of+first,
		"000005696e737403723111636f6e736f6c652d636f6e73756d65720b2f3132372e302e302e310203743101000493e00672616e676501000100"))
	same(t, "revoking", currentRecord(id, static), recorded(t, "0008"+of+first, "000000000002000000020102"+topic+
		"03000000000000000101000903000000020000000202"+topic+"0200000002010005020000000200"))
	protocol := func(name, metadata string) group.ProtocolDocument {
		return group.ProtocolDocument{Name: name, Metadata: recorded(t, "", metadata).value}
	}
	old := &group.ConsumerMemberDocument{
		ID: "M6IZjhamTA2ueAJYBWHSEg", Client: "console-consumer", Host: "/127.0.0.1", Rebalance: 5 * time.Minute, Topics: []string{"t1"}, Epoch: 3, Phase: "waiting",
		Classic: &group.ClassicSelfDocument{Session: 45 * time.Second, Protocols: []group.ProtocolDocument{
			protocol("range", "00030000000100027431ffffffff00000000ffffffffffff"),
			protocol("cooperative-sticky", "0003000000010002743100000004ffffffff00000000ffffffffffff"),
		}},
	}
	same(t, "classic member", memberRecord(id, old), recorded(t, "0005"+of+second, "0000000011636f6e736f6c652d636f6e73756d65720b2f3132372e302e302e31"+
		"0203743101000493e000010058010000afc8030672616e67651900030000000100027431ffffffff00000000ffffffffffff00"+
		"13636f6f70657261746976652d737469636b791d0003000000010002743100000004ffffffff00000000ffffffffffff0000"))
	same(t, "waiting", currentRecord(id, old), recorded(t, "0008"+of+second, "0000000000030000000002010100"))
}

// TestGroupsAreWhereKafkaHasThem: the partitions in which an Apache Kafka 4.3.1 wrote of these groups, and what Java says of others.
func TestGroupsAreWhereKafkaHasThem(t *testing.T) {
	for id, want := range map[string]int32{
		"simple-g": 4, "g848": 7, "txn-g": 14, "del-g": 27, "share-g": 35, "classic-g": 36, "gone-g": 43, "regex-g": 3,
		"": 0, "polygenelubricants": 0, // whose hash has no positive counterpart
		"\U0001F600": 49, // two units of UTF-16: hash 1772899
	} {
		if got := Partition(id, Partitions); got != want {
			t.Errorf("group %q is in partition %d, want %d", id, got, want)
		}
	}
}

func FuzzGroupOf(f *testing.F) {
	for _, r := range []record{
		offsetRecord("g", "t", &stream.Cursor{}), classicRecord("g", &group.Document{}), memberRecord("g", &group.ConsumerMemberDocument{ID: "m"}),
	} {
		f.Add(r.key)
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		id, offset, ok := groupOf(key)
		if !ok {
			return
		}
		var o kmsg.OffsetCommitKey
		if offset && (o.ReadFrom(key) != nil || o.Group != id) {
			t.Errorf("group %q, kmsg says %+v", id, o)
		}
		var g kmsg.GroupMetadataKey
		if g.ReadFrom(key) == nil && g.Version == classicKey && g.Group != id {
			t.Errorf("group %q, kmsg says %+v", id, g)
		}
	})
}
