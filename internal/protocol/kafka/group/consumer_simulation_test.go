package group

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/deadline"
	"github.com/freshet/freshet/internal/protocol/kafka/group/assignor"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// world is a group with its clients under chaos: requests and answers get lost, clients die, come back, change what they read and pause, topics come and
// go, and the node restarts. Clients of both protocols take part if classic is set, so that the group changes its kind again and again.
type world struct {
	t       *testing.T
	r       *rand.Rand
	now     time.Time
	classic bool

	c       *Coordinator
	e       *entry
	kept    map[state.Key][]byte
	topics  map[string]*stream.Stream
	known   *Topics
	clients []*reader
	token   Token
	replies map[Token]Reply
	seen    map[string]int // events by what they are
}

// reader is a consumer process.
type reader struct {
	name, instance string
	classic, eager bool
	alive          bool
	member         string
	epoch          int32
	beat           time.Time
	topics         []string
	pattern        string
	told           bool // the group knows what it subscribes to

	owns   assignor.Assignment // what it reads
	target assignor.Assignment // what it was told to read, nil if nothing since it last had that
	stuck  time.Time           // until when it takes to give partitions up

	join, sync Token // of a classic reader that waits
	fellows    []Fellow
	leads      bool
}

func newWorld(t *testing.T, seed uint64, classic bool) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 848)), now: time.Unix(1_000_000, 0), classic: classic,
		kept: map[state.Key][]byte{}, topics: map[string]*stream.Stream{}, replies: map[Token]Reply{}, seen: map[string]int{},
	}
	w.c = &Coordinator{config: Config{InitialDelay: -1}.WithDefaults(), groups: map[string]*entry{}, due: deadline.NewQueue[*entry]()}
	w.c.Logger = slog.New(slog.DiscardHandler)
	w.e = w.c.insertLocked("g", NewMachine("g", w.c.config, w.now))
	for _, name := range []string{"a1", "a2", "b"} {
		w.create(name)
	}
	for i := range 5 + w.r.IntN(4) {
		c := &reader{name: fmt.Sprint("c", i)}
		if w.r.IntN(4) == 0 {
			c.instance = fmt.Sprint("i", i)
		}
		c.classic = classic && w.r.IntN(2) == 0
		c.eager = w.r.IntN(2) == 0
		w.interest(c)
		w.clients = append(w.clients, c)
	}
	return w
}

func (w *world) create(name string) {
	id, err := stream.NewID(byteReader{w.r})
	if err != nil {
		w.t.Fatal(err)
	}
	w.topics[name] = &stream.Stream{ID: id, Name: stream.Name(name), Shards: 1 + w.r.Int32N(6)}
	w.renew()
}

type byteReader struct{ r *rand.Rand }

// Read implements io.Reader.
func (b byteReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b.r.Uint32())
	}
	return len(p), nil
}

func (w *world) renew() { w.known = NewTopics(slices.Collect(maps.Values(w.topics))) }

// interest lets a client want to read something else.
func (w *world) interest(c *reader) {
	c.told, c.pattern = false, ""
	c.topics = []string{}
	if !c.classic && w.r.IntN(3) == 0 {
		c.pattern = []string{"a.*", "b|c.*", ".*"}[w.r.IntN(3)]
		return
	}
	for _, name := range []string{"a1", "a2", "b", "c9"} {
		if w.r.IntN(3) > 0 {
			c.topics = append(c.topics, name)
		}
	}
}

// TestConsumerSimulation: however requests are lost and clients fail, no partition is ever read by two members; and when all is calm again every
// partition that somebody wants has one reader.
func TestConsumerSimulation(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 6
	}
	for _, classic := range []bool{false, true} {
		seen := map[string]int{}
		for seed := range seeds {
			t.Run(fmt.Sprintf("seed %d, classic %v", seed, classic), func(t *testing.T) {
				w := newWorld(t, seed, classic)
				for range 3 {
					for range 400 {
						w.step(true)
					}
					w.calm()
				}
				for what, n := range w.seen {
					seen[what] += n
				}
			})
		}
		for _, what := range []string{"restart", "fenced", "revoked", "waited", "member removed", "static member replaced"} {
			if seen[what] < 10 {
				t.Errorf("classic %v: %q happened %d times: the chaos was none", classic, what, seen[what])
			}
		}
		if classic && seen["upgrade"] < 10 || classic && seen["becomes classic"] < 10 {
			t.Errorf("the group changed its kind too seldom: %v", seen)
		}
	}
}

func (w *world) step(chaos bool) {
	w.now = w.now.Add(time.Duration(100+w.r.IntN(900)) * time.Millisecond)
	w.tick()
	for _, c := range w.clients {
		if chaos {
			w.fate(c)
		}
		if c.alive {
			w.act(c, chaos)
		}
		w.check()
	}
	if chaos {
		w.shake()
	}
}

func (w *world) tick() {
	for {
		next := w.e.machine.Deadline()
		if next.IsZero() || next.After(w.now) {
			return
		}
		w.c.prepareLocked(w.e, nil)
		w.e.machine.Tick(w.now)
		w.settle()
	}
}

// fate lets a client die, come back, or change its mind.
func (w *world) fate(c *reader) {
	switch n := w.r.IntN(400); {
	case n < 6 && c.alive: // it dies, and says so or not
		if w.r.IntN(2) == 0 && c.member != "" {
			w.leave(c)
		}
		c.alive, c.owns, c.target, c.join, c.sync = false, nil, nil, 0, 0
	case n < 40 && !c.alive:
		c.alive, c.member, c.epoch, c.told = true, "", 0, false
		if w.classic && w.r.IntN(3) == 0 {
			c.classic = !c.classic
			c.pattern = ""
		}
	case n < 44 && c.alive && !c.classic:
		w.interest(c)
	case n < 46:
		c.stuck = w.now.Add(time.Duration(w.r.IntN(90)) * time.Second)
	case n < 48:
		c.beat = w.now.Add(time.Duration(w.r.IntN(80)) * time.Second) // a pause
	}
}

// shake changes topics, or restarts the node.
func (w *world) shake() {
	switch w.r.IntN(150) {
	case 0:
		w.create([]string{"a3", "b", "c1", "c9"}[w.r.IntN(4)])
	case 1:
		w.grow()
	case 2:
		delete(w.topics, []string{"a3", "b", "c1", "c9"}[w.r.IntN(4)])
		w.renew()
	case 3:
		w.restart()
	}
}

func (w *world) grow() {
	names := slices.Sorted(maps.Keys(w.topics))
	grown := *w.topics[names[w.r.IntN(len(names))]]
	grown.Shards += 1 + w.r.Int32N(3)
	w.topics[string(grown.Name)] = &grown
	w.renew()
}

func (w *world) restart() {
	w.seen["restart"]++
	w.c.groups, w.c.due, w.c.bytes = map[string]*entry{}, deadline.NewQueue[*entry](), 0
	w.replies = map[Token]Reply{}
	for _, c := range w.clients {
		c.join, c.sync = 0, 0
	}
	value, ok := w.kept[groupKey("g")]
	if !ok {
		w.e = w.c.insertLocked("g", NewMachine("g", w.c.config, w.now))
		return
	}
	doc, consumers, err := DecodeConsumerDocument(value)
	if err != nil {
		w.t.Fatal(err)
	}
	if !consumers {
		classic, err := DecodeDocument(value)
		if err != nil {
			w.t.Fatal(err)
		}
		w.e = w.c.insertLocked("g", Restore("g", w.c.config, w.now, classic))
		w.settle()
		return
	}
	var members []ConsumerMemberDocument
	for key, value := range w.kept {
		if key.Kind != memberKind {
			continue
		}
		m, err := DecodeConsumerMemberDocument(value)
		if err != nil {
			w.t.Fatal(err)
		}
		members = append(members, m)
	}
	w.e = w.c.insertLocked("g", RestoreConsumers("g", w.c.config, w.c.settings("g"), w.now, w.known, doc, members))
	w.settle()
}

// settle keeps and sends what the machine wants.
func (w *world) settle() {
	before := w.e.machine
	w.c.settleLocked(w.e)
	if before != w.e.machine {
		w.seen["becomes classic"]++
	}
	for _, o := range w.e.out {
		for key, doc := range (keeping{}).with("g", o) {
			if doc == nil {
				delete(w.kept, key)
				continue
			}
			value, err := doc.Encode()
			if err != nil {
				w.t.Fatal(err)
			}
			w.kept[key] = value
		}
		for _, ev := range o.Events {
			w.seen[ev.What]++
		}
		for _, r := range o.Replies {
			w.replies[r.To] = r
		}
	}
	w.e.out, w.e.flushing = nil, false
	w.c.groups["g"] = w.e
}

// ask puts a request to the group. lost: nobody gets it.
func (w *world) ask(f func(to Token)) Token {
	w.token++
	w.c.prepareLocked(w.e, w.known)
	f(w.token)
	w.settle()
	return w.token
}

func (w *world) leave(c *reader) {
	if c.classic {
		w.ask(func(Token) { w.e.machine.Leave(w.now, []Leave{{Member: c.member}}) })
		return
	}
	b := ConsumerBeat{Member: c.member, Instance: c.instance, Epoch: left}
	if c.instance != "" && w.r.IntN(2) == 0 {
		b.Epoch = leftForNow
	}
	w.ask(func(to Token) { w.c.beatLocked(w.e, w.now, to, w.known, b) })
}

func (w *world) act(c *reader, chaos bool) {
	if c.classic {
		w.actClassic(c, chaos)
		return
	}
	acknowledge := w.converge(c)
	if !acknowledge && w.now.Before(c.beat) {
		return
	}
	if c.member == "" {
		c.member = fmt.Sprintf("%s-%d", c.name, w.r.Uint32())
	}
	b := ConsumerBeat{Member: c.member, Instance: c.instance, Epoch: c.epoch, Client: c.name, Host: "/h"}
	if c.epoch == joining {
		c.owns, c.target, c.told = nil, nil, false
	}
	if c.epoch == joining || !c.told || w.r.IntN(10) == 0 {
		b.Rebalance, b.Topics, b.Pattern = 60*time.Second, slices.Clone(c.topics), &c.pattern
		c.told = true
	}
	b.Owned = owned(c.owns)
	lost := 0
	if chaos {
		lost = w.r.IntN(20)
	}
	if lost == 1 {
		c.beat = w.now.Add(time.Second)
		c.told = false
		return
	}
	token := w.ask(func(to Token) {
		was, _ := w.e.machine.(*Machine)
		w.c.beatLocked(w.e, w.now, to, w.known, b)
		if now, ok := w.e.machine.(*ConsumerMachine); ok && was != nil && len(now.members) > 1 {
			w.seen["upgrade"]++
		}
	})
	r := w.replies[token]
	delete(w.replies, token)
	c.beat = w.now.Add(time.Second)
	if lost == 2 {
		c.told = false
		return
	}
	w.receive(c, r)
}

// receive takes the answer to a heartbeat.
func (w *world) receive(c *reader, r Reply) {
	switch {
	case errors.Is(r.Err, kerr.FencedMemberEpoch), errors.Is(r.Err, kerr.UnknownMemberID):
		w.seen["fenced"]++
		c.epoch, c.owns, c.target = joining, nil, nil
	case errors.Is(r.Err, kerr.UnreleasedInstanceID), errors.Is(r.Err, kerr.FencedInstanceID), errors.Is(r.Err, kerr.GroupIDNotFound):
		c.epoch, c.owns, c.target, c.member = joining, nil, nil, ""
		c.beat = w.now.Add(5 * time.Second)
	case r.Err != nil:
		w.t.Fatalf("%s: %v", c.name, r.Err)
	default:
		c.epoch = r.Beat.Epoch
		c.beat = w.now.Add(r.Beat.Interval)
		if m, ok := w.e.machine.(*ConsumerMachine); ok && m.members[c.member] != nil && m.members[c.member].phase == waiting {
			w.seen["waited"]++
		}
		if r.Beat.Assigned {
			c.target = r.Beat.Assignment
		}
	}
}

func owned(a assignor.Assignment) []Partitions {
	list := []Partitions{}
	for id, partitions := range a {
		list = append(list, Partitions{Topic: id, Indexes: partitions})
	}
	return list
}

// converge lets a client give up what it is not to read any more, then read the rest. It returns true when that is to be told at once.
func (w *world) converge(c *reader) bool {
	if c.target == nil || w.now.Before(c.stuck) {
		return false
	}
	revokes := false
	for id, partitions := range c.owns {
		for _, p := range partitions {
			revokes = revokes || !slices.Contains(c.target[id], p)
		}
	}
	if revokes {
		w.seen["revoked"]++
	}
	c.owns, c.target = c.target, nil
	return true
}

func (w *world) actClassic(c *reader, chaos bool) {
	switch {
	case c.join != 0:
		w.joined(c)
		return
	case c.sync != 0:
		w.synced(c)
		return
	case w.now.Before(c.beat):
		return
	}
	if chaos && w.r.IntN(20) == 0 {
		return // lost
	}
	c.beat = w.now.Add(3 * time.Second)
	if c.member == "" || c.epoch == joining {
		w.joinClassic(c)
		return
	}
	token := w.ask(func(to Token) {
		w.e.machine.Heartbeat(w.now, to, Heartbeat{Member: c.member, Instance: c.instance, Generation: c.epoch})
	})
	err := w.replies[token].Err
	switch {
	case err == nil:
	case errors.Is(err, kerr.RebalanceInProgress):
		c.epoch = joining
		w.joinClassic(c)
	default:
		w.seen["fenced"]++
		c.member, c.epoch, c.owns = "", joining, nil
	}
}

func (w *world) joinClassic(c *reader) {
	if c.eager {
		c.owns = nil
	}
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics = 1, c.topics
	for id, partitions := range c.owns {
		if name := w.known.Name(id); name != "" {
			meta.OwnedPartitions = append(meta.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: name, Partitions: partitions})
		}
	}
	j := Join{
		Member: c.member, Instance: c.instance, Candidate: fmt.Sprintf("%s-%d", c.name, w.r.Uint32()), NeedsID: true,
		Client: c.name, Connection: c.name, Session: 10 * time.Second, Rebalance: 20 * time.Second,
		ProtocolType: consumerType, Protocols: []Protocol{{Name: "range", Metadata: meta.AppendTo(nil)}},
	}
	c.join = w.ask(func(to Token) { w.e.classic(w.now, w.c.config).Join(w.now, to, j) })
	w.joined(c)
}

func (w *world) joined(c *reader) {
	r, ok := w.replies[c.join]
	if !ok {
		return
	}
	delete(w.replies, c.join)
	c.join = 0
	switch {
	case errors.Is(r.Err, kerr.MemberIDRequired):
		c.member = r.Join.Member
		w.joinClassic(c)
	case errors.Is(r.Err, kerr.RebalanceInProgress):
	case r.Err != nil:
		c.member, c.owns = "", nil
	default:
		c.member, c.epoch, c.fellows = r.Join.Member, r.Join.Generation, r.Join.Members
		c.leads = r.Join.Leader == c.member && !r.Join.SkipAssignment
		s := Sync{Member: c.member, Instance: c.instance, Generation: c.epoch}
		if c.leads {
			s.Assignments = w.lead(c)
		}
		c.sync = w.ask(func(to Token) { w.e.machine.Sync(w.now, to, s) })
		w.synced(c)
	}
}

// lead assigns all partitions to the members of a classic group by turns, but for those that another still reads: as a cooperative leader does, it
// lets them be given up first.
func (w *world) lead(c *reader) map[string][]byte {
	has := map[string]string{}
	subscribed := map[string][]string{}
	for _, f := range c.fellows {
		meta, ok := decodeEmbedded(f.Metadata)
		if !ok {
			w.t.Fatal("metadata cannot be read")
		}
		for _, name := range meta.topics {
			subscribed[name] = append(subscribed[name], f.Member)
		}
		for _, o := range meta.owned {
			for _, p := range o.partitions {
				has[fmt.Sprint(o.topic, "/", p)] = f.Member
			}
		}
	}
	given := map[string]map[string][]int32{}
	for _, name := range slices.Sorted(maps.Keys(subscribed)) {
		st := w.topics[name]
		if st == nil {
			continue
		}
		for p := range st.Shards {
			to := subscribed[name][int(p)%len(subscribed[name])]
			if o := has[fmt.Sprint(name, "/", p)]; o != "" && o != to {
				continue
			}
			if given[to] == nil {
				given[to] = map[string][]int32{}
			}
			given[to][name] = append(given[to][name], p)
		}
	}
	all := map[string][]byte{}
	for _, f := range c.fellows {
		var list []namedPartitions
		for _, name := range slices.Sorted(maps.Keys(given[f.Member])) {
			list = append(list, namedPartitions{name, given[f.Member][name]})
		}
		all[f.Member] = appendGiven(1, list)
	}
	return all
}

func (w *world) synced(c *reader) {
	r, ok := w.replies[c.sync]
	if !ok {
		return
	}
	delete(w.replies, c.sync)
	c.sync = 0
	if errors.Is(r.Err, kerr.RebalanceInProgress) {
		c.epoch = joining
		return
	}
	if r.Err != nil {
		c.member, c.epoch, c.owns = "", joining, nil
		return
	}
	given, _, ok := decodeGiven(r.Sync.Assignment)
	if !ok {
		w.t.Fatal("assignment cannot be read")
	}
	revokes := false
	now := assignor.Assignment{}
	for _, p := range w.known.identified(given) {
		now[p.Topic] = p.Indexes
	}
	for id, partitions := range c.owns {
		for _, p := range partitions {
			revokes = revokes || !slices.Contains(now[id], p)
		}
	}
	c.owns = now
	if revokes {
		c.epoch = joining // as a cooperative member does after it gave something up
	}
}

// check finds partitions that two members read.
func (w *world) check() {
	m, ok := w.e.machine.(*ConsumerMachine)
	if !ok {
		return
	}
	reads := map[stream.Shard]*reader{}
	for _, c := range w.clients {
		if mem := m.members[c.member]; !c.alive || mem == nil || mem.epoch == leftForNow {
			continue // whoever was removed learns it with its next heartbeat
		}
		for id, partitions := range c.owns {
			for _, p := range partitions {
				at := stream.Shard{Stream: id, Index: p}
				if o := reads[at]; o != nil {
					w.t.Fatalf("at %v %s and %s both read %v/%d", w.now, o.name, c.name, w.known.Name(id), p)
				}
				reads[at] = c
			}
		}
	}
	w.checkOwners(m)
}

// checkOwners compares what members have with the index of it.
func (w *world) checkOwners(m *ConsumerMachine) {
	n := 0
	for _, mem := range m.list {
		for _, h := range []holding{mem.assigned, mem.revoking} {
			for id, list := range h {
				for _, x := range list {
					n++
					if m.owner(stream.Shard{Stream: id, Index: x.partition}) != mem {
						w.t.Fatalf("%s has %v/%d, which is not known", mem.id, id, x.partition)
					}
				}
			}
		}
	}
	for _, list := range m.owners {
		for _, o := range list {
			if o != nil {
				n--
			}
		}
	}
	if n != 0 || len(m.list) != len(m.members) {
		w.t.Fatalf("%d partitions too many or too few, %d members listed of %d", n, len(m.list), len(m.members))
	}
}

// calm lets everyone live and be heard until every partition has its reader.
func (w *world) calm() {
	for _, c := range w.clients {
		if !c.alive {
			c.alive, c.member, c.epoch, c.told = true, "", joining, false
		}
		c.stuck, c.beat = time.Time{}, time.Time{}
	}
	w.quiet(5 * time.Minute)
	if _, ok := w.e.machine.(*ConsumerMachine); !ok {
		return // who leads a classic group looks for new partitions itself
	}
	w.grow()
	w.quiet(time.Minute)
	w.grow()
	w.restart()
	w.quiet(time.Minute)
}

// quiet lets time pass without chaos, and asserts that every partition that somebody wants has a reader then.
func (w *world) quiet(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.step(false)
	}
	want := map[stream.Shard]bool{}
	for _, c := range w.clients {
		sub := &interest{names: slices.Clone(c.topics)}
		if c.pattern != "" {
			sub.pattern, _ = newPattern(c.pattern)
		}
		sub.resolve(w.known)
		for _, topic := range sub.resolved.Topics {
			for p := range topic.Partitions {
				want[stream.Shard{Stream: topic.ID, Index: p}] = true
			}
		}
	}
	if s := w.e.machine.State(); s != Stable {
		w.t.Fatalf("after quiet minutes the group is %s: %+v", s, w.e.machine)
	}
	for _, c := range w.clients {
		for id, partitions := range c.owns {
			for _, p := range partitions {
				delete(want, stream.Shard{Stream: id, Index: p})
			}
		}
	}
	if len(want) > 0 {
		w.t.Fatalf("%d partitions have no reader: %v", len(want), want)
	}
}
