// Package tasks decides which member of a streams group (KIP-1071) has which tasks of the application: each one active with one member and, if it has
// state, in standby with others, so that one of these can go on with it at once.
//
// Sticky is a pure function of the members and the tasks. Where it leaves a choice that Apache Kafka's assignor of the same name makes, that one's is not
// sought.
package tasks

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// ID is a task: what a subtopology does with one partition of the topics that it reads.
type ID struct {
	Subtopology string
	Partition   int32
}

// Compare orders tasks by partition and then by subtopology, so that neighbours are of different subtopologies.
func (t ID) Compare(o ID) int {
	return cmp.Or(cmp.Compare(t.Partition, o.Partition), strings.Compare(t.Subtopology, o.Subtopology))
}

// Set is tasks: partitions by subtopology, ascending, no subtopology without any. It is shared and must not be written to.
type Set map[string][]int32

// Has says whether t is one of the tasks.
func (s Set) Has(t ID) bool {
	_, ok := slices.BinarySearch(s[t.Subtopology], t.Partition)
	return ok
}

// All yields the tasks, in no order.
func (s Set) All() iter.Seq[ID] {
	return func(yield func(ID) bool) {
		for sub, partitions := range s {
			for _, p := range partitions {
				if !yield(ID{sub, p}) {
					return
				}
			}
		}
	}
}

// Len returns how many tasks there are.
func (s Set) Len() int {
	n := 0
	for _, partitions := range s {
		n += len(partitions)
	}
	return n
}

// Equal says whether two sets are of the same tasks.
func (s Set) Equal(o Set) bool { return maps.EqualFunc(s, o, slices.Equal[[]int32]) }

// Of returns the set of some tasks.
func Of(all iter.Seq[ID]) Set {
	s := Set{}
	for t := range all {
		s[t.Subtopology] = append(s[t.Subtopology], t.Partition)
	}
	for _, partitions := range s {
		slices.Sort(partitions)
	}
	return s
}

// Assignment is the tasks of a member.
type Assignment struct {
	Active, Standby Set
}

// Equal says whether two assignments are the same.
func (a Assignment) Equal(o Assignment) bool {
	return a.Active.Equal(o.Active) && a.Standby.Equal(o.Standby)
}

// Has says whether the member has t in either way.
func (a Assignment) Has(t ID) bool { return a.Active.Has(t) || a.Standby.Has(t) }

// Member is a member as Sticky sees it: a thread of a process. Members of one process have their state in one place, so that a task can go from one to the
// other at once, and none of them can be in standby for another.
type Member struct {
	Process string
	Before  Assignment // what it was given last
}

// Subtopology is a subtopology with its tasks 0 to Tasks-1.
type Subtopology struct {
	ID       string
	Tasks    int32
	Stateful bool // only such have standby tasks
}
