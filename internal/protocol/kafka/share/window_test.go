package share

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

var (
	epoch  = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	limits = Limits{Locks: 2000, Deliveries: 5, Lock: 30 * time.Second}
)

// show draws a window: its bounds, and per run what became of it.
func show(w *Window) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%d,%d)", w.start, w.end)
	for _, r := range w.runs {
		fmt.Fprintf(&b, " %d-%d:%s", r.first, r.last, r.state)
		if r.deliveries > 0 {
			fmt.Fprintf(&b, "*%d", r.deliveries)
		}
		if r.member != "" {
			fmt.Fprintf(&b, "@%s", r.member)
		}
	}
	return b.String()
}

// batches returns the offer of batches of n records each that fill [from, until).
func batches(from, until, n stream.Offset) Offer {
	o := Offer{From: from, Until: until}
	for at := from; at < until; at += n {
		o.Extents = append(o.Extents, Extent{First: at, Last: at + n - 1})
	}
	return o
}

func records(n int) Wish { return Wish{Records: n} }

func TestWindow(t *testing.T) {
	late := epoch.Add(limits.Lock)
	for name, c := range map[string]struct {
		do   func(w *Window)
		want string
	}{
		"takes what is new": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 20, 5), records(7))
			w.Acquire(epoch, "b", batches(7, 20, 13), records(3))
		}, "[0,10) 0-6:acquired*1@a 7-9:acquired*1@b"},
		"takes the last batch as a whole": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 20, 5), Wish{Records: 7, Whole: true})
		}, "[0,10) 0-9:acquired*1@a"},
		"never takes more than there is room for": {func(w *Window) {
			w.SetLimits(Limits{Locks: 8, Deliveries: 5, Lock: time.Second})
			w.Acquire(epoch, "a", batches(0, 20, 5), Wish{Records: 7, Whole: true})
		}, "[0,8) 0-7:acquired*1@a"},
		"moves on when the first records are done": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 10, 5), records(10))
			w.Acknowledge(epoch, "a", []Ack{{5, 7, []Kind{Accept}}})
			w.Acknowledge(epoch, "a", []Ack{{0, 4, []Kind{Accept}}})
		}, "[8,10) 8-9:acquired*1@a"},
		"does what is said of each record": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 6, 6), records(6))
			w.Acknowledge(epoch, "a", []Ack{{1, 5, []Kind{Accept, Release, Reject, Gap, Renew}}})
		}, "[0,6) 0-0:acquired*1@a 1-1:acknowledged 2-2:available*1 3-4:archived 5-5:acquired*1@a"},
		"gives released records to others": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 6, 6), records(6))
			w.Acknowledge(epoch, "a", []Ack{{2, 3, []Kind{Release}}})
			w.Acquire(epoch, "b", batches(2, 9, 7), records(3))
		}, "[0,7) 0-1:acquired*1@a 2-3:acquired*2@b 4-5:acquired*1@a 6-6:acquired*1@b"},
		"archives after the last delivery": {func(w *Window) {
			for range 5 {
				w.Acquire(epoch, "a", batches(0, 2, 2), records(2))
				w.Acknowledge(epoch, "a", []Ack{{1, 1, []Kind{Release}}})
			}
		}, "[0,2) 0-0:acquired*1@a 1-1:archived"},
		"lets locks expire": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 2, 2), records(2))
			w.Acquire(epoch.Add(time.Second), "a", batches(2, 4, 2), records(2))
			w.Tick(late)
		}, "[0,4) 0-1:available*1 2-3:acquired*1@a"},
		"renews locks": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 2, 2), records(2))
			w.Acknowledge(epoch.Add(time.Second), "a", []Ack{{1, 1, []Kind{Renew}}})
			w.Tick(late)
		}, "[0,2) 0-0:available*1 1-1:acquired*1@a"},
		"gives back what one member has": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 2, 2), records(2))
			w.Acquire(epoch, "b", batches(2, 4, 2), records(2))
			w.Release("a")
		}, "[0,4) 0-1:available*1 2-3:acquired*1@b"},
		"passes over gaps and what nobody is to have": {func(w *Window) {
			w.Acquire(epoch, "a", Offer{0, 12, []Extent{{0, 1, false}, {4, 5, false}, {6, 6, true}, {7, 8, false}}}, records(10))
		}, "[0,12) 0-1:acquired*1@a 2-3:archived 4-5:acquired*1@a 6-6:archived 7-8:acquired*1@a 9-11:archived"},
		"archives what compaction takes while it is available": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 9, 9), records(10))
			w.Release("a")
			w.Acquire(epoch, "a", Offer{0, 9, []Extent{{0, 2, false}, {5, 8, false}}}, records(5))
		}, "[0,9) 0-2:acquired*2@a 3-4:archived 5-6:acquired*2@a 7-8:available*1"},
		"has nothing in flight where only gaps were": {func(w *Window) {
			w.Acquire(epoch, "a", Offer{From: 0, Until: 1 << 40}, records(10))
		}, "[1099511627776,1099511627776)"},
		"leaves what comes after the last wanted batch": {func(w *Window) {
			w.Acquire(epoch, "a", Offer{0, 12, []Extent{{0, 1, false}, {4, 5, true}}}, records(2))
		}, "[0,2) 0-1:acquired*1@a"},
		"drops what the log has dropped": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 6, 6), records(6))
			w.Trim(4)
		}, "[4,6) 4-5:acquired*1@a"},
		"follows the log's start": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 6, 6), records(6))
			w.Trim(40)
		}, "[40,40)"},
		"follows an end that came back": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 6, 6), records(6))
			w.Truncate(4)
		}, "[0,4) 0-3:acquired*1@a"},
		"archives what was delivered more often than a lowered limit": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 4, 4), records(2))
			w.Release("a")
			w.SetLimits(Limits{Locks: 10, Deliveries: 1, Lock: time.Second})
			w.Acquire(epoch, "a", batches(0, 4, 4), records(2))
		}, "[2,4) 2-3:acquired*1@a"},
		"begins anew where it is told to": {func(w *Window) {
			w.Acquire(epoch, "a", batches(0, 4, 4), records(2))
			w.Reset(1)
		}, "[1,1)"},
		"takes nothing where it has moved away from what was read": {func(w *Window) {
			w.Acquire(epoch, "a", batches(3, 6, 3), records(2))
		}, "[0,0)"},
	} {
		w := NewWindow(0, limits)
		c.do(w)
		if got := show(w); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestAcknowledgeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		ack  Ack
		want error
	}{
		"one's own":                 {Ack{0, 3, []Kind{Accept}}, nil},
		"own ones and the log's":    {Ack{-2, 3, []Kind{Accept}}, nil},
		"another's":                 {Ack{3, 4, []Kind{Accept}}, kerr.InvalidRecordState},
		"what is available":         {Ack{8, 8, []Kind{Accept}}, kerr.InvalidRecordState},
		"what is done":              {Ack{6, 6, []Kind{Accept}}, kerr.InvalidRecordState},
		"what is before the window": {Ack{-9, -1, []Kind{Accept}}, nil},
		"what nobody has":           {Ack{10, 11, []Kind{Accept}}, kerr.InvalidRequest},
		"own ones and what follows": {Ack{0, 11, []Kind{Accept}}, kerr.InvalidRequest},
	} {
		w := NewWindow(0, limits)
		w.Acquire(epoch, "a", batches(0, 10, 10), records(4))
		w.Acquire(epoch, "b", batches(4, 10, 10), records(6))
		w.Acknowledge(epoch, "b", []Ack{{6, 7, []Kind{Accept}}, {8, 9, []Kind{Release}}})
		before := show(w)
		if err := w.Acknowledge(epoch, "a", []Ack{{2, 3, []Kind{Accept}}, {3, 3, []Kind{Accept}}}); !errors.Is(err, kerr.InvalidRecordState) {
			t.Errorf("%s: took a record twice: %v", name, err)
		}
		if err := w.Acknowledge(epoch, "a", []Ack{{3, 3, []Kind{Accept}}, {4, 4, []Kind{Accept}}}); err == nil {
			t.Errorf("%s: took another's record as well", name)
		}
		err := w.Acknowledge(epoch, "a", []Ack{c.ack})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && show(w) != before {
			t.Errorf("%s: refused, and %s became %s", name, before, show(w))
		}
	}
}

func TestCheckAcks(t *testing.T) {
	ok := func(acks ...Ack) []Ack { return acks }
	for name, c := range map[string]struct {
		acks  []Ack
		renew bool
		want  error
	}{
		"one for all":              {ok(Ack{0, 9, []Kind{Accept}}), false, nil},
		"one each":                 {ok(Ack{0, 1, []Kind{Accept, Gap}}, Ack{2, 2, []Kind{Reject}}), false, nil},
		"none":                     {ok(Ack{0, 9, nil}), false, kerr.InvalidRequest},
		"too few":                  {ok(Ack{0, 2, []Kind{Accept, Gap}}), false, kerr.InvalidRequest},
		"too many":                 {ok(Ack{0, 0, []Kind{Accept, Gap}}), false, kerr.InvalidRequest},
		"backwards":                {ok(Ack{3, 2, []Kind{Accept}}), false, kerr.InvalidRequest},
		"twice":                    {ok(Ack{0, 2, []Kind{Accept}}, Ack{2, 3, []Kind{Accept}}), false, nil},
		"out of order":             {ok(Ack{0, 2, []Kind{Accept}}, Ack{1, 3, []Kind{Accept}}), false, kerr.InvalidRequest},
		"before the first":         {ok(Ack{-1, 2, []Kind{Accept}}), false, kerr.InvalidRequest},
		"unknown":                  {ok(Ack{0, 2, []Kind{5}}), true, kerr.InvalidRequest},
		"negative":                 {ok(Ack{0, 2, []Kind{-1}}), true, kerr.InvalidRequest},
		"renewal, said so":         {ok(Ack{0, 2, []Kind{Renew}}), true, nil},
		"renewal, without a word":  {ok(Ack{0, 2, []Kind{Renew}}), false, kerr.InvalidRequest},
		"the largest of all spans": {ok(Ack{0, 1<<63 - 1, []Kind{Accept, Accept}}), false, kerr.InvalidRequest},
	} {
		if err := CheckAcks(c.acks, c.renew); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// What is acquired is told in pieces: of one delivery count, and of about as many records as were asked for, cut where batches end.
func TestPieces(t *testing.T) {
	w := NewWindow(0, limits)
	w.Acquire(epoch, "a", batches(0, 4, 4), records(4))
	w.Acknowledge(epoch, "a", []Ack{{1, 2, []Kind{Release}}})
	got := w.Acquire(epoch, "b", batches(1, 40, 3), Wish{Records: 20, Whole: true, Piece: 7})
	want := "[{1 2 2} {4 9 1} {10 18 1} {19 21 1}]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestNext(t *testing.T) {
	w := NewWindow(5, Limits{Locks: 4, Deliveries: 5, Lock: time.Second})
	next := func(want stream.Offset, wantOK bool) {
		t.Helper()
		if at, ok := w.Next(); at != want || ok != wantOK {
			t.Errorf("%s: next %d %v, want %d %v", show(w), at, ok, want, wantOK)
		}
	}
	next(5, true)
	w.Acquire(epoch, "a", batches(5, 7, 2), records(9))
	next(7, true)
	w.Acquire(epoch, "a", batches(7, 20, 13), records(9))
	next(9, false)
	w.Acknowledge(epoch, "a", []Ack{{6, 6, []Kind{Release}}})
	next(6, true)
	if d := w.Deadline(); !d.Equal(epoch.Add(time.Second)) {
		t.Errorf("deadline %v", d)
	}
	if !w.Holds("a") || w.Holds("b") {
		t.Error("who holds records")
	}
}
