package kafka

import (
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/stream"
)

// compactionSettings are those of what topics with cleanup.policy=compact keep, and of when they are compacted.
func compactionSettings() []TopicSetting {
	return []TopicSetting{
		{
			Key: "delete.retention.ms", Type: kmsg.ConfigTypeLong, Default: millis(stream.DefaultDeleteRetention), Broker: "log.cleaner.delete.retention.ms",
			Effect: Enforced,
			Doc:    "How long a compacted topic keeps a record without value, which deletes its key, once it was compacted, in milliseconds.", check: atLeast(0),
			apply: func(c *stream.Config, v string) { c.Compaction.DeleteRetention = orNever(v) },
			read: func(c *stream.Config) string {
				return neverText(c.Compaction.DeleteRetention, stream.DefaultDeleteRetention)
			},
			forget: func(c *stream.Config) { c.Compaction.DeleteRetention = 0 },
		},
		{
			Key: "min.cleanable.dirty.ratio", Type: kmsg.ConfigTypeDouble, Default: "0.5", Broker: "log.cleaner.min.cleanable.ratio", Effect: Enforced,
			Doc: "Share of a compacted partition, of the bytes that may be compacted and were not yet, above which it is compacted.", check: ratio,
			apply: func(c *stream.Config, v string) {
				if c.Compaction.MinDirty, _ = strconv.ParseFloat(v, 64); c.Compaction.MinDirty == 0 { // check has passed it
					c.Compaction.MinDirty = -1
				}
			},
			read: func(c *stream.Config) string {
				switch d := c.Compaction.MinDirty; {
				case d == 0:
					return strconv.FormatFloat(stream.DefaultMinDirty, 'g', -1, 64)
				case d < 0:
					return "0"
				default:
					return strconv.FormatFloat(d, 'g', -1, 64)
				}
			},
			forget: func(c *stream.Config) { c.Compaction.MinDirty = 0 },
		},
		{
			Key: "min.compaction.lag.ms", Type: kmsg.ConfigTypeLong, Default: "0", Broker: "log.cleaner.min.compaction.lag.ms", Effect: Enforced,
			Doc:   "How long a record is left alone at least before it is compacted, in milliseconds since its timestamp.",
			check: atLeast(0),
			apply: func(c *stream.Config, v string) { c.Compaction.MinLag = longest(v) },
			read:  func(c *stream.Config) string { return longestText(c.Compaction.MinLag) },

			forget: func(c *stream.Config) { c.Compaction.MinLag = 0 },
		},
		{
			Key: "max.compaction.lag.ms", Type: kmsg.ConfigTypeLong, Default: noLimit, Broker: "log.cleaner.max.compaction.lag.ms", Effect: Enforced,
			Doc:   "How long a record is left alone at most before it is compacted, whatever min.cleanable.dirty.ratio says, in milliseconds.",
			check: atLeast(1),
			apply: func(c *stream.Config, v string) { c.Compaction.MaxLag = bound(v) },
			read:  func(c *stream.Config) string { return boundText(c.Compaction.MaxLag) },

			forget: func(c *stream.Config) { c.Compaction.MaxLag = 0 },
		},
	}
}

// segmentSettings are those of the segments that a log has which is cut into such: they say which records of a compacted topic are left alone.
func segmentSettings() []TopicSetting {
	return []TopicSetting{
		{
			Key: "segment.bytes", Type: kmsg.ConfigTypeInt, Default: strconv.Itoa(stream.DefaultSegmentBytes), Broker: "log.segment.bytes", Effect: Enforced,
			Doc: "Size of a segment. There are none: it says which of the newest records of a compacted partition are left alone, as those in its active " +
				"segment. Retention works on batches.",
			check: between(1<<20, math.MaxInt32),
			apply: func(c *stream.Config, v string) { c.Compaction.SegmentBytes = number(v) },
			read: func(c *stream.Config) string {
				return strconv.FormatInt(orElse(c.Compaction.SegmentBytes, stream.DefaultSegmentBytes), 10)
			},
			forget: func(c *stream.Config) { c.Compaction.SegmentBytes = 0 },
		},
		{
			Key: "segment.ms", Type: kmsg.ConfigTypeLong, Default: millis(stream.DefaultSegmentAge), Broker: "log.roll.ms", Effect: Enforced,
			Doc: "Age at which the next record begins a segment, in milliseconds between their timestamps. There are none: see segment.bytes.",

			check: atLeast(1),
			apply: func(c *stream.Config, v string) { c.Compaction.SegmentAge = longest(v) },
			read: func(c *stream.Config) string {
				return longestText(orElse(c.Compaction.SegmentAge, stream.DefaultSegmentAge))
			},
			forget: func(c *stream.Config) { c.Compaction.SegmentAge = 0 },
		},
		{
			Key: "segment.jitter.ms", Type: kmsg.ConfigTypeLong, Default: "0", Broker: "log.roll.jitter.ms", Effect: Enforced,
			Doc:    "By how much less than segment.ms old a segment may be when the next one begins.",
			check:  atLeast(0),
			apply:  func(c *stream.Config, v string) { c.Compaction.SegmentJitter = longest(v) },
			read:   func(c *stream.Config) string { return longestText(c.Compaction.SegmentJitter) },
			forget: func(c *stream.Config) { c.Compaction.SegmentJitter = 0 },
		},
	}
}

func orElse[T int64 | time.Duration](v, other T) T {
	if v == 0 {
		return other
	}
	return v
}

// forever is the time that stands for all that cannot be told apart from it: 292 years.
const forever = time.Duration(math.MaxInt64)

// longest reads a time in milliseconds.
func longest(v string) time.Duration {
	ms := number(v)
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return forever
	}
	return time.Duration(ms) * time.Millisecond
}

func longestText(d time.Duration) string {
	if d == forever {
		return noLimit
	}
	return millis(d)
}

// orNever is longest for a setting in which 0 is none and not the default.
func orNever(v string) time.Duration {
	if d := longest(v); d > 0 {
		return d
	}
	return -1
}

func neverText(d, def time.Duration) string {
	if d < 0 {
		return "0"
	}
	return longestText(orElse(d, def))
}
