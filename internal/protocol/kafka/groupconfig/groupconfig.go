// Package groupconfig keeps the configs of groups: what Kafka calls the resource type GROUP. Setting is one that there is, with its bounds; Store
// keeps which group has which, whether there is such a group or not, and says what holds for it.
//
// It refuses to know what a setting does: the coordinators of groups ask for the values.
package groupconfig

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
	"github.com/freshet/freshet/internal/state"
)

const (
	kind   = "kafka-group-config" // of a group's document, a JSON object of what it has set
	prefix = "group/"
)

// The bounds of what may be set.
const (
	MaxGroups  = 100_000 // groups that have set anything
	MaxIDBytes = 500     // of a group's id
)

// Change sets a config of a group, or takes it back if Value is nil.
type Change struct {
	Key   string
	Value *string
}

// Store keeps the configs of all groups. Its methods are safe for concurrent use.
type Store struct {
	store    state.Store
	settings []Setting

	change sync.Mutex // held while a change is checked and written
	mu     sync.RWMutex
	groups map[string]map[string]string // what each has set; the inner maps are replaced, never written to
}

// Open returns the store with what was kept of the settings that there are.
func Open(ctx context.Context, store state.Store, settings []Setting) (*Store, error) {
	s := &Store{store: store, settings: settings, groups: map[string]map[string]string{}}
	groups, err := state.ListMaps(ctx, store, kind, prefix)
	if err != nil {
		return nil, fmt.Errorf("load group configs: %w", err)
	}
	for group, set := range groups {
		maps.DeleteFunc(set, func(key, value string) bool { return s.Setting(key) == nil || s.Setting(key).check(value) != nil })
		if len(set) > 0 {
			s.groups[group] = set
		}
	}
	return s, nil
}

// Settings returns all that there are, by key. The slice must not be written to.
func (s *Store) Settings() []Setting { return s.settings }

// Setting returns the one with a key, nil if there is none.
func (s *Store) Setting(key string) *Setting {
	for i := range s.settings {
		if s.settings[i].Key == key {
			return &s.settings[i]
		}
	}
	return nil
}

// Groups lists the groups that have set anything.
func (s *Store) Groups() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.groups))
}

// Set returns what a group has set. The map must not be written to.
func (s *Store) Set(group string) map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.groups[group]
}

// Value returns what holds for a group: its own, or else the default.
func (s *Store) Value(group, key string) string {
	if v, ok := s.Set(group)[key]; ok {
		return v
	}
	if t := s.Setting(key); t != nil {
		return t.Default
	}
	return ""
}

// Int returns the number that holds for a group.
func (s *Store) Int(group, key string) int {
	n, _ := strconv.Atoi(s.Value(group, key)) // checked when it was set
	return n
}

// Duration returns the milliseconds that hold for a group.
func (s *Store) Duration(group, key string) time.Duration {
	return time.Duration(s.Int(group, key)) * time.Millisecond
}

// Alter makes changes to what a group has set, all or none; durable when it returns. With validateOnly it only says whether it would.
func (s *Store) Alter(ctx context.Context, group string, changes []Change, validateOnly bool) error {
	if group == "" {
		return refusal.New(kerr.InvalidRequest, "Default group resources are not allowed.")
	}
	if len(group) > MaxIDBytes {
		return refusal.New(kerr.InvalidRequest, "The group's id of %d bytes is longer than %d.", len(group), MaxIDBytes)
	}
	s.change.Lock()
	defer s.change.Unlock()
	before := s.Set(group)
	set := maps.Clone(before)
	if set == nil {
		set = map[string]string{}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(set, c.Key)
		} else {
			set[c.Key] = strings.TrimSpace(*c.Value)
		}
	}
	if err := s.check(set); err != nil {
		return err
	}
	if before == nil && len(set) > 0 && len(s.Groups()) >= MaxGroups {
		return refusal.New(kerr.PolicyViolation, "There are %d groups with configs already.", MaxGroups)
	}
	if validateOnly || maps.Equal(before, set) {
		return nil
	}
	return s.keep(ctx, group, set)
}

func (s *Store) keep(ctx context.Context, group string, set map[string]string) error {
	if err := state.PutMap(ctx, s.store, state.Key{Kind: kind, ID: prefix + group}, set); err != nil {
		return fmt.Errorf("keep group configs: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(set) == 0 {
		delete(s.groups, group)
	} else {
		s.groups[group] = set
	}
	return nil
}

// check says whether a group may have set. INVALID_CONFIG.
func (s *Store) check(set map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		t := s.Setting(key)
		if t == nil {
			return refusal.New(kerr.InvalidConfig, "Unknown group config name: %s", key)
		}
		if err := t.check(set[key]); err != nil {
			return err
		}
	}
	value := func(key string) int64 {
		text, ok := set[key]
		if t := s.Setting(key); !ok && t != nil {
			text = t.Default
		}
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		session, interval := kind+".session.timeout.ms", kind+".heartbeat.interval.ms"
		if value(session) <= value(interval) {
			return refusal.New(kerr.InvalidConfig, "%s must be greater than %s", session, interval)
		}
	}
	return nil
}
