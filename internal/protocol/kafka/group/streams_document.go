package group

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
)

// streamerKind is of a streams group's member's document.
const streamerKind = "kafka-streams-member"

// StreamsDocument is what of a streams group survives a restart, its members apart. Targets are not kept, as those of ConsumerDocument.
type StreamsDocument struct {
	Type        string             `json:"type"` // StreamsType
	Since       time.Time          `json:"since"`
	Epoch       int32              `json:"epoch"`
	TargetEpoch int32              `json:"targetEpoch"`
	TargetAt    time.Time          `json:"targetAt"`
	Standbys    int                `json:"standbys,omitempty"`
	Topology    *topology.Topology `json:"topology,omitempty"`
	Shutdown    string             `json:"shutdown,omitempty"` // member that asked all others to end
}

// StreamerDocument is what of a member of a streams group survives a restart.
type StreamerDocument struct {
	Group         string        `json:"group"`
	ID            string        `json:"id"`
	Order         uint64        `json:"order"`
	Rack          string        `json:"rack,omitempty"`
	Client        string        `json:"client,omitempty"`
	Host          string        `json:"host,omitempty"`
	Process       string        `json:"process,omitempty"`
	Tags          []Tag         `json:"tags,omitempty"`
	Endpoint      *Endpoint     `json:"endpoint,omitempty"`
	TopologyEpoch int32         `json:"topologyEpoch,omitempty"`
	Rebalance     time.Duration `json:"rebalanceNanos,omitempty"`
	Epoch         int32         `json:"epoch"`
	Previous      int32         `json:"previous"`
	Phase         string        `json:"phase,omitempty"`
	Active        []ActiveTasks `json:"active,omitempty"`
	Standby       tasks.Set     `json:"standby,omitempty"`
	Revoking      []ActiveTasks `json:"revoking,omitempty"`
	RevokeStandby tasks.Set     `json:"revokeStandby,omitempty"`
}

// ActiveTasks are active tasks of a subtopology, and since which epochs the member has them.
type ActiveTasks struct {
	Subtopology string  `json:"subtopology"`
	Partitions  []int32 `json:"partitions"`
	Epochs      []int32 `json:"epochs"`
}

// Encode returns d as JSON.
func (d StreamsDocument) Encode() ([]byte, error) { return encode(d) }

// Encode returns d as JSON.
func (d StreamerDocument) Encode() ([]byte, error) { return encode(d) }

func (m *StreamsMachine) document() StreamsDocument {
	return StreamsDocument{
		Type: StreamsType, Since: m.since, Epoch: m.epoch, TargetEpoch: m.targetEpoch, TargetAt: m.targetAt, Standbys: m.settings.Standbys,
		Topology: m.topology, Shutdown: m.shutdown,
	}
}

func (m *StreamsMachine) memberDocument(mem *streamer) StreamerDocument {
	return StreamerDocument{
		Group: m.id, ID: mem.id, Order: mem.order, Rack: mem.rack, Client: mem.client, Host: mem.host, Process: mem.process, Tags: mem.tags,
		Endpoint: mem.endpoint, TopologyEpoch: mem.topologyEpoch, Rebalance: mem.rebalance, Epoch: mem.epoch, Previous: mem.previous, Phase: string(mem.phase),
		Active: mem.withEpochs(mem.assigned.Active), Standby: mem.assigned.Standby,
		Revoking: mem.withEpochs(mem.revoking.Active), RevokeStandby: mem.revoking.Standby,
	}
}

func (mem *streamer) withEpochs(s tasks.Set) []ActiveTasks {
	var all []ActiveTasks
	for sub, partitions := range s {
		a := ActiveTasks{Subtopology: sub, Partitions: partitions}
		for _, p := range partitions {
			a.Epochs = append(a.Epochs, mem.started[tasks.ID{Subtopology: sub, Partition: p}])
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b ActiveTasks) int { return cmp.Compare(a.Subtopology, b.Subtopology) })
	return all
}

// DecodeStreamsDocument reads what Encode wrote; ok is false if it is the document of another kind of group.
func DecodeStreamsDocument(value []byte) (d StreamsDocument, ok bool, err error) {
	if !bytes.Contains(value, []byte(`"type"`)) {
		return d, false, nil
	}
	if err = json.Unmarshal(value, &d); err != nil {
		return d, false, fmt.Errorf("decode group: %w", err)
	}
	if d.Type != StreamsType {
		return d, false, nil
	}
	if d.Epoch < 0 || d.TargetEpoch < 0 || d.TargetEpoch > d.Epoch || d.Standbys < 0 {
		return d, true, fmt.Errorf("decode group: epoch %d, that of the target %d, %d standby tasks", d.Epoch, d.TargetEpoch, d.Standbys)
	}
	if d.Topology == nil && d.Epoch > firstEpoch {
		return d, true, fmt.Errorf("decode group: epoch %d without a topology", d.Epoch)
	}
	return d, true, nil
}

// DecodeStreamerDocument reads what Encode wrote, and refuses what no member can be.
func DecodeStreamerDocument(value []byte) (StreamerDocument, error) {
	var d StreamerDocument
	if err := json.Unmarshal(value, &d); err != nil {
		return d, fmt.Errorf("decode group member: %w", err)
	}
	switch {
	case d.Epoch < 0:
		return d, fmt.Errorf("decode group member %q: epoch %d", d.ID, d.Epoch)
	case phase(d.Phase) != settled && phase(d.Phase) != revoking && phase(d.Phase) != waiting:
		return d, fmt.Errorf("decode group member %q: phase %q", d.ID, d.Phase)
	case d.Rebalance < 0:
		return d, fmt.Errorf("decode group member %q: rebalance timeout %v", d.ID, d.Rebalance)
	}
	for _, a := range slices.Concat(d.Active, d.Revoking) {
		if len(a.Partitions) == 0 || len(a.Partitions) != len(a.Epochs) || !ascending(a.Partitions) {
			return d, fmt.Errorf("decode group member %q: tasks %v of %s with epochs %v", d.ID, a.Partitions, a.Subtopology, a.Epochs)
		}
	}
	for _, s := range []tasks.Set{d.Standby, d.RevokeStandby} {
		for sub, partitions := range s {
			if len(partitions) == 0 || !ascending(partitions) {
				return d, fmt.Errorf("decode group member %q: standby tasks %v of %s", d.ID, partitions, sub)
			}
		}
	}
	return d, nil
}

// ascending says whether partitions are in order, none twice or negative.
func ascending(partitions []int32) bool {
	last := int32(-1)
	for _, p := range partitions {
		if p <= last {
			return false
		}
		last = p
	}
	return true
}

// RestoreStreams returns the group that the documents describe. Its members' sessions begin anew, as those of Restore, and they go on with their epochs.
func RestoreStreams(id string, config Config, settings Settings, now time.Time, topics *Topics, d StreamsDocument, members []StreamerDocument) *StreamsMachine {
	m := NewStreamsMachine(id, config, now, topics)
	m.settings = settings
	m.since, m.epoch, m.targetEpoch, m.targetAt, m.moved = d.Since, d.Epoch, d.TargetEpoch, d.TargetAt, true
	m.topology, m.shutdown = d.Topology, d.Shutdown
	m.configure()
	slices.SortFunc(members, func(a, b StreamerDocument) int { return cmp.Compare(a.Order, b.Order) })
	steady := d.Standbys == settings.Standbys
	for _, md := range members {
		mem := m.restore(now, md)
		steady = steady && mem.reconciled(m.targetEpoch)
		m.epoch = max(m.epoch, mem.epoch)
	}
	clear(m.changed)
	if m.epoch == m.targetEpoch && len(m.members) > 0 && (!steady || !m.complete()) {
		m.bump("restored on the way to an assignment")
	}
	return m
}

// complete says whether every task is somebody's: topics may have changed just before the end.
func (m *StreamsMachine) complete() bool {
	want, have := 0, 0
	for _, t := range m.configured.Tasks {
		want += int(t.Count)
	}
	for _, mem := range m.list {
		have += mem.target.Active.Len()
	}
	return want == have
}

func (m *StreamsMachine) restore(now time.Time, d StreamerDocument) *streamer {
	mem := &streamer{
		id: d.ID, rack: d.Rack, client: d.Client, host: d.Host, process: d.Process, tags: d.Tags, endpoint: d.Endpoint, topologyEpoch: d.TopologyEpoch,
		order: d.Order, rebalance: d.Rebalance, epoch: d.Epoch, previous: d.Previous, phase: phase(d.Phase), started: map[tasks.ID]int32{},
		assigned: tasks.Assignment{Standby: d.Standby}, revoking: tasks.Assignment{Standby: d.RevokeStandby},
	}
	m.order = max(m.order, d.Order)
	for _, role := range []struct {
		set *tasks.Set
		all []ActiveTasks
	}{{&mem.assigned.Active, d.Active}, {&mem.revoking.Active, d.Revoking}} {
		*role.set = tasks.Set{}
		for _, a := range role.all {
			(*role.set)[a.Subtopology] = a.Partitions
			for i, p := range a.Partitions {
				mem.started[tasks.ID{Subtopology: a.Subtopology, Partition: p}] = a.Epochs[i]
			}
		}
	}
	mem.target = mem.assigned
	m.insert(mem)
	m.touch(now, mem)
	mem.expires = earlier(mem.expires, now.Add(m.config.RestoreGrace))
	if mem.phase == revoking {
		mem.revokeBy = now.Add(mem.rebalance)
	}
	return mem
}
