package kafka

import (
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

func TestEverySettingAcceptsItsDefaultAndReadsItBack(t *testing.T) {
	for _, s := range TopicSettings() {
		if s.Doc == "" || s.Effect != Enforced && s.Effect != Stored {
			t.Errorf("%s: effect %q, documentation %q", s.Key, s.Effect, s.Doc)
		}
		st := &stream.Stream{Config: defaultTopicConfig}
		if got, set := s.value(st); got != s.Default || set {
			t.Errorf("%s of a new topic is %q, set %v, want the default %q", s.Key, got, set, s.Default)
		}
		var err error
		if st.Config, st.Labels, err = configure(st.Config, nil, []setting{{s.Key, &s.Default}}); err != nil {
			t.Fatal(err)
		}
		if got, set := s.value(st); got != s.Default || !set {
			t.Errorf("%s set to its default is %q, set %v", s.Key, got, set)
		}
		if st.Config, st.Labels, err = configure(st.Config, st.Labels, []setting{{key: s.Key}}); err != nil || len(st.Labels) != 0 || st.Config != defaultTopicConfig {
			t.Errorf("%s deleted leaves %+v, %v, %v", s.Key, st.Config, st.Labels, err)
		}
	}
}

func TestEnforcedSettingsReachTheLog(t *testing.T) {
	const never = "9223372036854775807"
	for _, row := range []struct {
		key, value string
		want       stream.Config
	}{
		{"retention.ms", "1000", stream.Config{Retention: time.Second}},
		{"retention.ms", "-1", stream.Config{Retention: -1}},
		{"retention.ms", "0", stream.Config{Retention: 1}},
		{"retention.ms", never, stream.Config{Retention: -1}},
		{"retention.bytes", "1000", stream.Config{RetentionBytes: 1000}},
		{"retention.bytes", "0", stream.Config{RetentionBytes: 1}},
		{"retention.bytes", "-2", stream.Config{}},
		{"max.message.bytes", "2000", stream.Config{MaxBatchBytes: 2000}},
		{"max.message.bytes", "2147483647", stream.Config{MaxBatchBytes: stream.MostBatchBytes}},
		{"message.timestamp.type", "LogAppendTime", stream.Config{Timestamps: stream.LogAppendTime}},
		{"message.timestamp.before.max.ms", "5", stream.Config{TimestampBefore: 5 * time.Millisecond}},
		{"message.timestamp.after.max.ms", never, stream.Config{}},
		{"freshet.durability", "os", stream.Config{Durability: stream.OS}},
		{"cleanup.policy", "compact", stream.Config{KeepAll: true, Compaction: stream.Compaction{On: true}}},
		{"cleanup.policy", "compact,delete", stream.Config{Compaction: stream.Compaction{On: true}}},
		{"cleanup.policy", "delete, compact", stream.Config{Compaction: stream.Compaction{On: true}}},
		{"cleanup.policy", "", stream.Config{KeepAll: true}},
		{"segment.ms", "5", stream.Config{Compaction: stream.Compaction{SegmentAge: 5 * time.Millisecond}}},
		{"segment.ms", never, stream.Config{Compaction: stream.Compaction{SegmentAge: 1<<63 - 1}}},
		{"segment.bytes", "1048576", stream.Config{Compaction: stream.Compaction{SegmentBytes: 1 << 20}}},
		{"segment.jitter.ms", "7", stream.Config{Compaction: stream.Compaction{SegmentJitter: 7 * time.Millisecond}}},
		{"delete.retention.ms", "0", stream.Config{Compaction: stream.Compaction{DeleteRetention: -1}}},
		{"delete.retention.ms", "60000", stream.Config{Compaction: stream.Compaction{DeleteRetention: time.Minute}}},
		{"delete.retention.ms", never, stream.Config{Compaction: stream.Compaction{DeleteRetention: 1<<63 - 1}}},
		{"min.cleanable.dirty.ratio", "0.01", stream.Config{Compaction: stream.Compaction{MinDirty: 0.01}}},
		{"min.cleanable.dirty.ratio", "0.0", stream.Config{Compaction: stream.Compaction{MinDirty: -1}}},
		{"min.compaction.lag.ms", "1000", stream.Config{Compaction: stream.Compaction{MinLag: time.Second}}},
		{"max.compaction.lag.ms", "1000", stream.Config{Compaction: stream.Compaction{MaxLag: time.Second}}},
		{"max.compaction.lag.ms", never, stream.Config{}},
		{"index.interval.bytes", "5", stream.Config{}},
	} {
		got, labels, err := configure(stream.Config{}, map[string]string{"other": "kept"}, []setting{{row.key, &row.value}})
		if err != nil || got != row.want {
			t.Errorf("%s=%s: %+v, %v, want %+v", row.key, row.value, got, err, row.want)
		}
		if want := map[string]string{"other": "kept", "kafka.config." + row.key: row.value}; !maps.Equal(labels, want) {
			t.Errorf("%s=%s: labels %v", row.key, row.value, labels)
		}
		if back, set := topicSetting(row.key).value(&stream.Stream{Config: got, Labels: labels}); back != row.value || !set {
			t.Errorf("%s=%s reads back as %s, set %v", row.key, row.value, back, set)
		}
	}
}

func TestBadSettingsAreRefused(t *testing.T) {
	for _, row := range [][2]string{
		{"no.such.thing", "1"},
		{"retention.ms", "-2"},
		{"retention.ms", "soon"},
		{"retention.ms", ""},
		{"max.message.bytes", "2147483648"},
		{"message.timestamp.type", "createtime"},
		{"cleanup.policy", "delete,forget"},
		{"cleanup.policy", ","},
		{"cleanup.policy", "delete,"},
		{"compression.type", "brotli"},
		{"preallocate", "yes"},
		{"min.cleanable.dirty.ratio", "1.5"},
		{"min.cleanable.dirty.ratio", "NaN"},
		{"min.insync.replicas", "0"},
		{"compression.gzip.level", "0"},
		{"segment.bytes", "1048575"},
		{"leader.replication.throttled.replicas", "0"},
		{"leader.replication.throttled.replicas", "0:1:2"},
		{"follower.replication.throttled.replicas", "a:b"},
		{"follower.replication.throttled.replicas", "*,0:1"},
	} {
		_, _, err := configure(stream.Config{}, nil, []setting{{row[0], &row[1]}})
		if code(err) != kerr.InvalidConfig.Code {
			t.Errorf("%s=%s: %v", row[0], row[1], err)
		}
	}
	const policy, throttled = "cleanup.policy", "leader.replication.throttled.replicas"
	for _, row := range [][2]string{
		{policy, ""},
		{policy, " "},
		{policy, "delete"},
		{policy, "compact"},
		{policy, "compact,delete"},
		{policy, "delete, compact"},
		{throttled, ""},
		{throttled, "*"},
		{throttled, "0:1"},
		{throttled, "0:1, 12:34,"},
		{"segment.bytes", "1048576"},
	} {
		if _, _, err := configure(stream.Config{}, nil, []setting{{row[0], &row[1]}}); err != nil {
			t.Errorf("%s=%s: %v", row[0], row[1], err)
		}
	}
}

func TestSettingsThatContradictEachOtherAreRefused(t *testing.T) {
	low, high := "2000", "1000"
	least, most := setting{"min.compaction.lag.ms", &low}, setting{"max.compaction.lag.ms", &high}
	if _, _, err := configure(stream.Config{}, nil, []setting{least, most}); code(err) != kerr.InvalidConfig.Code {
		t.Errorf("both at once: %v", err)
	}
	_, labels, err := configure(stream.Config{}, nil, []setting{least})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = configure(stream.Config{}, labels, []setting{most}); code(err) != kerr.InvalidConfig.Code {
		t.Errorf("one after the other: %v", err)
	}
	if _, _, err = configure(stream.Config{}, labels, []setting{{"min.compaction.lag.ms", nil}, most}); err != nil {
		t.Errorf("one in place of the other: %v", err)
	}
}

// TestSettingOfAnotherProtocol shows that what the log enforces is what is reported, whatever label is left.
func TestSettingOfAnotherProtocolIsReported(t *testing.T) {
	hour := "3600000"
	config, labels, err := configure(defaultTopicConfig, nil, []setting{{"retention.ms", &hour}})
	if err != nil {
		t.Fatal(err)
	}
	config.Retention = 48 * time.Hour
	if got, set := topicSetting("retention.ms").value(&stream.Stream{Config: config, Labels: labels}); got != "172800000" || !set {
		t.Errorf("retention.ms is %s, set %v", got, set)
	}
}
