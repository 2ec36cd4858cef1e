package kafka

import (
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

func retentionSettings() []TopicSetting {
	return []TopicSetting{
		{
			Key: "cleanup.policy", Type: kmsg.ConfigTypeList, Default: "delete", Broker: "log.cleanup.policy", Effect: Enforced,
			Doc: "How old records go: with delete by retention.ms and retention.bytes, with compact once a later record has the same key, with both in either " +
				"way. With compact every record must have a key. If it is empty no record goes, and none needs a key.",
			check: listOf("compact", "delete"),
			apply: func(c *stream.Config, v string) {
				c.KeepAll, c.Compaction.On = !strings.Contains(v, "delete"), strings.Contains(v, "compact")
			},
			read: func(c *stream.Config) string {
				switch {
				case c.Compaction.On && c.KeepAll:
					return "compact"
				case c.Compaction.On:
					return "compact,delete"
				case c.KeepAll:
					return ""
				}
				return "delete"
			},
			forget: func(c *stream.Config) { c.KeepAll, c.Compaction.On = false, false },
		},
		{
			Key: "retention.ms", Type: kmsg.ConfigTypeLong, Default: "604800000", Broker: "log.retention.ms", Effect: Enforced,
			Doc: "Age in milliseconds after which batches are removed, counted from their largest timestamp; -1 keeps them for good.", check: atLeast(-1),
			apply: func(c *stream.Config, v string) { c.Retention = retention(v) },
			read: func(c *stream.Config) string {
				switch {
				case c.Retention < 0:
					return "-1"
				case c.Retention == 0:
					return millis(stream.DefaultRetention)
				}
				return millis(c.Retention)
			},
			forget: func(c *stream.Config) { c.Retention = 0 },
		},
		{
			Key: "retention.bytes", Type: kmsg.ConfigTypeLong, Default: "-1", Broker: "log.retention.bytes", Effect: Enforced,
			Doc:   "Bytes that a partition keeps before its oldest batches are removed; below 0 for no bound. With 0 it keeps the newest batch.",
			check: atLeast(math.MinInt64),
			apply: func(c *stream.Config, v string) { c.RetentionBytes = retentionBytes(v) },
			read: func(c *stream.Config) string {
				if c.RetentionBytes <= 0 {
					return "-1"
				}
				return strconv.FormatInt(c.RetentionBytes, 10)
			},
			forget: func(c *stream.Config) { c.RetentionBytes = 0 },
		},
	}
}

func timestampSettings() []TopicSetting {
	return []TopicSetting{
		{
			Key: "message.timestamp.type", Type: kmsg.ConfigTypeString, Default: "CreateTime", Broker: "log.message.timestamp.type", Effect: Enforced,
			Doc: "Whose clock records carry: CreateTime the producer's, LogAppendTime the server's.", check: oneOf("CreateTime", "LogAppendTime"),
			apply: func(c *stream.Config, v string) {
				c.Timestamps = stream.CreateTime
				if v == "LogAppendTime" {
					c.Timestamps = stream.LogAppendTime
				}
			},
			read: func(c *stream.Config) string {
				if c.Timestamps == stream.LogAppendTime {
					return "LogAppendTime"
				}
				return "CreateTime"
			},
			forget: func(c *stream.Config) { c.Timestamps = stream.CreateTime },
		},
		{
			Key: "message.timestamp.before.max.ms", Type: kmsg.ConfigTypeLong, Default: noLimit, Broker: "log.message.timestamp.before.max.ms", Effect: Enforced,
			Doc: "How far behind the server's clock a producer's timestamp may be, in milliseconds.", check: atLeast(0),
			apply:  func(c *stream.Config, v string) { c.TimestampBefore = bound(v) },
			read:   func(c *stream.Config) string { return boundText(c.TimestampBefore) },
			forget: func(c *stream.Config) { c.TimestampBefore = 0 },
		},
		{
			Key: "message.timestamp.after.max.ms", Type: kmsg.ConfigTypeLong, Default: millis(defaultTimestampAfter), Broker: "log.message.timestamp.after.max.ms",
			Effect: Enforced,
			Doc:    "How far ahead of the server's clock a producer's timestamp may be, in milliseconds.", check: atLeast(0),
			apply:  func(c *stream.Config, v string) { c.TimestampAfter = bound(v) },
			read:   func(c *stream.Config) string { return boundText(c.TimestampAfter) },
			forget: func(c *stream.Config) { c.TimestampAfter = defaultTimestampAfter },
		},
	}
}

func batchSettings() []TopicSetting {
	return []TopicSetting{
		{
			Key: "max.message.bytes", Type: kmsg.ConfigTypeInt, Default: strconv.Itoa(stream.DefaultMaxBatchBytes), Broker: "message.max.bytes", Effect: Enforced,
			Doc: "Largest record batch accepted, in bytes as it is sent, header included.", check: between(0, math.MaxInt32),
			apply: func(c *stream.Config, v string) {
				c.MaxBatchBytes = int32(min(max(1, number(v)), stream.MostBatchBytes))
			},
			read: func(c *stream.Config) string {
				if c.MaxBatchBytes == 0 {
					return strconv.Itoa(stream.DefaultMaxBatchBytes)
				}
				return strconv.Itoa(int(c.MaxBatchBytes))
			},
			forget: func(c *stream.Config) { c.MaxBatchBytes = 0 },
		},
		{
			Key: "freshet.durability", Type: kmsg.ConfigTypeString, Default: "fsync", Broker: "freshet.durability", Effect: Enforced,
			Doc:   "What an acknowledgement means: fsync, that records are on the disk; os, that the operating system has them, as with Apache Kafka.",
			check: oneOf("fsync", "os"),
			apply: func(c *stream.Config, v string) {
				c.Durability = stream.Fsync
				if v == "os" {
					c.Durability = stream.OS
				}
			},
			read: func(c *stream.Config) string {
				if c.Durability == stream.OS {
					return "os"
				}
				return "fsync"
			},
			forget: func(c *stream.Config) { c.Durability = stream.Fsync },
		},
		{
			Key: "min.insync.replicas", Type: kmsg.ConfigTypeInt, Default: "1", Broker: "min.insync.replicas", Effect: Enforced,
			Doc:   "Replicas that acks=all waits for. There is one: more than 1 refuses acks=all, but is only stored while any replication factor is accepted.",
			check: between(1, math.MaxInt32),
		},
	}
}

// stored makes a row that has no effect.
func stored(key string, kind kmsg.ConfigType, def, broker string, check func(string) error, doc string) TopicSetting {
	return TopicSetting{Key: key, Type: kind, Default: def, Broker: broker, Effect: Stored, Doc: doc, check: check}
}

func storedSettings() []TopicSetting {
	const (
		boolean = kmsg.ConfigTypeBoolean
		text    = kmsg.ConfigTypeString
		integer = kmsg.ConfigTypeInt
		long    = kmsg.ConfigTypeLong
		double  = kmsg.ConfigTypeDouble
		list    = kmsg.ConfigTypeList
	)
	return []TopicSetting{
		stored("file.delete.delay.ms", long, "60000", "log.segment.delete.delay.ms", atLeast(0), "Files are removed as soon as nobody reads them."),
		stored("flush.messages", long, "1", "log.flush.interval.messages", atLeast(1), "Every acknowledged record is on the disk, as with the value 1, unless freshet.durability says os."),
		stored("flush.ms", long, noLimit, "log.flush.interval.ms", atLeast(0), "Every acknowledged record is on the disk, unless freshet.durability says os."),
		stored("follower.replication.throttled.replicas", list, "", "", replicas, "There are no followers to hold back."),
		stored("index.interval.bytes", integer, "4096", "log.index.interval.bytes", between(0, math.MaxInt32), "The log chooses how densely it indexes."),
		stored("leader.replication.throttled.replicas", list, "", "", replicas, "There are no followers to hold back."),
		stored("message.downconversion.enable", boolean, "false", "log.message.downconversion.enable", boolText, "Records are sent in the format they have."),
		stored("message.format.version", text, "3.0-IV1", "log.message.format.version", anything, "The record format is version 2."),
		stored("message.timestamp.difference.max.ms", long, noLimit, "log.message.timestamp.difference.max.ms", atLeast(0), "Replaced by message.timestamp.before.max.ms and message.timestamp.after.max.ms."),
		stored("preallocate", boolean, "false", "log.preallocate", boolText, "The log allocates its files ahead in any case."),
		stored("segment.index.bytes", integer, "10485760", "log.index.size.max.bytes", between(4, math.MaxInt32), "The log sizes its indexes itself."),
		stored("unclean.leader.election.enable", boolean, "false", "unclean.leader.election.enable", boolText, "There is one replica, and no election."),
	}
}
