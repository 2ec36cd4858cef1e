package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/protocol/kafka/group/tasks"
	"github.com/freshet/freshet/internal/protocol/kafka/group/topology"
	"github.com/freshet/freshet/internal/stream"
)

// streamsWorld is a streams group with its threads under chaos: answers get lost, threads die, come back and take their time, topics come and go, and the
// node restarts.
type streamsWorld struct {
	t        *testing.T
	r        *rand.Rand
	now      time.Time
	config   Config
	settings Settings
	m        *StreamsMachine
	group    StreamsDocument
	kept     map[string]StreamerDocument
	topics   map[string]*stream.Stream
	threads  []*thread
	seen     map[string]int // events by what they are
}

// thread is a member of an application.
type thread struct {
	process, member string
	incarnation     int
	alive           bool
	epoch           int32
	has             tasks.Assignment // what it works on
	told            tasks.Assignment // what it is to work on
	busy            time.Time        // until when it takes to give tasks up
	next            time.Time        // when it sends a heartbeat
}

func newStreamsWorld(t *testing.T, seed uint64) *streamsWorld {
	w := &streamsWorld{
		t: t, r: rand.New(rand.NewPCG(seed, 1071)), now: time.Unix(1_000_000, 0), config: Config{}.WithDefaults(),
		kept: map[string]StreamerDocument{}, topics: map[string]*stream.Stream{}, seen: map[string]int{},
	}
	w.settings = w.config.StreamsSettings()
	w.settings.Standbys = w.r.IntN(3)
	w.create("in", 1+w.r.Int32N(6))
	w.create("rep", w.topics["in"].Shards)
	w.create("log", w.topics["in"].Shards)
	w.m = NewStreamsMachine("g", w.config, w.now, w.known())
	w.m.SetSettings(w.settings)
	for i := range 2 + w.r.IntN(5) {
		w.threads = append(w.threads, &thread{process: fmt.Sprint("p", i/2)})
	}
	return w
}

func (w *streamsWorld) create(name string, shards int32) {
	id, err := stream.NewID(byteReader{w.r})
	if err != nil {
		w.t.Fatal(err)
	}
	w.topics[name] = &stream.Stream{ID: id, Name: stream.Name(name), Shards: shards}
}

func (w *streamsWorld) known() *Topics { return NewTopics(slices.Collect(maps.Values(w.topics))) }

// application reads in, regroups it, and keeps a state of that.
func application() *topology.Topology {
	return &topology.Topology{Subtopologies: []topology.Subtopology{
		{ID: "0", Sources: []string{"in"}, Sinks: []string{"rep"}},
		{ID: "1", RepartitionSources: []topology.Topic{{Name: "rep"}}, Changelogs: []topology.Topic{{Name: "log"}}},
	}}
}

// beat has a thread send a heartbeat. lost says that the answer does not come.
func (w *streamsWorld) beat(c *thread, lost bool) {
	b := StreamsBeat{Member: c.member, Epoch: c.epoch, Owned: &c.has, Process: &c.process}
	if c.epoch == joining {
		b.Topology, b.Rebalance, b.Owned = application(), 20*time.Second, nil
		b.Endpoint = &Endpoint{Host: c.process, Port: 1}
	}
	w.m.Beat(w.now, 1, b)
	reply := w.settle()
	c.next = w.now.Add(time.Second)
	switch {
	case lost:
		return
	case reply.Err != nil: // fenced, or unknown: it abandons all and joins again
		c.incarnation++
		c.member = fmt.Sprintf("%s-%p-%d", c.process, c, c.incarnation)
		c.epoch, c.has, c.told = joining, tasks.Assignment{}, tasks.Assignment{}
		return
	}
	c.epoch = reply.Streams.Epoch
	if reply.Streams.Assigned {
		c.told = reply.Streams.Assignment
		c.busy = w.now.Add(time.Duration(w.r.IntN(4)) * time.Second)
		// What is new begins at once: whoever had it has said that it has not.
		c.has = tasks.Assignment{Active: union(c.has.Active, c.told.Active), Standby: union(c.has.Standby, c.told.Standby)}
	}
}

func union(a, b tasks.Set) tasks.Set {
	return tasks.Of(func(yield func(tasks.ID) bool) {
		for t := range a.All() {
			if !yield(t) {
				return
			}
		}
		for t := range without(b, a).All() {
			if !yield(t) {
				return
			}
		}
	})
}

// settle keeps what the group wants kept, and returns the answer.
func (w *streamsWorld) settle() Reply {
	out := w.m.Ready()
	for _, e := range out.Events {
		w.seen[e.What]++
	}
	if d := out.Documents; d != nil {
		if d.Group != nil {
			w.group = reread(w.t, d.Group, func(b []byte) (StreamsDocument, error) { d, _, err := DecodeStreamsDocument(b); return d, err })
		}
		for id, m := range d.Members {
			w.kept[id] = reread(w.t, m, DecodeStreamerDocument)
		}
		for _, id := range d.Gone {
			delete(w.kept, id)
		}
	}
	if len(out.Replies) == 0 {
		return Reply{}
	}
	return out.Replies[0]
}

// reread is a document as it comes back from the disk.
func reread[D any](t *testing.T, doc encoder, decode func([]byte) (D, error)) D {
	value, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	d, err := decode(value)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// step lets a while pass. calm: nothing goes wrong, and nobody dies.
func (w *streamsWorld) step(calm bool) {
	w.now = w.now.Add(time.Duration(100+w.r.IntN(900)) * time.Millisecond)
	if d := w.m.Deadline(); !d.IsZero() && !d.After(w.now) {
		w.m.Tick(w.now)
		w.settle()
	}
	if !calm {
		w.chaos()
	}
	for _, c := range w.threads {
		if !c.alive {
			continue
		}
		if w.m.members[c.member] == nil && c.epoch != joining {
			c.has = tasks.Assignment{} // by its own clock it knows that it is out
		}
		if !w.now.Before(c.busy) {
			c.has = tasks.Assignment{Active: both(c.has.Active, c.told.Active), Standby: both(c.has.Standby, c.told.Standby)}
		}
		if !w.now.Before(c.next) {
			w.beat(c, !calm && w.r.IntN(10) == 0)
		}
	}
	w.check()
}

func (w *streamsWorld) chaos() {
	c := w.threads[w.r.IntN(len(w.threads))]
	switch w.r.IntN(40) {
	case 0: // killed
		c.alive, c.has, c.told = false, tasks.Assignment{}, tasks.Assignment{}
	case 1: // leaves
		if c.alive && c.epoch != joining {
			w.m.Beat(w.now, 1, StreamsBeat{Member: c.member, Epoch: left})
			w.settle()
			c.alive, c.has, c.told = false, tasks.Assignment{}, tasks.Assignment{}
		}
	case 2, 3, 4:
		if !c.alive {
			c.incarnation++
			c.alive, c.epoch, c.member = true, joining, fmt.Sprintf("%s-%p-%d", c.process, c, c.incarnation)
		}
	case 5: // a pause
		c.next = w.now.Add(time.Duration(w.r.IntN(60)) * time.Second)
	case 6:
		delete(w.topics, []string{"in", "log", "rep"}[w.r.IntN(3)])
		w.m.SetTopics(w.known())
	case 7, 8:
		w.restore()
	case 9: // the node restarts
		w.m = RestoreStreams("g", w.config, w.settings, w.now, w.known(), w.group, slices.Collect(maps.Values(w.kept)))
		w.settle()
		w.seen["restart"]++
	case 10:
		w.settings.Standbys = w.r.IntN(3)
		w.m.SetSettings(w.settings)
	}
}

// restore makes the topics that are missing.
func (w *streamsWorld) restore() {
	for _, name := range []string{"in", "log", "rep"} {
		if w.topics[name] == nil {
			w.create(name, 1+w.r.Int32N(6))
		}
	}
	for _, name := range []string{"log", "rep"} {
		if w.topics[name].Shards != w.topics["in"].Shards {
			w.create(name, w.topics["in"].Shards)
		}
	}
	w.m.SetTopics(w.known())
}

// check fails the test if two threads work on one task, or two of a process on anything of it.
func (w *streamsWorld) check() {
	w.t.Helper()
	active, near := map[tasks.ID]string{}, map[string]string{}
	for _, c := range w.threads {
		if !c.alive || w.m.members[c.member] == nil {
			continue // fenced: its session is over, and nothing that it does counts
		}
		for t := range c.has.Active.All() {
			if other := active[t]; other != "" {
				w.t.Fatalf("%v is worked on by %s and %s", t, other, c.member)
			}
			active[t] = c.member
		}
		for _, set := range []tasks.Set{c.has.Active, c.has.Standby} {
			for t := range set.All() {
				key := c.process + "/" + t.Subtopology + "/" + fmt.Sprint(t.Partition)
				if other := near[key]; other != "" && other != c.member {
					w.t.Fatalf("%v is in the hands of %s and %s of one process", t, other, c.member)
				}
				near[key] = c.member
			}
		}
	}
}

// TestStreamsGroupsUnderChaos: nothing is done twice meanwhile, and once it is calm all is done.
func TestStreamsGroupsUnderChaos(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(150) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newStreamsWorld(t, seed)
			for range 400 {
				w.step(false)
			}
			w.restore()
			w.threads[0].alive = true
			if w.threads[0].epoch == joining {
				w.threads[0].member = "last"
			}
			for range 300 {
				w.step(true)
			}
			w.judge()
			for what, n := range w.seen {
				seen[what] += n
			}
		})
	}
	for _, what := range []string{"member joins", "member removed", "assignment outdated", "becomes empty", "restart"} {
		if seen[what] == 0 {
			t.Errorf("%q never happened", what)
		}
	}
}

func (w *streamsWorld) judge() {
	w.t.Helper()
	if w.m.State() != Stable {
		w.t.Fatalf("%s after all: epoch %d, target %d, %+v", w.m.State(), w.m.epoch, w.m.targetEpoch, w.m.configured)
	}
	active, standby, processes := 0, 0, map[string]bool{}
	for _, c := range w.threads {
		if mem := w.m.members[c.member]; c.alive && (mem == nil || !c.has.Equal(mem.target)) {
			w.t.Errorf("%s has %v", c.member, c.has)
		}
		if c.alive {
			active, standby = active+c.has.Active.Len(), standby+c.has.Standby.Len()
			processes[c.process] = true
		}
	}
	n := int(w.topics["in"].Shards)
	if want := n * min(w.settings.Standbys, len(processes)-1); active != 2*n || standby != want {
		w.t.Errorf("%d of %d tasks are worked on, %d of %d in standby", active, 2*n, standby, want)
	}
}
