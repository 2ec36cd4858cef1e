package share

import (
	"math"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// Extent is the offsets of one batch in the log.
type Extent struct {
	First, Last stream.Offset
	// Skip says that nobody is to have its records: they are the log's own, or of a transaction that was aborted.
	Skip bool
}

// Offer is what was read of the log for somebody: every batch that has an offset in [From, Until), ascending. Offsets there that are in none are
// gaps: compaction took their records.
type Offer struct {
	From, Until stream.Offset
	Extents     []Extent
}

// Wish is how many records somebody wants.
type Wish struct {
	Records int // at most, but see Whole
	// Whole lets the last batch be taken as a whole, though that makes more than Records: KIP-1206's batch-optimized mode.
	Whole bool
	// Piece is how many records what is acquired is cut into, at ends of batches; 0 = it is not.
	Piece int
}

// Taken is neighbouring records that were acquired, and the how often each of them was delivered with this time.
type Taken struct {
	First, Last stream.Offset
	Deliveries  int16
}

// Acquire gives member records of offer that are available, in order, and archives gaps and what is to be skipped. It returns what member has now
// that it had not.
func (w *Window) Acquire(now time.Time, member string, offer Offer, wish Wish) []Taken {
	a := acquiring{Window: w, member: member, until: now.Add(w.limits.Lock), wish: wish, left: wish.Records}
	at := max(offer.From, w.start)
	if at > w.end {
		return nil // the window has moved away from what was read
	}
	more := true
	for _, e := range offer.Extents {
		if e.Last < at {
			continue
		}
		if more = a.left > 0; !more {
			break
		}
		a.archive(at, e.First-1)
		if at = max(at, e.First); e.Skip {
			a.archive(at, e.Last)
		} else if more = a.take(at, e.Last); !more {
			break
		}
		a.cutDue = a.wish.Piece > 0 && a.piece >= a.wish.Piece
		at = e.Last + 1
	}
	if more {
		a.archive(at, offer.Until-1)
	}
	w.settle()
	return a.taken
}

// acquiring is one Acquire at work.
type acquiring struct {
	*Window
	member string
	until  time.Time
	wish   Wish
	left   int // records still wanted; a batch taken as a whole may make it negative
	taken  []Taken
	piece  int  // records taken since the last cut
	cutDue bool // the next record begins a new piece
}

// archive puts the available offsets of [first, last] away, and those that are to come into the window: one run whatever their number, for
// which there is always room.
func (a *acquiring) archive(first, last stream.Offset) {
	if first > last {
		return
	}
	for i := a.cut(first); i < len(a.runs) && a.runs[i].first <= last; i++ {
		if a.runs[i].state == Available {
			a.cut(last + 1)
			a.drop(&a.runs[i])
		}
	}
	if last >= a.end {
		a.changed = true
		a.grow(last, run{state: Archived})
	}
}

func (a *acquiring) drop(r *run) {
	r.state, r.deliveries = Archived, 0
	a.changed = true
}

// grow brings the offsets from the window's end to last into it.
func (a *acquiring) grow(last stream.Offset, r run) {
	r.first, r.last = a.end, last
	a.runs = append(a.runs, r)
	a.end = last + 1
}

// take acquires what is available in [first, last], which is of one batch. It returns false when nothing more is to be taken.
func (a *acquiring) take(first, last stream.Offset) bool {
	for i := a.cut(first); i < len(a.runs) && a.runs[i].first <= last; i++ {
		if a.runs[i].state != Available {
			continue
		}
		if a.runs[i].deliveries >= a.limits.Deliveries { // the limit was lowered meanwhile
			a.cut(last + 1)
			a.drop(&a.runs[i])
			continue
		}
		n := min(a.may(), int(min(last, a.runs[i].last)-a.runs[i].first+1))
		if n <= 0 {
			return false
		}
		a.cut(a.runs[i].first + stream.Offset(n))
		r := &a.runs[i]
		r.state, r.member, r.until = Acquired, a.member, a.until
		r.deliveries++
		a.took(r)
	}
	if last < a.end {
		return true
	}
	want := int(min(last-a.end+1, math.MaxInt32))
	n := min(a.may(), want, a.room())
	if n <= 0 {
		return false
	}
	a.grow(a.end+stream.Offset(n)-1, run{state: Acquired, member: a.member, until: a.until, deliveries: 1})
	a.took(&a.runs[len(a.runs)-1])
	return n == want
}

// may returns how many records of the batch at hand may be taken.
func (a *acquiring) may() int {
	if a.wish.Whole {
		return math.MaxInt32
	}
	return max(0, a.left)
}

func (a *acquiring) took(r *run) {
	a.left -= r.len()
	a.piece += r.len()
	if n := len(a.taken); n > 0 && !a.cutDue && a.taken[n-1].Last+1 == r.first && a.taken[n-1].Deliveries == r.deliveries {
		a.taken[n-1].Last = r.last
		return
	}
	if a.cutDue {
		a.piece, a.cutDue = r.len(), false
	}
	a.taken = append(a.taken, Taken{First: r.first, Last: r.last, Deliveries: r.deliveries})
}
