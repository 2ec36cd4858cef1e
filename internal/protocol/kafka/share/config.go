package share

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds what share groups may take, and says what holds for those that have no settings of their own. The zero value of each field
// means its default.
type Config struct {
	// Defaults are the settings of groups; see Settings. Kafka: group.share.*.
	Defaults Settings

	MaxGroups      int   // groups kept at all
	MaxMembers     int   // members of a group. Kafka: group.share.max.size
	MaxSessions    int   // share sessions of all groups. Kafka: group.share.max.share.sessions
	MaxSubscribed  int   // shards in all sessions
	MaxWindows     int   // shards that groups have taken records of, counted per group
	MaxGroupBytes  int64 // what members of a group and their subscriptions take
	MaxMemberBytes int64 // the same of all groups together
}

// Settings are what holds for one group.
type Settings struct {
	Limits
	Session   time.Duration // without a sign of life a member is removed. Kafka: share.session.timeout.ms
	Heartbeat time.Duration // between a member's signs of life. Kafka: share.heartbeat.interval.ms
	// AssignEvery is the least time between two assignments; < 0 = none. Kafka: share.assignment.interval.ms.
	AssignEvery time.Duration
	// Reset is where a group begins in a shard that it has taken no records of. Kafka: share.auto.offset.reset.
	Reset Reset
	// Committed keeps records of open and aborted transactions from members. Kafka: share.isolation.level.
	Committed bool
	// NoRenew refuses members more time with a record. Kafka: share.renew.acknowledge.enable, turned round.
	NoRenew bool
}

// Reset says where to begin: at the end, at the start, or Ago before now.
type Reset struct {
	Earliest bool
	Ago      time.Duration // > 0: the first record not older
}

// The defaults, as Apache Kafka's where it has them.
const (
	DefaultLocks          = 2000
	DefaultDeliveries     = 5
	DefaultLock           = 30 * time.Second
	DefaultSession        = 45 * time.Second
	DefaultHeartbeat      = 5 * time.Second
	DefaultAssignEvery    = time.Second
	DefaultMaxGroups      = 100_000
	DefaultMaxMembers     = 200
	DefaultMaxSessions    = 2000
	DefaultMaxSubscribed  = 250_000
	DefaultMaxWindows     = 200_000
	DefaultMaxGroupBytes  = 4 << 20
	DefaultMaxMemberBytes = 64 << 20
)

// MaxIDBytes is the longest group id accepted: it has to fit a document's id beside its prefix.
const MaxIDBytes = 500

// WithDefaults returns c with each zero field at its default.
func (c Config) WithDefaults() Config {
	d := &c.Defaults
	orDefault(&d.Locks, DefaultLocks)
	orDefault(&d.Deliveries, DefaultDeliveries)
	orDefault(&d.Lock, DefaultLock)
	orDefault(&d.Session, DefaultSession)
	orDefault(&d.Heartbeat, DefaultHeartbeat)
	orDefault(&d.AssignEvery, DefaultAssignEvery)
	orDefault(&c.MaxGroups, DefaultMaxGroups)
	orDefault(&c.MaxMembers, DefaultMaxMembers)
	orDefault(&c.MaxSessions, DefaultMaxSessions)
	orDefault(&c.MaxSubscribed, DefaultMaxSubscribed)
	orDefault(&c.MaxWindows, DefaultMaxWindows)
	orDefault(&c.MaxGroupBytes, DefaultMaxGroupBytes)
	orDefault(&c.MaxMemberBytes, DefaultMaxMemberBytes)
	return c
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Validate names every setting that cannot work, with its remedy.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var wrong []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	d := &c.Defaults
	check(d.Locks > 0 && d.Deliveries > 0, "share groups: %d record locks, %d deliveries: must be positive", d.Locks, d.Deliveries)
	check(d.Lock > 0 && d.Session > 0, "share groups: record lock of %v, session of %v: must be positive", d.Lock, d.Session)
	check(d.Heartbeat > 0 && d.Heartbeat < d.Session, "share groups: heartbeat interval %v: must be positive and below the session timeout %v", d.Heartbeat, d.Session)
	check(d.Reset.Ago >= 0, "share groups: begin %v ago: must not be negative", d.Reset.Ago)
	check(c.MaxGroups > 0 && c.MaxMembers > 0, "share groups: %d groups of %d members: must be positive", c.MaxGroups, c.MaxMembers)
	check(c.MaxSessions > 0 && c.MaxSubscribed > 0 && c.MaxWindows > 0, "share groups: %d sessions of %d shards, %d windows: must be positive",
		c.MaxSessions, c.MaxSubscribed, c.MaxWindows)
	check(c.MaxGroupBytes > 0 && c.MaxMemberBytes >= c.MaxGroupBytes,
		"share groups: memory of %d of %d bytes: a group's bound must be positive and fit into that of all", c.MaxGroupBytes, c.MaxMemberBytes)
	return errors.Join(wrong...)
}
