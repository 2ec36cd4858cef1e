package assignor

import (
	"cmp"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/stream"
)

// Range gives each member one run of each topic's partitions, the first ones longer by one where that does not work out evenly, so that
// members with the same topics get the same partition numbers of each: what is to be joined comes together. Static members come first, by
// instance id, the others after them by member id. It does not look at what members had.
func Range(members []Member) []Assignment {
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return compareStaticFirst(&members[a], &members[b]) })

	type run struct {
		subscribers, next, quota, extra int32
	}
	runs := map[stream.ID]*run{}
	for i := range members {
		for _, t := range members[i].Subscription.Topics {
			r := runs[t.ID]
			if r == nil {
				r = &run{}
				runs[t.ID] = r
			}
			r.subscribers++
			r.quota, r.extra = t.Partitions/r.subscribers, t.Partitions%r.subscribers
		}
	}
	all := make([]Assignment, len(members))
	for _, i := range order {
		given := Assignment{}
		for _, t := range members[i].Subscription.Topics {
			r := runs[t.ID]
			n := r.quota
			if r.extra > 0 {
				r.extra--
				n++
			}
			if n > 0 {
				given[t.ID] = sequence(r.next, r.next+n)
				r.next += n
			}
		}
		all[i] = keep(members[i].Before, given)
	}
	return all
}

func compareStaticFirst(a, b *Member) int {
	switch {
	case a.Instance != "" && b.Instance != "":
		return strings.Compare(a.Instance, b.Instance)
	case a.Instance != "":
		return -1
	case b.Instance != "":
		return 1
	}
	return cmp.Compare(a.ID, b.ID)
}

func sequence(from, to int32) []int32 {
	s := make([]int32, 0, to-from)
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}
