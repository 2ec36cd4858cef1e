package groupconfig

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// Setting is a config that a group may have.
type Setting struct {
	Key     string
	Broker  string // the broker config that is its default, or Key if there is none
	Default string
	Type    kmsg.ConfigType
	Doc     string

	least  int64 // of a number: below it makes no sense
	bounds bounds
	valid  func(string) string // of a text: what is wrong with it, or ""
}

// bounds are what the broker allows, and the broker configs that say so; "" = no bound.
type bounds struct {
	low, high         int64
	lowName, highName string
}

// Consumer is the defaults and bounds of consumer groups.
type Consumer struct {
	Session, MinSession, MaxSession    time.Duration
	Interval, MinInterval, MaxInterval time.Duration
	AssignEvery, MaxAssignEvery        time.Duration
}

// Streams is the defaults and bounds of streams groups.
type Streams struct {
	Consumer
	Delay                 time.Duration
	Standbys, MaxStandbys int
}

// Share is the defaults and bounds of share groups.
type Share struct {
	Session, MinSession, MaxSession          time.Duration
	Interval, MinInterval, MaxInterval       time.Duration
	Lock, MinLock, MaxLock                   time.Duration
	Deliveries, MinDeliveries, MaxDeliveries int
	Locks, MinLocks, MaxLocks                int
}

// DefaultShare is that of Apache Kafka.
var DefaultShare = Share{
	Session: 45 * time.Second, MinSession: 45 * time.Second, MaxSession: time.Minute,
	Interval: 5 * time.Second, MinInterval: 5 * time.Second, MaxInterval: 15 * time.Second,
	Lock: 30 * time.Second, MinLock: 15 * time.Second, MaxLock: time.Minute,
	Deliveries: 5, MinDeliveries: 2, MaxDeliveries: 10,
	Locks: 2000, MinLocks: 100, MaxLocks: 4000,
}

// WithDefaults returns s with each zero field at its default.
func (s Share) WithDefaults() Share {
	filled, from := reflect.ValueOf(&s).Elem(), reflect.ValueOf(DefaultShare)
	for i := range filled.NumField() {
		if f := filled.Field(i); f.IsZero() {
			f.Set(from.Field(i))
		}
	}
	return s
}

// Validate says which default is not within its bounds.
func (s Share) Validate() error {
	wrong := func(what string, least, def, most any) error {
		return fmt.Errorf("share groups: the default %s %v must be within %v..%v", what, def, least, most)
	}
	switch s = s.WithDefaults(); {
	case s.Session < s.MinSession || s.Session > s.MaxSession:
		return wrong("session timeout", s.MinSession, s.Session, s.MaxSession)
	case s.Interval < s.MinInterval || s.Interval > s.MaxInterval:
		return wrong("heartbeat interval", s.MinInterval, s.Interval, s.MaxInterval)
	case s.Lock < s.MinLock || s.Lock > s.MaxLock:
		return wrong("record lock", s.MinLock, s.Lock, s.MaxLock)
	case s.Deliveries < s.MinDeliveries || s.Deliveries > s.MaxDeliveries:
		return wrong("delivery count", s.MinDeliveries, s.Deliveries, s.MaxDeliveries)
	case s.Locks < s.MinLocks || s.Locks > s.MaxLocks:
		return wrong("record locks of a partition", s.MinLocks, s.Locks, s.MaxLocks)
	}
	return nil
}

// All returns the settings of Apache Kafka 4.3, by key: within the bounds of the kinds of groups.
func All(c Consumer, s Share, t Streams) []Setting {
	all := slices.Concat(heartbeatSettings("consumer", c), shareSettings(s.WithDefaults()), streamsSettings(t))
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return all
}

const (
	sessionDoc  = "How long a member may be silent before it is removed."
	intervalDoc = "How often a member sends a heartbeat."
	assignDoc   = "The least time between two assignments of the group; 0 = each change is assigned at once."
)

func ms(d time.Duration) int64 { return d.Milliseconds() }

// heartbeatSettings are those of groups whose members hear by heartbeats what they have.
func heartbeatSettings(kind string, c Consumer) []Setting {
	of := "group." + kind + "."
	return []Setting{
		number(kind+".session.timeout.ms", ms(c.Session), 1, within(of, "session.timeout.ms", ms(c.MinSession), ms(c.MaxSession)), sessionDoc),
		number(kind+".heartbeat.interval.ms", ms(c.Interval), 1, within(of, "heartbeat.interval.ms", ms(c.MinInterval), ms(c.MaxInterval)),
			intervalDoc+" One that waits for partitions is told to send the next sooner."),
		number(kind+".assignment.interval.ms", ms(c.AssignEvery), 0, within(of, "assignment.interval.ms", 0, ms(c.MaxAssignEvery)), assignDoc),
	}
}

func shareSettings(s Share) []Setting {
	count := func(n int) int64 { return int64(n) }
	return []Setting{
		number("share.session.timeout.ms", ms(s.Session), 1, within("group.share.", "session.timeout.ms", ms(s.MinSession), ms(s.MaxSession)), sessionDoc),
		number("share.heartbeat.interval.ms", ms(s.Interval), 1, within("group.share.", "heartbeat.interval.ms", ms(s.MinInterval), ms(s.MaxInterval)), intervalDoc),
		number("share.assignment.interval.ms", 1_000, 0, within("group.share.", "assignment.interval.ms", 0, 15_000), assignDoc),
		number("share.record.lock.duration.ms", ms(s.Lock), 1_000, within("group.share.", "record.lock.duration.ms", ms(s.MinLock), ms(s.MaxLock)),
			"How long a member has a record to itself."),
		number("share.delivery.count.limit", count(s.Deliveries), 2, within("group.share.", "delivery.count.limit", count(s.MinDeliveries), count(s.MaxDeliveries)),
			"How often a record is delivered at most."),
		number("share.partition.max.record.locks", count(s.Locks), 100, within("group.share.", "partition.max.record.locks", count(s.MinLocks), count(s.MaxLocks)),
			"How many records of a partition members may have at a time."),
		text("share.auto.offset.reset", "latest", kmsg.ConfigTypeString, reset, "Where a group begins to read: earliest, latest or by_duration:<PnDTnHnMn.nS> ago."),
		text("share.isolation.level", "read_uncommitted", kmsg.ConfigTypeString, oneOf("read_committed", "read_uncommitted"),
			"Whether records of transactions that are not committed are delivered."),
		text("share.renew.acknowledge.enable", "true", kmsg.ConfigTypeBoolean, boolean, "Whether a member may ask for more time with a record."),
	}
}

func streamsSettings(t Streams) []Setting {
	return append(heartbeatSettings("streams", t.Consumer),
		number("streams.num.standby.replicas", int64(t.Standbys), 0, bounds{high: int64(t.MaxStandbys), highName: "group.streams.max.standby.replicas"},
			"How many standby tasks each task with state has."),
		number("streams.initial.rebalance.delay.ms", ms(t.Delay), 0, bounds{}, "How long the first member of an empty group waits for more members."))
}

func within(prefix, what string, low, high int64) bounds {
	return bounds{low: low, high: high, lowName: prefix + "min." + what, highName: prefix + "max." + what}
}

func number(key string, def, least int64, b bounds, doc string) Setting {
	return Setting{
		Key: key, Broker: "group." + key, Default: strconv.FormatInt(def, 10), Type: kmsg.ConfigTypeInt, Doc: doc, least: least, bounds: b,
	}
}

func text(key, def string, typ kmsg.ConfigType, valid func(string) string, doc string) Setting {
	return Setting{Key: key, Broker: key, Default: def, Type: typ, Doc: doc, valid: valid}
}

// check refuses a value that the setting cannot have. INVALID_CONFIG.
func (t *Setting) check(value string) error {
	wrong := func(why string) error {
		return refusal.New(kerr.InvalidConfig, "Invalid value %s for configuration %s: %s", value, t.Key, why)
	}
	if t.valid != nil {
		if why := t.valid(value); why != "" {
			return wrong(why)
		}
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	switch {
	case err != nil:
		return wrong("Not a number of type INT")
	case n < t.least:
		return wrong("Value must be at least " + strconv.FormatInt(t.least, 10))
	case t.bounds.lowName != "" && n < t.bounds.low:
		return refusal.New(kerr.InvalidConfig, "%s must be greater than or equal to %s", t.Key, t.bounds.lowName)
	case t.bounds.highName != "" && n > t.bounds.high:
		return refusal.New(kerr.InvalidConfig, "%s must be less than or equal to %s", t.Key, t.bounds.highName)
	}
	return nil
}

func oneOf(values ...string) func(string) string {
	return func(v string) string {
		if slices.Contains(values, v) {
			return ""
		}
		return "String must be one of: " + strings.Join(values, ", ")
	}
}

func boolean(v string) string {
	if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
		return ""
	}
	return "Expected value to be either true or false"
}

// duration is what java.time.Duration reads, but for signs: a group does not begin to read in the future.
var duration = regexp.MustCompile(`(?i)^by_duration:P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d{0,9}))?S)?)?$`)

func reset(v string) string {
	if v == "earliest" || v == "latest" {
		return ""
	}
	if _, ok := ResetAgo(v); ok {
		return ""
	}
	return "Invalid value `" + v + "` for configuration share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
}

// ResetAgo reads a share.auto.offset.reset of the form by_duration:<ISO 8601 duration>.
func ResetAgo(v string) (time.Duration, bool) {
	m := duration.FindStringSubmatch(v)
	if m == nil || strings.HasSuffix(strings.ToUpper(v), "T") || m[1]+m[2]+m[3]+m[4] == "" {
		return 0, false
	}
	const longest = 1 << 62
	total := time.Duration(0)
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, err := strconv.ParseInt("0"+m[i+1], 10, 64)
		if err != nil || n > int64(longest/unit) || total > longest-time.Duration(n)*unit {
			return 0, false
		}
		total += time.Duration(n) * unit
	}
	fraction, err := strconv.ParseInt((m[5] + "000000000")[:9], 10, 64)
	return total + time.Duration(fraction), err == nil
}
