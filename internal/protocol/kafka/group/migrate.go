package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/protocol/kafka/refusal"
)

// Migration says which way a group with members may change its protocol. Kafka: group.consumer.migration.policy.
type Migration string

// The policies.
const (
	MigrationBidirectional Migration = "bidirectional"
	MigrationUpgrade       Migration = "upgrade"   // only from classic to consumer
	MigrationDowngrade     Migration = "downgrade" // only from consumer to classic
	MigrationDisabled      Migration = "disabled"
)

func (p Migration) upgrades() bool   { return p == MigrationBidirectional || p == MigrationUpgrade }
func (p Migration) downgrades() bool { return p == MigrationBidirectional || p == MigrationDowngrade }

// upgraded returns the consumer group that m is to become because a member of KIP-848 joins. m stays as it is. GROUP_ID_NOT_FOUND, as Kafka
// answers, if it cannot: its members do not speak the embedded consumer protocol, or have assignments that only their own assignor understands.
func (m *Machine) upgraded(now time.Time, topics *Topics) (*ConsumerMachine, error) {
	c := NewConsumerMachine(m.id, m.config, now, topics)
	switch {
	case m.state == Dead:
		return nil, kerr.CoordinatorNotAvailable
	case len(m.members) == 0:
		return c, nil
	case !m.config.Migration.upgrades():
		return nil, refusal.New(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because online upgrade is disabled.", m.id)
	case m.protocolType != consumerType:
		return nil, refusal.New(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because the group does not use the consumer embedded protocol.", m.id)
	}
	c.epoch, c.targetEpoch, c.dirty = m.generation, m.generation, true
	protocol := m.protocol
	if protocol == "" {
		protocol = m.choose()
	}
	for _, old := range m.ordered() {
		if old.nameless {
			continue // it could not learn its id, and asks anew
		}
		if err := c.takeOver(now, old, protocol); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// takeOver makes a member of a classic group one of c, with the assignment that it has.
func (c *ConsumerMachine) takeOver(now time.Time, old *member, protocol string) error {
	meta, ok := decodeEmbedded(old.metadata(protocol))
	given, custom, readable := decodeGiven(old.assignment)
	if !ok || !readable {
		return refusal.New(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because the embedded consumer protocol is malformed.", c.id)
	}
	if custom {
		return refusal.New(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because an unsupported custom assignor is in use. "+
			"Please refer to the documentation or switch to a default assignor before re-attempting the upgrade.", c.id)
	}
	sub, err := c.interest(meta.topics, "")
	if err != nil {
		return err
	}
	mem := c.add(old.id, old.instance)
	mem.client, mem.host, mem.rack, mem.rebalance = old.client, old.host, meta.rack, old.rebalance
	mem.classic = &classicSelf{session: old.session, protocols: preferred(old.protocols, protocol)}
	c.subscribe(mem, sub)
	mem.epoch, mem.previous = c.epoch, c.epoch
	c.settle(mem, c.unowned(c.topics.identified(given)), nil, settled, c.epoch)
	mem.target = mem.assigned.assignment()
	c.touch(now, mem)
	return nil
}

// preferred returns protocols with the one named first.
func preferred(protocols []Protocol, name string) []Protocol {
	list := slices.Clone(protocols)
	slices.SortStableFunc(list, func(a, b Protocol) int {
		switch {
		case a.Name == name && b.Name != name:
			return -1
		case b.Name == name && a.Name != name:
			return 1
		}
		return 0
	})
	return list
}

// unowned returns as held what of all nobody else has: two members of a classic group may have been given the same by mistake.
func (c *ConsumerMachine) unowned(all []Partitions) holding {
	h := holding{}
	for _, p := range all {
		owners := c.owners[p.Topic]
		for _, i := range p.Indexes {
			if int(i) >= len(owners) || owners[i] == nil {
				h[p.Topic] = append(h[p.Topic], held{i, c.epoch})
			}
		}
	}
	return h
}

// abandon answers everybody who waits: what the group becomes goes on without waiting.
func (m *Machine) abandon() {
	for _, mem := range m.ordered() {
		m.reply(Reply{To: mem.join, Err: kerr.RebalanceInProgress, Join: Joined{Member: mem.id, Generation: -1}})
		m.reply(Reply{To: mem.sync, Err: kerr.RebalanceInProgress})
		mem.join, mem.sync = 0, 0
	}
	m.dirty = false
}

func (m *ConsumerMachine) allClassic() bool {
	return len(m.list) > 0 && !slices.ContainsFunc(m.list, func(mem *consumer) bool { return mem.classic == nil })
}

// becomeClassic turns the group into a classic one, whose members have what they were to be led to.
func (m *ConsumerMachine) becomeClassic(now time.Time, rebalance bool, reason string) {
	c := NewMachine(m.id, m.config, now)
	c.room, c.generation, c.protocolType = m.room, m.epoch, consumerType
	for _, mem := range m.list {
		c.order++
		old := &member{
			id: mem.id, instance: mem.instance, client: mem.client, host: mem.host, order: c.order,
			session: mem.classic.session, rebalance: mem.rebalance, protocols: mem.classic.protocols,
		}
		meta, _ := mem.classic.metadata()
		old.assignment = appendGiven(meta.version, m.topics.named(hold(mem.target, 0)))
		old.touch(now)
		c.members[old.id] = old
		if old.instance != "" {
			c.static[old.instance] = old.id
		}
		m.gone[old.id] = true
	}
	clear(m.changed)
	m.dirty = false
	c.protocol, c.leader = c.choose(), m.list[0].id
	c.enter(Stable, now)
	c.dirty = true
	c.event("becomes classic", "", reason)
	if rebalance {
		c.rebalance(now, reason)
	}
	m.next = c
}
