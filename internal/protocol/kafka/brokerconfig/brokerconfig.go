// Package brokerconfig keeps the configs of a broker: those it was started with, and those that were set since, for this broker or for all brokers of
// the cluster (KIP-226). Setting is one that there is; Store keeps what was set, says what holds, and refuses what Apache Kafka 4.3 refuses, in its
// words.
//
// It refuses to know what a setting does: whoever changes one through it makes the value hold.
package brokerconfig

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/state"
)

// kind of the documents: one for each Level, a JSON object of what is set.
const kind = "kafka-broker-config"

// Level says whom a config is set for.
type Level string

// The levels. Their values are the ids of the documents.
const (
	Broker  Level = "broker"  // this broker alone
	Cluster Level = "cluster" // every broker that has nothing of its own
)

// Refuse refuses with INVALID_REQUEST, as Kafka answers nearly everything that is wrong with a broker's config.
func Refuse(format string, args ...any) error {
	return refusal.New(kerr.InvalidRequest, format, args...)
}

// Values are configs by key.
type Values map[string]string

// Store keeps the configs of one broker. Its methods are safe for concurrent use.
type Store struct {
	store    state.Store
	settings []Setting // by key
	static   Values    // what the broker was started with; never written to
	together func(before, after Lookup) error

	change sync.Mutex // held while a change is checked and written
	mu     sync.RWMutex
	set    map[Level]Values // at run time; the inner maps are replaced, never written to
}

// Lookup returns what holds for a key; ok is false if nothing does.
type Lookup func(key string) (value string, ok bool)

// Open returns the store with what was kept of the settings that there are. static is what the broker was started with. together, if not nil, refuses
// what is wrong of several settings, or of a change.
func Open(ctx context.Context, store state.Store, settings []Setting, static Values, together func(before, after Lookup) error) (*Store, error) {
	s := &Store{store: store, settings: slices.Clone(settings), static: maps.Clone(static), together: together, set: map[Level]Values{}}
	slices.SortFunc(s.settings, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	levels, err := state.ListMaps(ctx, store, kind, "")
	if err != nil {
		return nil, fmt.Errorf("load broker configs: %w", err)
	}
	for name, set := range levels {
		level := Level(name)
		// What cannot be set any more, as by a later release, is as if it had not been.
		maps.DeleteFunc(set, func(key, value string) bool {
			t := s.Setting(key)
			return t == nil || !t.mayBeSet(level) || t.Check(value) != nil
		})
		s.set[level] = set
	}
	return s, nil
}

// Settings returns all that there are, by key. The slice must not be written to.
func (s *Store) Settings() []Setting { return s.settings }

// Setting returns the one with a key, nil if there is none.
func (s *Store) Setting(key string) *Setting {
	i, ok := slices.BinarySearchFunc(s.settings, key, func(t Setting, key string) int { return strings.Compare(t.Key, key) })
	if !ok {
		return nil
	}
	return &s.settings[i]
}

// Set returns what is set at a level. The map must not be written to.
func (s *Store) Set(level Level) Values {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.set[level]
}

// Value returns what holds for a key: this broker's, all brokers', what it was started with, or the default. ok is false if there is nothing.
func (s *Store) Value(key string) (value string, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lookup(s.set)(key)
}

// lookup is Value by other values at run time.
func (s *Store) lookup(set map[Level]Values) Lookup {
	return func(key string) (string, bool) {
		for _, values := range []Values{set[Broker], set[Cluster], s.static} {
			if v, ok := values[key]; ok {
				return v, true
			}
		}
		if t := s.Setting(key); t != nil && !t.None {
			return t.Default, true
		}
		return "", false
	}
}

// Int returns the whole number that holds for a key, 0 if nothing does.
func (s *Store) Int(key string) int64 {
	v, _ := s.Value(key)
	n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64) // checked when it was set
	return n
}

// Duration returns the milliseconds that hold for a key, at most 292 years.
func (s *Store) Duration(key string) time.Duration {
	return time.Duration(min(s.Int(key), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// Synonym is one value that would hold for a setting if those before it were not.
type Synonym struct {
	Key, Value string
	Source     kmsg.ConfigSource
}

// Synonyms returns the values that a setting has or would have, the one that holds first: this broker's, all brokers', what it was started with,
// and the default, each of the setting itself and then of the coarser ones that it comes from otherwise. As in Kafka there are none if nothing is
// set for the setting itself.
func (s *Store) Synonyms(key string) []Synonym {
	t := s.Setting(key)
	if t == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []Synonym
	for _, source := range []struct {
		values Values
		source kmsg.ConfigSource
	}{
		{s.set[Broker], kmsg.ConfigSourceDynamicBrokerConfig},
		{s.set[Cluster], kmsg.ConfigSourceDynamicDefaultBrokerConfig},
		{s.static, kmsg.ConfigSourceStaticBrokerConfig},
		{s.defaults(t), kmsg.ConfigSourceDefaultConfig},
	} {
		for _, name := range slices.Concat([]string{key}, t.Coarser) {
			if v, ok := source.values[name]; ok && (name == key || len(all) > 0) {
				all = append(all, Synonym{name, v, source.source})
			}
		}
	}
	return all
}

// defaults returns those of a setting and of its coarser ones.
func (s *Store) defaults(t *Setting) Values {
	values := Values{}
	for _, name := range slices.Concat([]string{t.Key}, t.Coarser) {
		if of := s.Setting(name); of != nil && !of.None {
			values[name] = of.Default
		}
	}
	return values
}

// keep writes what is set at a level, and is done when it is durable.
func (s *Store) keep(ctx context.Context, level Level, set Values) error {
	if err := state.PutMap(ctx, s.store, state.Key{Kind: kind, ID: string(level)}, set); err != nil {
		return fmt.Errorf("keep broker configs: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set[level] = set
	return nil
}
