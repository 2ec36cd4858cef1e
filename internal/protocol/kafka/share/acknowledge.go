package share

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// Kind is what a member says of a record it has. The values are the protocol's.
type Kind int8

// The kinds of acknowledgement.
const (
	Gap     Kind = 0 // there is no such record, or it is none for users
	Accept  Kind = 1 // it is done
	Release Kind = 2 // somebody else should try
	Reject  Kind = 3 // nobody can
	Renew   Kind = 4 // it takes longer than the lock (KIP-1222)
)

// Ack is what a member says of the records [First, Last]: one kind for all of them, or one for each.
type Ack struct {
	First, Last stream.Offset
	Kinds       []Kind
}

// kind returns what is said of the record at.
func (a *Ack) kind(at stream.Offset) Kind {
	if len(a.Kinds) == 1 {
		return a.Kinds[0]
	}
	return a.Kinds[at-a.First]
}

// CheckAcks refuses acknowledgements of one shard that say nothing clear, as Apache Kafka does. renew says that the request may renew.
// INVALID_REQUEST.
func CheckAcks(acks []Ack, renew bool) error {
	last := stream.Offset(-1)
	for i := range acks {
		a := &acks[i]
		n := stream.Offset(len(a.Kinds))
		if a.First < 0 || a.First > a.Last || a.First < last && i > 0 || n == 0 || n > 1 && n != a.Last-a.First+1 {
			return kerr.InvalidRequest
		}
		if slices.ContainsFunc(a.Kinds, func(k Kind) bool { return k < Gap || k > Renew || k == Renew && !renew }) {
			return kerr.InvalidRequest
		}
		last = a.Last
	}
	return nil
}

// Acknowledge does what member says of its records: all of it, or nothing if it has not acquired one of them. What is before the window is passed
// over, as in Apache Kafka: it is done with, or the log has dropped it, and nothing that is said of it can matter. The acks have passed CheckAcks.
// INVALID_RECORD_STATE, INVALID_REQUEST behind the window.
func (w *Window) Acknowledge(now time.Time, member string, acks []Ack) error {
	for i := range acks {
		if err := w.owns(member, &acks[i]); err != nil {
			return err
		}
		if i > 0 && acks[i].First == acks[i-1].Last && acks[i].First >= w.start { // which was acquired, and will be no more
			return kerr.InvalidRecordState
		}
	}
	for i := range acks {
		w.acknowledge(now, &acks[i])
	}
	w.settle()
	return nil
}

// owns refuses an ack unless member has all records of it that are in the window.
func (w *Window) owns(member string, a *Ack) error {
	switch {
	case a.Last < w.start:
		return nil
	case a.Last >= w.end:
		return kerr.InvalidRequest
	}
	for i := w.find(max(a.First, w.start)); i < len(w.runs) && w.runs[i].first <= a.Last; i++ {
		if w.runs[i].state != Acquired || w.runs[i].member != member {
			return kerr.InvalidRecordState
		}
	}
	return nil
}

func (w *Window) acknowledge(now time.Time, a *Ack) {
	for first := max(a.First, w.start); first <= a.Last; {
		kind, last := a.kind(first), a.Last
		if len(a.Kinds) > 1 {
			for last = first; last < a.Last && a.kind(last+1) == kind; last++ {
			}
		}
		from := w.cut(first)
		to := w.cut(last + 1)
		for i := from; i < to; i++ {
			w.apply(&w.runs[i], kind, now)
		}
		first = last + 1
	}
}

func (w *Window) apply(r *run, kind Kind, now time.Time) {
	switch kind {
	case Renew:
		r.until = now.Add(w.limits.Lock)
		return
	case Release:
		w.giveBack(r)
	case Accept:
		*r = run{first: r.first, last: r.last, state: Acknowledged}
	case Gap, Reject:
		*r = run{first: r.first, last: r.last, state: Archived}
	}
	w.changed = true
}
