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
	// StreamsSession and the fields behind it are the same of streams groups. Kafka: group.streams.*.
	StreamsSession     time.Duration
	MinStreamsSession  time.Duration
	MaxStreamsSession  time.Duration
	StreamsInterval    time.Duration
	MinStreamsInterval time.Duration
	MaxStreamsInterval time.Duration
	AssignStreamsEvery time.Duration
	MaxAssignStreams   time.Duration
	StreamsDelay       time.Duration // how long the first member of a streams group waits for others; < 0 = not at all
	Standbys           int           // standby tasks of each task with state
	MaxStandbys        int
	// Migration says which way groups with members may change their protocol. Kafka: group.consumer.migration.policy.
	Migration Migration

	MaxGroups  int // groups kept at all
	MaxMembers int // members of a classic group, and as many that have an id and have not joined. Kafka: group.max.size
	// MaxConsumerMembers are the members of a consumer group. Kafka: group.consumer.max.size.
	MaxConsumerMembers int
	// MaxStreamsMembers are the members of a streams group. Kafka: group.streams.max.size.
	MaxStreamsMembers int
	MaxGroupBytes     int64 // protocol metadata and assignments of a group's members
	MaxBytes          int64 // the same of all groups together
	MaxMetadataBytes  int   // remark beside a committed offset. Kafka: offset.metadata.max.bytes
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
	DefaultStreamsDelay        = 100 * time.Millisecond
	DefaultMaxStandbys         = 2
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
	set(&c.StreamsSession, DefaultConsumerSession)
	set(&c.MinStreamsSession, DefaultMinConsumerSession)
	set(&c.MaxStreamsSession, DefaultMaxConsumerSession)
	set(&c.StreamsInterval, DefaultConsumerInterval)
	set(&c.MinStreamsInterval, DefaultMinConsumerInterval)
	set(&c.MaxStreamsInterval, DefaultMaxConsumerInterval)
	set(&c.MaxAssignStreams, DefaultMaxAssignEvery)
	set(&c.StreamsDelay, DefaultStreamsDelay)
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
	if c.MaxStreamsMembers == 0 {
		c.MaxStreamsMembers = DefaultMaxMembers
	}
	if c.MaxStandbys == 0 {
		c.MaxStandbys = DefaultMaxStandbys
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
	heartbeats := func(kind string, session, minSession, maxSession, interval, minInterval, maxInterval, assign, maxAssign time.Duration) {
		check(minInterval > 0 && minInterval <= interval && interval <= maxInterval,
			"%s group heartbeat interval %v: must be within %v..%v, which must be positive", kind, interval, minInterval, maxInterval)
		check(minSession > 0 && minSession <= session && session <= maxSession,
			"%s group session timeout %v: must be within %v..%v, which must be positive", kind, session, minSession, maxSession)
		check(interval < session, "%s group heartbeat interval %v: must be shorter than the session timeout %v", kind, interval, session)
		check(assign >= 0 && assign <= maxAssign, "%s group assignment interval %v: must be within 0..%v", kind, assign, maxAssign)
	}
	heartbeats("consumer", c.ConsumerSession, c.MinConsumerSession, c.MaxConsumerSession, c.ConsumerInterval, c.MinConsumerInterval, c.MaxConsumerInterval,
		c.AssignEvery, c.MaxAssignEvery)
	heartbeats("streams", c.StreamsSession, c.MinStreamsSession, c.MaxStreamsSession, c.StreamsInterval, c.MinStreamsInterval, c.MaxStreamsInterval,
		c.AssignStreamsEvery, c.MaxAssignStreams)
	check(c.Standbys >= 0 && c.Standbys <= c.MaxStandbys, "streams group standby tasks %d: must be within 0..%d", c.Standbys, c.MaxStandbys)
	check(c.Migration.upgrades() || c.Migration.downgrades() || c.Migration == MigrationDisabled,
		"consumer group migration %q: must be bidirectional, upgrade, downgrade or disabled", c.Migration)
	check(c.MaxGroups > 0 && c.MaxMembers > 0 && c.MaxConsumerMembers > 0 && c.MaxStreamsMembers > 0,
		"group limits %d groups, %d members, %d of consumer groups, %d of streams groups: must be positive",
		c.MaxGroups, c.MaxMembers, c.MaxConsumerMembers, c.MaxStreamsMembers)
	check(c.MaxGroupBytes > 0 && c.MaxBytes >= c.MaxGroupBytes,
		"group memory %d of %d bytes: a group's bound must be positive and fit into that of all", c.MaxGroupBytes, c.MaxBytes)
	check(c.MaxMetadataBytes > 0, "offset metadata bound %d: must be positive", c.MaxMetadataBytes)
	return errors.Join(wrong...)
}

// Settings returns those of a consumer group that has none of its own.
func (c Config) Settings() Settings {
	return Settings{Session: c.ConsumerSession, Interval: c.ConsumerInterval, AssignEvery: c.AssignEvery}
}

// StreamsSettings returns those of a streams group that has none of its own.
func (c Config) StreamsSettings() Settings {
	return Settings{Session: c.StreamsSession, Interval: c.StreamsInterval, AssignEvery: c.AssignStreamsEvery, Delay: c.StreamsDelay, Standbys: c.Standbys}
}
