package msk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Property is one broker config that MSK lets a configuration set: a row of the ledger of docs/msk.md.
type Property struct {
	Key     string
	Applied bool // it changes what the cluster's broker does; others are kept and returned
	check   func(string) string
}

// Properties returns the ledger, ordered by key.
func Properties() []Property { return slices.Clone(properties) }

func whole(low, high int64) func(string) string {
	return func(v string) string {
		if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < low || n > high {
			return fmt.Sprintf("must be a whole number from %d to %d", low, high)
		}
		return ""
	}
}

func fraction(v string) string {
	if f, err := strconv.ParseFloat(v, 64); err != nil || !(f >= 0 && f <= 1) {
		return "must be a number from 0 to 1"
	}
	return ""
}

func oneOf(values ...string) func(string) string {
	return func(v string) string {
		if !slices.Contains(values, v) {
			return "must be one of " + strings.Join(values, ", ")
		}
		return ""
	}
}

func listOf(values ...string) func(string) string {
	return func(v string) string {
		for part := range strings.SplitSeq(v, ",") {
			if !slices.Contains(values, strings.TrimSpace(part)) {
				return "must be a list of " + strings.Join(values, ", ")
			}
		}
		return ""
	}
}

func anything(string) string { return "" }

const (
	maxInt  = math.MaxInt32
	maxLong = math.MaxInt64
)

// properties are the keys of MSK's documentation of custom configurations.
var properties = []Property{
	{"allow.everyone.if.no.acl.found", true, oneOf("true", "false")},
	{"auto.create.topics.enable", true, oneOf("true", "false")},
	{"compression.type", true, oneOf("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")},
	{"connections.max.idle.ms", true, whole(1, maxLong)},
	{"default.replication.factor", false, whole(1, maxInt)},
	{"delete.topic.enable", false, oneOf("true", "false")},
	{"group.consumer.max.size", true, whole(1, maxInt)},
	{"group.initial.rebalance.delay.ms", true, whole(0, maxInt)},
	{"group.max.session.timeout.ms", true, whole(6000, 1_800_000)},
	{"group.min.session.timeout.ms", true, whole(1, maxInt)},
	{"leader.imbalance.per.broker.percentage", false, whole(0, 100)},
	{"log.cleaner.delete.retention.ms", true, whole(0, maxLong)},
	{"log.cleaner.min.cleanable.ratio", true, fraction},
	{"log.cleanup.policy", true, listOf("compact", "delete")},
	{"log.flush.interval.messages", false, whole(1, maxLong)},
	{"log.flush.interval.ms", false, whole(0, maxLong)},
	{"log.local.retention.bytes", false, whole(-2, maxLong)},
	{"log.local.retention.ms", false, whole(-2, maxLong)},
	{"log.message.downconversion.enable", false, oneOf("true", "false")},
	{"log.message.format.version", false, anything},
	{"log.message.timestamp.after.max.ms", true, whole(0, maxLong)},
	{"log.message.timestamp.before.max.ms", true, whole(0, maxLong)},
	{"log.message.timestamp.difference.max.ms", false, whole(0, maxLong)},
	{"log.message.timestamp.type", true, oneOf("CreateTime", "LogAppendTime")},
	{"log.retention.bytes", true, whole(-1, maxLong)},
	{"log.retention.hours", true, whole(-1, maxInt)},
	{"log.retention.minutes", true, whole(-1, maxInt)},
	{"log.retention.ms", true, whole(-1, maxLong)},
	{"log.roll.ms", true, whole(1, maxLong)},
	{"log.segment.bytes", true, whole(1<<20, maxInt)},
	{"max.incremental.fetch.session.cache.slots", true, whole(1, 10_000)},
	{"message.max.bytes", true, whole(0, maxInt)},
	{"min.insync.replicas", false, whole(1, maxInt)},
	{"num.io.threads", false, whole(1, maxInt)},
	{"num.network.threads", false, whole(1, maxInt)},
	{"num.partitions", true, whole(1, 10_000)},
	{"num.recovery.threads.per.data.dir", false, whole(1, maxInt)},
	{"num.replica.fetchers", false, whole(1, maxInt)},
	{"offsets.retention.minutes", true, whole(1, maxInt)},
	{"offsets.topic.replication.factor", false, whole(1, maxInt)},
	{"replica.fetch.max.bytes", false, whole(0, maxInt)},
	{"replica.fetch.response.max.bytes", false, whole(0, maxInt)},
	{"replica.lag.time.max.ms", false, whole(1, maxLong)},
	{"replica.selector.class", false, anything},
	{"replica.socket.receive.buffer.bytes", false, whole(-1, maxInt)},
	{"socket.receive.buffer.bytes", false, whole(-1, maxInt)},
	{"socket.request.max.bytes", true, whole(1, 100<<20)},
	{"socket.send.buffer.bytes", false, whole(-1, maxInt)},
	{"transaction.max.timeout.ms", true, whole(1, maxInt)},
	{"transaction.state.log.min.isr", false, whole(1, maxInt)},
	{"transaction.state.log.replication.factor", false, whole(1, maxInt)},
	{"transactional.id.expiration.ms", true, whole(1, maxInt)},
	{"unclean.leader.election.enable", false, oneOf("true", "false")},
	{"zookeeper.connection.timeout.ms", false, whole(1, maxInt)},
	{"zookeeper.session.timeout.ms", false, whole(1, maxInt)},
}

// wrongProperty is a line of what MSK answers to a file with mistakes.
type wrongProperty struct {
	Name          string   `json:"name"`
	Value         string   `json:"value"`
	ErrorMessages []string `json:"errorMessages"`
}

// checkProperties refuses a server.properties file with anything that MSK does not let a configuration set, in the form of its answer: a list of
// what is wrong, in JSON.
func checkProperties(file []byte) error {
	const member = "serverProperties"
	if len(file) > maxPropertiesBytes {
		return badRequest(member, "The server properties must have at most %d bytes.", maxPropertiesBytes)
	}
	set, err := readProperties(file)
	if err != nil {
		return badRequest(member, "%s", err)
	}
	var wrong []wrongProperty
	for _, p := range set {
		message := ""
		if i := slices.IndexFunc(properties, func(known Property) bool { return known.Key == p.key }); i < 0 {
			message = fmt.Sprintf("Key '%s' is not valid.", p.key)
		} else if reason := properties[i].check(p.value); reason != "" {
			message = fmt.Sprintf("Value '%s' of key '%s' is not valid: it %s.", p.value, p.key, reason)
		}
		if message != "" {
			wrong = append(wrong, wrongProperty{p.key, p.value, []string{message}})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	text, err := json.MarshalIndent(wrong, "", "  ")
	if err != nil {
		return err
	}
	return badRequest(member, "%s", text)
}

// property is one line of a file.
type property struct{ key, value string }

// readProperties reads a Java properties file, as far as broker configs need it: a key and a value to a line, with =, : or blanks between them,
// comments with # or !, and lines that go on after a \ at their end. A key that is set twice has its last value.
func readProperties(file []byte) ([]property, error) {
	if !utf8.Valid(file) {
		return nil, fmt.Errorf("the file is no text")
	}
	var all []property
	places := map[string]int{}
	add := func(line string) {
		p := property{}
		p.key, p.value = cutProperty(line)
		if i, ok := places[p.key]; ok {
			all[i] = p
			return
		}
		places[p.key] = len(all)
		all = append(all, p)
	}
	lines := bufio.NewScanner(bytes.NewReader(file))
	lines.Buffer(nil, maxPropertiesBytes+1)
	logical := ""
	for lines.Scan() {
		line := strings.TrimLeft(lines.Text(), " \t\f")
		if logical == "" && (line == "" || line[0] == '#' || line[0] == '!') {
			continue
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			logical += rest
			continue
		}
		add(logical + line)
		logical = ""
	}
	if logical != "" {
		add(logical)
	}
	return all, lines.Err()
}

// cutProperty splits a line at the first = or :, or else at the first blank.
func cutProperty(line string) (key, value string) {
	i := strings.IndexAny(line, "=: \t\f")
	if i < 0 {
		return strings.TrimSpace(line), ""
	}
	key, rest := line[:i], strings.TrimLeft(line[i:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = rest[1:]
	}
	return key, strings.TrimSpace(rest)
}

// applied returns what a file sets of the properties that change what a broker does.
func applied(file []byte) map[string]string {
	set, _ := readProperties(file) // it has been checked
	out := map[string]string{}
	for _, p := range set {
		if slices.ContainsFunc(properties, func(known Property) bool { return known.Key == p.key && known.Applied }) {
			out[p.key] = p.value
		}
	}
	return out
}
