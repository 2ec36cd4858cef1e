package kafka

import (
	"errors"
	"maps"
	"slices"
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

var topicSettings = sortSettings(slices.Concat(retentionSettings(), timestampSettings(), batchSettings(), compactionSettings(), segmentSettings(), tierSettings(), compressionSettings(), storedSettings()))

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
func (s *Server) minInSync(st *stream.Stream) int64 {
	return number(s.setting(st, "min.insync.replicas"))
}

// setting is a config being changed: nil stands for its default.
type setting struct {
	key   string
	value *string
}

// configure is configureBy with Apache Kafka's defaults.
func configure(config stream.Config, labels map[string]string, settings []setting) (stream.Config, map[string]string, error) {
	return configureBy(func(t *TopicSetting) string { return t.Default }, config, labels, settings)
}

// configureBy returns config and labels with settings applied, or the refusal of the first that is wrong. labels is not changed. defaultOf says what a
// topic has that says nothing itself.
func configureBy(defaultOf func(*TopicSetting) string, config stream.Config, labels map[string]string, settings []setting) (stream.Config, map[string]string, error) {
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
		switch err := t.check(v); {
		case errors.Is(err, errEmptyItem):
			return config, labels, refuse(kerr.InvalidConfig, "Configuration '%s' %s.", t.Key, err)
		case err != nil:
			return config, labels, refuse(kerr.InvalidConfig, "Invalid value %s for configuration %s: %s", *set.value, t.Key, err)
		}
		changed[label(t.Key)] = v
		if t.apply != nil {
			t.apply(&config, v)
		}
	}
	if err := checkTogether(defaultOf, changed); err != nil {
		return config, labels, err
	}
	if err := checkTier(&config); err != nil {
		return config, labels, err
	}
	return config, changed, nil
}

// checkTogether refuses settings that are good alone and contradict each other.
func checkTogether(defaultOf func(*TopicSetting) string, labels map[string]string) error {
	const least, most = "min.compaction.lag.ms", "max.compaction.lag.ms"
	value := func(key string) string {
		if v, ok := labels[label(key)]; ok {
			return v
		}
		return defaultOf(topicSetting(key))
	}
	if low, high := value(least), value(most); number(low) > number(high) {
		return refuse(kerr.InvalidConfig, "conflict between topic config setting %s (%s) > %s (%s)", least, low, most, high)
	}
	return nil
}
