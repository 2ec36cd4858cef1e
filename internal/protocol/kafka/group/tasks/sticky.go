package tasks

import "slices"

// Sticky returns what each member is given, in the order of members: all of them as many active tasks as each other, or one more, and of what they had as
// much as that allows. A task that its member loses goes to another of the same process, or else to one that was in standby for it, where they have room.
// standbys is how many standby tasks each task with state has, each in another process.
func Sticky(members []Member, subtopologies []Subtopology, standbys int) []Assignment {
	if len(members) == 0 {
		return nil
	}
	a := newAssigning(members, subtopologies)
	a.keep()
	a.inherit()
	a.spread()
	a.keepStandbys(standbys)
	a.spreadStandbys(standbys)
	return a.result()
}

// assigning is an assignment that is being made. Members are named by their place.
type assigning struct {
	members   []Member
	everybody []int
	processes map[string][]int
	tasks     []ID // in the order in which they are given out
	stateful  map[string]bool

	active   map[ID]int // who has each task
	standbys map[ID][]int
	load     []int // tasks of each member
	least    int   // active tasks that each has
	more     int   // how many may have one more
}

func newAssigning(members []Member, subtopologies []Subtopology) *assigning {
	a := &assigning{
		members: members, processes: map[string][]int{}, stateful: map[string]bool{},
		active: map[ID]int{}, standbys: map[ID][]int{}, load: make([]int, len(members)),
	}
	for i := range members {
		a.everybody = append(a.everybody, i)
		a.processes[members[i].Process] = append(a.processes[members[i].Process], i)
	}
	for _, s := range subtopologies {
		a.stateful[s.ID] = s.Stateful
		for p := range s.Tasks {
			a.tasks = append(a.tasks, ID{s.ID, p})
		}
	}
	slices.SortFunc(a.tasks, ID.Compare)
	a.least, a.more = len(a.tasks)/len(members), len(a.tasks)%len(members)
	return a
}

// room says whether a member may have one more active task.
func (a *assigning) room(i int) bool {
	return a.load[i] < a.least || a.load[i] == a.least && a.more > 0
}

func (a *assigning) give(t ID, i int) {
	if a.load[i] == a.least {
		a.more--
	}
	a.active[t] = i
	a.load[i]++
}

// keep leaves members what they had. Those who had more than all have keep one more of it only once everybody has kept that.
func (a *assigning) keep() {
	exists := make(map[ID]bool, len(a.tasks))
	for _, t := range a.tasks {
		exists[t] = true
	}
	left := make([][]ID, len(a.members))
	for i := range a.members {
		for _, t := range slices.SortedFunc(a.members[i].Before.Active.All(), ID.Compare) {
			if _, taken := a.active[t]; taken || !exists[t] {
				continue
			}
			if a.load[i] < a.least {
				a.give(t, i)
			} else {
				left[i] = append(left[i], t)
			}
		}
	}
	for i, tasks := range left {
		if len(tasks) > 0 && a.room(i) {
			a.give(tasks[0], i)
		}
	}
}

// inherit gives tasks to those whose processes have their state.
func (a *assigning) inherit() {
	for _, before := range []func(Assignment) Set{func(b Assignment) Set { return b.Active }, func(b Assignment) Set { return b.Standby }} {
		processes := map[ID][]string{}
		for i := range a.members {
			for t := range before(a.members[i].Before).All() {
				processes[t] = append(processes[t], a.members[i].Process)
			}
		}
		for _, t := range a.tasks {
			if _, taken := a.active[t]; taken {
				continue
			}
			for _, p := range processes[t] {
				if i := a.lightest(a.processes[p], a.room); i >= 0 {
					a.give(t, i)
					break
				}
			}
		}
	}
}

// spread gives the tasks that are left to those who have least.
func (a *assigning) spread() {
	for _, t := range a.tasks {
		if _, taken := a.active[t]; !taken {
			a.give(t, a.lightest(a.everybody, a.room))
		}
	}
}

// lightest returns which of some members that may has fewest tasks, the first of several, or -1.
func (a *assigning) lightest(of []int, may func(int) bool) int {
	best := -1
	for _, i := range of {
		if may(i) && (best < 0 || a.load[i] < a.load[best]) {
			best = i
		}
	}
	return best
}

// apart says whether a member's process has nothing of a task.
func (a *assigning) apart(t ID, i int) bool {
	has := func(other int) bool { return a.members[other].Process == a.members[i].Process }
	return !has(a.active[t]) && !slices.ContainsFunc(a.standbys[t], has)
}

func (a *assigning) stand(t ID, i int) {
	a.standbys[t] = append(a.standbys[t], i)
	a.load[i]++
}

// keepStandbys leaves members the standby tasks that they had, up to an equal share.
func (a *assigning) keepStandbys(each int) {
	n := 0
	for _, t := range a.tasks {
		if a.stateful[t.Subtopology] {
			n += min(each, len(a.processes)-1)
		}
	}
	share := (n + len(a.members) - 1) / len(a.members)
	for i := range a.members {
		kept := 0
		for _, t := range slices.SortedFunc(a.members[i].Before.Standby.All(), ID.Compare) {
			if _, exists := a.active[t]; exists && a.stateful[t.Subtopology] && kept < share && len(a.standbys[t]) < each && a.apart(t, i) {
				a.stand(t, i)
				kept++
			}
		}
	}
}

// spreadStandbys gives the standby tasks that are left to those who have least.
func (a *assigning) spreadStandbys(each int) {
	for _, t := range a.tasks {
		if !a.stateful[t.Subtopology] {
			continue
		}
		for len(a.standbys[t]) < each {
			i := a.lightest(a.everybody, func(i int) bool { return a.apart(t, i) })
			if i < 0 {
				break // there are no more processes
			}
			a.stand(t, i)
		}
	}
}

func (a *assigning) result() []Assignment {
	done := make([]Assignment, len(a.members))
	for i := range done {
		done[i] = Assignment{Active: Set{}, Standby: Set{}}
	}
	for _, t := range a.tasks { // the partitions of each subtopology come in order
		active := done[a.active[t]].Active
		active[t.Subtopology] = append(active[t.Subtopology], t.Partition)
		for _, i := range a.standbys[t] {
			standby := done[i].Standby
			standby[t.Subtopology] = append(standby[t.Subtopology], t.Partition)
		}
	}
	for i := range done {
		if before := a.members[i].Before; before.Active != nil && before.Equal(done[i]) {
			done[i] = before
		}
	}
	return done
}
