package group

import (
	"slices"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
)

// ConsumerDescription is a group of KIP-848 in full. Nothing in it must be written to.
type ConsumerDescription struct {
	ID              string
	State           State
	Epoch           int32
	AssignmentEpoch int32
	Assignor        string
	Members         []DescribedConsumer // in the order in which they came
}

// DescribedConsumer is one member of a ConsumerDescription.
type DescribedConsumer struct {
	ID, Instance, Rack, Client, Host string
	Epoch                            int32
	Topics                           []string // by name
	Pattern                          string
	Assigned                         assignor.Assignment // with what it has still to give up
	Target                           assignor.Assignment
	Classic                          bool // it speaks the classic protocol
}

// Listing returns what ListGroups shows of the group.
func (m *ConsumerMachine) Listing() Listing {
	return Listing{ID: m.id, ProtocolType: consumerType, State: m.State(), Type: ConsumerType}
}

// Describe returns the group in full.
func (m *ConsumerMachine) Describe() ConsumerDescription {
	d := ConsumerDescription{ID: m.id, State: m.State(), Epoch: m.epoch, AssignmentEpoch: m.targetEpoch, Assignor: m.assignor()}
	for _, mem := range m.list {
		d.Members = append(d.Members, DescribedConsumer{
			ID: mem.id, Instance: mem.instance, Rack: mem.rack, Client: mem.client, Host: mem.host, Epoch: mem.epoch,
			Topics: mem.sub.names, Pattern: mem.sub.patternText(), Assigned: mem.has(), Target: mem.target,
			Classic: mem.classic != nil,
		})
	}
	return d
}

// has returns what the member may be reading.
func (mem *consumer) has() assignor.Assignment {
	a := mem.assigned.assignment()
	for topic, partitions := range mem.revoking.assignment() {
		a[topic] = slices.Sorted(slices.Values(slices.Concat(a[topic], partitions)))
	}
	return a
}
