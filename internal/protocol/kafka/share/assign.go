package share

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/stream"
)

// Topic is a stream that members may subscribe to.
type Topic struct {
	ID     stream.ID
	Shards int32
}

// subscriber is a member to whom shards are assigned.
type subscriber struct {
	id     string
	topics []string // sorted
	shards map[stream.Shard]bool
}

// assign distributes the shards of topics over subscribers, whose shards it changes: each shard has at least one, each subscriber of something at
// least one shard, and loads are even among those who subscribe to the same. A shard has several where there are more subscribers than
// shards. What a subscriber has stays with it where that fits (KIP-932's simple assignor has the same ends).
func assign(subscribers []*subscriber, topics map[string]Topic) {
	slices.SortFunc(subscribers, func(a, b *subscriber) int { return strings.Compare(a.id, b.id) })
	a := assigning{topics: topics, holders: map[stream.Shard]int{}}
	a.classify(subscribers)
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		a.topic(name)
	}
	a.keep(subscribers)
	for i := range a.shards {
		for s := &a.shards[i]; a.holders[s.Shard] < s.share && a.give(s); {
		}
	}
	for _, m := range subscribers {
		a.feed(m)
	}
}

type assigning struct {
	topics  map[string]Topic
	classes []*class
	shards  []sharedShard
	holders map[stream.Shard]int
}

// class is the subscribers to the same topics.
type class struct {
	topics  []string
	members load // the least loaded is on top
	quota   int  // shards that each may keep
	extra   int  // how many of them may keep one more
}

type sharedShard struct {
	stream.Shard
	topic   string
	classes []*class // whose members may have it
	share   int      // how many members are to have it
}

// topic adds the shards of a topic, and finds out who may have them.
func (a *assigning) topic(name string) {
	var who []*class
	members, mostShards := 0, 1
	for _, c := range a.classes {
		if _, ok := slices.BinarySearch(c.topics, name); ok {
			who = append(who, c)
			members += len(c.members)
			mostShards = max(mostShards, a.shardsOf(c))
		}
	}
	if members == 0 {
		return
	}
	t := a.topics[name]
	for i := range t.Shards {
		a.shards = append(a.shards, sharedShard{stream.Shard{Stream: t.ID, Index: i}, name, who, ceil(members, mostShards)})
	}
}

func (a *assigning) classify(subscribers []*subscriber) {
	byTopics := map[string]*class{}
	for _, m := range subscribers {
		var there []string
		for _, name := range m.topics {
			if _, ok := a.topics[name]; ok {
				there = append(there, name)
			}
		}
		key := strings.Join(there, ",")
		c := byTopics[key]
		if c == nil {
			c = &class{topics: there}
			byTopics[key] = c
			a.classes = append(a.classes, c)
		}
		c.members = append(c.members, m)
	}
	for _, c := range a.classes {
		n := a.shardsOf(c)
		all := n * ceil(len(c.members), max(n, 1))
		c.quota, c.extra = all/len(c.members), all%len(c.members)
	}
}

// shardsOf returns how many shards the members of c subscribe to.
func (a *assigning) shardsOf(c *class) int {
	n := 0
	for _, name := range c.topics {
		n += int(a.topics[name].Shards)
	}
	return n
}

func ceil(n, by int) int { return (n + by - 1) / by }

// keep lets members have what they had, as far as they may and others are not left without.
func (a *assigning) keep(subscribers []*subscriber) {
	had := make(map[*subscriber]map[stream.Shard]bool, len(subscribers))
	for _, m := range subscribers {
		had[m] = m.shards
		m.shards = make(map[stream.Shard]bool, len(m.shards))
	}
	for i := range a.shards {
		s := &a.shards[i]
		for _, c := range s.classes {
			for _, m := range c.members {
				if had[m][s.Shard] && a.holders[s.Shard] < s.share && c.mayKeep(len(m.shards)) {
					m.shards[s.Shard] = true
					a.holders[s.Shard]++
				}
			}
		}
	}
	for _, c := range a.classes {
		heap.Init(&c.members)
	}
}

// mayKeep says whether one that keeps n shards may keep another.
func (c *class) mayKeep(n int) bool {
	if n == c.quota && c.extra > 0 {
		c.extra--
		return true
	}
	return n < c.quota
}

// give finds one more member for s: the least loaded that has it not yet. It returns false if there is none.
func (a *assigning) give(s *sharedShard) bool {
	var best *class
	at := 0
	for _, c := range s.classes {
		i := c.members.least(s.Shard)
		if i >= 0 && (best == nil || len(c.members[i].shards) < len(best.members[at].shards)) {
			best, at = c, i
		}
	}
	if best == nil {
		return false
	}
	best.members[at].shards[s.Shard] = true
	a.holders[s.Shard]++
	heap.Fix(&best.members, at)
	return true
}

// feed gives a member without shards one that few have.
func (a *assigning) feed(m *subscriber) {
	if len(m.shards) > 0 {
		return
	}
	var few *sharedShard
	for i := range a.shards {
		s := &a.shards[i]
		if _, ok := slices.BinarySearch(m.topics, s.topic); ok && (few == nil || a.holders[s.Shard] < a.holders[few.Shard]) {
			few = s
		}
	}
	if few != nil {
		m.shards[few.Shard] = true
		a.holders[few.Shard]++
	}
}

// load is a heap of subscribers.
type load []*subscriber

// least returns the place of the least loaded member that has not s, or -1. The top of the heap nearly always is.
func (l load) least(s stream.Shard) int {
	if len(l) > 0 && !l[0].shards[s] {
		return 0
	}
	best := -1
	for i, m := range l {
		if !m.shards[s] && (best < 0 || l.Less(i, best)) {
			best = i
		}
	}
	return best
}

// Len implements heap.Interface.
func (l load) Len() int { return len(l) }

// Less implements heap.Interface: fewer shards first, then by id.
func (l load) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(len(l[i].shards), len(l[j].shards)), strings.Compare(l[i].id, l[j].id)) < 0
}

// Swap implements heap.Interface.
func (l load) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

// Push implements heap.Interface; nobody is added once the heap is made.
func (l *load) Push(x any) { *l = append(*l, x.(*subscriber)) }

// Pop implements heap.Interface.
func (l *load) Pop() any {
	old := *l
	m := old[len(old)-1]
	*l = old[:len(old)-1]
	return m
}
