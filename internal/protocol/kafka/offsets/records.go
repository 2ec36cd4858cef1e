package offsets

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// record is one of the topic's. A nil value deletes what its key said before.
type record struct {
	key, value []byte
}

// The versions of keys, which say what a record is about (the apiKeys of Kafka's coordinator records).
const (
	offsetKey         = 1 // 0 is how Kafka once wrote it
	classicKey        = 2
	consumerKey       = 3
	memberKey         = 5
	targetKey         = 6
	targetMemberKey   = 7
	currentMemberKey  = 8
	classicVersion    = 3         // of the value of a classic group
	expiringVersion   = 1         // of an offset that says itself when it expires
	offsetVersion     = 3         // 4 adds the topic's id; exporters of lag know none beyond 3
	fewestMemberBytes = 2 + 2 + 2 // of a key that names a group and a member
)

// groupOf returns the group that a key names, and whether it is about what is committed rather than about members. ok is false if it is none of the
// keys that are written here.
func groupOf(key []byte) (id string, offset, ok bool) {
	r := kbin.Reader{Src: key}
	version := r.Int16()
	id = r.String()
	switch version {
	case 0, offsetKey:
		_ = r.String() // the topic
		r.Int32()
	case classicKey, consumerKey, targetKey:
	case memberKey, targetMemberKey, currentMemberKey:
		_ = r.String() // the member
	default:
		return "", false, false
	}
	return id, version <= offsetKey, r.Complete() == nil
}

// offsetRecord is a committed offset of a topic that has a name now. It is written in the newest version that Burrow and its like read: they leave out
// what they do not know, and with it the group.
func offsetRecord(id, topic string, c *stream.Cursor) record {
	key := kmsg.OffsetCommitKey{Version: offsetKey, Group: id, Topic: topic, Partition: c.Shard.Index}
	value := kmsg.OffsetCommitValue{
		Version: offsetVersion, Offset: int64(c.Next), LeaderEpoch: c.Epoch, Metadata: c.Metadata,
		CommitTimestamp: c.Committed.UnixMilli(),
	}
	if c.Retention != 0 {
		value.Version, value.ExpireTimestamp = expiringVersion, c.Committed.Add(c.Retention).UnixMilli()
	}
	return record{key.AppendTo(nil), value.AppendTo(nil)}
}

// classicRecord is a classic group with its members.
func classicRecord(id string, d *group.Document) record {
	key := kmsg.GroupMetadataKey{Version: classicKey, Group: id}
	value := kmsg.GroupMetadataValue{
		Version: classicVersion, ProtocolType: d.ProtocolType, Generation: d.Generation, Protocol: orNull(d.Protocol), Leader: orNull(d.Leader),
		CurrentStateTimestamp: d.Since.UnixMilli(),
	}
	for i := range d.Members {
		m := &d.Members[i]
		to := kmsg.NewGroupMetadataValueMember()
		to.MemberID, to.InstanceID, to.ClientID, to.ClientHost = m.ID, orNull(m.Instance), m.Client, m.Host
		to.RebalanceTimeoutMillis, to.SessionTimeoutMillis = millis(m.Rebalance), millis(m.Session)
		to.Assignment, to.Subscription = m.Assignment, []byte{}
		for _, p := range m.Protocols {
			if p.Name == d.Protocol {
				to.Subscription = p.Metadata
			}
		}
		value.Members = append(value.Members, to)
	}
	return record{key.AppendTo(nil), value.AppendTo(nil)}
}

// consumerRecords are a group of KIP-848, in the order in which Kafka writes them as a member joins. kmsg does not know them: each value is its version
// (int16, 0) and a flexible struct, as Kafka's ConsumerGroup*Value.json say.
func consumerRecords(id string, s *group.ConsumerSnapshot) []record {
	all := make([]record, 0, 2+3*len(s.Members))
	for i := range s.Members {
		all = append(all, memberRecord(id, &s.Members[i]))
	}
	all = append(all, epochRecord(id, s.Group.Epoch))
	for i := range s.Members {
		all = append(all, targetMemberRecord(id, s.Members[i].ID, s.Targets[i]))
	}
	if s.Group.TargetEpoch > 0 {
		all = append(all, targetRecord(id, &s.Group))
	}
	for i := range s.Members {
		all = append(all, currentRecord(id, &s.Members[i]))
	}
	return all
}

// key is that of a record about a group or, if its kind has one, a member.
func key(kind int16, id string, member ...string) []byte {
	b := kbin.AppendInt16(make([]byte, 0, fewestMemberBytes+len(id)+40), kind)
	b = kbin.AppendString(b, id)
	for _, m := range member {
		b = kbin.AppendString(b, m)
	}
	return b
}

// The sizes of values' parts that tags announce.
const (
	noTags    = 0
	epochSize = 8 // of a time
)

var version0 = []byte{0, 0}

// memberRecord: instance, rack, client, host, topics, pattern, rebalance timeout, assignor, and in tag 0 what a member of the classic protocol says.
func memberRecord(id string, m *group.ConsumerMemberDocument) record {
	b := kbin.AppendCompactNullableString(append([]byte(nil), version0...), orNull(m.Instance))
	b = kbin.AppendCompactNullableString(b, orNull(m.Rack))
	b = kbin.AppendCompactString(b, m.Client)
	b = kbin.AppendCompactString(b, m.Host)
	b = kbin.AppendCompactArrayLen(b, len(m.Topics))
	for _, t := range m.Topics {
		b = kbin.AppendCompactString(b, t)
	}
	b = kbin.AppendCompactString(b, m.Pattern) // Java's consumers say that they have none by an empty one, others by null
	b = kbin.AppendInt32(b, millis(m.Rebalance))
	b = kbin.AppendCompactNullableString(b, orNull(m.Assignor))
	return record{key(memberKey, id, m.ID), appendTagged(b, 0, classicPart(m.Classic))}
}

// classicPart is a nullable struct: session timeout, protocols.
func classicPart(c *group.ClassicSelfDocument) []byte {
	if c == nil {
		return []byte{0}
	}
	b := kbin.AppendInt32([]byte{1}, millis(c.Session))
	b = kbin.AppendCompactArrayLen(b, len(c.Protocols))
	for _, p := range c.Protocols {
		b = kbin.AppendCompactString(b, p.Name)
		b = append(kbin.AppendCompactBytes(b, p.Metadata), noTags)
	}
	return append(b, noTags)
}

// epochRecord: the group's epoch. Kafka has a hash of the topics that members read in a tag, which nothing here is decided by.
func epochRecord(id string, epoch int32) record {
	b := kbin.AppendInt32(append([]byte(nil), version0...), epoch)
	return record{key(consumerKey, id), append(b, noTags)}
}

// targetRecord: the epoch of the target, and in tag 0 when it was decided.
func targetRecord(id string, d *group.ConsumerDocument) record {
	b := kbin.AppendInt32(append([]byte(nil), version0...), d.TargetEpoch)
	if d.TargetAt.IsZero() {
		return record{key(targetKey, id), append(b, noTags)}
	}
	return record{key(targetKey, id), appendTagged(b, 0, kbin.AppendInt64(make([]byte, 0, epochSize), d.TargetAt.UnixMilli()))}
}

// targetMemberRecord: what a member is to be led to, by topics' ids.
func targetMemberRecord(id, member string, target assignor.Assignment) record {
	b := kbin.AppendCompactArrayLen(append([]byte(nil), version0...), len(target))
	for _, topic := range sortedIDs(target) {
		b = append(appendInts(kbin.AppendUuid(b, topic), target[topic]), noTags)
	}
	return record{key(targetMemberKey, id, member), append(b, noTags)}
}

// memberStates are those of a member on its way: Kafka's MemberState.
var memberStates = map[string]int8{"": 0, "revoking": 1, "waiting": 2}

// currentRecord: a member's epoch, the one before, its state, what it has and what it is to give up.
func currentRecord(id string, m *group.ConsumerMemberDocument) record {
	b := kbin.AppendInt32(append([]byte(nil), version0...), m.Epoch)
	b = kbin.AppendInt32(b, m.Previous)
	b = kbin.AppendInt8(b, memberStates[m.Phase])
	for _, held := range [][]group.HeldDocument{m.Assigned, m.Revoking} {
		b = kbin.AppendCompactArrayLen(b, len(held))
		for _, h := range held {
			topic, err := stream.ParseID(h.Topic)
			if err != nil {
				panic("offsets: a member of a group holds a topic without id: " + h.Topic)
			}
			b = appendInts(kbin.AppendUuid(b, topic), h.Partitions)
			b = appendTagged(b, 0, appendInts(nil, h.Epochs))
		}
	}
	return record{key(currentMemberKey, id, m.ID), append(b, noTags)}
}

// appendTagged ends a struct that has one tagged field.
func appendTagged(b []byte, tag uint32, field []byte) []byte {
	b = kbin.AppendUvarint(b, 1)
	b = kbin.AppendUvarint(b, tag)
	return append(kbin.AppendUvarint(b, uint32(len(field))), field...) //nolint:gosec // in memory
}

func appendInts(b []byte, all []int32) []byte {
	b = kbin.AppendCompactArrayLen(b, len(all))
	for _, n := range all {
		b = kbin.AppendInt32(b, n)
	}
	return b
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func millis(d time.Duration) int32 { return int32(min(d.Milliseconds(), math.MaxInt32)) } //nolint:gosec // bounded
