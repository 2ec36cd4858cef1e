package transfer

// run is records that stand in a row on both sides: the record at offset source there is at target here, and each behind it is one further on
// both sides, until the next run. A partition without runs has one from 0 to 0. A new run begins behind what the source does not hand out:
// markers, aborted and compacted records, a head that was deleted.
type run struct{ source, target int64 }

// sourceOf returns the source's offset of the record that the target has at offset target, which is in the run.
func (r run) sourceOf(target int64) int64 { return r.source + target - r.target }

// origin finds, among the runs of a partition in the order in which they were planned, the one that the target's next offset is in. A run is
// planned before its records are sent, so that the last ones may not have come about: planned again, they come again, or others in their place.
type origin struct {
	next int64 // the target's next offset
	run  run
}

func (o *origin) see(r run) {
	if r.target <= o.next {
		o.run = r
	}
}

// translation turns a group's offset at the source into the target's: that of the first record which the source has at or behind it. It sees the
// runs as origin does, and keeps two: the last one that begins at or before the offset, and the first one behind.
type translation struct {
	wanted       int64 // the group's offset at the source
	below, above run
	bounded      bool // there is one above
}

func (t *translation) see(r run) {
	// A run that is planned where another was, or before it, takes its place. The one below needs no such care: what took its place is above, and
	// bounds it.
	t.bounded = t.bounded && t.above.target < r.target
	switch {
	case r.source <= t.wanted:
		t.below = r
	case !t.bounded:
		t.above, t.bounded = r, true
	}
}

// offset returns the target's offset, if end is the target's next one and everything that the source has before the wanted offset is copied.
func (t *translation) offset(end int64) int64 {
	if t.bounded {
		end = min(end, t.above.target)
	}
	return min(end, t.below.target+t.wanted-t.below.source)
}
