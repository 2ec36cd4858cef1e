package group

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Document is what of a group survives a restart, so that its members go on with their generation. It is kept when a group becomes stable or
// empty, and when a static member's id changes; a rebalance that was under way then starts again.
type Document struct {
	State        State            `json:"state"` // Stable, Empty, or PreparingRebalance for either half of a rebalance
	Since        time.Time        `json:"since"`
	Generation   int32            `json:"generation"`
	ProtocolType string           `json:"protocolType,omitempty"`
	Protocol     string           `json:"protocol,omitempty"`
	Leader       string           `json:"leader,omitempty"`
	Members      []MemberDocument `json:"members,omitempty"` // in the order in which they came
}

// MemberDocument is one member within a Document.
type MemberDocument struct {
	ID         string             `json:"id"`
	Instance   string             `json:"instance,omitempty"`
	Client     string             `json:"client,omitempty"`
	Host       string             `json:"host,omitempty"`
	Session    time.Duration      `json:"sessionNanos"`
	Rebalance  time.Duration      `json:"rebalanceNanos"`
	Protocols  []ProtocolDocument `json:"protocols"`
	Assignment []byte             `json:"assignment,omitempty"`
}

// ProtocolDocument is one protocol of a member within a Document.
type ProtocolDocument struct {
	Name     string `json:"name"`
	Metadata []byte `json:"metadata,omitempty"`
}

func (m *Machine) document() Document {
	d := Document{
		State: m.state, Since: m.since, Generation: m.generation,
		ProtocolType: m.protocolType, Protocol: m.protocol, Leader: m.leader,
	}
	if d.State == CompletingRebalance {
		d.State = PreparingRebalance // who was to assign may not know anything any more
	}
	for _, mem := range m.ordered() {
		md := MemberDocument{
			ID: mem.id, Instance: mem.instance, Client: mem.client, Host: mem.host,
			Session: mem.session, Rebalance: mem.rebalance, Assignment: mem.assignment,
		}
		for _, p := range mem.protocols {
			md.Protocols = append(md.Protocols, ProtocolDocument(p))
		}
		d.Members = append(d.Members, md)
	}
	return d
}

// Encode returns d as JSON.
func (d Document) Encode() ([]byte, error) {
	value, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode group: %w", err)
	}
	return value, nil
}

// DecodeDocument reads what Encode wrote, and refuses what no group can be.
func DecodeDocument(value []byte) (Document, error) {
	var d Document
	if err := json.Unmarshal(value, &d); err != nil {
		return Document{}, fmt.Errorf("decode group: %w", err)
	}
	if d.State != Stable && d.State != Empty && d.State != PreparingRebalance {
		return Document{}, fmt.Errorf("decode group: state %q is not one to begin with", d.State)
	}
	if (d.State == Empty) != (len(d.Members) == 0) {
		return Document{}, fmt.Errorf("decode group: state %s with %d members", d.State, len(d.Members))
	}
	hasLeader := slices.ContainsFunc(d.Members, func(md MemberDocument) bool { return md.ID == d.Leader })
	if d.State != Empty && !hasLeader {
		return Document{}, fmt.Errorf("decode group: leader %q is no member", d.Leader)
	}
	for _, md := range d.Members {
		if md.Session <= 0 || md.Rebalance <= 0 || len(md.Protocols) == 0 {
			return Document{}, fmt.Errorf("decode group: member %q has session %v, rebalance timeout %v, %d protocols", md.ID, md.Session, md.Rebalance, len(md.Protocols))
		}
	}
	return d, nil
}

// Restore returns the group that d describes. Its members' sessions begin anew: the node was away, not they. See Config.RestoreGrace.
func Restore(id string, config Config, now time.Time, d Document) *Machine {
	m := NewMachine(id, config, now)
	m.state, m.since, m.moved = d.State, d.Since, true
	m.generation, m.protocolType, m.protocol, m.leader = d.Generation, d.ProtocolType, d.Protocol, d.Leader
	for _, md := range d.Members {
		m.order++
		mem := &member{
			id: md.ID, instance: md.Instance, client: md.Client, host: md.Host,
			session: md.Session, rebalance: md.Rebalance, assignment: md.Assignment, order: m.order,
		}
		for _, p := range md.Protocols {
			mem.protocols = append(mem.protocols, Protocol(p))
		}
		mem.touch(now)
		if mem.instance == "" {
			mem.expires = earlier(mem.expires, now.Add(config.RestoreGrace))
		}
		m.members[mem.id] = mem
		if mem.instance != "" {
			m.static[mem.instance] = mem.id
		}
	}
	if m.state == PreparingRebalance {
		m.since = now
		m.joinBy = now.Add(m.rebalanceTimeout())
	}
	return m
}
