package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// checked assigns, and fails the test where something is given twice or not at all, unevenly, or to two members of a process.
func checked(t *testing.T, members []Member, subtopologies []Subtopology, standbys int) []Assignment {
	t.Helper()
	given := Sticky(members, subtopologies, standbys)
	if len(given) != len(members) {
		t.Fatalf("%d members, %d assignments", len(members), len(given))
	}
	active, replicas, processes := map[ID]int{}, map[ID]int{}, map[string]bool{}
	held := map[string]map[ID]bool{}
	least, most := 1<<30, 0
	for i, a := range given {
		p := members[i].Process
		processes[p] = true
		if held[p] == nil {
			held[p] = map[ID]bool{}
		}
		for _, set := range []Set{a.Active, a.Standby} {
			for task := range set.All() {
				if held[p][task] {
					t.Errorf("process %s has %v twice", p, task)
				}
				held[p][task] = true
			}
			for sub, partitions := range set {
				if len(partitions) == 0 || !slices.IsSorted(partitions) {
					t.Errorf("partitions %v of %s", partitions, sub)
				}
			}
		}
		for task := range a.Active.All() {
			active[task]++
		}
		for task := range a.Standby.All() {
			replicas[task]++
		}
		least, most = min(least, a.Active.Len()), max(most, a.Active.Len())
	}
	if len(members) > 0 && most-least > 1 {
		t.Errorf("from %d to %d active tasks", least, most)
	}
	n := 0
	for _, s := range subtopologies {
		for p := range s.Tasks {
			n++
			task := ID{s.ID, p}
			want := 0
			if s.Stateful {
				want = min(standbys, len(processes)-1)
			}
			if active[task] != 1 || replicas[task] != want {
				t.Errorf("%v is active %d times, in standby %d times of %d", task, active[task], replicas[task], want)
			}
		}
	}
	if len(active) != n {
		t.Errorf("%d tasks are active, %d there are", len(active), n)
	}
	return given
}

// then makes members of those who were given something.
func then(members []Member, given []Assignment) []Member {
	next := slices.Clone(members)
	for i := range next {
		next[i].Before = given[i]
	}
	return next
}

func TestStickyMovesWhatItMust(t *testing.T) {
	subs := []Subtopology{{"0", 4, true}, {"1", 4, false}}
	one := []Member{{Process: "a"}}
	given := checked(t, one, subs, 1)
	two := append(then(one, given), Member{Process: "b"})
	second := checked(t, two, subs, 1)
	for task := range second[0].Active.All() {
		if !given[0].Active.Has(task) {
			t.Errorf("%v came to who had enough", task)
		}
	}
	if second[0].Standby.Len() != 2 || second[1].Standby.Len() != 2 {
		t.Errorf("standby tasks: %v", second)
	}
	// Who was in standby goes on with the tasks of one that is gone.
	third := checked(t, then(two, second)[1:], subs, 1)
	if third[0].Active.Len() != 8 || third[0].Standby.Len() != 0 {
		t.Errorf("one is left with %v", third[0])
	}
	if again := checked(t, then(two, second), subs, 1); !again[0].Equal(second[0]) || !again[1].Equal(second[1]) {
		t.Errorf("nothing changed, but %v became %v", second, again)
	}
}

func TestStickyGivesTasksToStandbys(t *testing.T) {
	subs := []Subtopology{{"0", 6, true}}
	three := []Member{{Process: "a"}, {Process: "b"}, {Process: "c"}}
	given := checked(t, three, subs, 1)
	lost := given[2].Active
	left := checked(t, then(three, given)[:2], subs, 1)
	for i := range left {
		for task := range left[i].Active.All() {
			if lost.Has(task) && !given[i].Standby.Has(task) {
				t.Errorf("%v went to who was not in standby: %v, then %v", task, given, left)
			}
		}
	}
}

func TestStickyWithoutMembersOrTasks(t *testing.T) {
	if given := Sticky(nil, []Subtopology{{"0", 3, true}}, 1); given != nil {
		t.Errorf("nobody was given %v", given)
	}
	checked(t, []Member{{Process: "a"}, {Process: "b"}}, nil, 2)
	checked(t, []Member{{Process: "a"}, {Process: "b"}, {Process: "c"}}, []Subtopology{{"0", 1, true}}, 2)
}

// TestStickyThroughChanges has members, topologies and standbys change at random. What nobody had to give up stays.
func TestStickyThroughChanges(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var members []Member
			var subs []Subtopology
			for step := range 20 {
				switch random.IntN(6) {
				case 0, 1:
					members = append(members, Member{Process: fmt.Sprint("p", random.IntN(4))})
				case 2:
					if len(members) > 0 {
						members = slices.Delete(members, 0, 1)
					}
				case 3:
					subs = append(subs, Subtopology{fmt.Sprint(step), random.Int32N(7), random.IntN(2) == 0})
				case 4:
					if len(subs) > 0 {
						subs[random.IntN(len(subs))].Tasks = random.Int32N(9)
					}
				}
				if len(members) == 0 {
					continue
				}
				members = then(members, checked(t, members, subs, random.IntN(3)))
				same := checked(t, members, subs, 0)
				for i := range same {
					if !same[i].Active.Equal(members[i].Before.Active) {
						t.Fatalf("nothing changed, but %v became %v", members[i].Before.Active, same[i].Active)
					}
				}
			}
		})
	}
}
