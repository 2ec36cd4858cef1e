package kafka

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// labelPrefix begins the labels that keep the topic configs somebody has set, as they were written. What the log enforces is in the stream's
// Config too, which alone decides: other protocols change it without knowing of labels.
const labelPrefix = "kafka.config."

func label(key string) string { return labelPrefix + key }

// Effect says what setting a config does.
type Effect string

// The effects.
const (
	Enforced Effect = "enforced" // the server does what it says
	Stored   Effect = "stored"   // it is kept and returned, and changes nothing
)

// TopicSetting is one topic config: a row of the ledger that DescribeConfigs, AlterConfigs and the documentation are made of.
type TopicSetting struct {
	Key     string
	Type    kmsg.ConfigType
	Default string
	Broker  string // the broker config that the default would come from
	Effect  Effect
	Doc     string
	check   func(string) error
	apply   func(*stream.Config, string) // sets an Enforced value, which check has passed
	read    func(*stream.Config) string  // returns what apply has set
	forget  func(*stream.Config)         // returns it to the default
}

// noLimit is how Kafka writes that a number has no bound.
const noLimit = "9223372036854775807"

// defaultTimestampAfter is how far ahead of the clock a record may be in topics made through Kafka (message.timestamp.after.max.ms, KIP-937).
const defaultTimestampAfter = time.Hour

// defaultTopicConfig is what a topic made through Kafka has if nothing else is asked for.
var defaultTopicConfig = stream.Config{TimestampAfter: defaultTimestampAfter}

// TopicSettings returns the ledger, ordered by key.
func TopicSettings() []TopicSetting { return slices.Clone(topicSettings) }

var topicSettings = sortSettings(slices.Concat(enforcedSettings(), storedSettings()))

func sortSettings(all []TopicSetting) []TopicSetting {
	slices.SortFunc(all, func(a, b TopicSetting) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// topicSetting finds a row.
func topicSetting(key string) *TopicSetting {
	i, ok := slices.BinarySearchFunc(topicSettings, key, func(t TopicSetting, key string) int { return strings.Compare(t.Key, key) })
	if !ok {
		return nil
	}
	return &topicSettings[i]
}

func enforcedSettings() []TopicSetting {
	return []TopicSetting{
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
			Doc: "Bytes that a partition keeps before its oldest batches are removed; -1 for no bound.", check: atLeast(-1),
			apply: func(c *stream.Config, v string) { c.RetentionBytes = number(v) },
			read: func(c *stream.Config) string {
				if c.RetentionBytes <= 0 {
					return "-1"
				}
				return strconv.FormatInt(c.RetentionBytes, 10)
			},
			forget: func(c *stream.Config) { c.RetentionBytes = 0 },
		},
		{
			Key: "max.message.bytes", Type: kmsg.ConfigTypeInt, Default: strconv.Itoa(stream.DefaultMaxBatchBytes), Broker: "message.max.bytes", Effect: Enforced,
			Doc: "Largest record batch accepted, in bytes as it is sent, header included.", check: between(0, math.MaxInt32),
			apply: func(c *stream.Config, v string) { c.MaxBatchBytes = max(1, int32(number(v))) },
			read: func(c *stream.Config) string {
				if c.MaxBatchBytes == 0 {
					return strconv.Itoa(stream.DefaultMaxBatchBytes)
				}
				return strconv.Itoa(int(c.MaxBatchBytes))
			},
			forget: func(c *stream.Config) { c.MaxBatchBytes = 0 },
		},
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
		stored("cleanup.policy", list, "delete", "log.cleanup.policy", listOf("delete", "compact"), "How old records go. With compact every record must have a key; compaction itself is not done yet, and with compact alone retention still applies."),
		stored("compression.type", text, "producer", "compression.type", oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"), "Batches are kept as producers compress them, whatever this says."),
		stored("compression.gzip.level", integer, "-1", "compression.gzip.level", gzipLevel, "Level for gzip if the server compressed, which it does not."),
		stored("compression.lz4.level", integer, "9", "compression.lz4.level", between(1, 17), "Level for lz4 if the server compressed, which it does not."),
		stored("compression.zstd.level", integer, "3", "compression.zstd.level", between(-131072, 22), "Level for zstd if the server compressed, which it does not."),
		stored("delete.retention.ms", long, "86400000", "log.cleaner.delete.retention.ms", atLeast(0), "How long a compacted topic keeps the marks of deleted keys."),
		stored("file.delete.delay.ms", long, "60000", "log.segment.delete.delay.ms", atLeast(0), "Files are removed as soon as nobody reads them."),
		stored("flush.messages", long, "1", "log.flush.interval.messages", atLeast(1), "Every acknowledged record is on the disk, as with the value 1, unless freshet.durability says os."),
		stored("flush.ms", long, noLimit, "log.flush.interval.ms", atLeast(0), "Every acknowledged record is on the disk, unless freshet.durability says os."),
		stored("follower.replication.throttled.replicas", list, "", "", anything, "There are no followers to hold back."),
		stored("index.interval.bytes", integer, "4096", "log.index.interval.bytes", between(0, math.MaxInt32), "The log chooses how densely it indexes."),
		stored("leader.replication.throttled.replicas", list, "", "", anything, "There are no followers to hold back."),
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
		stored("remote.storage.enable", boolean, "false", "", boolText, "Topics are not tiered."),
		stored("segment.bytes", integer, "1073741824", "log.segment.bytes", between(14, math.MaxInt32), "The log cuts its files by its own measure; retention works on batches."),
		stored("segment.index.bytes", integer, "10485760", "log.index.size.max.bytes", between(4, math.MaxInt32), "The log sizes its indexes itself."),
		stored("segment.jitter.ms", long, "0", "log.roll.jitter.ms", atLeast(0), "The log cuts its files by its own measure."),
		stored("segment.ms", long, "604800000", "log.roll.ms", atLeast(1), "The log cuts its files by its own measure; retention works on batches."),
		stored("unclean.leader.election.enable", boolean, "false", "unclean.leader.election.enable", boolText, "There is one replica, and no election."),
	}
}

// value returns what a topic has for the setting, and whether somebody has set it.
func (t *TopicSetting) value(st *stream.Stream) (value string, set bool) {
	written, set := st.Labels[label(t.Key)]
	if t.read == nil {
		if set {
			return written, true
		}
		return t.Default, false
	}
	effective := t.read(&st.Config)
	if set {
		probe := st.Config
		t.apply(&probe, written)
		if t.read(&probe) == effective {
			return written, true
		}
	}
	return effective, set || effective != t.Default
}

// minInSync returns a topic's min.insync.replicas.
func minInSync(st *stream.Stream) int64 {
	if v, ok := st.Labels[label("min.insync.replicas")]; ok {
		return number(v)
	}
	return 1
}

// setting is a config being changed: nil stands for its default.
type setting struct {
	key   string
	value *string
}

// configure returns config and labels with settings applied, or the refusal of the first that is wrong. labels is not changed.
func configure(config stream.Config, labels map[string]string, settings []setting) (stream.Config, map[string]string, error) {
	changed := maps.Clone(labels)
	if changed == nil {
		changed = map[string]string{}
	}
	for _, set := range settings {
		t := topicSetting(set.key)
		if t == nil {
			return config, labels, refuse(kerr.InvalidConfig, "Unknown topic config name: %s", set.key)
		}
		if set.value == nil {
			delete(changed, label(t.Key))
			if t.forget != nil {
				t.forget(&config)
			}
			continue
		}
		v := strings.TrimSpace(*set.value)
		if err := t.check(v); err != nil {
			return config, labels, refuse(kerr.InvalidConfig, "Invalid value %s for configuration %s: %s", *set.value, t.Key, err)
		}
		changed[label(t.Key)] = v
		if t.apply != nil {
			t.apply(&config, v)
		}
	}
	return config, changed, nil
}

func number(v string) int64 {
	n, _ := strconv.ParseInt(v, 10, 64) // check has passed it
	return n
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// retention reads a retention.ms, in which 0 is the shortest and not the default.
func retention(v string) time.Duration {
	switch ms := number(v); {
	case ms < 0 || ms > math.MaxInt64/int64(time.Millisecond):
		return -1
	case ms == 0:
		return 1
	default:
		return time.Duration(ms) * time.Millisecond
	}
}

// bound reads a bound in milliseconds; those too large to be reached are none.
func bound(v string) time.Duration {
	ms := number(v)
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return max(1, time.Duration(ms)*time.Millisecond)
}

func boundText(d time.Duration) string {
	if d == 0 {
		return noLimit
	}
	return millis(d)
}

func anything(string) error { return nil }

func between(low, high int64) func(string) error {
	return func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil:
			return fmt.Errorf("Not a number of type LONG")
		case n < low:
			return fmt.Errorf("Value must be at least %d", low)
		case n > high:
			return fmt.Errorf("Value must be no more than %d", high)
		}
		return nil
	}
}

func atLeast(low int64) func(string) error { return between(low, math.MaxInt64) }

func gzipLevel(v string) error {
	if v == "-1" {
		return nil
	}
	return between(1, 9)(v)
}

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		if slices.Contains(values, v) {
			return nil
		}
		return fmt.Errorf("String must be one of: %s", strings.Join(values, ", "))
	}
}

func boolText(v string) error {
	if v = strings.ToLower(v); v == "true" || v == "false" {
		return nil
	}
	return fmt.Errorf("Expected value to be either true or false")
}

func ratio(v string) error {
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 1 {
		return fmt.Errorf("Value must be between 0 and 1")
	}
	return nil
}

func listOf(values ...string) func(string) error {
	one := oneOf(values...)
	return func(v string) error {
		for item := range strings.SplitSeq(v, ",") {
			if item = strings.TrimSpace(item); item != "" || v == "" {
				if err := one(item); err != nil {
					return err
				}
			}
		}
		return nil
	}
}
