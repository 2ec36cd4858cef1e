package group

import (
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/stream"
)

// retarget decides who reads what if that is outdated, and not too soon after the last time.
func (m *ConsumerMachine) retarget(now time.Time) {
	if m.targetEpoch >= m.epoch || !m.targetAt.IsZero() && now.Before(m.targetAt.Add(m.settings.AssignEvery)) {
		return
	}
	members := make([]assignor.Member, len(m.list))
	for i, mem := range m.list {
		members[i] = assignor.Member{ID: mem.id, Instance: mem.instance, Subscription: mem.sub.resolved, Before: mem.target}
	}
	for i, target := range assignor.ByName(m.assignor())(members) {
		m.list[i].target = target
	}
	m.targetEpoch, m.targetAt = m.epoch, now
	m.dirty = true
}

// assignor returns the name of the assignor that most members ask for; of several, the one that was asked for first.
func (m *ConsumerMachine) assignor() string {
	votes := map[string]int{}
	for _, mem := range m.list {
		if mem.assignor != "" {
			votes[mem.assignor]++
		}
	}
	best := assignor.Default
	for _, mem := range m.list {
		if votes[mem.assignor] > votes[best] {
			best = mem.assignor
		}
	}
	return best
}

// reconcile leads a member one step nearer to its target. owned is what the member says it has, nil if it says nothing. anew says that it subscribes to
// something else: then it has to give up at once what it does not want any more.
//
//	          has to give something up                 gave it up
//	settled ───────────────────────────▶ revoking ───────────────────▶ settled, or waiting if
//	   ▲                                                               others hold some of its target
//	   └────────── all of the target is free ────────── waiting ◀──────────────┘
func (m *ConsumerMachine) reconcile(now time.Time, mem *consumer, owned []Partitions, anew bool) {
	was := mem.phase
	switch {
	case !anew && mem.reconciled(m.targetEpoch):
		return
	case mem.phase == settled && mem.epoch == m.targetEpoch:
		m.shrink(mem, owned)
	case mem.phase == revoking && owns(owned, mem.revoking):
		if anew {
			m.shrink(mem, owned)
		}
	default:
		m.advance(mem, owned)
	}
	switch {
	case mem.phase != revoking || mem.classic != nil:
		mem.revokeBy = time.Time{}
	case was != revoking || mem.revokeBy.IsZero():
		mem.revokeBy = now.Add(mem.rebalance)
		m.moved = true
	}
}

// owns says whether the member may still read any of what it has to give up.
func owns(owned []Partitions, revoking holding) bool {
	if owned == nil {
		return true
	}
	for _, o := range owned {
		for _, p := range o.Indexes {
			if _, ok := revoking.find(stream.Shard{Stream: o.Topic, Index: p}); ok {
				return true
			}
		}
	}
	return false
}

func (mem *consumer) reads(topic stream.ID) bool {
	_, ok := slices.BinarySearchFunc(mem.sub.resolved.Topics, topic, func(t assignor.Topic, id stream.ID) int { return slices.Compare(t.ID[:], id[:]) })
	return ok
}

// shrink takes from a member what it does not subscribe to any more, without leading it to another epoch.
func (m *ConsumerMachine) shrink(mem *consumer, owned []Partitions) {
	kept, lost := holding{}, maps.Clone(mem.revoking)
	if lost == nil {
		lost = holding{}
	}
	for topic, list := range mem.assigned {
		if mem.reads(topic) {
			kept[topic] = list
			continue
		}
		merged := slices.Concat(lost[topic], list)
		slices.SortFunc(merged, func(a, b held) int { return int(a.partition) - int(b.partition) })
		lost[topic] = merged
	}
	if len(kept) == len(mem.assigned) {
		return
	}
	if len(lost) > 0 && owns(owned, lost) {
		m.settle(mem, kept, lost, revoking, mem.epoch)
		return
	}
	m.settle(mem, kept, mem.revoking, mem.phase, mem.epoch)
}

// advance gives a member all of its target that nobody else has, or asks it first to give up what is not in its target.
func (m *ConsumerMachine) advance(mem *consumer, owned []Partitions) {
	kept, lost, gained := holding{}, holding{}, holding{}
	unreleased := false
	for topic, list := range mem.assigned {
		for _, h := range list {
			if _, ok := slices.BinarySearch(mem.target[topic], h.partition); ok && mem.reads(topic) {
				kept[topic] = append(kept[topic], h)
			} else {
				lost[topic] = append(lost[topic], h)
			}
		}
	}
	for topic, partitions := range mem.target {
		if !mem.reads(topic) {
			continue
		}
		all := make([]held, 0, len(partitions))
		for _, p := range partitions {
			shard := stream.Shard{Stream: topic, Index: p}
			h, has := kept.find(shard)
			if !has && m.owner(shard) != nil && m.owner(shard) != mem {
				unreleased = true
				continue
			}
			if !has {
				h = held{p, m.targetEpoch}
			}
			all = append(all, h)
		}
		if len(all) > 0 {
			gained[topic] = all
		}
	}
	switch {
	case len(lost) > 0 && owns(owned, lost):
		m.settle(mem, kept, lost, revoking, mem.epoch)
	case unreleased:
		m.settle(mem, gained, nil, waiting, m.targetEpoch)
	default:
		m.settle(mem, gained, nil, settled, m.targetEpoch)
	}
}

// settle says what a member has from now on, and is to give up.
func (m *ConsumerMachine) settle(mem *consumer, assigned, lost holding, p phase, epoch int32) {
	if mem.phase == p && mem.epoch == epoch && mem.assigned.equal(assigned) && mem.revoking.equal(lost) {
		return
	}
	m.release(mem)
	if mem.epoch != epoch {
		mem.previous = mem.epoch
	}
	mem.assigned, mem.revoking, mem.phase, mem.epoch = assigned, lost, p, epoch
	for _, h := range []holding{assigned, lost} {
		for topic, list := range h {
			for _, x := range list {
				m.own(mem, stream.Shard{Stream: topic, Index: x.partition})
			}
		}
	}
	m.changed[mem.id] = mem
	m.moved = true
}

// owner returns who has a partition or is still to give it up, nil if nobody.
func (m *ConsumerMachine) owner(shard stream.Shard) *consumer {
	if list := m.owners[shard.Stream]; int(shard.Index) < len(list) {
		return list[shard.Index]
	}
	return nil
}

func (m *ConsumerMachine) own(mem *consumer, shard stream.Shard) {
	list := m.owners[shard.Stream]
	if n := int(shard.Index) + 1; n > len(list) {
		list = append(list, make([]*consumer, n-len(list))...)
		m.owners[shard.Stream] = list
	}
	list[shard.Index] = mem
}

// release makes nobody the owner of what a member had.
func (m *ConsumerMachine) release(mem *consumer) {
	for _, h := range []holding{mem.assigned, mem.revoking} {
		for topic, list := range h {
			for _, x := range list {
				if m.owner(stream.Shard{Stream: topic, Index: x.partition}) == mem {
					m.own(nil, stream.Shard{Stream: topic, Index: x.partition})
				}
			}
			if !slices.ContainsFunc(m.owners[topic], func(o *consumer) bool { return o != nil }) {
				delete(m.owners, topic)
			}
		}
	}
}
