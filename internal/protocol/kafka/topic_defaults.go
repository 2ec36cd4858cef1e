package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// topicDefaults are what topics have of which nobody has set anything, by the broker's configs as they are now. It is not changed.
type topicDefaults struct {
	values   map[string]string                 // by the topic's key: those that are not Apache Kafka's
	synonyms map[string][]brokerconfig.Synonym // by the broker's key: where they come from
	config   stream.Config                     // of topics made without configs
}

// topicDefaultsNow makes the defaults out of what the broker is set to.
func (s *Server) topicDefaultsNow() *topicDefaults {
	d := &topicDefaults{values: map[string]string{}, synonyms: map[string][]brokerconfig.Synonym{}, config: defaultTopicConfig}
	for i := range topicSettings {
		t := &topicSettings[i]
		d.synonyms[t.Broker] = s.broker.Synonyms(t.Broker)
		value := s.brokerDefault(t)
		if value == t.Default {
			continue
		}
		d.values[t.Key] = value
		if t.apply != nil {
			t.apply(&d.config, value)
		}
	}
	return d
}

// brokerDefault returns what the broker says that a topic has which says nothing itself.
func (s *Server) brokerDefault(t *TopicSetting) string {
	if t.Broker == "" {
		return t.Default
	}
	for _, key := range append([]string{t.Broker}, unsetAtBroker[t.Broker]...) {
		if value, ok := s.broker.Value(key); ok {
			return inMillis(key, value)
		}
	}
	return t.Default
}

// defaultOf returns the value of a config that nobody has set for a topic: the broker's, or else Apache Kafka's.
func (s *Server) defaultOf(t *TopicSetting) string {
	if value, ok := s.defaults.Load().values[t.Key]; ok {
		return value
	}
	return t.Default
}

// isDefault says whether a config of the log is what a topic has of which nobody has set anything.
func (s *Server) isDefault(t *TopicSetting, config *stream.Config) bool {
	probe := *config
	t.apply(&probe, s.defaultOf(t))
	return t.read(&probe) == t.read(config)
}

// topicValue returns what a topic has for a setting, and whether somebody has set it: a client, or another protocol.
func (s *Server) topicValue(t *TopicSetting, st *stream.Stream) (value string, set bool) {
	value, set = t.value(st)
	if _, own := st.Labels[label(t.Key)]; own {
		return value, set
	}
	if t.read == nil || s.isDefault(t, &st.Config) {
		return s.defaultOf(t), false
	}
	return value, true
}

// configure is configureBy with this broker's defaults, which a config has again that is taken back.
func (s *Server) configure(config stream.Config, labels map[string]string, settings []setting) (stream.Config, map[string]string, error) {
	config, labels, err := configureBy(s.defaultOf, config, labels, settings)
	if err != nil {
		return config, labels, err
	}
	for _, set := range settings {
		if t := topicSetting(set.key); set.value == nil && t.apply != nil && s.defaultOf(t) != t.Default {
			t.apply(&config, s.defaultOf(t))
		}
	}
	return config, labels, nil
}

// appliedKey is the document that says which defaults, beside Apache Kafka's, all topics had that were there. What the broker says may have been
// changed since, by a restart with other settings, or because the node ended before it had altered all topics.
var appliedKey = state.Key{Kind: "kafka-topic-defaults", ID: "applied"}

// applyTopicDefaults makes what the broker says hold for topics made from now on, and for those that are there, which have it from then on. What of a
// topic is neither what it had before nor set by Kafka's clients was set through another protocol, and stays.
func (s *Server) applyTopicDefaults(ctx context.Context) error {
	s.defaulting.Lock()
	defer s.defaulting.Unlock()
	before, err := s.appliedDefaults(ctx)
	if err != nil {
		return err
	}
	now := s.topicDefaultsNow()
	s.defaults.Store(now)
	if maps.Equal(before, now.values) {
		return nil
	}
	all, err := s.log.Streams(ctx)
	if err != nil {
		return err
	}
	for _, st := range all {
		if config := changeDefaults(st, before, now.values); config != st.Config {
			if _, err := s.log.Alter(ctx, st.ID, stream.Change{Config: &config}); err != nil && !errors.Is(err, stream.ErrNotFound) {
				return fmt.Errorf("topic %s: give it the broker's defaults: %w", st.Name, err)
			}
		}
	}
	return s.keepAppliedDefaults(ctx, now.values)
}

// changeDefaults returns a topic's config with other defaults. Streams that were made through Kinesis have what Kinesis says.
func changeDefaults(st *stream.Stream, before, now map[string]string) stream.Config {
	config := st.Config
	if st.Labels[stream.LabelKinesis] != "" {
		return config
	}
	for i := range topicSettings {
		t := &topicSettings[i]
		if t.apply == nil || before[t.Key] == now[t.Key] {
			continue
		}
		if _, own := st.Labels[label(t.Key)]; own {
			continue
		}
		was, is := t.Default, t.Default
		if v, ok := before[t.Key]; ok {
			was = v
		}
		if v, ok := now[t.Key]; ok {
			is = v
		}
		probe := config
		if t.apply(&probe, was); t.read(&probe) == t.read(&config) {
			t.forget(&config)
			if is != t.Default {
				t.apply(&config, is)
			}
		}
	}
	return config
}

func (s *Server) appliedDefaults(ctx context.Context) (map[string]string, error) {
	doc, err := s.state.Get(ctx, appliedKey)
	if errors.Is(err, state.ErrNotFound) {
		return map[string]string{}, nil
	}
	values := map[string]string{}
	if err == nil {
		err = json.Unmarshal(doc.Value, &values)
	}
	if err != nil {
		return nil, fmt.Errorf("load topics' defaults: %w", err)
	}
	return values, nil
}

func (s *Server) keepAppliedDefaults(ctx context.Context, values map[string]string) error {
	change := state.Change{Key: appliedKey, If: state.Any, Delete: len(values) == 0}
	var err error
	if !change.Delete {
		if change.Value, err = json.Marshal(values); err != nil {
			return fmt.Errorf("encode topics' defaults: %w", err)
		}
	}
	if _, err = s.state.Apply(ctx, change); err != nil {
		return fmt.Errorf("keep topics' defaults: %w", err)
	}
	return nil
}
