package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestSimulation lets 120 clients join, work, hang, crash, leave and come back over a lossy network, the node restarting now and then, all on
// virtual time and one seed. After each step nobody holds a partition twice; when the chaos ends everyone is a member soon.
func TestSimulation(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := newSimulation(t, seed, 120)
			for range 2000 {
				s.step(true)
			}
			s.calm()
		})
	}
}

const partitions = 300

type simulation struct {
	t        *testing.T
	random   *rand.Rand
	now      time.Time
	config   Config
	machine  *Machine
	saved    *Document
	clients  []*client
	waiting  map[Token]*client
	token    Token
	next     int // for member ids
	answered map[Token]bool
	stable   int // generations that became stable
}

// client is a consumer as stock clients behave.
type client struct {
	name       string
	instance   string
	alive      bool
	member     string // "" = has to join as a new one
	generation int32  // 0 = in none
	leads      bool
	waits      Token // for an answer
	joins      bool  // waits for the answer to a join
	fellows    []Fellow
	holds      []int
	beat       time.Time // next heartbeat
}

func newSimulation(t *testing.T, seed uint64, n int) *simulation {
	s := &simulation{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), config: Config{}.WithDefaults(),
		waiting: map[Token]*client{}, answered: map[Token]bool{},
	}
	s.machine = NewMachine("g", s.config, s.now)
	for i := range n {
		c := &client{name: fmt.Sprintf("c%d", i)}
		if i%4 == 0 {
			c.instance = "i" + c.name
		}
		s.clients = append(s.clients, c)
	}
	return s
}

func (s *simulation) step(chaos bool) {
	d := time.Duration(s.random.IntN(400)) * time.Millisecond
	for end := s.now.Add(d); ; {
		next := s.machine.Deadline()
		if next.IsZero() || next.After(end) {
			s.now = end
			break
		}
		if next.After(s.now) {
			s.now = next
		}
		s.machine.Tick(s.now)
		s.deliver()
	}
	if chaos {
		s.disturb()
	}
	for _, c := range s.clients {
		s.act(c, chaos)
	}
	s.check()
}

func (s *simulation) disturb() {
	c := s.clients[s.random.IntN(len(s.clients))]
	switch k := s.random.IntN(200); {
	case k == 0:
		s.restart()
	case k < 10 && c.alive: // crashes
		s.hangUp(c)
		*c = client{name: c.name, instance: c.instance}
	case k < 16 && c.alive && c.member != "" && c.instance == "": // leaves
		s.hangUp(c)
		s.machine.Leave(s.now, []Leave{{Member: c.member}})
		s.deliver()
		*c = client{name: c.name}
	case k < 26 && c.waits != 0: // loses its connection and asks again
		s.hangUp(c)
	case !c.alive:
		c.alive = true
	}
}

func (s *simulation) restart() {
	for _, c := range s.clients {
		c.waits = 0
	}
	clear(s.waiting)
	if s.saved == nil {
		s.machine = NewMachine("g", s.config, s.now)
		return
	}
	value, err := s.saved.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	doc, err := DecodeDocument(value)
	if err != nil {
		s.t.Fatal(err)
	}
	s.machine = Restore("g", s.config, s.now, doc)
}

func (s *simulation) hangUp(c *client) {
	if c.waits != 0 {
		delete(s.waiting, c.waits)
		s.machine.Cancel(s.now, c.waits)
		c.waits = 0
		s.deliver()
	}
}

// act does what a client does next.
func (s *simulation) act(c *client, chaos bool) {
	switch {
	case !c.alive || c.waits != 0 || chaos && s.random.IntN(10) == 0:
	case c.generation == 0:
		s.join(c)
	case c.holds == nil:
		s.sync(c)
	case !s.now.Before(c.beat):
		c.beat = s.now.Add(3 * time.Second)
		to := s.ask(c)
		s.machine.Heartbeat(s.now, to, Heartbeat{Member: c.member, Instance: c.instance, Generation: c.generation})
		s.deliver()
	case s.random.IntN(20) == 0:
		err := s.machine.MayCommit(s.now, Commit{Member: c.member, Instance: c.instance, Generation: c.generation}, nil)
		if err == nil && c.generation != s.machine.generation {
			s.t.Fatalf("%s committed in generation %d of %d", c.name, c.generation, s.machine.generation)
		}
		s.deliver()
	}
}

func (s *simulation) ask(c *client) Token {
	s.token++
	c.waits = s.token
	s.waiting[s.token] = c
	return s.token
}

func (s *simulation) join(c *client) {
	s.next++
	to := s.ask(c)
	c.joins = true
	s.machine.Join(s.now, to, Join{
		Member: c.member, Instance: c.instance, Candidate: fmt.Sprintf("%s-%d", c.name, s.next), NeedsID: true, SkipsAssignment: true,
		Client: c.name, Connection: c.name, Session: 10 * time.Second, Rebalance: 20 * time.Second,
		ProtocolType: consumerType, Protocols: []Protocol{{Name: "range", Metadata: subscription("t")}},
	})
	s.deliver()
}

func (s *simulation) sync(c *client) {
	to := s.ask(c)
	in := Sync{Member: c.member, Instance: c.instance, Generation: c.generation}
	if c.leads && len(c.fellows) > 0 {
		in.Assignments = map[string][]byte{}
		for p := range partitions {
			id := c.fellows[p%len(c.fellows)].Member
			in.Assignments[id] = fmt.Appendf(in.Assignments[id], "%d ", p)
		}
	}
	s.machine.Sync(s.now, to, in)
	s.deliver()
}

// deliver keeps and sends what the machine wants, and checks that nobody is answered twice.
func (s *simulation) deliver() {
	out := s.machine.Ready()
	if out.Save != nil {
		s.saved = out.Save
		if out.Save.State == Stable {
			s.stable++
		}
	}
	for _, r := range out.Replies {
		if s.answered[r.To] {
			s.t.Fatalf("token %d was answered twice", r.To)
		}
		s.answered[r.To] = true
		c := s.waiting[r.To]
		if c == nil {
			continue
		}
		delete(s.waiting, r.To)
		c.waits = 0
		s.receive(c, r)
		c.joins = false
	}
}

func (s *simulation) receive(c *client, r Reply) {
	var known *kerr.Error
	switch {
	case errors.Is(r.Err, kerr.MemberIDRequired):
		c.member = r.Join.Member
	case errors.Is(r.Err, kerr.RebalanceInProgress), errors.Is(r.Err, kerr.IllegalGeneration):
		c.generation, c.holds = 0, nil
	case errors.As(r.Err, &known): // also fenced: here every instance is one process, which starts anew
		c.member, c.generation, c.holds = "", 0, nil
	case c.joins:
		c.member, c.generation, c.holds = r.Join.Member, r.Join.Generation, nil
		c.leads = r.Join.Leader == c.member && !r.Join.SkipAssignment
		c.fellows = r.Join.Members
	case r.Sync.Protocol != "":
		c.beat = s.now.Add(3 * time.Second)
		c.holds = []int{}
		for _, f := range strings.Fields(string(r.Sync.Assignment)) {
			var p int
			if _, err := fmt.Sscan(f, &p); err != nil {
				s.t.Fatal(err)
			}
			c.holds = append(c.holds, p)
		}
	}
}

// check finds partitions with two owners within one generation.
func (s *simulation) check() {
	owner := map[int]*client{}
	for _, c := range s.clients {
		if c.generation != s.machine.generation || s.machine.members[c.member] == nil {
			continue
		}
		for _, p := range c.holds {
			if o := owner[p]; o != nil {
				s.t.Fatalf("partition %d has two owners in generation %d: %s and %s", p, c.generation, o.name, c.name)
			}
			owner[p] = c
		}
	}
	if n := len(s.machine.members); n > s.config.MaxMembers {
		s.t.Fatalf("%d members", n)
	}
}

// calm lets everyone live and be heard: within a minute all are members of one stable generation and every partition has its owner.
func (s *simulation) calm() {
	for _, c := range s.clients {
		c.alive = true
	}
	for end := s.now.Add(time.Minute); s.now.Before(end); {
		s.step(false)
	}
	if s.machine.state != Stable || len(s.machine.members) != len(s.clients) {
		s.t.Fatalf("after a minute the group is %s with %d of %d members", s.machine.state, len(s.machine.members), len(s.clients))
	}
	var held []int
	for _, c := range s.clients {
		held = append(held, c.holds...)
	}
	slices.Sort(held)
	if len(slices.Compact(held)) != partitions {
		s.t.Fatalf("%d of %d partitions have an owner", len(held), partitions)
	}
	if s.stable < 5 {
		s.t.Fatalf("only %d stable generations: the chaos was none", s.stable)
	}
}
