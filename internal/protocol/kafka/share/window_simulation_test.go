package share

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// TestWindowSimulation lets members take and acknowledge records at random, over a log with gaps and batches to skip, while locks expire, the log
// loses its beginning and the node restarts. After each step the window says of each record what a model says that keeps a line per record.
// When all is over every record was acknowledged or archived, and none was delivered more often than allowed.
func TestWindowSimulation(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := newWindowSimulation(t, seed)
			for range 1000 {
				s.step()
				s.compare()
			}
			s.finish()
		})
	}
}

// modelled is the model's line: what became of one record.
type modelled struct {
	state      State
	member     string
	until      time.Time
	deliveries int16 // as far as they count
	given      int   // to somebody, at all
	undone     int   // of these, taken back uncounted
}

type windowSimulation struct {
	t       *testing.T
	random  *rand.Rand
	now     time.Time
	limits  Limits
	window  *Window
	log     []Extent
	start   stream.Offset // the log's
	end     stream.Offset
	records map[stream.Offset]*modelled // from the log's beginning on
}

func newWindowSimulation(t *testing.T, seed uint64) *windowSimulation {
	s := &windowSimulation{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), now: epoch, records: map[stream.Offset]*modelled{},
		limits: Limits{Locks: 5 + int(seed)*6, Deliveries: 3, Lock: 10 * time.Second},
	}
	s.window = NewWindow(0, s.limits)
	return s
}

func (s *windowSimulation) member() string { return string(rune('a' + s.random.IntN(3))) }

func (s *windowSimulation) step() {
	s.now = s.now.Add(time.Duration(s.random.IntN(1500)) * time.Millisecond)
	s.expire()
	switch n := s.random.IntN(100); {
	case n < 15:
		s.produce()
	case n < 55:
		s.acquire(s.member())
	case n < 90:
		s.acknowledge(s.member())
	case n < 94:
		s.release(s.member())
	case n < 97:
		s.restart()
	default:
		s.trim()
	}
}

func (s *windowSimulation) produce() {
	if s.end > 600 {
		return
	}
	s.end += stream.Offset(max(0, s.random.IntN(8)-4)) // a gap before the batch
	last := s.end + stream.Offset(s.random.IntN(6))
	s.log = append(s.log, Extent{First: s.end, Last: last, Skip: s.random.IntN(6) == 0})
	s.end = last + 1
}

func (s *windowSimulation) at(o stream.Offset) *modelled {
	if s.records[o] == nil {
		s.records[o] = &modelled{}
	}
	return s.records[o]
}

func (s *windowSimulation) expire() {
	s.window.Tick(s.now)
	for _, r := range s.records {
		if r.state == Acquired && !r.until.After(s.now) {
			s.giveBack(r)
		}
	}
}

func (s *windowSimulation) giveBack(r *modelled) {
	if *r = (modelled{Available, "", time.Time{}, r.deliveries, r.given, r.undone}); r.deliveries >= s.limits.Deliveries {
		r.state = Archived
	}
}

// acquire reads some batches from where the window wants to, and takes some of the records.
func (s *windowSimulation) acquire(member string) {
	from, ok := s.window.Next()
	if !ok {
		return
	}
	offer := Offer{From: from, Until: s.end}
	for _, e := range s.log {
		if e.Last < from {
			continue
		}
		if len(offer.Extents) == 3 {
			offer.Until = offer.Extents[2].Last + 1
			break
		}
		offer.Extents = append(offer.Extents, e)
	}
	wish := Wish{Records: 1 + s.random.IntN(9), Whole: s.random.IntN(2) == 0, Piece: s.random.IntN(3)}
	want := s.take(member, offer, wish)
	got := map[stream.Offset]int16{}
	for _, taken := range s.window.Acquire(s.now, member, offer, wish) {
		for o := taken.First; o <= taken.Last; o++ {
			got[o] = taken.Deliveries
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Fatalf("acquired %v, want %v", got, want)
	}
}

// take does to the model what Acquire does to the window: the ten lines to compare it with.
func (s *windowSimulation) take(member string, offer Offer, wish Wish) map[stream.Offset]int16 {
	left, taken, at, stopped := wish.Records, map[stream.Offset]int16{}, offer.From, false
	end, start := s.window.end, s.window.start
	pass := func(to stream.Offset) {
		for ; at < to; at++ {
			if r := s.at(at); r.state == Available {
				r.state = Archived
			}
		}
		end = max(end, to)
	}
	for _, e := range offer.Extents {
		if stopped = stopped || left <= 0; stopped {
			break
		}
		pass(e.First)
		if e.Skip {
			pass(e.Last + 1)
		}
		for ; at <= e.Last && !stopped; at++ {
			r := s.at(at)
			if r.state != Available {
				continue
			}
			if stopped = !wish.Whole && left == 0 || at >= end && int(end-start) >= s.limits.Locks; stopped {
				break
			}
			left, end = left-1, max(end, at+1)
			*r = modelled{Acquired, member, s.now.Add(s.limits.Lock), r.deliveries + 1, r.given + 1, r.undone}
			taken[at] = r.deliveries
		}
	}
	if !stopped {
		pass(offer.Until)
	}
	return taken
}

// acknowledge says something of some of the records that member has, or wrongly of others.
func (s *windowSimulation) acknowledge(member string) {
	var acks []Ack
	own := true
	for o := s.window.start; o < s.window.end; o++ {
		r := s.at(o)
		if s.random.IntN(2) == 0 || r.member != member && s.random.IntN(300) > 0 {
			continue
		}
		own = own && r.state == Acquired && r.member == member
		if kind := Kind(s.random.IntN(5)); len(acks) > 0 && acks[len(acks)-1].Last == o-1 {
			a := &acks[len(acks)-1]
			a.Last, a.Kinds = o, append(a.Kinds, kind)
		} else {
			acks = append(acks, Ack{o, o, []Kind{kind}})
		}
	}
	if err := CheckAcks(acks, true); err != nil {
		s.t.Fatal(err)
	}
	if err := s.window.Acknowledge(s.now, member, acks); (err == nil) != own {
		s.t.Fatalf("%s says %v: %v", member, acks, err)
	}
	if !own {
		return
	}
	for _, a := range acks {
		for o := a.First; o <= a.Last; o++ {
			switch r := s.at(o); a.kind(o) {
			case Accept:
				r.state, r.member = Acknowledged, ""
			case Gap, Reject:
				r.state, r.member = Archived, ""
			case Release:
				s.giveBack(r)
			case Renew:
				r.until = s.now.Add(s.limits.Lock)
			}
		}
	}
}

func (s *windowSimulation) release(member string) {
	s.window.Release(member)
	for _, r := range s.records {
		if r.state == Acquired && r.member == member {
			s.giveBack(r)
		}
	}
}

// takeBack makes a record available whose delivery does not count.
func (s *windowSimulation) takeBack(r *modelled) {
	*r = modelled{Available, "", time.Time{}, r.deliveries - 1, r.given, r.undone + 1}
}

// restart keeps the window's document, and begins anew with it. Who had records has to ask for them again.
func (s *windowSimulation) restart() {
	kept := s.window.Encode()
	w, err := DecodeWindow(kept, s.limits)
	if err != nil {
		s.t.Fatal(err)
	}
	if again := w.Encode(); !bytes.Equal(again, kept) {
		s.t.Fatalf("%s is kept as % x, then as % x", show(w), kept, again)
	}
	s.window = w
	for _, r := range s.records {
		if r.state == Acquired {
			s.takeBack(r)
		}
	}
}

func (s *windowSimulation) trim() {
	s.start = min(s.end, s.start+stream.Offset(s.random.IntN(10)))
	s.window.Trim(s.start)
	for o := stream.Offset(0); o < s.start; o++ {
		if r := s.at(o); !r.state.done() {
			r.state, r.member = Archived, ""
		}
	}
}

func (s *windowSimulation) compare() {
	w := s.window
	if len(w.runs) > 0 && w.runs[0].state.done() {
		s.t.Fatalf("%s begins with what is done", show(w))
	}
	at := w.start
	for _, r := range w.runs {
		if r.first != at || r.last < r.first {
			s.t.Fatalf("%s has a hole or an overlap at %d", show(w), at)
		}
		for ; at <= r.last; at++ {
			m := s.at(at)
			if r.state != m.state || r.member != m.member || r.state == Acquired && !r.until.Equal(m.until) || !r.state.done() && r.deliveries != m.deliveries {
				s.t.Fatalf("%s, but the model says of %d: %+v", show(w), at, *m)
			}
		}
	}
	if at != w.end {
		s.t.Fatalf("%s ends at %d", show(w), at)
	}
	for o, m := range s.records {
		if o < w.start && !m.state.done() || o >= w.end && (m.state != Available || m.deliveries != 0) {
			s.t.Fatalf("%s, but the model says of %d: %+v", show(w), o, *m)
		}
	}
}

// finish accepts everything that is left.
func (s *windowSimulation) finish() {
	for range 2000 {
		s.now = s.now.Add(time.Minute)
		s.expire()
		s.acquire("a")
		s.compare()
		for i := 0; i < len(s.window.runs); i++ {
			if r := s.window.runs[i]; r.state == Acquired {
				s.window.Acknowledge(s.now, "a", []Ack{{r.first, r.last, []Kind{Accept}}})
				for o := r.first; o <= r.last; o++ {
					s.at(o).state, s.at(o).member = Acknowledged, ""
				}
				i = -1
			}
		}
	}
	if s.window.start != s.end || len(s.window.runs) > 0 {
		s.t.Fatalf("%s at the end of a log of %d", show(s.window), s.end)
	}
	for o, r := range s.records {
		if r.given-r.undone > int(s.limits.Deliveries) {
			s.t.Errorf("%d was given to somebody %d times, of which %d do not count", o, r.given, r.undone)
		}
	}
}

func FuzzDecodeWindow(f *testing.F) {
	w := NewWindow(7, limits)
	w.Acquire(epoch, "a", batches(7, 40, 3), records(20))
	w.Acknowledge(epoch, "a", []Ack{{9, 12, []Kind{Accept}}, {14, 15, []Kind{Reject}}, {17, 17, []Kind{Release}}})
	f.Add(w.Encode())
	f.Add([]byte("\x0100\xdc\xdc\xdc\xdc\xdc\xdc\xdc\xdc00\xde\xde\xde\xde\xde\xde\xde\xde00")) // together longer than any log
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := DecodeWindow(b, limits)
		if err != nil {
			return
		}
		kept := w.Encode()
		again, err := DecodeWindow(kept, limits)
		if err != nil {
			t.Fatalf("%s is kept as % x: %v", show(w), kept, err)
		}
		if again.Start() != w.Start() {
			t.Fatalf("%s, then %s", show(w), show(again))
		}
		if !bytes.Equal(again.Encode(), kept) {
			t.Fatalf("% x, then % x", kept, again.Encode())
		}
		w.Tick(epoch)
		w.Trim(w.Start() + 3)
		w.Truncate(w.Start() + 10)
	})
}
