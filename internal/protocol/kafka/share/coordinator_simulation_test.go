package share

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// TestSimulation lets members of a group take records of three shards, say something of them or nothing, lose their connections, fall silent and come
// back, while the node restarts now and then. No record is with two at once, none comes again after it was accepted or rejected, and none more often
// than allowed. When the chaos ends, all are done with.
func TestSimulation(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			on(t, Config{Defaults: Settings{Limits: Limits{Locks: 40, Deliveries: 4}}}, func(t *testing.T, b *bench) {
				s := &simulation{bench: b, random: rand.New(rand.NewPCG(seed, 3)), records: map[place]*followed{}}
				for i := range 5 {
					s.members = append(s.members, &actor{consumer: b.join(fmt.Sprint("m", i), 0, 1, 2), beat: time.Now()})
				}
				for range 1500 {
					s.step()
				}
				s.calm()
			})
		})
	}
}

// place is where a record is.
type place struct {
	shard int32
	at    stream.Offset
}

// followed is what is known of a record.
type followed struct {
	holder *actor
	until  time.Time // when the holder's lock ends
	done   bool      // it was accepted or rejected, and that was answered
	given  int16     // the deliveries that were told last
}

type actor struct {
	*consumer
	beat time.Time // when it has last shown itself
}

type simulation struct {
	*bench
	random   *rand.Rand
	members  []*actor
	records  map[place]*followed
	produced [3]stream.Offset
}

func (s *simulation) step() {
	m := s.members[s.random.IntN(len(s.members))]
	switch n := s.random.IntN(100); {
	case n < 15:
		shard := int32(s.random.IntN(3))
		count := 1 + s.random.IntN(12)
		s.produced[shard] = s.produce(shard, count) + stream.Offset(count)
	case n < 70:
		s.poll(m, 0)
	case n < 80:
		time.Sleep(time.Duration(s.random.IntN(8)) * time.Second)
	case n < 90:
		s.beatOf(m)
	case n < 96:
		s.c.Disconnect(m.name)
		s.lost(m)
	default:
		s.start(Config{Defaults: Settings{Limits: Limits{Locks: 40, Deliveries: 4}}})
		for _, m := range s.members {
			s.lost(m)
			m.beat = time.Now() // their sessions begin anew
		}
	}
}

// beatOf shows a member, which joins again if it is none any more.
func (s *simulation) beatOf(m *actor) {
	d, err := s.c.Describe("g")
	if err != nil {
		s.t.Fatal(err)
	}
	epoch := int32(JoinEpoch)
	for _, o := range d.Members {
		if o.ID == m.name {
			epoch = o.Epoch
		}
	}
	_, err = s.bench.beat(m.name, epoch, "t")
	if errors.Is(err, kerr.UnknownMemberID) { // its session has just ended
		epoch = JoinEpoch
		_, err = s.bench.beat(m.name, epoch, "t")
	}
	if err != nil {
		s.t.Fatalf("%s beats: %v", m.name, err)
	}
	m.beat = time.Now()
	if epoch == JoinEpoch {
		s.lost(m) // it was silent for too long
	}
}

// lost takes in that a member's session is gone.
func (s *simulation) lost(m *actor) {
	m.epoch = 0
	for _, r := range s.records {
		if r.holder == m {
			r.holder = nil
		}
	}
}

// held returns what a member has, in order.
func (s *simulation) held(m *actor) []place {
	var all []place
	for p, r := range s.records {
		if r.holder == m && time.Now().Before(r.until) && time.Now().Before(m.beat.Add(DefaultSession)) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b place) int { return int(a.shard-b.shard)*1_000_000 + int(a.at-b.at) })
	return all
}

// poll fetches, and says something of what the member has, all of it if sure.
func (s *simulation) poll(m *actor, sure int) {
	f := m.fetch
	f.Epoch, f.Shards, f.Renew = m.epoch, slices.Clone(f.Shards), false
	f.Wish = Wish{Records: 1 + s.random.IntN(20), Whole: s.random.IntN(2) == 0, Piece: s.random.IntN(5)}
	said := map[place]Kind{}
	for _, p := range s.held(m) {
		kind := Kind(1 + s.random.IntN(3))
		if sure > 0 {
			kind = Accept
		} else if s.random.IntN(3) == 0 {
			continue
		}
		said[p] = kind
		asked := &f.Shards[p.shard]
		asked.Acks = append(slices.Clone(asked.Acks), Ack{p.at, p.at, []Kind{kind}})
	}
	if m.epoch == 0 {
		for i := range f.Shards {
			f.Shards[i].Acks = nil
		}
		clear(said)
	}
	now := time.Now()
	answer, err := s.c.Fetch(s.t.Context(), &f)
	defer answer.Release()
	if err != nil {
		if errorName(err) != "SHARE_SESSION_NOT_FOUND" { // its session ended with its membership
			s.t.Fatalf("%s fetches: %v", m.name, err)
		}
		s.lost(m)
		return
	}
	m.epoch++
	s.said(m, said, &answer)
	for i := range answer.Shards {
		a := &answer.Shards[i]
		m.check(a)
		for _, taken := range a.Taken {
			for at := taken.First; at <= taken.Last; at++ {
				s.given(m, place{a.Shard.Index, at}, taken.Deliveries, now)
			}
		}
	}
}

// said takes in what became of what a member said.
func (s *simulation) said(m *actor, said map[place]Kind, answer *Fetched) {
	for _, a := range answer.Shards {
		if a.AckErr != nil {
			s.t.Fatalf("%s says of its own: %v", m.name, a.AckErr)
		}
	}
	for p, kind := range said {
		r := s.records[p]
		r.holder, r.done = nil, kind != Release || r.given >= 4
	}
}

func (s *simulation) given(m *actor, p place, deliveries int16, now time.Time) {
	r := s.records[p]
	if r == nil {
		r = &followed{}
		s.records[p] = r
	}
	switch {
	case r.done:
		s.t.Fatalf("%v is given to %s after it was done", p, m.name)
	case r.holder != nil && now.Before(r.until) && now.Before(r.holder.beat.Add(DefaultSession)):
		s.t.Fatalf("%v is given to %s, and %s has it until %v", p, m.name, r.holder.name, r.until)
	case deliveries > 4 || deliveries < r.given:
		s.t.Fatalf("%v: delivery %d after %d", p, deliveries, r.given)
	}
	*r = followed{holder: m, until: now.Add(DefaultLock), given: deliveries}
}

// calm lets one member accept everything that is left.
func (s *simulation) calm() {
	m := s.members[0]
	for range 300 {
		time.Sleep(10 * time.Second)
		s.beatOf(m)
		s.poll(m, 1)
	}
	positions, err := s.c.Positions("g")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range positions {
		if p.Start != s.produced[p.Shard.Index] {
			s.t.Errorf("shard %d: %d of %d are done with", p.Shard.Index, p.Start, s.produced[p.Shard.Index])
		}
	}
	if n := len(s.records); n < 500 || s.held(m) != nil {
		s.t.Errorf("%d records were given to somebody, %v are yet with one: %v", n, s.held(m), maps.Keys(s.records))
	}
}
