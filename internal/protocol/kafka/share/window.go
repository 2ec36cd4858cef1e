package share

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// State is what became of a record. The values are those that Apache Kafka keeps.
type State uint8

// The states of a record in a window. Records behind the window are available, those before it are done with.
//
//	            acquire                  accept
//	Available ───────────▶ Acquired ───────────────▶ Acknowledged
//	    ▲                   │ │  ▲ │
//	    └── release, lock ──┘ │  └─┘ renew
//	        expired           └──────────────▶ Archived
//	                 reject, gap; release after the last delivery
const (
	Available    State = 0
	Acquired     State = 1
	Acknowledged State = 2
	Archived     State = 4
)

// String names the state as KIP-932 does.
func (s State) String() string {
	switch s {
	case Available:
		return "available"
	case Acquired:
		return "acquired"
	case Acknowledged:
		return "acknowledged"
	case Archived:
		return "archived"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

func (s State) done() bool { return s == Acknowledged || s == Archived }

// Limits bound what is in flight. They may change between any two calls.
type Limits struct {
	Locks      int           // offsets in the window. Kafka: share.partition.max.record.locks
	Deliveries int16         // times that a record is given to somebody. Kafka: share.delivery.count.limit
	Lock       time.Duration // how long a member has a record. Kafka: share.record.lock.duration.ms
}

// Window is one shard as one group sees it: which records are with whom, and which are done with. It is not safe for concurrent use.
type Window struct {
	limits     Limits
	start, end stream.Offset // runs cover [start, end)
	runs       []run         // ascending, neighbours differ; the first is not done
	epoch      int32         // counts the times that somebody has set start
	changed    bool          // what Encode tells has changed since Changed was last asked
}

// run is neighbouring offsets of which the same is to be said.
type run struct {
	first, last stream.Offset
	state       State
	deliveries  int16     // how often these were acquired; 0 if done
	member      string    // who has acquired them, or ""
	until       time.Time // when that ends, or zero
}

func (r *run) len() int { return int(r.last - r.first + 1) }

func (r *run) alike(o *run) bool {
	return r.state == o.state && r.deliveries == o.deliveries && r.member == o.member && r.until.Equal(o.until)
}

// NewWindow returns an empty window at start.
func NewWindow(start stream.Offset, limits Limits) *Window {
	return &Window{limits: limits, start: start, end: start, changed: true}
}

// SetLimits changes what holds for calls from now on. Records that are in flight beyond it stay there.
func (w *Window) SetLimits(l Limits) { w.limits = l }

// Start returns the first offset that is not done with.
func (w *Window) Start() stream.Offset { return w.start }

// End returns the first offset that nobody has taken.
func (w *Window) End() stream.Offset { return w.end }

// Epoch counts how often the window was set anew: what was read before Epoch changed says nothing about the window after.
func (w *Window) Epoch() int32 { return w.epoch }

// Done returns how many offsets of the window are done with.
func (w *Window) Done() int64 {
	var n int64
	for i := range w.runs {
		if w.runs[i].state.done() {
			n += int64(w.runs[i].len())
		}
	}
	return n
}

// Changed says whether what must be kept has changed since it was last asked.
func (w *Window) Changed() bool {
	c := w.changed
	w.changed = false
	return c
}

// Next returns the first offset that somebody may acquire; ok is false while the window is full and every record in it with somebody or done.
func (w *Window) Next() (at stream.Offset, ok bool) {
	for i := range w.runs {
		if w.runs[i].state == Available {
			return w.runs[i].first, true
		}
	}
	return w.end, w.room() > 0
}

// room returns how many offsets may come into the window.
func (w *Window) room() int { return max(0, w.limits.Locks-int(min(w.end-w.start, math.MaxInt32))) }

// Holds says whether member has acquired records.
func (w *Window) Holds(member string) bool {
	return slices.ContainsFunc(w.runs, func(r run) bool { return r.state == Acquired && r.member == member })
}

// Deadline returns when the first lock expires, or the zero time.
func (w *Window) Deadline() time.Time {
	var first time.Time
	for i := range w.runs {
		if u := w.runs[i].until; !u.IsZero() && (first.IsZero() || u.Before(first)) {
			first = u
		}
	}
	return first
}

// Tick lets locks expire that end by now. It returns whether one did.
func (w *Window) Tick(now time.Time) bool {
	return w.release(func(r *run) bool { return !r.until.After(now) })
}

// Release gives back what member has. It returns whether that was anything.
func (w *Window) Release(member string) bool {
	return w.release(func(r *run) bool { return r.member == member })
}

func (w *Window) release(which func(*run) bool) bool {
	any := false
	for i := range w.runs {
		if r := &w.runs[i]; r.state == Acquired && which(r) {
			any = true
			w.giveBack(r)
		}
	}
	if any {
		w.changed = true
		w.settle()
	}
	return any
}

// giveBack makes acquired records available, or archives them after their last delivery.
func (w *Window) giveBack(r *run) {
	r.state, r.member, r.until = Available, "", time.Time{}
	if r.deliveries >= w.limits.Deliveries {
		r.state, r.deliveries = Archived, 0
	}
}

// Trim drops what is before first, the log's first readable offset, from the window. It returns whether that changed anything.
func (w *Window) Trim(first stream.Offset) bool {
	if first <= w.start {
		return false
	}
	i := w.cut(first)
	w.runs = slices.Delete(w.runs, 0, i)
	w.start, w.end, w.changed = first, max(w.end, first), true
	w.settle()
	return true
}

// Truncate drops what is from end on, where the log has come to end earlier than it had. It returns whether that changed anything.
func (w *Window) Truncate(end stream.Offset) bool {
	if end >= w.end {
		return false
	}
	w.runs = w.runs[:w.cut(end)]
	w.start, w.end, w.changed = min(w.start, end), end, true
	w.settle()
	return true
}

// Reset begins anew at start, whatever was in flight.
func (w *Window) Reset(start stream.Offset) {
	w.runs, w.start, w.end, w.changed = nil, start, start, true
	w.epoch++
}

// find returns the index of the run that has offset at, or where it would be.
func (w *Window) find(at stream.Offset) int {
	i, _ := slices.BinarySearchFunc(w.runs, at, func(r run, at stream.Offset) int {
		if r.last < at {
			return -1
		}
		return 1
	})
	return i
}

// cut makes a run begin at offset at, if one has it, and returns that run's index, or len(w.runs) if at is behind them all.
func (w *Window) cut(at stream.Offset) int {
	i := w.find(at)
	if i == len(w.runs) || w.runs[i].first >= at {
		return i
	}
	left := w.runs[i]
	left.last = at - 1
	w.runs[i].first = at
	w.runs = slices.Insert(w.runs, i, left)
	return i + 1
}

// settle joins neighbours that are alike and moves start behind what is done.
func (w *Window) settle() {
	joined := w.runs[:0]
	for i := range w.runs {
		r := w.runs[i]
		if len(joined) == 0 && r.state.done() {
			w.start = r.last + 1
			continue
		}
		if n := len(joined); n > 0 && joined[n-1].alike(&r) {
			joined[n-1].last = r.last
			continue
		}
		joined = append(joined, r)
	}
	clear(w.runs[len(joined):])
	w.runs = joined
}
