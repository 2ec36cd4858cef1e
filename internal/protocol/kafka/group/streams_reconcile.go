package group

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
)

// retarget decides who has which tasks if that is outdated, and neither too soon after the last time nor while a first member waits for others.
func (m *StreamsMachine) retarget(now time.Time) {
	if !m.delayedUntil.IsZero() && !now.Before(m.delayedUntil) {
		m.delayedUntil = time.Time{}
	}
	tooSoon := !m.targetAt.IsZero() && now.Before(m.targetAt.Add(m.settings.AssignEvery))
	if m.targetEpoch >= m.epoch || tooSoon || !m.delayedUntil.IsZero() {
		return
	}
	members := make([]tasks.Member, len(m.list))
	for i, mem := range m.list {
		members[i] = tasks.Member{Process: mem.process, Before: mem.target}
	}
	subtopologies := make([]tasks.Subtopology, 0, len(m.configured.Tasks))
	for _, t := range m.configured.Tasks { // none if the application cannot run
		subtopologies = append(subtopologies, tasks.Subtopology{ID: t.Subtopology.ID, Tasks: t.Count, Stateful: t.Subtopology.Stateful()})
	}
	for i, target := range tasks.Sticky(members, subtopologies, m.settings.Standbys) {
		m.list[i].target = target
	}
	m.targetEpoch, m.targetAt = m.epoch, now
	m.dirty = true
}

// reconcile leads a member one step nearer to its target, as ConsumerMachine.reconcile does. owned is what the member says it has, nil if it says nothing.
func (m *StreamsMachine) reconcile(now time.Time, mem *streamer, owned *tasks.Assignment) {
	was := mem.phase
	switch {
	case mem.reconciled(m.targetEpoch):
		return
	case mem.phase == revoking && stillHas(owned, mem.revoking):
	default:
		m.advance(mem, owned)
	}
	switch {
	case mem.phase != revoking:
		mem.revokeBy = time.Time{}
	case was != revoking || mem.revokeBy.IsZero():
		mem.revokeBy = now.Add(mem.rebalance)
		m.moved = true
	}
}

// stillHas says whether the member may still have any of the tasks that it has to give up.
func stillHas(owned *tasks.Assignment, revoking tasks.Assignment) bool {
	if owned == nil {
		return true
	}
	for _, set := range []tasks.Set{revoking.Active, revoking.Standby} {
		for t := range set.All() {
			if owned.Has(t) {
				return true
			}
		}
	}
	return false
}

// advance gives a member all of its target that nobody is in the way of, or asks it first to give up what is not in its target.
func (m *StreamsMachine) advance(mem *streamer, owned *tasks.Assignment) {
	kept := tasks.Assignment{Active: both(mem.assigned.Active, mem.target.Active), Standby: both(mem.assigned.Standby, mem.target.Standby)}
	lost := tasks.Assignment{Active: without(mem.assigned.Active, mem.target.Active), Standby: without(mem.assigned.Standby, mem.target.Standby)}
	if (len(lost.Active) > 0 || len(lost.Standby) > 0) && stillHas(owned, lost) {
		m.settle(mem, kept, lost, revoking, mem.epoch)
		return
	}
	others := m.others(mem)
	gained := tasks.Assignment{
		Active: pick(mem.target.Active, func(t tasks.ID) bool { return kept.Active.Has(t) || !others.active[t] && !others.near[t] }),
		// A process has one directory for a task: nothing of it may be in use there.
		Standby: pick(mem.target.Standby, func(t tasks.ID) bool { return kept.Standby.Has(t) || !others.near[t] }),
	}
	next := settled
	if !gained.Equal(mem.target) {
		next = waiting
	}
	m.settle(mem, gained, tasks.Assignment{}, next, m.targetEpoch)
}

// occupied is what others than a member have: as active ones anywhere, and in its own process.
type occupied struct {
	active, near map[tasks.ID]bool
}

func (m *StreamsMachine) others(mem *streamer) occupied {
	o := occupied{map[tasks.ID]bool{}, map[tasks.ID]bool{}}
	for _, other := range m.list {
		if other == mem {
			continue
		}
		for _, a := range []tasks.Assignment{other.assigned, other.revoking} {
			for t := range a.Active.All() {
				o.active[t] = true
				o.near[t] = o.near[t] || other.process == mem.process
			}
			for t := range a.Standby.All() {
				o.near[t] = o.near[t] || other.process == mem.process
			}
		}
	}
	return o
}

func pick(s tasks.Set, want func(tasks.ID) bool) tasks.Set {
	return tasks.Of(func(yield func(tasks.ID) bool) {
		for t := range s.All() {
			if want(t) && !yield(t) {
				return
			}
		}
	})
}

func both(a, b tasks.Set) tasks.Set    { return pick(a, b.Has) }
func without(a, b tasks.Set) tasks.Set { return pick(a, func(t tasks.ID) bool { return !b.Has(t) }) }

// settle says what a member has from now on, and is to give up.
func (m *StreamsMachine) settle(mem *streamer, assigned, lost tasks.Assignment, p phase, epoch int32) {
	if mem.phase == p && mem.epoch == epoch && mem.assigned.Equal(assigned) && mem.revoking.Equal(lost) {
		return
	}
	if mem.epoch != epoch {
		mem.previous = mem.epoch
	}
	if mem.endpoint != nil && !mem.assigned.Equal(assigned) {
		m.endpoints++
	}
	started := make(map[tasks.ID]int32, len(mem.started))
	for _, set := range []tasks.Set{assigned.Active, lost.Active} {
		for t := range set.All() {
			since, had := mem.started[t]
			if !had {
				since = epoch
			}
			started[t] = since
		}
	}
	mem.assigned, mem.revoking, mem.started, mem.phase, mem.epoch = assigned, lost, started, p, epoch
	m.changed[mem.id] = mem
	m.moved = true
}

// EndpointTasks is which partitions of the application's topics the tasks behind an endpoint read.
type EndpointTasks struct {
	Endpoint        Endpoint
	Active, Standby []TopicPartitions // by topic
}

// TopicPartitions are some of a topic, ascending.
type TopicPartitions struct {
	Topic      string
	Partitions []int32
}

// endpointTasks returns what is behind each endpoint, in order.
func (m *StreamsMachine) endpointTasks() []EndpointTasks {
	type reads map[string]map[int32]bool
	active, standby := map[Endpoint]reads{}, map[Endpoint]reads{}
	for _, mem := range m.list {
		if mem.endpoint == nil {
			continue
		}
		for _, role := range []struct {
			into map[Endpoint]reads
			set  tasks.Set
		}{{active, mem.assigned.Active}, {standby, mem.assigned.Standby}} {
			if role.into[*mem.endpoint] == nil {
				role.into[*mem.endpoint] = reads{}
			}
			for t := range role.set.All() {
				for _, topic := range m.topicsOf(t) {
					if role.into[*mem.endpoint][topic] == nil {
						role.into[*mem.endpoint][topic] = map[int32]bool{}
					}
					role.into[*mem.endpoint][topic][t.Partition] = true
				}
			}
		}
	}
	list := func(r reads) []TopicPartitions {
		var all []TopicPartitions
		for _, topic := range slices.Sorted(maps.Keys(r)) {
			all = append(all, TopicPartitions{topic, slices.Sorted(maps.Keys(r[topic]))})
		}
		return all
	}
	var all []EndpointTasks
	for e := range active {
		all = append(all, EndpointTasks{e, list(active[e]), list(standby[e])})
	}
	slices.SortFunc(all, func(a, b EndpointTasks) int {
		return cmp.Or(strings.Compare(a.Endpoint.Host, b.Endpoint.Host), cmp.Compare(a.Endpoint.Port, b.Endpoint.Port))
	})
	return all
}

// topicsOf returns the topics that a task reads: those that have its partition.
func (m *StreamsMachine) topicsOf(t tasks.ID) []string {
	var topics []string
	for i := range m.topology.Subtopologies {
		s := &m.topology.Subtopologies[i]
		if s.ID != t.Subtopology {
			continue
		}
		for _, name := range s.Reads() {
			if n, ok := m.partitions(name); ok && t.Partition < n {
				topics = append(topics, name)
			}
		}
	}
	return topics
}
