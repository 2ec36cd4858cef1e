package group

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds what groups may take and how long they wait. The zero value of each field means its default.
type Config struct {
	// InitialDelay is how long the first rebalance of an empty group waits for more members; each newcomer starts it anew, up to the
	// rebalance timeout. < 0 = not at all. Kafka: group.initial.rebalance.delay.ms.
	InitialDelay time.Duration
	// MinSession and MaxSession bound the session timeout that members ask for. Kafka: group.{min,max}.session.timeout.ms.
	MinSession time.Duration
	MaxSession time.Duration
	// PendingTimeout is how long a member id that was given out is kept for its owner to join with, at most its session timeout.
	PendingTimeout time.Duration
	// RestoreGrace is how long a member that was there before the node restarted has to show itself, at most its session timeout: where its
	// process went down with the node, others should not wait for all of that. Static members have their whole session.
	RestoreGrace time.Duration
	// OffsetsRetention is how long committed offsets outlive their group's last member. Kafka: offsets.retention.minutes.
	OffsetsRetention time.Duration
	// RetentionCheck is the time between two looks for expired offsets. Kafka: offsets.retention.check.interval.ms.
	RetentionCheck time.Duration

	// ConsumerSession, ConsumerInterval and AssignEvery are the settings of consumer groups that have none of their own (Kafka:
	// group.consumer.session.timeout.ms, .heartbeat.interval.ms, .assignment.interval.ms), and the bounds of what a group may be set to.
	ConsumerSession     time.Duration
	MinConsumerSession  time.Duration
	MaxConsumerSession  time.Duration
	ConsumerInterval    time.Duration
	MinConsumerInterval time.Duration
	MaxConsumerInterval time.Duration
	AssignEvery         time.Duration // 0 = each change is decided at once
	MaxAssignEvery      time.Duration
	// Migration says which way groups with members may change their protocol. Kafka: group.consumer.migration.policy.
	Migration Migration

	MaxGroups  int // groups kept at all
	MaxMembers int // members of a classic group, and as many that have an id and have not joined. Kafka: group.max.size
	// MaxConsumerMembers are the members of a consumer group. Kafka: group.consumer.max.size.
	MaxConsumerMembers int
	MaxGroupBytes      int64 // protocol metadata and assignments of a group's members
	MaxBytes           int64 // the same of all groups together
	MaxMetadataBytes   int   // remark beside a committed offset. Kafka: offset.metadata.max.bytes
}

// The defaults of Config.
const (
	DefaultInitialDelay     = 100 * time.Millisecond
	DefaultMinSession       = 6 * time.Second
	DefaultMaxSession       = 30 * time.Minute
	DefaultPendingTimeout   = 10 * time.Second
	DefaultRestoreGrace     = 15 * time.Second
	DefaultOffsetsRetention = 10080 * time.Minute
	DefaultRetentionCheck   = 10 * time.Minute

	DefaultConsumerSession     = 45 * time.Second
	DefaultMinConsumerSession  = 45 * time.Second
	DefaultMaxConsumerSession  = 60 * time.Second
	DefaultConsumerInterval    = 5 * time.Second
	DefaultMinConsumerInterval = 5 * time.Second
	DefaultMaxConsumerInterval = 15 * time.Second
	DefaultMaxAssignEvery      = 15 * time.Second
	DefaultMigration           = MigrationBidirectional

	DefaultMaxGroups        = 100_000
	DefaultMaxMembers       = 5_000
	DefaultMaxGroupBytes    = 16 << 20
	DefaultMaxBytes         = 128 << 20
	DefaultMaxMetadataBytes = 4096
)

// What a consumer group may have of regular expressions: different ones, and bytes of one.
const (
	MaxPatterns     = 64
	MaxPatternBytes = 8 << 10
)

// MaxIDBytes is the longest group id accepted: it has to fit a document's id beside its prefix.
const MaxIDBytes = 500

// WithDefaults returns c with each zero field at its default.
func (c Config) WithDefaults() Config {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.InitialDelay, DefaultInitialDelay)
	set(&c.MinSession, DefaultMinSession)
	set(&c.MaxSession, DefaultMaxSession)
	set(&c.PendingTimeout, DefaultPendingTimeout)
	set(&c.RestoreGrace, DefaultRestoreGrace)
	set(&c.OffsetsRetention, DefaultOffsetsRetention)
	set(&c.RetentionCheck, DefaultRetentionCheck)
	set(&c.ConsumerSession, DefaultConsumerSession)
	set(&c.MinConsumerSession, DefaultMinConsumerSession)
	set(&c.MaxConsumerSession, DefaultMaxConsumerSession)
	set(&c.ConsumerInterval, DefaultConsumerInterval)
	set(&c.MinConsumerInterval, DefaultMinConsumerInterval)
	set(&c.MaxConsumerInterval, DefaultMaxConsumerInterval)
	set(&c.MaxAssignEvery, DefaultMaxAssignEvery)
	if c.Migration == "" {
		c.Migration = DefaultMigration
	}
	if c.MaxGroups == 0 {
		c.MaxGroups = DefaultMaxGroups
	}
	if c.MaxMembers == 0 {
		c.MaxMembers = DefaultMaxMembers
	}
	if c.MaxConsumerMembers == 0 {
		c.MaxConsumerMembers = DefaultMaxMembers
	}
	if c.MaxGroupBytes == 0 {
		c.MaxGroupBytes = DefaultMaxGroupBytes
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxMetadataBytes == 0 {
		c.MaxMetadataBytes = DefaultMaxMetadataBytes
	}
	return c
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
	check(c.MinSession > 0 && c.MinSession <= c.MaxSession,
		"group session timeouts %v..%v: the smallest must be positive and not above the largest", c.MinSession, c.MaxSession)
	check(c.PendingTimeout > 0, "group pending timeout %v: must be positive", c.PendingTimeout)
	check(c.RestoreGrace > 0, "group restore grace %v: must be positive", c.RestoreGrace)
	check(c.OffsetsRetention > 0, "offsets retention %v: must be positive", c.OffsetsRetention)
	check(c.RetentionCheck > 0, "offsets retention check %v: must be positive", c.RetentionCheck)
	check(c.MinConsumerInterval > 0 && c.MinConsumerInterval <= c.ConsumerInterval && c.ConsumerInterval <= c.MaxConsumerInterval,
		"consumer group heartbeat interval %v: must be within %v..%v, which must be positive", c.ConsumerInterval, c.MinConsumerInterval, c.MaxConsumerInterval)
	check(c.MinConsumerSession > 0 && c.MinConsumerSession <= c.ConsumerSession && c.ConsumerSession <= c.MaxConsumerSession,
		"consumer group session timeout %v: must be within %v..%v, which must be positive", c.ConsumerSession, c.MinConsumerSession, c.MaxConsumerSession)
	check(c.ConsumerInterval < c.ConsumerSession, "consumer group heartbeat interval %v: must be shorter than the session timeout %v", c.ConsumerInterval, c.ConsumerSession)
	check(c.AssignEvery >= 0 && c.AssignEvery <= c.MaxAssignEvery, "consumer group assignment interval %v: must be within 0..%v", c.AssignEvery, c.MaxAssignEvery)
	check(c.Migration.upgrades() || c.Migration.downgrades() || c.Migration == MigrationDisabled,
		"consumer group migration %q: must be bidirectional, upgrade, downgrade or disabled", c.Migration)
	check(c.MaxGroups > 0 && c.MaxMembers > 0 && c.MaxConsumerMembers > 0, "group limits %d groups, %d members, %d of consumer groups: must be positive",
		c.MaxGroups, c.MaxMembers, c.MaxConsumerMembers)
	check(c.MaxGroupBytes > 0 && c.MaxBytes >= c.MaxGroupBytes,
		"group memory %d of %d bytes: a group's bound must be positive and fit into that of all", c.MaxGroupBytes, c.MaxBytes)
	check(c.MaxMetadataBytes > 0, "offset metadata bound %d: must be positive", c.MaxMetadataBytes)
	return errors.Join(wrong...)
}

// Settings returns those of a consumer group that has none of its own.
func (c Config) Settings() Settings {
	return Settings{Session: c.ConsumerSession, Interval: c.ConsumerInterval, AssignEvery: c.AssignEvery}
}
