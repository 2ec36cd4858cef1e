package kafka

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/brokerconfig"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
)

// unsetAtBroker are the broker configs that have no value in Apache Kafka, as a coarser one has it: log.retention.hours for log.retention.ms. What
// they would be the default of has a default of its own.
var unsetAtBroker = map[string][]string{
	"log.flush.interval.ms": {"log.flush.scheduler.interval.ms"},
	"log.retention.ms":      {"log.retention.minutes", "log.retention.hours"},
	"log.roll.jitter.ms":    {"log.roll.jitter.hours"},
	"log.roll.ms":           {"log.roll.hours"},
}

// brokerChecks are those of broker configs that Kafka checks otherwise than the topic's config which has its default from them.
var brokerChecks = map[string]func(string) string{
	"compression.gzip.level": func(v string) string {
		if n := number(v); n != -1 && (n < 1 || n > 9) {
			return "Value must be between 1 and 9 or equal to -1"
		}
		return ""
	},
	"compression.type": reasonOf(oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", byProducer)),
	"log.cleaner.min.cleanable.ratio": func(v string) string {
		if f, _ := strconv.ParseFloat(v, 64); !(f >= 0) {
			return "Value must be at least 0"
		}
		return ""
	},
	"log.flush.interval.ms": nil,
	"log.retention.ms":      brokerconfig.Required("log.retention.ms", "must be unlimited (-1) or, greater than or equal to 1", func(n int64) bool { return n != 0 }),
	"log.roll.jitter.ms":    brokerconfig.Required("log.roll.jitter.ms", "must be greater than or equal to 0", func(n int64) bool { return n >= 0 }),
	"log.roll.ms":           brokerconfig.Required("log.roll.ms", "must be greater than or equal to 1", func(n int64) bool { return n >= 1 }),
}

// onlyAtStart are broker configs that older brokers had, which could not be altered.
var onlyAtStart = []string{"log.message.downconversion.enable", "log.message.format.version", "log.message.timestamp.difference.max.ms"}

// topicBrokerSettings are those that topics have their configs from which nobody has set for them.
func topicBrokerSettings() []brokerSetting {
	var all []brokerSetting
	for i := range topicSettings {
		t := &topicSettings[i]
		if t.Broker == "" {
			continue
		}
		check, own := brokerChecks[t.Broker]
		if !own {
			check = reasonOf(t.check)
		}
		scope := brokerconfig.ClusterWide
		if slices.Contains(onlyAtStart, t.Broker) {
			scope = brokerconfig.Static
		}
		coarser := unsetAtBroker[t.Broker]
		all = append(all, brokerSetting{
			Setting: brokerconfig.Setting{
				Key: t.Broker, Type: t.Type, Default: t.Default, None: coarser != nil, Scope: scope, Effect: brokerconfig.Effect(t.Effect), Doc: t.Doc,
				Coarser: coarser, Valid: check,
			},
			keep: true,
		})
	}
	return all
}

// coarseBrokerSettings are those that topics' configs come from if the finer ones say nothing.
func coarseBrokerSettings() []brokerSetting {
	coarse := func(key string, kind kmsg.ConfigType, def string, effect brokerconfig.Effect, doc string, valid func(string) string) brokerSetting {
		return brokerSetting{
			Setting: brokerconfig.Setting{Key: key, Type: kind, Default: def, None: def == "", Effect: effect, Doc: doc, Valid: valid}, keep: true,
		}
	}
	kept := func(key string) func(string) string {
		return brokerconfig.Required(key, "must be unlimited (-1) or, greater than or equal to 1", func(n int64) bool { return n != 0 })
	}
	return []brokerSetting{
		coarse("log.flush.scheduler.interval.ms", longType, noLimit, brokerconfig.Stored, "Every acknowledged record is on the disk.", nil),
		coarse("log.retention.hours", intType, "168", brokerconfig.Enforced, "log.retention.ms in hours, if neither that nor log.retention.minutes is set.", kept("log.retention.hours")),
		coarse("log.retention.minutes", intType, "", brokerconfig.Enforced, "log.retention.ms in minutes, if that is not set.", kept("log.retention.minutes")),
		coarse("log.roll.hours", intType, "168", brokerconfig.Enforced, "log.roll.ms in hours, if that is not set.", brokerconfig.AtLeast(1)),
		coarse("log.roll.jitter.hours", intType, "0", brokerconfig.Enforced, "log.roll.jitter.ms in hours, if that is not set.", brokerconfig.AtLeast(0)),
	}
}

// inMillis returns a time that is set by a key in the unit of its last word, in milliseconds. Those below 0 stand for no bound.
func inMillis(key, value string) string {
	unit := time.Millisecond
	switch key[strings.LastIndexByte(key, '.')+1:] {
	case "hours":
		unit = time.Hour
	case "minutes":
		unit = time.Minute
	}
	if n := number(value); n >= 0 && unit != time.Millisecond {
		return strconv.FormatInt(n*unit.Milliseconds(), 10)
	}
	return value
}

// at makes a row that can be changed while the server runs.
func at(scope brokerconfig.Scope, effect brokerconfig.Effect, kind kmsg.ConfigType, key, def, doc string, valid func(string) string) brokerSetting {
	return brokerSetting{
		Setting: brokerconfig.Setting{Key: key, Type: kind, Default: def, None: def == "" && kind != listType, Scope: scope, Effect: effect, Doc: doc, Valid: valid},
		keep:    effect != brokerconfig.Refused,
	}
}

// storedBrokerSettings are kept and told, and change nothing.
func storedBrokerSettings() []brokerSetting {
	row := func(kind kmsg.ConfigType, key, def, doc string, valid func(string) string) brokerSetting {
		return at(brokerconfig.ClusterWide, brokerconfig.Stored, kind, key, def, doc, valid)
	}
	const (
		threads = "Threads are the runtime's to make."
		tiered  = "Topics are not tiered."
		buffers = "Coordinators have no such buffer."
	)
	one, half := brokerconfig.AtLeast(1), brokerconfig.AtLeast(512<<10)
	all := []brokerSetting{
		row(intType, "background.threads", "10", threads, one),
		row(intType, "num.io.threads", "8", threads, one),
		row(intType, "num.network.threads", "3", threads, one),
		row(intType, "num.recovery.threads.per.data.dir", "2", threads, one),
		row(intType, "num.replica.fetchers", "1", "There is one replica of each topic.", one),
		row(intType, "log.cleaner.threads", "1", "One at a time is compacted.", brokerconfig.AtLeast(0)),
		row(intType, "log.cleaner.io.buffer.size", "524288", "The log sizes its buffers itself.", brokerconfig.AtLeast(0)),
		row(doubleType, "log.cleaner.io.buffer.load.factor", "0.9", "The table of keys fills as far as it is fast.", nil),
		row(intType, "group.coordinator.cached.buffer.max.bytes", "1048588", buffers, half),
		row(intType, "share.coordinator.cached.buffer.max.bytes", "1048588", buffers, half),
		row(boolType, "transaction.partition.verification.enable", "true", "What is not in a transaction is never appended to one.", nil),
		row(boolType, "follower.fetch.last.tiered.offset.enable", "false", "There are no followers.", nil),
		row(intType, "remote.fetch.max.wait.ms", "500", tiered, one),
		row(longType, "remote.list.offsets.request.timeout.ms", "30000", tiered, one),
		row(longType, "remote.log.index.file.cache.total.size.bytes", "1073741824", tiered, one),
		row(longType, "remote.log.manager.copy.max.bytes.per.second", noLimit, tiered, one),
		row(longType, "remote.log.manager.fetch.max.bytes.per.second", noLimit, tiered, one),
		row(intType, "remote.log.manager.copier.thread.pool.size", "10", tiered, one),
		row(intType, "remote.log.manager.expiration.thread.pool.size", "10", tiered, one),
		row(intType, "remote.log.manager.follower.thread.pool.size", "2", tiered, one),
		row(intType, "remote.log.reader.threads", "10", tiered, one),
	}
	for _, key := range []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second"} {
		t := row(longType, key, "", "No replica is moved, so that there is nothing to hold back: tools that move them set it.", brokerconfig.AtLeast(0))
		t.None, t.Unlisted = true, true
		all = append(all, t)
	}
	return all
}

// refusedBrokerSettings are those that Kafka lets be changed, and that cannot be set here.
func refusedBrokerSettings() []brokerSetting {
	var all []brokerSetting
	add := func(scope brokerconfig.Scope, kind kmsg.ConfigType, doc string, keys ...string) {
		for _, key := range keys {
			all = append(all, at(scope, brokerconfig.Refused, kind, key, "", doc, nil))
		}
	}
	const (
		wide, one = brokerconfig.ClusterWide, brokerconfig.PerBroker
		flags     = "listeners are set by --kafka-listeners and what belongs to it when the node starts"
		files     = "certificates are files (--tls-certificate, --tls-key, --tls-client-ca), which are read again when they change"
		golang    = "TLS is that of Go's library, with its ciphers and versions"
		jaas      = "SASL is set by --kafka-sasl-mechanisms when the node starts; there is no Kerberos and no JAAS"
		plugins   = "there are no Java classes to load"
	)
	add(wide, listType, plugins, "config.providers", "metric.reporters")
	add(wide, className, plugins, "principal.builder.class", "ssl.engine.factory.class")
	add(one, listType, "there is one directory", "cordoned.log.dirs")
	add(one, stringType, flags, "listener.security.protocol.map")
	add(one, listType, flags, "listeners")
	add(one, listType, jaas, "sasl.enabled.mechanisms", "sasl.kerberos.principal.to.local.rules")
	add(one, secretType, jaas, "sasl.jaas.config")
	add(one, stringType, jaas, "sasl.kerberos.kinit.cmd", "sasl.kerberos.service.name", "sasl.mechanism.inter.broker.protocol")
	add(one, longType, jaas, "sasl.kerberos.min.time.before.relogin")
	add(one, doubleType, jaas, "sasl.kerberos.ticket.renew.jitter", "sasl.kerberos.ticket.renew.window.factor", "sasl.login.refresh.window.factor",
		"sasl.login.refresh.window.jitter")
	add(one, shortNumber, jaas, "sasl.login.refresh.buffer.seconds", "sasl.login.refresh.min.period.seconds")
	add(one, listType, golang, "ssl.cipher.suites", "ssl.enabled.protocols")
	add(one, stringType, golang, "ssl.endpoint.identification.algorithm", "ssl.keymanager.algorithm", "ssl.protocol", "ssl.provider",
		"ssl.secure.random.implementation", "ssl.trustmanager.algorithm")
	add(brokerconfig.PerListener, secretType, files, "ssl.key.password", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.password",
		"ssl.truststore.certificates", "ssl.truststore.password")
	add(brokerconfig.PerListener, stringType, files, "ssl.keystore.location", "ssl.keystore.type", "ssl.truststore.location", "ssl.truststore.type")
	auth := at(one, brokerconfig.Refused, stringType, "ssl.client.auth", "", "clients' certificates are asked for by --kafka-client-certificates when the node starts",
		reasonOf(oneOf("required", "requested", "none")))
	return append(all, auth)
}

// leastCleanerBackoff is the shortest log.cleaner.backoff.ms that holds, mostCleanerMemory the largest log.cleaner.dedupe.buffer.size.
const (
	leastCleanerBackoff = 10 * time.Millisecond
	mostCleanerMemory   = 1 << 40
)

// cleanerBrokerSettings are those of the log's upkeep.
func cleanerBrokerSettings() []brokerSetting {
	row := func(kind kmsg.ConfigType, key, def, doc string, valid func(string) string, read func(*stream.Upkeep) string) brokerSetting {
		t := at(brokerconfig.ClusterWide, brokerconfig.Enforced, kind, key, def, doc, valid)
		t.keep, t.read = false, func(c *Config) string {
			if c.Upkeep == nil {
				return ""
			}
			u := c.Upkeep.Upkeep()
			return read(&u)
		}
		return t
	}
	return []brokerSetting{
		row(longType, "log.cleaner.backoff.ms", "15000", "How often shards to compact are looked for, at most every 10 ms.", brokerconfig.AtLeast(0),
			func(u *stream.Upkeep) string { return millis(u.CompactInterval) }),
		row(longType, "log.cleaner.dedupe.buffer.size", "67108864", "Memory for the keys of a topic that is compacted (--compact-memory).", nil,
			func(u *stream.Upkeep) string { return strconv.FormatInt(u.CompactMemory, 10) }),
		row(doubleType, "log.cleaner.io.max.bytes.per.second", brokerconfig.Double(64<<20), "Bytes that compaction reads and writes in a second (--compact-rate).",
			func(v string) string {
				if f, _ := strconv.ParseFloat(v, 64); !(f > 0) {
					return "Value must be greater than 0"
				}
				return ""
			},
			func(u *stream.Upkeep) string {
				if u.CompactRate < 0 {
					return brokerconfig.Double(math.MaxFloat64)
				}
				return brokerconfig.Double(float64(u.CompactRate))
			}),
		row(intType, "producer.id.expiration.ms", millis(producers.DefaultExpiration), "How long a silent idempotent producer is remembered.", brokerconfig.AtLeast(1),
			func(u *stream.Upkeep) string { return millis(u.ProducerExpiration) }),
	}
}
