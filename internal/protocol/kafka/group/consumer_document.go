package group

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// memberKind is of a consumer group's member's document. Each has its own: a heartbeat that leads one member a step on writes no others.
const memberKind = "kafka-group-member"

// Documents are the documents of a group that have changed whose members have documents of their own.
type Documents struct {
	Group   encoder // nil = as it was
	Kind    string  // of the members' documents
	Members map[string]encoder
	Gone    []string // ids of members whose documents are to be deleted
}

// encoder is a document.
type encoder interface{ Encode() ([]byte, error) }

// ConsumerDocument is what of a consumer group survives a restart, its members apart. Targets are not kept: a group whose members are all where they
// were led to has no other, and one that was on the way is assigned anew.
type ConsumerDocument struct {
	Type        string    `json:"type"` // ConsumerType; classic groups' documents have none
	Since       time.Time `json:"since"`
	Epoch       int32     `json:"epoch"`
	TargetEpoch int32     `json:"targetEpoch"`
	TargetAt    time.Time `json:"targetAt"`
}

// ConsumerMemberDocument is what of a member of a consumer group survives a restart.
type ConsumerMemberDocument struct {
	Group     string               `json:"group"`
	ID        string               `json:"id"`
	Order     uint64               `json:"order"`
	Instance  string               `json:"instance,omitempty"`
	Rack      string               `json:"rack,omitempty"`
	Client    string               `json:"client,omitempty"`
	Host      string               `json:"host,omitempty"`
	Rebalance time.Duration        `json:"rebalanceNanos,omitempty"`
	Assignor  string               `json:"assignor,omitempty"`
	Topics    []string             `json:"topics,omitempty"`
	Pattern   string               `json:"pattern,omitempty"`
	Epoch     int32                `json:"epoch"`
	Previous  int32                `json:"previous"`
	Phase     string               `json:"phase,omitempty"`
	Assigned  []HeldDocument       `json:"assigned,omitempty"`
	Revoking  []HeldDocument       `json:"revoking,omitempty"`
	Classic   *ClassicSelfDocument `json:"classic,omitempty"` // of a member that speaks the classic protocol
}

// HeldDocument is what a member has of a topic, and since which epochs.
type HeldDocument struct {
	Topic      string  `json:"topic"` // id
	Partitions []int32 `json:"partitions"`
	Epochs     []int32 `json:"epochs"`
}

// ClassicSelfDocument is what a member says of itself in the classic protocol only.
type ClassicSelfDocument struct {
	Session   time.Duration      `json:"sessionNanos"`
	Protocols []ProtocolDocument `json:"protocols"`
}

// memberKey returns the key of a member's document. Ids are hashed: together they may be longer than a key.
func memberKey(kind, group, member string) state.Key {
	g, m := sha256.Sum256([]byte(group)), sha256.Sum256([]byte(member))
	return state.Key{Kind: kind, ID: hex.EncodeToString(g[:16]) + "/" + hex.EncodeToString(m[:16])}
}

func (m *ConsumerMachine) document() ConsumerDocument {
	return ConsumerDocument{Type: ConsumerType, Since: m.since, Epoch: m.epoch, TargetEpoch: m.targetEpoch, TargetAt: m.targetAt}
}

func (m *ConsumerMachine) memberDocument(mem *consumer) ConsumerMemberDocument {
	d := ConsumerMemberDocument{
		Group: m.id, ID: mem.id, Order: mem.order, Instance: mem.instance, Rack: mem.rack, Client: mem.client, Host: mem.host,
		Rebalance: mem.rebalance, Assignor: mem.assignor, Topics: mem.sub.names, Pattern: mem.sub.patternText(),
		Epoch: mem.epoch, Previous: mem.previous, Phase: string(mem.phase), Assigned: mem.assigned.document(), Revoking: mem.revoking.document(),
	}
	if mem.classic != nil {
		d.Classic = &ClassicSelfDocument{Session: mem.classic.session}
		for _, p := range mem.classic.protocols {
			d.Classic.Protocols = append(d.Classic.Protocols, ProtocolDocument(p))
		}
	}
	return d
}

func (h holding) document() []HeldDocument {
	var all []HeldDocument
	for topic, list := range h {
		d := HeldDocument{Topic: topic.String()}
		for _, x := range list {
			d.Partitions, d.Epochs = append(d.Partitions, x.partition), append(d.Epochs, x.epoch)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b HeldDocument) int { return cmp.Compare(a.Topic, b.Topic) })
	return all
}

// Encode returns d as JSON.
func (d ConsumerDocument) Encode() ([]byte, error) { return encode(d) }

// Encode returns d as JSON.
func (d ConsumerMemberDocument) Encode() ([]byte, error) { return encode(d) }

func encode(d any) ([]byte, error) {
	value, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode group: %w", err)
	}
	return value, nil
}

// DecodeConsumerDocument reads what Encode wrote; ok is false if it is the document of a classic group.
func DecodeConsumerDocument(value []byte) (d ConsumerDocument, ok bool, err error) {
	if !bytes.Contains(value, []byte(`"type"`)) {
		return d, false, nil
	}
	if err = json.Unmarshal(value, &d); err != nil {
		return d, false, fmt.Errorf("decode group: %w", err)
	}
	if d.Type != ConsumerType {
		return d, false, nil
	}
	if d.Epoch < 0 || d.TargetEpoch < 0 || d.TargetEpoch > d.Epoch {
		return d, true, fmt.Errorf("decode group: epoch %d, that of the target %d", d.Epoch, d.TargetEpoch)
	}
	return d, true, nil
}

// DecodeConsumerMemberDocument reads what Encode wrote, and refuses what no member can be.
func DecodeConsumerMemberDocument(value []byte) (ConsumerMemberDocument, error) {
	var d ConsumerMemberDocument
	if err := json.Unmarshal(value, &d); err != nil {
		return d, fmt.Errorf("decode group member: %w", err)
	}
	switch {
	case d.Epoch < leftForNow || d.Epoch == left:
		return d, fmt.Errorf("decode group member %q: epoch %d", d.ID, d.Epoch)
	case phase(d.Phase) != settled && phase(d.Phase) != revoking && phase(d.Phase) != waiting:
		return d, fmt.Errorf("decode group member %q: phase %q", d.ID, d.Phase)
	case d.Rebalance < 0:
		return d, fmt.Errorf("decode group member %q: rebalance timeout %v", d.ID, d.Rebalance)
	case d.Classic != nil && (d.Classic.Session <= 0 || len(d.Classic.Protocols) == 0):
		return d, fmt.Errorf("decode group member %q: session %v, %d protocols", d.ID, d.Classic.Session, len(d.Classic.Protocols))
	}
	for _, h := range slices.Concat(d.Assigned, d.Revoking) {
		if _, err := h.holding(); err != nil {
			return d, fmt.Errorf("decode group member %q: %w", d.ID, err)
		}
	}
	return d, nil
}

// holding reads what a member has of a topic.
func (d HeldDocument) holding() (holding, error) {
	id, err := stream.ParseID(d.Topic)
	if err != nil {
		return nil, err
	}
	if len(d.Partitions) == 0 || len(d.Partitions) != len(d.Epochs) {
		return nil, fmt.Errorf("topic %s with %d partitions and %d epochs", d.Topic, len(d.Partitions), len(d.Epochs))
	}
	list := make([]held, len(d.Partitions))
	for i, p := range d.Partitions {
		if p < 0 || p > maxPartition || i > 0 && p <= d.Partitions[i-1] {
			return nil, fmt.Errorf("topic %s with partition %d out of order", d.Topic, p)
		}
		list[i] = held{p, d.Epochs[i]}
	}
	return holding{id: list}, nil
}

// maxPartition is above any partition's number: what a document says must not be taken for a size unseen.
const maxPartition = 1 << 20

func holdings(all []HeldDocument) holding {
	h := holding{}
	for _, d := range all {
		if one, err := d.holding(); err == nil { // decoding refused the others
			for topic, list := range one {
				h[topic] = list
			}
		}
	}
	return h
}

// RestoreConsumers returns the group that the documents describe. Its members' sessions begin anew, as those of Restore, and they go on with their
// epochs. Patterns that cannot be compiled any more match nothing.
func RestoreConsumers(id string, config Config, settings Settings, now time.Time, topics *Topics, d ConsumerDocument, members []ConsumerMemberDocument) *ConsumerMachine {
	m := NewConsumerMachine(id, config, now, topics)
	m.settings = settings
	m.since, m.epoch, m.targetEpoch, m.targetAt, m.moved = d.Since, d.Epoch, d.TargetEpoch, d.TargetAt, true
	slices.SortFunc(members, func(a, b ConsumerMemberDocument) int { return cmp.Compare(a.Order, b.Order) })
	steady := true
	for _, md := range members {
		mem := m.restore(now, md)
		steady = steady && (mem.reconciled(m.targetEpoch) || mem.epoch == leftForNow)
		m.epoch = max(m.epoch, mem.epoch)
	}
	clear(m.changed)
	if m.epoch == m.targetEpoch && (!steady || !m.complete()) {
		m.bump("restored on the way to an assignment")
	}
	return m
}

// complete says whether every partition that members read is in a target: topics may have changed just before the end.
func (m *ConsumerMachine) complete() bool {
	want, have := 0, 0
	seen := map[stream.ID]bool{}
	for _, s := range m.interests {
		for _, t := range s.resolved.Topics {
			if !seen[t.ID] {
				seen[t.ID] = true
				want += int(t.Partitions)
			}
		}
	}
	for _, mem := range m.list {
		have += mem.target.Len()
	}
	return want == have
}

func (m *ConsumerMachine) restore(now time.Time, d ConsumerMemberDocument) *consumer {
	mem := &consumer{
		id: d.ID, instance: d.Instance, rack: d.Rack, client: d.Client, host: d.Host, order: d.Order, rebalance: d.Rebalance,
		assignor: d.Assignor, epoch: d.Epoch, previous: d.Previous, phase: phase(d.Phase),
	}
	m.order = max(m.order, d.Order)
	if assignor.ByName(mem.assignor) == nil {
		mem.assignor = ""
	}
	if d.Classic != nil {
		mem.classic = &classicSelf{session: d.Classic.Session}
		for _, p := range d.Classic.Protocols {
			mem.classic.protocols = append(mem.classic.protocols, Protocol(p))
		}
	}
	sub, err := m.interest(d.Topics, d.Pattern)
	if err != nil {
		sub, _ = m.interest(d.Topics, "")
	}
	m.insert(mem)
	m.subscribe(mem, sub)
	m.settle(mem, holdings(d.Assigned), holdings(d.Revoking), phase(d.Phase), d.Epoch)
	mem.target = mem.assigned.assignment()
	m.touch(now, mem)
	if mem.instance == "" {
		mem.expires = earlier(mem.expires, now.Add(m.config.RestoreGrace))
	}
	if mem.phase == revoking && mem.classic == nil {
		mem.revokeBy = now.Add(mem.rebalance)
	}
	return mem
}
