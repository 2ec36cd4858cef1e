package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// neverCopied are settings of topics that speak of a cluster's replicas and brokers, and why they are not copied.
var neverCopied = map[string]string{
	"min.insync.replicas":                     "replicas are the target's own",
	"leader.replication.throttled.replicas":   "replicas are the target's own",
	"follower.replication.throttled.replicas": "replicas are the target's own",
}

// whileCopying are the settings that a topic has until it is whole: old records must neither be deleted as they arrive, nor get another time, nor
// be refused for their time or for lack of a key. Then it gets the source's.
var whileCopying = map[string]string{
	"cleanup.policy":                  "delete",
	"retention.ms":                    "-1",
	"retention.bytes":                 "-1",
	"message.timestamp.type":          "CreateTime",
	"message.timestamp.before.max.ms": strconv.Itoa(math.MaxInt64),
	"message.timestamp.after.max.ms":  strconv.Itoa(math.MaxInt64),
}

// settings are a topic's own at the source, and what becomes of them.
type settings struct {
	own     map[string]string // set for the topic
	brokers map[string]string // set for the source's brokers, in force for the topic
}

// sourceSettings reads the settings of topics.
func sourceSettings(ctx context.Context, s *side, topics []string) (map[string]settings, error) {
	described, err := describeTopics(ctx, s, topics)
	if err != nil {
		return nil, err
	}
	all := map[string]settings{}
	for name, configs := range described {
		of := settings{own: map[string]string{}, brokers: map[string]string{}}
		for _, c := range configs {
			switch {
			case c.Value == nil:
			case c.Source == kmsg.ConfigSourceDynamicTopicConfig:
				of.own[c.Key] = *c.Value
			case c.Source != kmsg.ConfigSourceDefaultConfig:
				of.brokers[c.Key] = *c.Value
			}
		}
		all[name] = of
	}
	return all, nil
}

func describeTopics(ctx context.Context, s *side, topics []string) (map[string][]kadm.Config, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	described, err := s.admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("read settings of topics at the %s: %w", s.name, err)
	}
	all := map[string][]kadm.Config{}
	for _, d := range described {
		if d.Err == nil {
			all[d.Name] = d.Configs
		} else if !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("read settings of topic %s at the %s: %w", d.Name, s.name, d.Err)
		}
	}
	return all, nil
}

// accepted asks the target which of the settings it takes. The others are returned with the reason.
func accepted(ctx context.Context, target *side, topic string, partitions int32, replicas int16, all map[string]string) (map[string]string, map[string]string, error) {
	try := func(some map[string]string) (error, error) {
		// The topic may be there, so another name of the same length stands for it.
		resp, err := target.admin.ValidateCreateTopics(ctx, partitions, replicas, pointers(some), probeName(topic))
		if err != nil {
			return nil, fmt.Errorf("ask the %s about settings: %w", target.name, err)
		}
		for _, r := range resp {
			if r.Err != nil && r.ErrMessage != "" {
				return fmt.Errorf("%w: %s", r.Err, r.ErrMessage), nil
			}
			return r.Err, nil
		}
		return nil, fmt.Errorf("ask the %s about settings: no answer", target.name)
	}
	refusal, err := try(all)
	if err != nil || refusal == nil {
		return all, nil, err
	}
	if !errors.Is(refusal, kerr.InvalidConfig) && !errors.Is(refusal, kerr.InvalidRequest) {
		return nil, nil, &topicError{topic, fmt.Errorf("the target would not make it: %w", refusal)}
	}
	taken, refused := map[string]string{}, map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		refusal, err := try(map[string]string{key: all[key]})
		if err != nil {
			return nil, nil, err
		}
		if refusal == nil {
			taken[key] = all[key]
		} else {
			refused[key] = refusal.Error()
		}
	}
	return taken, refused, nil
}

// probeName is a topic's name that is most probably no topic's.
func probeName(topic string) string { return strings.Repeat("x", len(topic)-1) + "-" }

func pointers(of map[string]string) map[string]*string {
	all := make(map[string]*string, len(of))
	for k, v := range of {
		all[k] = &v
	}
	return all
}

// copyable splits a topic's settings into those to copy and notes about those that are not.
func (s *settings) copyable() (map[string]string, []string) {
	all, notes := map[string]string{}, []string{}
	for _, key := range slices.Sorted(maps.Keys(s.own)) {
		if why, never := neverCopied[key]; never {
			notes = append(notes, fmt.Sprintf("setting %s=%s is not copied: %s", key, s.own[key], why))
		} else {
			all[key] = s.own[key]
		}
	}
	return all, notes
}

// alter sets, and with "" removes, settings of a topic at the target.
func alter(ctx context.Context, target *side, topic string, set map[string]*string) error {
	var changes []kadm.AlterConfig
	for _, key := range slices.Sorted(maps.Keys(set)) {
		change := kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: set[key]}
		if set[key] == nil {
			change.Op = kadm.DeleteConfig
		}
		changes = append(changes, change)
	}
	resp, err := target.admin.AlterTopicConfigs(ctx, changes, topic)
	if err != nil {
		return fmt.Errorf("set topic %s at the %s: %w", topic, target.name, err)
	}
	for _, r := range resp {
		if r.Err != nil {
			return &topicError{topic, fmt.Errorf("its settings at the target: %w: %s", r.Err, r.ErrMessage)}
		}
	}
	return nil
}

// prepare gives a topic that was made by us the settings that it needs while records are copied, if it has others by now.
func (t *topic) prepare(ctx context.Context, target *side) error {
	described, err := describeTopics(ctx, target, []string{t.name})
	if err != nil {
		return err
	}
	set := map[string]*string{}
	for _, c := range described[t.name] {
		if want, ours := whileCopying[c.Key]; ours && (c.Value == nil || *c.Value != want) {
			set[c.Key] = &want
		}
	}
	if len(set) == 0 {
		return nil
	}
	return alter(ctx, target, t.name, set)
}

// settle gives a topic that was made by us the settings of the source, now that it is whole.
func (t *topic) settle(ctx context.Context, target *side) error {
	described, err := describeTopics(ctx, target, []string{t.name})
	if err != nil {
		return err
	}
	set := map[string]*string{}
	for _, c := range described[t.name] {
		if _, ours := whileCopying[c.Key]; ours {
			set[c.Key] = nil
		}
	}
	for key, value := range t.copied {
		set[key] = &value
	}
	if len(set) == 0 {
		return nil
	}
	return alter(ctx, target, t.name, set)
}

// compare notes which settings of the source's brokers, in force for the topic there, are others at the target.
func (t *topic) compare(ctx context.Context, target *side) error {
	described, err := describeTopics(ctx, target, []string{t.name})
	if err != nil {
		return err
	}
	for _, c := range described[t.name] {
		if was, set := t.settings.brokers[c.Key]; set && c.Value != nil && *c.Value != was && neverCopied[c.Key] == "" {
			t.note("%s is %s by the source's brokers, and %s here", c.Key, was, *c.Value)
		}
		if was, set := t.settings.own[c.Key]; !t.made && set && c.Value != nil && *c.Value != was && neverCopied[c.Key] == "" {
			t.note("%s is %s at the source, and %s here: the topic was here before", c.Key, was, *c.Value)
		}
	}
	return nil
}
