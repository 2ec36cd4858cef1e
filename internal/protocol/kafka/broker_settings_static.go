package kafka

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
	"github.com/freshet/freshet/internal/protocol/kafka/group"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/protocol/kafka/groupconfig"
	"github.com/freshet/freshet/internal/protocol/kafka/share"
	"github.com/freshet/freshet/internal/protocol/kafka/txn"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

const (
	boolType    = kmsg.ConfigTypeBoolean
	stringType  = kmsg.ConfigTypeString
	intType     = kmsg.ConfigTypeInt
	longType    = kmsg.ConfigTypeLong
	doubleType  = kmsg.ConfigTypeDouble
	listType    = kmsg.ConfigTypeList
	mostInt     = 1<<31 - 1
	secretType  = kmsg.ConfigTypePassword
	className   = kmsg.ConfigTypeClass
	shortNumber = kmsg.ConfigTypeShort
)

// groupBrokerSettings are those of classic and consumer groups.
func groupBrokerSettings() []brokerSetting {
	return []brokerSetting{
		millisField("group.initial.rebalance.delay.ms", group.DefaultInitialDelay, 0, "How long the first rebalance of an empty group waits for more members.",
			func(c *Config) *time.Duration { return &c.Groups.InitialDelay }),
		millisField("group.max.session.timeout.ms", group.DefaultMaxSession, 1, "The longest session timeout that a member may ask for.",
			func(c *Config) *time.Duration { return &c.Groups.MaxSession }),
		millisField("group.min.session.timeout.ms", group.DefaultMinSession, 1, "The shortest session timeout that a member may ask for.",
			func(c *Config) *time.Duration { return &c.Groups.MinSession }),
		countField("group.max.size", intType, group.DefaultMaxMembers, 1, mostInt, "The most members of a classic group.",
			func(c *Config) *int { return &c.Groups.MaxMembers }),
		countField("offset.metadata.max.bytes", intType, group.DefaultMaxMetadataBytes, 1, mostInt, "The longest remark beside a committed offset.",
			func(c *Config) *int { return &c.Groups.MaxMetadataBytes }),
		timeField("offsets.retention.check.interval.ms", longType, time.Millisecond, group.DefaultRetentionCheck, 1, "How often offsets to forget are looked for.",
			func(c *Config) *time.Duration { return &c.Groups.RetentionCheck }),
		timeField("offsets.retention.minutes", intType, time.Minute, group.DefaultOffsetsRetention, 1, "How long the offsets of an empty group are kept.",
			func(c *Config) *time.Duration { return &c.Groups.OffsetsRetention }),

		countField("group.consumer.max.size", intType, group.DefaultMaxMembers, 1, mostInt, "The most members of a consumer group.",
			func(c *Config) *int { return &c.Groups.MaxConsumerMembers }),
		{
			Setting: brokerconfig.Setting{
				Key: "group.consumer.migration.policy", Type: stringType, Default: string(group.DefaultMigration), Effect: brokerconfig.Enforced,
				Doc: "Which way groups with members may change between the classic and the consumer protocol.",
				Valid: reasonOf(oneOf(string(group.MigrationDisabled), string(group.MigrationUpgrade), string(group.MigrationDowngrade),
					string(group.MigrationBidirectional))),
			},
			set:  func(c *Config, v string) { c.Groups.Migration = group.Migration(v) },
			read: func(c *Config) string { return string(c.Groups.Migration) },
		},
		millisField("group.consumer.session.timeout.ms", group.DefaultConsumerSession, 1, "How long a member of a consumer group may be silent.",
			func(c *Config) *time.Duration { return &c.Groups.ConsumerSession }),
		millisField("group.consumer.min.session.timeout.ms", group.DefaultMinConsumerSession, 1, "The shortest consumer.session.timeout.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MinConsumerSession }),
		millisField("group.consumer.max.session.timeout.ms", group.DefaultMaxConsumerSession, 1, "The longest consumer.session.timeout.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MaxConsumerSession }),
		millisField("group.consumer.heartbeat.interval.ms", group.DefaultConsumerInterval, 1, "How often a member of a consumer group sends a heartbeat, at least.",
			func(c *Config) *time.Duration { return &c.Groups.ConsumerInterval }),
		millisField("group.consumer.min.heartbeat.interval.ms", group.DefaultMinConsumerInterval, 1, "The shortest consumer.heartbeat.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MinConsumerInterval }),
		millisField("group.consumer.max.heartbeat.interval.ms", group.DefaultMaxConsumerInterval, 1, "The longest consumer.heartbeat.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MaxConsumerInterval }),
		clusterWide(millisField("group.consumer.assignment.interval.ms", 0, 0, "The least time between two assignments of a consumer group that has none of its own.",
			func(c *Config) *time.Duration { return &c.Groups.AssignEvery })),
		millisField("group.consumer.max.assignment.interval.ms", group.DefaultMaxAssignEvery, 1, "The longest consumer.assignment.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MaxAssignEvery }),
	}
}

// streamsBrokerSettings are those of streams groups.
func streamsBrokerSettings() []brokerSetting {
	return []brokerSetting{
		countField("group.streams.max.size", intType, group.DefaultMaxMembers, 1, mostInt, "The most members of a streams group.",
			func(c *Config) *int { return &c.Groups.MaxStreamsMembers }),
		millisField("group.streams.session.timeout.ms", group.DefaultConsumerSession, 1, "How long a member of a streams group may be silent.",
			func(c *Config) *time.Duration { return &c.Groups.StreamsSession }),
		millisField("group.streams.min.session.timeout.ms", group.DefaultMinConsumerSession, 1, "The shortest streams.session.timeout.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MinStreamsSession }),
		millisField("group.streams.max.session.timeout.ms", group.DefaultMaxConsumerSession, 1, "The longest streams.session.timeout.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MaxStreamsSession }),
		millisField("group.streams.heartbeat.interval.ms", group.DefaultConsumerInterval, 1, "How often a member of a streams group sends a heartbeat, at least.",
			func(c *Config) *time.Duration { return &c.Groups.StreamsInterval }),
		millisField("group.streams.min.heartbeat.interval.ms", group.DefaultMinConsumerInterval, 1, "The shortest streams.heartbeat.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MinStreamsInterval }),
		millisField("group.streams.max.heartbeat.interval.ms", group.DefaultMaxConsumerInterval, 1, "The longest streams.heartbeat.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MaxStreamsInterval }),
		clusterWide(millisField("group.streams.assignment.interval.ms", 0, 0, "The least time between two assignments of a streams group that has none of its own.",
			func(c *Config) *time.Duration { return &c.Groups.AssignStreamsEvery })),
		millisField("group.streams.max.assignment.interval.ms", group.DefaultMaxAssignEvery, 1, "The longest streams.assignment.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.Groups.MaxAssignStreams }),
		millisField("group.streams.initial.rebalance.delay.ms", group.DefaultStreamsDelay, 0, "How long the first member of an empty streams group waits for more.",
			func(c *Config) *time.Duration { return &c.Groups.StreamsDelay }),
		countField("group.streams.num.standby.replicas", intType, 0, 0, mostInt, "How many standby tasks each task with state has.",
			func(c *Config) *int { return &c.Groups.Standbys }),
		countField("group.streams.max.standby.replicas", intType, group.DefaultMaxStandbys, 0, mostInt, "The largest streams.num.standby.replicas of a group.",
			func(c *Config) *int { return &c.Groups.MaxStandbys }),
	}
}

// clusterWide makes a setting one that can be altered at any level.
func clusterWide(t brokerSetting) brokerSetting {
	t.Scope = brokerconfig.ClusterWide
	return t
}

// reasonOf makes a check of a topic's config one of a broker's.
func reasonOf(check func(string) error) func(string) string {
	return func(v string) string {
		if err := check(v); err != nil {
			return err.Error()
		}
		return ""
	}
}

// shareBrokerSettings are those of share groups.
func shareBrokerSettings() []brokerSetting {
	b := groupconfig.DefaultShare
	assignEvery := clusterWide(millisField("group.share.assignment.interval.ms", share.DefaultAssignEvery, 0,
		"The least time between two assignments of a share group that has none of its own.", func(c *Config) *time.Duration { return &c.Shares.Defaults.AssignEvery }))
	assignEvery.Valid = brokerconfig.Between(0, 15_000)
	return []brokerSetting{
		countField("group.share.delivery.count.limit", intType, share.DefaultDeliveries, 2, 10, "How often a record is delivered at most.",
			func(c *Config) *int16 { return &c.Shares.Defaults.Deliveries }),
		countField("group.share.min.delivery.count.limit", intType, b.MinDeliveries, 2, 5, "The least share.delivery.count.limit of a group.",
			func(c *Config) *int { return &c.ShareBounds.MinDeliveries }),
		countField("group.share.max.delivery.count.limit", intType, b.MaxDeliveries, 2, 25, "The largest share.delivery.count.limit of a group.",
			func(c *Config) *int { return &c.ShareBounds.MaxDeliveries }),
		countField("group.share.partition.max.record.locks", intType, share.DefaultLocks, 100, 10_000, "How many records of a partition members may have at a time.",
			func(c *Config) *int { return &c.Shares.Defaults.Locks }),
		countField("group.share.min.partition.max.record.locks", intType, b.MinLocks, 100, 4000, "The least share.partition.max.record.locks of a group.",
			func(c *Config) *int { return &c.ShareBounds.MinLocks }),
		countField("group.share.max.partition.max.record.locks", intType, b.MaxLocks, 100, 10_000, "The largest share.partition.max.record.locks of a group.",
			func(c *Config) *int { return &c.ShareBounds.MaxLocks }),
		countField("group.share.max.share.sessions", intType, share.DefaultMaxSessions, 1, mostInt, "The most share sessions.",
			func(c *Config) *int { return &c.Shares.MaxSessions }),
		countField("group.share.max.size", intType, share.DefaultMaxMembers, 1, 1000, "The most members of a share group.",
			func(c *Config) *int { return &c.Shares.MaxMembers }),
		millisField("group.share.session.timeout.ms", share.DefaultSession, 1, "How long a member may be silent before it is removed.",
			func(c *Config) *time.Duration { return &c.Shares.Defaults.Session }),
		millisField("group.share.min.session.timeout.ms", b.MinSession, 1, "The shortest share.session.timeout.ms of a group.",
			func(c *Config) *time.Duration { return &c.ShareBounds.MinSession }),
		millisField("group.share.max.session.timeout.ms", b.MaxSession, 1, "The longest share.session.timeout.ms of a group.",
			func(c *Config) *time.Duration { return &c.ShareBounds.MaxSession }),
		millisField("group.share.heartbeat.interval.ms", share.DefaultHeartbeat, 1, "How often a member sends a heartbeat.",
			func(c *Config) *time.Duration { return &c.Shares.Defaults.Heartbeat }),
		millisField("group.share.min.heartbeat.interval.ms", b.MinInterval, 1, "The shortest share.heartbeat.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.ShareBounds.MinInterval }),
		millisField("group.share.max.heartbeat.interval.ms", b.MaxInterval, 1, "The longest share.heartbeat.interval.ms of a group.",
			func(c *Config) *time.Duration { return &c.ShareBounds.MaxInterval }),
		assignEvery,
		millisField("group.share.record.lock.duration.ms", share.DefaultLock, 1000, "How long a member has a record to itself.",
			func(c *Config) *time.Duration { return &c.Shares.Defaults.Lock }),
		millisField("group.share.min.record.lock.duration.ms", b.MinLock, 1000, "The shortest share.record.lock.duration.ms of a group.",
			func(c *Config) *time.Duration { return &c.ShareBounds.MinLock }),
		millisField("group.share.max.record.lock.duration.ms", b.MaxLock, 30_000, "The longest share.record.lock.duration.ms of a group.",
			func(c *Config) *time.Duration { return &c.ShareBounds.MaxLock }),
	}
}

// serverBrokerSettings are those of the server itself, of topics and of transactions.
func serverBrokerSettings() []brokerSetting {
	return []brokerSetting{
		{
			Setting: brokerconfig.Setting{
				Key: "auto.create.topics.enable", Type: boolType, Default: "true", Effect: brokerconfig.Enforced, Doc: "Whether asking for a topic's metadata creates it.",
			},
			set:  func(c *Config, v string) { c.AutoCreateTopics = strings.EqualFold(v, "true") },
			read: func(c *Config) string { return strconv.FormatBool(c.AutoCreateTopics) },
		},
		timeField("connections.max.idle.ms", longType, time.Millisecond, wire.DefaultIdleTimeout, 1, "How long a connection may be idle.",
			func(c *Config) *time.Duration { return &c.Limits.IdleTimeout }),
		timeField("connections.max.reauth.ms", longType, time.Millisecond, 0, 0, "How long what clients prove holds, by SASL.",
			func(c *Config) *time.Duration { return &c.MaxReauth }),
		millisField("connection.failed.authentication.delay.ms", DefaultFailureDelay, 0, "How long an answer to a wrong password takes.",
			func(c *Config) *time.Duration { return &c.FailureDelay }),
		countField("fetch.max.bytes", intType, int32(DefaultMaxFetchBytes), 1024, mostInt, "The most that one Fetch returns.",
			func(c *Config) *int32 { return &c.MaxFetchBytes }),
		countField("max.incremental.fetch.session.cache.slots", intType, DefaultMaxFetchSessions, 1, 1_000_000, "How many fetch sessions are remembered.",
			func(c *Config) *int { return &c.MaxFetchSessions }),
		countField("num.partitions", intType, int32(1), 1, DefaultMaxPartitions, "Partitions of topics that do not ask for a number.",
			func(c *Config) *int32 { return &c.DefaultPartitions }),
		countField("socket.request.max.bytes", intType, wire.DefaultMaxRequestBytes, 1, wire.DefaultMaxRequestBytes, "The largest request that is read.",
			func(c *Config) *int { return &c.Limits.MaxRequestBytes }),
		countField("sasl.server.max.receive.size", intType, wire.DefaultMaxGuestRequestBytes, 1, wire.DefaultMaxRequestBytes,
			"The largest request that is read of a client that has not proved who it is.", func(c *Config) *int { return &c.Limits.MaxGuestRequestBytes }),
		millisField("transaction.max.timeout.ms", txn.DefaultMaxTimeout, 1, "The longest that a producer may keep a transaction open.",
			func(c *Config) *time.Duration { return &c.Transactions.MaxTimeout }),
		millisField("transactional.id.expiration.ms", txn.DefaultExpiration, 1, "How long a transactional id is remembered after its last transaction.",
			func(c *Config) *time.Duration { return &c.Transactions.Expiration }),
		millisField("transaction.remove.expired.transaction.cleanup.interval.ms", txn.DefaultExpirationCheck, 1, "How often transactional ids to forget are looked for.",
			func(c *Config) *time.Duration { return &c.Transactions.ExpirationCheck }),
	}
}

// fixedBrokerSettings are those that say what the node is. They cannot be otherwise, or are settings of the node.
func fixedBrokerSettings() []brokerSetting {
	const text, list, integer, none = stringType, listType, intType, ""
	assignors := strings.Join(assignor.Names(), ",")
	id := func(key, def, doc string) brokerSetting {
		t := settled(key, integer, none, def, doc)
		t.read = func(c *Config) string { return strconv.Itoa(int(c.NodeID)) }
		return t
	}
	dir := func(key string, kind kmsg.ConfigType) brokerSetting {
		t := settled(key, kind, none, none, "Where the log is.")
		t.read = func(c *Config) string { return c.DataDir }
		return t
	}
	const once, alone = "Topics of the node's own have one replica.", "There is one replica of each topic."
	return []brokerSetting{
		id("broker.id", "-1", "The broker's id."),
		id("node.id", none, "The broker's id."),
		dir("log.dir", text),
		dir("log.dirs", list),
		settled("default.replication.factor", integer, "1", "1", alone),
		settled("delete.topic.enable", boolType, "true", "true", "Whether topics can be deleted."),
		settled("group.consumer.assignors", list, assignors, assignors, "Who may assign partitions of consumer groups."),
		settled("group.consumer.min.assignment.interval.ms", integer, "0", "0", "The shortest consumer.assignment.interval.ms of a group."),
		settled("group.coordinator.rebalance.protocols", list, "classic,consumer,streams", "classic,consumer,streams", "The kinds of consumer groups that are served."),
		settled("group.streams.min.assignment.interval.ms", integer, "0", "0", "The shortest streams.assignment.interval.ms of a group."),
		settled("group.share.assignors", list, share.Assignor, share.Assignor, "How partitions are assigned to members."),
		settled("inter.broker.protocol.version", text, "4.3", "4.3", "The Kafka release whose requests are served."),
		settled("log.cleaner.enable", boolType, "true", "true", "Whether topics are compacted that say so."),
		settled("offsets.topic.replication.factor", shortNumber, "1", "1", once),
		settled("process.roles", list, "broker,controller", none, "What the node is."),
		tierBrokerSetting(),
		settled("quota.window.num", integer, "11", "11", "Samples over which client quotas are measured."),
		settled("quota.window.size.seconds", integer, "1", "1", "How long a sample is."),
		settled("controller.quota.window.num", integer, "11", "11", "Samples over which the quota of changes is measured."),
		settled("controller.quota.window.size.seconds", integer, "1", "1", "How long a sample is."),
		settled("transaction.state.log.min.isr", integer, "1", "1", once),
		settled("transaction.state.log.replication.factor", shortNumber, "1", "1", once),
	}
}
