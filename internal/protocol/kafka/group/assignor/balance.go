package assignor

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"

	"github.com/freshet/freshet/internal/stream"
)

// maxRounds bounds how often a balancer goes over all topics. Where subscriptions overlap each round about halves what is uneven.
const maxRounds = 16

const nobody = -1

// balancer assigns topics to members that do not all read the same ones.
type balancer struct {
	members []Member
	sizes   []int // partitions of each member
	topics  []*spread
}

// spread is a topic with those who may read it.
type spread struct {
	Topic
	subscribers []int   // places in balancer.members, ascending
	owners      []int32 // of each partition, or nobody
}

func newBalancer(members []Member) *balancer {
	b := &balancer{members: members, sizes: make([]int, len(members))}
	byID := map[stream.ID]*spread{}
	known := map[*Subscription]map[stream.ID]*spread{} // most members share theirs with others
	for i := range members {
		mine := known[members[i].Subscription]
		if mine == nil {
			mine = b.spreads(members[i].Subscription, byID)
			known[members[i].Subscription] = mine
		}
		for _, s := range mine {
			s.subscribers = append(s.subscribers, i)
		}
		for at, partitions := range members[i].Before {
			s := mine[at]
			if s == nil {
				continue
			}
			for _, p := range partitions {
				if p < s.Partitions && s.owners[p] == nobody {
					b.give(s, p, i)
				}
			}
		}
	}
	// Topics with many partitions for few readers come first: they leave the least choice, and the others even out what they did.
	slices.SortFunc(b.topics, func(x, y *spread) int {
		return cmp.Or(
			cmp.Compare(y.perSubscriber(), x.perSubscriber()),
			cmp.Compare(len(x.subscribers), len(y.subscribers)),
			bytes.Compare(x.ID[:], y.ID[:]),
		)
	})
	return b
}

// spreads returns the topics of a subscription, which are made where they are not known yet.
func (b *balancer) spreads(of *Subscription, byID map[stream.ID]*spread) map[stream.ID]*spread {
	mine := make(map[stream.ID]*spread, len(of.Topics))
	for _, t := range of.Topics {
		s := byID[t.ID]
		if s == nil {
			s = &spread{Topic: t, owners: slices.Repeat([]int32{nobody}, int(t.Partitions))}
			byID[t.ID] = s
			b.topics = append(b.topics, s)
		}
		mine[t.ID] = s
	}
	return mine
}

func (s *spread) perSubscriber() float64 { return float64(s.Partitions) / float64(len(s.subscribers)) }

// give makes a member the owner of a partition.
func (b *balancer) give(s *spread, partition int32, to int) {
	if from := s.owners[partition]; from != nobody {
		b.sizes[from]--
	}
	s.owners[partition] = int32(to) //nolint:gosec // a place in a slice that is in memory
	b.sizes[to]++
}

// assign hands out what nobody has, then moves partitions from members with many to members with few until no topic can even them out more.
func (b *balancer) assign() []Assignment {
	for _, s := range b.topics {
		b.handOut(s)
	}
	for range maxRounds {
		moved := 0
		for _, s := range b.topics {
			if len(s.subscribers) > 1 {
				moved += b.even(s)
			}
		}
		if moved == 0 {
			break
		}
	}
	all := make([]Assignment, len(b.members))
	for i := range all {
		all[i] = Assignment{}
	}
	for _, s := range b.topics {
		for p, owner := range s.owners {
			all[owner][s.ID] = append(all[owner][s.ID], int32(p)) //nolint:gosec // a partition's number
		}
	}
	for i := range all {
		all[i] = keep(b.members[i].Before, all[i])
	}
	return all
}

// handOut gives each partition without an owner to the subscriber that has the fewest.
func (b *balancer) handOut(s *spread) {
	if !slices.Contains(s.owners, nobody) {
		return
	}
	least := b.queue(s, false)
	for p, owner := range s.owners {
		if owner == nobody {
			b.give(s, int32(p), least.top()) //nolint:gosec // a partition's number
		}
	}
}

// even moves partitions of a topic from the subscribers with the most to those with the fewest, and returns how many.
func (b *balancer) even(s *spread) int {
	fewest, largest := b.sizes[s.subscribers[0]], b.sizes[s.subscribers[0]]
	for _, i := range s.subscribers {
		fewest, largest = min(fewest, b.sizes[i]), max(largest, b.sizes[i])
	}
	if largest-fewest <= 1 {
		return 0
	}
	least, most := b.queue(s, false), b.queue(s, true)
	owned := map[int][]int32{}
	for p, owner := range s.owners {
		owned[int(owner)] = append(owned[int(owner)], int32(p)) //nolint:gosec // a partition's number
	}
	for moved := 0; ; moved++ {
		for most.Len() > 0 && len(owned[most.top()]) == 0 {
			heap.Pop(most) // it has many of other topics: not to be helped here
		}
		if most.Len() == 0 {
			return moved
		}
		from, to := most.top(), least.top()
		if b.sizes[from]-b.sizes[to] <= 1 {
			return moved
		}
		last := len(owned[from]) - 1
		b.give(s, owned[from][last], to)
		owned[from] = owned[from][:last]
	}
}

// loads is a heap of members by how many partitions they have: the fewest first and of those the earliest, or the most and the latest.
type loads struct {
	b       *balancer
	entries []load
	most    bool
}

// load is a member with the number of partitions it had when it was put where it is, and its place at the beginning.
type load struct {
	member, size, rank int
}

func (b *balancer) queue(s *spread, most bool) *loads {
	q := &loads{b: b, most: most, entries: make([]load, 0, len(s.subscribers))}
	for _, member := range s.subscribers {
		q.entries = append(q.entries, load{member: member, size: b.sizes[member]})
	}
	slices.SortStableFunc(q.entries, func(x, y load) int { return cmp.Compare(x.size, y.size) })
	for i := range q.entries {
		q.entries[i].rank = i
	}
	heap.Init(q)
	return q
}

// top returns the first member, by the numbers as they are now.
func (q *loads) top() int {
	for {
		e := &q.entries[0]
		if e.size == q.b.sizes[e.member] {
			return e.member
		}
		e.size = q.b.sizes[e.member]
		heap.Fix(q, 0)
	}
}

// Len implements heap.Interface.
func (q *loads) Len() int { return len(q.entries) }

// Less implements heap.Interface.
func (q *loads) Less(i, j int) bool {
	x, y := q.entries[i], q.entries[j]
	if q.most {
		x, y = y, x
	}
	return cmp.Or(cmp.Compare(x.size, y.size), cmp.Compare(x.rank, y.rank)) < 0
}

// Swap implements heap.Interface.
func (q *loads) Swap(i, j int) { q.entries[i], q.entries[j] = q.entries[j], q.entries[i] }

// Push implements heap.Interface. Nothing is ever added.
func (q *loads) Push(any) { panic("a member was added to a heap of loads") }

// Pop implements heap.Interface.
func (q *loads) Pop() any {
	last := q.entries[len(q.entries)-1]
	q.entries = q.entries[:len(q.entries)-1]
	return last
}
