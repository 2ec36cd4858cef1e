package assignor

import (
	"slices"

	"github.com/freshet/freshet/internal/stream"
)

// Uniform gives all members the same number of partitions, or one more, as far as their subscriptions allow, and leaves them as much of
// what they had as that permits.
func Uniform(members []Member) []Assignment {
	if len(members) == 0 {
		return nil
	}
	first := members[0].Subscription
	for i := range members {
		if s := members[i].Subscription; s != first && !slices.Equal(s.Topics, first.Topics) {
			return newBalancer(members).assign()
		}
	}
	return uniformSame(members, first.Topics)
}

// place is a partition by the place of its topic in a list.
type place struct {
	topic     int
	partition int32
}

// uniformSame serves members that all read the same topics, in time proportional to members and partitions.
func uniformSame(members []Member, topics []Topic) []Assignment {
	index := make(map[stream.ID]int, len(topics))
	taken := make([][]bool, len(topics))
	total := 0
	for i, t := range topics {
		index[t.ID] = i
		taken[i] = make([]bool, t.Partitions)
		total += int(t.Partitions)
	}
	quotas := quotas(members, index, total)
	all := make([]Assignment, len(members))
	room := make([]int, len(members))
	for i := range members {
		all[i], room[i] = retain(members[i].Before, topics, index, taken, quotas[i])
	}
	free := func(yield func(place) bool) {
		for i := range taken {
			for p, is := range taken[i] {
				if !is && !yield(place{i, int32(p)}) { //nolint:gosec // a partition's number
					return
				}
			}
		}
	}
	i, gained := 0, Assignment(nil)
	for at := range free {
		for room[i] == 0 {
			i, gained = i+1, nil
		}
		if gained == nil {
			gained = make(Assignment, len(all[i])+1)
			for id, partitions := range all[i] {
				gained[id] = slices.Clone(partitions)
			}
			all[i] = gained
		}
		id := topics[at.topic].ID
		gained[id] = append(gained[id], at.partition)
		room[i]--
	}
	for i := range all {
		for _, partitions := range all[i] {
			if !slices.IsSorted(partitions) {
				slices.Sort(partitions)
			}
		}
	}
	return all
}

// quotas returns how many partitions each member is to have. Those that cannot be divided evenly stay, one each, with members that have more than
// the others already; what is left of them goes to the first members.
func quotas(members []Member, index map[stream.ID]int, total int) []int {
	least, extra := total/len(members), total%len(members)
	quotas := make([]int, len(members))
	for i := range members {
		quotas[i] = least
		have := 0
		for id, partitions := range members[i].Before {
			if _, ok := index[id]; ok {
				have += len(partitions)
			}
		}
		if have > least && extra > 0 {
			quotas[i]++
			extra--
		}
	}
	for i := range quotas {
		if extra > 0 && quotas[i] == least {
			quotas[i]++
			extra--
		}
	}
	return quotas
}

// retain returns what a member keeps of before within its quota, and how many more it is to get. It marks in taken what is kept.
func retain(before Assignment, topics []Topic, index map[stream.ID]int, taken [][]bool, quota int) (Assignment, int) {
	if before != nil && fits(before, topics, index, taken, quota) {
		for id, partitions := range before {
			for _, p := range partitions {
				taken[index[id]][p] = true
			}
			quota -= len(partitions)
		}
		return before, quota
	}
	kept := Assignment{}
	for i, t := range topics { // in their order, so that what is lost does not depend on chance
		var partitions []int32
		for _, p := range before[t.ID] {
			if quota > 0 && p < t.Partitions && !taken[i][p] {
				taken[i][p] = true
				quota--
				partitions = append(partitions, p)
			}
		}
		if len(partitions) > 0 {
			kept[t.ID] = partitions
		}
	}
	return kept, quota
}

// fits says whether a member can keep all it had.
func fits(before Assignment, topics []Topic, index map[stream.ID]int, taken [][]bool, quota int) bool {
	for id, partitions := range before {
		i, ok := index[id]
		if !ok {
			return false
		}
		quota -= len(partitions)
		for _, p := range partitions {
			if p >= topics[i].Partitions || taken[i][p] {
				return false
			}
		}
	}
	return quota >= 0
}
