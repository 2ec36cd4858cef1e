package groupconfig

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/memstate"
)

// bounds of Apache Kafka.
var kafkas = Consumer{
	Session: 45 * time.Second, MinSession: 45 * time.Second, MaxSession: time.Minute,
	Interval: 5 * time.Second, MinInterval: 5 * time.Second, MaxInterval: 15 * time.Second,
	MaxAssignEvery: 15 * time.Second,
}

func open(t *testing.T, store state.Store) *Store {
	t.Helper()
	s, err := Open(t.Context(), store, All(kafkas, DefaultShare, Streams{Consumer: kafkas, MaxStandbys: 2}))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestValuesAreCheckedAsInKafka: in the words of Apache Kafka 4.3.1.
func TestValuesAreCheckedAsInKafka(t *testing.T) {
	s := open(t, memstate.New(clock.Real()))
	for _, row := range [][3]string{
		{"nonsense", "1", "Unknown group config name: nonsense"},
		{"consumer.session.timeout.ms", "abc", "Invalid value abc for configuration consumer.session.timeout.ms: Not a number of type INT"},
		{"consumer.session.timeout.ms", "9999999999", "Invalid value 9999999999 for configuration consumer.session.timeout.ms: Not a number of type INT"},
		{"consumer.session.timeout.ms", "0", "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1"},
		{"consumer.session.timeout.ms", "100", "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"},
		{"consumer.session.timeout.ms", "99999999", "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"},
		{"consumer.session.timeout.ms", "  51000 ", ""},
		{"consumer.heartbeat.interval.ms", "1", "consumer.heartbeat.interval.ms must be greater than or equal to group.consumer.min.heartbeat.interval.ms"},
		{"consumer.heartbeat.interval.ms", "16000", "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms"},
		{"consumer.heartbeat.interval.ms", "6000", ""},
		{"consumer.assignment.interval.ms", "-1", "Invalid value -1 for configuration consumer.assignment.interval.ms: Value must be at least 0"},
		{"consumer.assignment.interval.ms", "16000", "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"},
		{"consumer.assignment.interval.ms", "500", ""},
		{"share.auto.offset.reset", "by_duration:PT1H", ""},
		{"share.auto.offset.reset", "x", "Invalid value x for configuration share.auto.offset.reset: Invalid value `x` for configuration share.auto.offset.reset. " +
			"The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."},
		{"share.isolation.level", "x", "Invalid value x for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted"},
		{"share.renew.acknowledge.enable", "x", "Invalid value x for configuration share.renew.acknowledge.enable: Expected value to be either true or false"},
		{"share.delivery.count.limit", "1", "Invalid value 1 for configuration share.delivery.count.limit: Value must be at least 2"},
		{"share.delivery.count.limit", "11", "share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit"},
		{"share.record.lock.duration.ms", "1000000", "share.record.lock.duration.ms must be less than or equal to group.share.max.record.lock.duration.ms"},
		{"streams.num.standby.replicas", "3", "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"},
		{"streams.initial.rebalance.delay.ms", "-1", "Invalid value -1 for configuration streams.initial.rebalance.delay.ms: Value must be at least 0"},
		{"streams.session.timeout.ms", "1", "streams.session.timeout.ms must be greater than or equal to group.streams.min.session.timeout.ms"},
	} {
		err := s.Alter(t.Context(), "g", []Change{{row[0], &row[1]}}, false)
		if got := ""; err != nil || row[2] != "" {
			if err != nil {
				got = err.Error()
			}
			if got != row[2] || !errors.Is(err, kerr.InvalidConfig) {
				t.Errorf("%s = %s: %q, want %q", row[0], row[1], got, row[2])
			}
		}
	}
	if got := s.Duration("g", "consumer.session.timeout.ms"); got != 51*time.Second {
		t.Errorf("session %v", got)
	}
	for _, group := range []string{"", strings.Repeat("g", MaxIDBytes+1)} {
		if err := s.Alter(t.Context(), group, nil, false); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("a group of %d bytes: %v", len(group), err)
		}
	}
}

func TestSessionsMustBeLongerThanIntervals(t *testing.T) {
	close := kafkas
	close.MaxInterval, close.MinSession = time.Minute, time.Second
	s, err := Open(t.Context(), memstate.New(clock.Real()), All(close, DefaultShare, Streams{}))
	if err != nil {
		t.Fatal(err)
	}
	seven, eight := "7000", "8000"
	err = s.Alter(t.Context(), "g", []Change{{"consumer.session.timeout.ms", &seven}, {"consumer.heartbeat.interval.ms", &eight}}, false)
	if err == nil || err.Error() != "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms" {
		t.Error(err)
	}
	if len(s.Groups()) != 0 {
		t.Errorf("groups %v", s.Groups())
	}
}

func TestConfigsAreKept(t *testing.T) {
	store := memstate.New(clock.Real())
	s := open(t, store)
	six, locks := "6000", "200"
	change := []Change{{"consumer.heartbeat.interval.ms", &six}, {"share.partition.max.record.locks", &locks}}
	if err := s.Alter(t.Context(), "g", change, true); err != nil || len(s.Groups()) != 0 {
		t.Fatalf("%v, groups %v", err, s.Groups())
	}
	if err := s.Alter(t.Context(), "g", change, false); err != nil {
		t.Fatal(err)
	}
	s = open(t, store)
	if got := s.Duration("g", "consumer.heartbeat.interval.ms"); got != 6*time.Second || s.Int("g", "share.partition.max.record.locks") != 200 {
		t.Errorf("interval %v", got)
	}
	if got := s.Duration("other", "consumer.heartbeat.interval.ms"); got != 5*time.Second || s.Value("other", "nonsense") != "" {
		t.Errorf("interval %v", got)
	}
	// What the bounds do not allow any more is as if it had not been set.
	narrow := kafkas
	narrow.MaxInterval = 5 * time.Second
	if s, err := Open(t.Context(), store, All(narrow, DefaultShare, Streams{})); err != nil || s.Duration("g", "consumer.heartbeat.interval.ms") != 5*time.Second {
		t.Errorf("%v", err)
	}
	if err := s.Alter(t.Context(), "g", []Change{{Key: "consumer.heartbeat.interval.ms"}, {Key: "share.partition.max.record.locks"}, {Key: "nonsense"}}, false); err != nil {
		t.Fatal(err)
	}
	docs, err := store.List(t.Context(), kind, "")
	if err != nil || len(docs) != 0 || len(s.Groups()) != 0 {
		t.Errorf("%v, %v, groups %v", docs, err, s.Groups())
	}
}

func TestResetAgo(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT1H": time.Hour, "P1D": 24 * time.Hour, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond, "PT0S": 0, "pt1s": time.Second,
	} {
		if got, ok := ResetAgo("by_duration:" + text); !ok || got != want {
			t.Errorf("%s: %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "P", "PT", "P1DT", "PT-1S", "1H", "PT1", "P1W", "P99999999999D", "PT99999999999999999999S"} {
		if got, ok := ResetAgo("by_duration:" + text); ok {
			t.Errorf("%s: %v", text, got)
		}
	}
}
