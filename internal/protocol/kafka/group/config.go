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

	MaxGroups        int   // groups kept at all
	MaxMembers       int   // members of a group, and as many that have an id and have not joined. Kafka: group.max.size
	MaxGroupBytes    int64 // protocol metadata and assignments of a group's members
	MaxBytes         int64 // the same of all groups together
	MaxMetadataBytes int   // remark beside a committed offset. Kafka: offset.metadata.max.bytes
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
	DefaultMaxGroups        = 100_000
	DefaultMaxMembers       = 5_000
	DefaultMaxGroupBytes    = 16 << 20
	DefaultMaxBytes         = 128 << 20
	DefaultMaxMetadataBytes = 4096
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
	if c.MaxGroups == 0 {
		c.MaxGroups = DefaultMaxGroups
	}
	if c.MaxMembers == 0 {
		c.MaxMembers = DefaultMaxMembers
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
	check(c.MaxGroups > 0 && c.MaxMembers > 0, "group limits %d groups, %d members: must be positive", c.MaxGroups, c.MaxMembers)
	check(c.MaxGroupBytes > 0 && c.MaxBytes >= c.MaxGroupBytes,
		"group memory %d of %d bytes: a group's bound must be positive and fit into that of all", c.MaxGroupBytes, c.MaxBytes)
	check(c.MaxMetadataBytes > 0, "offset metadata bound %d: must be positive", c.MaxMetadataBytes)
	return errors.Join(wrong...)
}
