package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problem is why an application cannot run. The values are those of StreamsGroupHeartbeat's statuses.
type Problem int8

// The problems that its topics can be.
const (
	MissingSources         Problem = 1
	IncorrectlyPartitioned Problem = 2
	MissingInternal        Problem = 3
)

// MaxTasks is how many tasks an application may have: what is known of each takes memory, and time whenever members come and go.
const MaxTasks = 50_000

// Configured is a topology among the topics that there are.
type Configured struct {
	Tasks   []Tasks // by subtopology, in order; none if the application cannot run
	Missing []Topic // to be created, with the partitions that they need

	Problem Problem // 0 = none
	Detail  string  // of the problem
}

// Tasks are a subtopology's: 0 to Count-1.
type Tasks struct {
	Subtopology *Subtopology
	Count       int32
	Changelogs  []Topic // with their partitions
	Repartition []Topic
}

// Len returns how many tasks there are.
func (c *Configured) Len() int64 {
	n := int64(0)
	for _, t := range c.Tasks {
		n += int64(t.Count)
	}
	return n
}

// Equal says whether two topologies run, or do not run, in the same way.
func (c *Configured) Equal(o *Configured) bool {
	same := func(a, b Topic) bool { return a.Name == b.Name && a.Partitions == b.Partitions }
	return c.Problem == o.Problem && c.Detail == o.Detail && slices.EqualFunc(c.Missing, o.Missing, same) &&
		slices.EqualFunc(c.Tasks, o.Tasks, func(a, b Tasks) bool { return a.Subtopology.ID == b.Subtopology.ID && a.Count == b.Count })
}

// configuring is the partitions that topics have, or are to have.
type configuring struct {
	topology *Topology
	existing func(topic string) (partitions int32, ok bool)
	counts   map[string]int32 // of sources, and of repartition topics once it is known
}

// Configure looks at the topology among the topics that there are. STREAMS_INVALID_TOPOLOGY if no topics could make it run, or it
// has too many tasks.
func Configure(t *Topology, existing func(topic string) (partitions int32, ok bool)) (*Configured, error) {
	c := &configuring{t, existing, map[string]int32{}}
	if missing := c.sources(); len(missing) > 0 {
		return &Configured{Problem: MissingSources, Detail: "Source topics " + strings.Join(missing, ", ") + " are missing."}, nil
	}
	if err := c.repartition(); err != nil {
		return nil, err
	}
	if wrong := c.copartition(); wrong != "" {
		return &Configured{Problem: IncorrectlyPartitioned, Detail: wrong}, nil
	}
	done := c.tasks()
	if n := done.Len(); n > MaxTasks {
		return nil, invalid("The application has %d tasks, of which %d are allowed.", n, MaxTasks)
	}
	return done, nil
}

// sources learns of the topics that others write, and returns those that are missing.
func (c *configuring) sources() []string {
	own := map[string]bool{}
	for i := range c.topology.Subtopologies {
		for _, r := range c.topology.Subtopologies[i].RepartitionSources {
			own[r.Name] = true
		}
	}
	missing := map[string]bool{}
	for i := range c.topology.Subtopologies {
		for _, name := range c.topology.Subtopologies[i].Sources {
			if own[name] {
				continue
			}
			n, ok := c.existing(name)
			if !ok {
				missing[name] = true
				continue
			}
			c.counts[name] = n
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// repartition finds how many partitions repartition topics have that do not say: as many as the widest topic that those read who write them.
func (c *configuring) repartition() error {
	sinks := map[string]bool{}
	for i := range c.topology.Subtopologies {
		s := &c.topology.Subtopologies[i]
		for _, name := range s.Sinks {
			sinks[name] = true
		}
		for _, r := range s.RepartitionSources {
			if r.Partitions > 0 {
				c.counts[r.Name] = r.Partitions
			}
		}
	}
	for {
		open, found := 0, false
		for i := range c.topology.Subtopologies {
			for _, r := range c.topology.Subtopologies[i].RepartitionSources {
				if c.counts[r.Name] > 0 {
					continue
				}
				if !sinks[r.Name] {
					return invalid("Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic.")
				}
				if n := c.written(r.Name); n > 0 {
					c.counts[r.Name], found = n, true
					continue
				}
				open++
			}
		}
		switch {
		case open == 0:
			return nil
		case !found:
			return invalid("Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved.")
		}
	}
}

// written returns the partitions of a topic by who writes it, 0 if they are not known yet.
func (c *configuring) written(topic string) int32 {
	var most int32
	for i := range c.topology.Subtopologies {
		s := &c.topology.Subtopologies[i]
		if !slices.Contains(s.Sinks, topic) {
			continue
		}
		n := c.widest(s)
		if n == 0 {
			return 0
		}
		most = max(most, n)
	}
	return most
}

// widest returns the most partitions of a topic that s reads, 0 while one of them is not known.
func (c *configuring) widest(s *Subtopology) int32 {
	var most int32
	for _, name := range s.Reads() {
		n := c.counts[name]
		if n == 0 {
			return 0
		}
		most = max(most, n)
	}
	return most
}

// Reads returns the topics that the subtopology reads.
func (s *Subtopology) Reads() []string {
	all := slices.Clone(s.Sources)
	for _, r := range s.RepartitionSources {
		all = append(all, r.Name)
	}
	return all
}

// copartition gives topics of one group as many partitions as each other, where the application may say how many, and returns what is wrong with the others.
func (c *configuring) copartition() string {
	for i := range c.topology.Subtopologies {
		s := &c.topology.Subtopologies[i]
		for _, names := range s.Copartitioned {
			fixed, free := map[string]int32{}, []string{}
			var most int32
			for _, name := range names {
				most = max(most, c.counts[name])
				if c.free(name) {
					free = append(free, name)
				} else {
					fixed[name] = c.counts[name]
				}
			}
			want := most
			for _, n := range fixed {
				want = n
			}
			for _, n := range fixed {
				if n != want {
					return "Following topics do not have the same number of partitions: [" + listed(fixed) + "]"
				}
			}
			for _, name := range free {
				c.counts[name] = want
			}
		}
	}
	return ""
}

// free says whether a topic is a repartition topic whose partitions the application leaves open.
func (c *configuring) free(topic string) bool {
	for i := range c.topology.Subtopologies {
		for _, r := range c.topology.Subtopologies[i].RepartitionSources {
			if r.Name == topic {
				return r.Partitions == 0
			}
		}
	}
	return false
}

func listed(counts map[string]int32) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s=%d", name, counts[name]))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// tasks counts the tasks, and compares the application's own topics with those that there are.
func (c *configuring) tasks() *Configured {
	done := &Configured{}
	missing := map[string]Topic{}
	for i := range c.topology.Subtopologies {
		s := &c.topology.Subtopologies[i]
		t := Tasks{Subtopology: s, Count: c.widest(s)}
		for _, topic := range s.RepartitionSources {
			topic.Partitions = c.counts[topic.Name]
			t.Repartition = append(t.Repartition, topic)
		}
		for _, topic := range s.Changelogs {
			if !slices.Contains(s.Sources, topic.Name) { // a source that is its own changelog has the partitions that it has
				topic.Partitions = t.Count
			}
			t.Changelogs = append(t.Changelogs, topic)
		}
		for _, topic := range slices.Concat(t.Repartition, t.Changelogs) {
			n, ok := c.existing(topic.Name)
			switch {
			case !ok:
				missing[topic.Name] = topic
			case topic.Partitions > 0 && n != topic.Partitions:
				return &Configured{
					Problem: IncorrectlyPartitioned,
					Detail:  fmt.Sprintf("Existing topic %s has different number of partitions: expected %d, found %d", topic.Name, topic.Partitions, n),
				}
			}
		}
		done.Tasks = append(done.Tasks, t)
	}
	if names := slices.Sorted(maps.Keys(missing)); len(names) > 0 {
		done.Tasks = nil
		for _, name := range names {
			done.Missing = append(done.Missing, missing[name])
		}
		done.Problem, done.Detail = MissingInternal, "Internal topics are missing: "+strings.Join(names, ", ")
	}
	return done
}
