package telemetry

import (
	"context"
	"fmt"
	"maps"
	"regexp"
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

const (
	kind   = "kafka-client-metrics" // of a subscription's document, a JSON object of what it has set
	prefix = "subscription/"
)

// The bounds of subscriptions.
const (
	MaxSubscriptions = 100
	MaxNameBytes     = 500      // of a subscription's name
	MaxConfigBytes   = 16 << 10 // of one config
)

// The configs of a subscription.
const (
	Interval = "interval.ms" // how often a client pushes
	Metrics  = "metrics"     // prefixes of metrics' names; "*" is all
	Match    = "match"       // attributes of clients, each with a regular expression for all of it
)

// The bounds of Interval, and what it is unless it is set.
const (
	DefaultInterval = 5 * time.Minute
	MinInterval     = 100 * time.Millisecond
	MaxInterval     = time.Hour
)

// allMetrics is the prefix that stands for all metrics.
const allMetrics = "*"

// Setting is a config that a subscription may have.
type Setting struct {
	Key, Default string
	Type         kmsg.ConfigType
	Doc          string
}

// Settings are all that there are, by key.
var Settings = []Setting{
	{Interval, strconv.FormatInt(DefaultInterval.Milliseconds(), 10), kmsg.ConfigTypeInt, "How often a client pushes its metrics."},
	{Match, "", kmsg.ConfigTypeList, "Which clients: client_id, client_instance_id, client_software_name, client_software_version, client_source_address " +
		"or client_source_port, each with = and a regular expression for all of it. All must match; none means every client."},
	{Metrics, "", kmsg.ConfigTypeList, "The prefixes of the names of metrics; * is all of them."},
}

// setting returns the one with a key, nil if there is none.
func setting(key string) *Setting {
	for i := range Settings {
		if Settings[i].Key == key {
			return &Settings[i]
		}
	}
	return nil
}

// IsList says whether a config of subscriptions is a list.
func IsList(key string) bool {
	t := setting(key)
	return t != nil && t.Type == kmsg.ConfigTypeList
}

// subscription is one, parsed.
type subscription struct {
	set      map[string]string // never written to
	interval time.Duration
	metrics  []string
	match    map[string]*regexp.Regexp // by attribute
}

// Subscriptions keeps what there is subscribed to. Its methods are safe for concurrent use.
type Subscriptions struct {
	store state.Store

	change  sync.Mutex // held while a change is checked and written
	mu      sync.RWMutex
	byName  map[string]*subscription
	version int // counts changes
}

// OpenSubscriptions returns those that were kept.
func OpenSubscriptions(ctx context.Context, store state.Store) (*Subscriptions, error) {
	s := &Subscriptions{store: store, byName: map[string]*subscription{}}
	all, err := state.ListMaps(ctx, store, kind, prefix)
	if err != nil {
		return nil, fmt.Errorf("load subscriptions of client metrics: %w", err)
	}
	for name, set := range all {
		if s.byName[name], err = parse(set); err != nil {
			return nil, fmt.Errorf("load subscription %q of client metrics: %w", name, err)
		}
	}
	return s, nil
}

// Names lists the subscriptions.
func (s *Subscriptions) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.byName))
}

// Set returns what a subscription has set, nil if there is none of that name. The map must not be written to.
func (s *Subscriptions) Set(name string) map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if found := s.byName[name]; found != nil {
		return found.set
	}
	return nil
}

// Alter makes what change does to the configs of a subscription, all or nothing; durable when it returns. One that has none set is no more.
// With validateOnly it only says whether it would.
func (s *Subscriptions) Alter(ctx context.Context, name string, change func(set map[string]string) error, validateOnly bool) error {
	switch {
	case name == "":
		return refusal.New(kerr.InvalidRequest, "Subscription name can't be empty")
	case len(name) > MaxNameBytes:
		return refusal.New(kerr.InvalidRequest, "The subscription's name of %d bytes is longer than %d.", len(name), MaxNameBytes)
	}
	s.change.Lock()
	defer s.change.Unlock()
	before := s.Set(name)
	set := maps.Clone(before)
	if set == nil {
		set = map[string]string{}
	}
	if err := change(set); err != nil {
		return err
	}
	parsed, err := parse(set)
	switch {
	case err != nil:
		return err
	case before == nil && len(set) > 0 && len(s.Names()) >= MaxSubscriptions:
		return refusal.New(kerr.PolicyViolation, "There are %d subscriptions of client metrics already.", MaxSubscriptions)
	case validateOnly || maps.Equal(before, set):
		return nil
	}
	return s.keep(ctx, name, parsed)
}

func (s *Subscriptions) keep(ctx context.Context, name string, parsed *subscription) error {
	if err := state.PutMap(ctx, s.store, state.Key{Kind: kind, ID: prefix + name}, parsed.set); err != nil {
		return fmt.Errorf("keep subscription of client metrics: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	if len(parsed.set) == 0 {
		delete(s.byName, name)
	} else {
		s.byName[name] = parsed
	}
	return nil
}

// parse checks what a subscription has set. INVALID_REQUEST or INVALID_CONFIG, as Kafka has them.
func parse(set map[string]string) (*subscription, error) {
	s := &subscription{set: set, interval: DefaultInterval}
	for _, key := range slices.Sorted(maps.Keys(set)) {
		value := set[key]
		switch {
		case setting(key) == nil:
			return nil, refusal.New(kerr.InvalidRequest, "Unknown client metrics configuration: %s", key)
		case len(value) > MaxConfigBytes:
			return nil, refusal.New(kerr.InvalidConfig, "The %d bytes of %s are more than %d.", len(value), key, MaxConfigBytes)
		}
		var err error
		switch key {
		case Interval:
			s.interval, err = parseInterval(value)
		case Metrics:
			s.metrics = items(value)
		case Match:
			s.match, err = parseMatch(value)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func parseInterval(value string) (time.Duration, error) {
	ms, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
	if err != nil {
		return 0, refusal.New(kerr.InvalidConfig, "Invalid value %s for configuration %s: Not a number of type INT", value, Interval)
	}
	d := time.Duration(ms) * time.Millisecond
	if d < MinInterval || d > MaxInterval {
		return 0, refusal.New(kerr.InvalidRequest, "Invalid value %d for %s, interval must be between %d and %d (1 hour)",
			ms, Interval, MinInterval.Milliseconds(), MaxInterval.Milliseconds())
	}
	return d, nil
}

// items splits a list as Kafka does: empty ones stay, but there are none in an empty list.
func items(value string) []string {
	if value = strings.TrimSpace(value); value == "" {
		return nil
	}
	list := strings.Split(value, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// attributes are those of clients that a subscription may look at.
var attributes = []string{clientInstanceID, clientID, softwareName, softwareVersion, sourceAddress, sourcePort}

const (
	clientInstanceID = "client_instance_id"
	clientID         = "client_id"
	softwareName     = "client_software_name"
	softwareVersion  = "client_software_version"
	sourceAddress    = "client_source_address"
	sourcePort       = "client_source_port"
)

// parseMatch reads attribute=pattern pairs, of which a later one of an attribute counts. Patterns are Go's: what only Java's can is refused.
func parseMatch(value string) (map[string]*regexp.Regexp, error) {
	match := map[string]*regexp.Regexp{}
	for _, item := range items(value) {
		parts := strings.Split(item, "=")
		for len(parts) > 0 && parts[len(parts)-1] == "" {
			parts = parts[:len(parts)-1]
		}
		if len(parts) != 2 || !slices.Contains(attributes, strings.TrimSpace(parts[0])) {
			return nil, refusal.New(kerr.InvalidConfig, "Illegal client matching pattern: %s", item)
		}
		text := strings.TrimSpace(parts[1])
		if _, err := regexp.Compile(text); err != nil { // by itself first: what follows must not close its group
			return nil, refusal.New(kerr.InvalidConfig, "Illegal client matching pattern: %s", item)
		}
		pattern, err := regexp.Compile(`^(?:` + text + `)$`)
		if err != nil {
			return nil, refusal.New(kerr.InvalidConfig, "Illegal client matching pattern: %s", item)
		}
		match[strings.TrimSpace(parts[0])] = pattern
	}
	return match, nil
}

// profile is what a client is subscribed to by all that match it.
type profile struct {
	version  int
	interval time.Duration
	metrics  []string // sorted; "*" alone if it is all
}

// of returns what a client is subscribed to.
func (s *Subscriptions) of(c *Client, id ID) profile {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := profile{version: s.version, interval: DefaultInterval}
	for _, sub := range s.byName {
		if !sub.matches(c, id) {
			continue
		}
		p.interval = min(p.interval, sub.interval)
		p.metrics = append(p.metrics, sub.metrics...)
	}
	slices.Sort(p.metrics)
	p.metrics = slices.Clip(slices.Compact(p.metrics))
	if slices.Contains(p.metrics, allMetrics) {
		p.metrics = []string{allMetrics}
	}
	return p
}

// prefixes are what a client is told. All metrics are those that begin with nothing, as the protocol has it: Kafka tells "*", which Java and librdkafka
// know, too, and franz-go does not.
func (p *profile) prefixes() []string {
	if len(p.metrics) == 1 && p.metrics[0] == allMetrics {
		return []string{""}
	}
	return p.metrics
}

// current says whether a version is the newest.
func (s *Subscriptions) current(version int) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.version == version
}

func (s *subscription) matches(c *Client, id ID) bool {
	for attribute, pattern := range s.match {
		if value, known := c.attribute(attribute, id); !known || !pattern.MatchString(value) {
			return false
		}
	}
	return true
}
