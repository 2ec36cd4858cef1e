package group

import (
	"slices"

	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
)

// StreamsDescription is a streams group in full. Nothing in it must be written to.
type StreamsDescription struct {
	ID              string
	State           State
	Epoch           int32
	AssignmentEpoch int32
	Topology        topology.Topology   // with the partitions of the application's own topics, if it can run
	Members         []DescribedStreamer // in the order in which they came
}

// DescribedStreamer is one member of a StreamsDescription.
type DescribedStreamer struct {
	ID, Rack, Client, Host, Process string
	Tags                            []Tag
	Endpoint                        *Endpoint
	Epoch, TopologyEpoch            int32
	Assigned                        tasks.Assignment
	Target                          tasks.Assignment
}

// Listing returns what ListGroups shows of the group.
func (m *StreamsMachine) Listing() Listing {
	return Listing{ID: m.id, ProtocolType: StreamsType, State: m.State(), Type: StreamsType}
}

// Describe returns the group in full.
func (m *StreamsMachine) Describe() StreamsDescription {
	d := StreamsDescription{ID: m.id, State: m.State(), Epoch: m.epoch, AssignmentEpoch: m.targetEpoch}
	if m.topology != nil {
		d.Topology = topology.Topology{Epoch: m.topology.Epoch, Subtopologies: slices.Clone(m.topology.Subtopologies)}
		for i, t := range m.configured.Tasks {
			d.Topology.Subtopologies[i].RepartitionSources, d.Topology.Subtopologies[i].Changelogs = t.Repartition, t.Changelogs
		}
	}
	for _, mem := range m.list {
		d.Members = append(d.Members, DescribedStreamer{
			ID: mem.id, Rack: mem.rack, Client: mem.client, Host: mem.host, Process: mem.process, Tags: mem.tags, Endpoint: mem.endpoint,
			Epoch: mem.epoch, TopologyEpoch: mem.topologyEpoch, Assigned: mem.assigned, Target: mem.target,
		})
	}
	return d
}
