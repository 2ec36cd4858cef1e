package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
)

// NotReady is the state of a streams group whose application cannot run: topics are missing, or have other partitions than it needs.
const NotReady State = "NotReady"

// StreamsMachine is one streams group of KIP-1071: the instances of a Kafka Streams application. Its members say what the application does, and the node
// decides who has which of its tasks, and leads each member there by its own heartbeats, as ConsumerMachine does with partitions. It is not safe for
// concurrent use.
//
// What an application does cannot change while there is the group, as in Apache Kafka
// 4.3: a member of an older epoch of the topology is told that it is behind, one of a newer is refused.
type StreamsMachine struct {
	decided[*streamer]
	delayedUntil time.Time            // the first assignment waits for more members until then; zero = it does not
	topology     *topology.Topology   // nil before anybody joined
	configured   *topology.Configured // topology among topics; nil without one
	endpoints    int32                // counts the changes of what endpointTasks returns
	shutdown     string               // member that asked all others to end, or ""
}

// streamer is a member of a StreamsMachine: a thread of a process.
type streamer struct {
	id, rack, client, host string
	process                string
	tags                   []Tag
	endpoint               *Endpoint
	topologyEpoch          int32
	order                  uint64
	rebalance              time.Duration

	epoch    int32
	previous int32
	phase    phase
	assigned tasks.Assignment
	revoking tasks.Assignment
	started  map[tasks.ID]int32 // since which epoch the member has each active task, those in revoking too
	target   tasks.Assignment

	expires  time.Time
	revokeBy time.Time // while revoking: when the member is fenced
}

// Tag is what a member says of where it runs.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Endpoint is where a process answers queries of its state.
type Endpoint struct {
	Host string `json:"host"`
	Port uint16 `json:"port"`
}

// NewStreamsMachine returns an empty group.
func NewStreamsMachine(id string, config Config, now time.Time, topics *Topics) *StreamsMachine {
	m := &StreamsMachine{decided: newDecided[*streamer](id, config, config.StreamsSettings(), now, topics)}
	m.targetEpoch = firstEpoch // as in Kafka: while the first assignment is delayed there is one, of nothing
	return m
}

// State returns where the group stands.
func (m *StreamsMachine) State() State {
	s := m.decided.State()
	if s != Dead && s != Empty && (m.configured == nil || m.configured.Problem != 0) {
		return NotReady
	}
	return s
}

func (mem *streamer) at() int32         { return mem.epoch }
func (mem *streamer) stale() error      { return kerr.StaleMemberEpoch }
func (mem *streamer) knowsEpochs() bool { return true }

func (mem *streamer) reconciled(target int32) bool {
	return mem.phase == settled && mem.epoch == target
}

// SetSettings says what the group's configs are from now on.
func (m *StreamsMachine) SetSettings(s Settings) {
	standbys := m.settings.Standbys
	m.settings = s
	if s.Standbys != standbys && len(m.members) > 0 {
		m.bump("another number of standby tasks")
	}
}

// SetTopics says what topics there are now. If that changes the application's tasks, or whether it can run, who has which is decided anew.
func (m *StreamsMachine) SetTopics(t *Topics) {
	if m.topics == t {
		return
	}
	m.topics = t
	if m.configure() && len(m.members) > 0 {
		m.bump("topics of the application were created, deleted or given partitions")
	}
}

// configure finds the tasks of the topology among the topics that there are. It returns false if they are the same as before.
func (m *StreamsMachine) configure() bool {
	if m.topology == nil {
		return false
	}
	c, err := topology.Configure(m.topology, m.partitions)
	if err != nil { // topics that there are now do not let it run, though others did
		c = &topology.Configured{Problem: topology.IncorrectlyPartitioned, Detail: err.Error()}
	}
	if m.configured != nil && m.configured.Equal(c) {
		return false
	}
	m.configured = c
	if slices.ContainsFunc(m.list, func(mem *streamer) bool { return mem.endpoint != nil }) {
		m.endpoints++ // the partitions behind a task may be others
	}
	return true
}

func (m *StreamsMachine) partitions(topic string) (int32, bool) {
	s := m.topics.byName[topic]
	if s == nil {
		return 0, false
	}
	return s.Shards, true
}

// Ready returns what has accumulated since the last call.
func (m *StreamsMachine) Ready() Output {
	return m.ready(streamerKind, func() encoder { return m.document() }, func(mem *streamer) encoder { return m.memberDocument(mem) })
}

// taskBytes is about what it takes to know of a task who has it, is to have it, and since when.
const taskBytes = 200

// applicationBytes is what an application takes, its members apart.
func applicationBytes(t *topology.Topology, c *topology.Configured) int64 {
	return t.Bytes() + c.Len()*taskBytes
}

// Bytes returns what the members and the application take.
func (m *StreamsMachine) Bytes() int64 {
	n := m.decided.Bytes()
	if m.topology != nil {
		n += applicationBytes(m.topology, m.configured)
	}
	return n
}

func (mem *streamer) bytes() int64 {
	n := len(mem.id) + len(mem.rack) + len(mem.client) + len(mem.host) + len(mem.process)
	for _, t := range mem.tags {
		n += len(t.Key) + len(t.Value)
	}
	if mem.endpoint != nil {
		n += len(mem.endpoint.Host)
	}
	return int64(n)
}

// touch starts the member's session anew.
func (m *StreamsMachine) touch(now time.Time, mem *streamer) {
	mem.expires = now.Add(m.settings.Session)
}

func (m *StreamsMachine) insert(mem *streamer) {
	m.members[mem.id] = mem
	m.list = append(m.list, mem)
	m.changed[mem.id] = mem
	delete(m.gone, mem.id)
	m.moved = true
}

// remove drops members, and lets go of their tasks.
func (m *StreamsMachine) remove(now time.Time, reason string, leaving ...*streamer) {
	for _, mem := range leaving {
		delete(m.members, mem.id)
		delete(m.changed, mem.id)
		m.gone[mem.id] = true
		i := slices.Index(m.list, mem)
		m.list = slices.Delete(m.list, i, i+1)
		if mem.endpoint != nil {
			m.endpoints++
		}
		m.event("member removed", mem.id, reason)
	}
	m.bump("members left")
	if len(m.members) == 0 {
		m.since, m.shutdown, m.delayedUntil = now, "", time.Time{}
		m.event("becomes empty", "", "")
	}
}

// Deadline returns when Tick is next due, or the zero time if never. Signs of life only move it away, so that an older answer is early at worst.
func (m *StreamsMachine) Deadline() time.Time {
	var first time.Time
	for _, mem := range m.list {
		for _, t := range []time.Time{mem.expires, mem.revokeBy} {
			if !t.IsZero() && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	return first
}

// Tick removes the members whose time is up at now.
func (m *StreamsMachine) Tick(now time.Time) {
	m.moved = true
	var silent, slow []*streamer
	for _, mem := range m.list {
		switch {
		case !mem.expires.After(now):
			silent = append(silent, mem)
		case !mem.revokeBy.IsZero() && !mem.revokeBy.After(now):
			slow = append(slow, mem)
		}
	}
	if len(silent) > 0 {
		m.remove(now, "no sign of life in time", silent...)
	}
	if len(slow) > 0 {
		m.remove(now, "did not give tasks up within its rebalance timeout", slow...)
	}
}
