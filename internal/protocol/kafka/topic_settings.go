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
			Doc: "How old records go: with delete by retention.ms and retention.bytes. With compact every record must have a key; compaction itself is not " +
				"done yet, and with compact alone no record goes. Nor does one if it is empty, which demands no key.",
			check: listOf("compact", "delete"),
			apply: func(c *stream.Config, v string) { c.KeepAll = !strings.Contains(v, "delete") },
			read: func(c *stream.Config) string {
				if c.KeepAll {
					return "compact"
				}
				return "delete"
			},
			forget: func(c *stream.Config) { c.KeepAll = false },
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
		stored("compression.type", text, "producer", "compression.type", oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), "Batches are kept as producers compress them, whatever this says."),
		stored("compression.gzip.level", integer, "-1", "compression.gzip.level", gzipLevel, "Level for gzip if the server compressed, which it does not."),
		stored("compression.lz4.level", integer, "9", "compression.lz4.level", between(1, 17), "Level for lz4 if the server compressed, which it does not."),
		stored("compression.zstd.level", integer, "3", "compression.zstd.level", between(-131072, 22), "Level for zstd if the server compressed, which it does not."),
		stored("delete.retention.ms", long, "86400000", "log.cleaner.delete.retention.ms", atLeast(0), "How long a compacted topic keeps the marks of deleted keys."),
		stored("file.delete.delay.ms", long, "60000", "log.segment.delete.delay.ms", atLeast(0), "Files are removed as soon as nobody reads them."),
		stored("flush.messages", long, "1", "log.flush.interval.messages", atLeast(1), "Every acknowledged record is on the disk, as with the value 1, unless freshet.durability says os."),
		stored("flush.ms", long, noLimit, "log.flush.interval.ms", atLeast(0), "Every acknowledged record is on the disk, unless freshet.durability says os."),
		stored("follower.replication.throttled.replicas", list, "", "", replicas, "There are no followers to hold back."),
		stored("index.interval.bytes", integer, "4096", "log.index.interval.bytes", between(0, math.MaxInt32), "The log chooses how densely it indexes."),
		stored("leader.replication.throttled.replicas", list, "", "", replicas, "There are no followers to hold back."),
		stored("local.retention.bytes", long, "-2", "log.local.retention.bytes", atLeast(-2), "Bytes kept locally of a tiered topic; topics are not tiered."),
		stored("local.retention.ms", long, "-2", "log.local.retention.ms", atLeast(-2), "Milliseconds kept locally of a tiered topic; topics are not tiered."),
		stored("max.compaction.lag.ms", long, noLimit, "log.cleaner.max.compaction.lag.ms", atLeast(1), "Longest time a record stays uncompacted."),
		stored("message.downconversion.enable", boolean, "false", "log.message.downconversion.enable", boolText, "Records are sent in the format they have."),
		stored("message.format.version", text, "3.0-IV1", "log.message.format.version", anything, "The record format is version 2."),
		stored("message.timestamp.difference.max.ms", long, noLimit, "log.message.timestamp.difference.max.ms", atLeast(0), "Replaced by message.timestamp.before.max.ms and message.timestamp.after.max.ms."),
		stored("min.cleanable.dirty.ratio", double, "0.5", "log.cleaner.min.cleanable.ratio", ratio, "Share of uncompacted bytes at which compaction begins."),
		stored("min.compaction.lag.ms", long, "0", "log.cleaner.min.compaction.lag.ms", atLeast(0), "Shortest time a record stays uncompacted."),
		stored("preallocate", boolean, "false", "log.preallocate", boolText, "The log allocates its files ahead in any case."),
		stored("remote.log.copy.disable", boolean, "false", "", boolText, "Topics are not tiered."),
		stored("remote.log.delete.on.disable", boolean, "false", "", boolText, "Topics are not tiered."),
		stored("remote.storage.enable", boolean, "false", "", notTiered, "Topics are not tiered: true is refused."),
		stored("segment.bytes", integer, "1073741824", "log.segment.bytes", between(1<<20, math.MaxInt32), "The log cuts its files by its own measure; retention works on batches."),
		stored("segment.index.bytes", integer, "10485760", "log.index.size.max.bytes", between(4, math.MaxInt32), "The log sizes its indexes itself."),
		stored("segment.jitter.ms", long, "0", "log.roll.jitter.ms", atLeast(0), "The log cuts its files by its own measure."),
		stored("segment.ms", long, "604800000", "log.roll.ms", atLeast(1), "The log cuts its files by its own measure; retention works on batches."),
		stored("unclean.leader.election.enable", boolean, "false", "unclean.leader.election.enable", boolText, "There is one replica, and no election."),
	}
}
