// Package assignor decides which member of a consumer group of KIP-848 reads which partitions: Uniform and Range, by the rules of Apache
// Kafka's server-side assignors of the same names.
//
// Both are pure functions of the members, in the order given, and give each partition of each subscribed topic to exactly one subscriber.
// Kafka 4 assigns without regard to racks, and so do these.
package assignor

import (
	"maps"
	"slices"

	"github.com/freshet/freshet/internal/stream"
)

// Default is the assignor of groups whose members ask for none.
const Default = "uniform"

// Topic is a topic with its partitions 0 to Partitions-1.
type Topic struct {
	ID         stream.ID
	Partitions int32
}

// Subscription is what members read: topics that exist, ordered by id, none twice. Members may share one.
type Subscription struct {
	Topics []Topic
}

// Member is a member as an assignor sees it.
type Member struct {
	ID           string
	Instance     string // group.instance.id, or ""
	Subscription *Subscription
	Before       Assignment // what it was given last
}

// Assignment is the partitions of topics, ascending; no topic without any. It is shared and must not be written to.
type Assignment map[stream.ID][]int32

// Len returns how many partitions there are.
func (a Assignment) Len() int {
	n := 0
	for _, partitions := range a {
		n += len(partitions)
	}
	return n
}

// Equal says whether two assignments are of the same partitions.
func (a Assignment) Equal(b Assignment) bool {
	return maps.EqualFunc(a, b, slices.Equal[[]int32])
}

// Assignor returns what each member is given, in the order of members. A member whose partitions stay the same gets its Before itself.
type Assignor func(members []Member) []Assignment

// named are the assignors by name.
var named = map[string]Assignor{"uniform": Uniform, "range": Range}

// ByName returns an assignor, nil if there is none of that name.
func ByName(name string) Assignor { return named[name] }

// Names lists the assignors.
func Names() []string { return []string{"uniform", "range"} }

// keep returns before if it is the same as now.
func keep(before, now Assignment) Assignment {
	if before != nil && before.Equal(now) {
		return before
	}
	return now
}
