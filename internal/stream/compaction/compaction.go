// Package compaction decides which part of a shard may be compacted, and when: the rules of stream.Compaction, which are those of Kafka's log
// cleaner. Dirty is its one type; it is told of the batches behind the part that was compacted last, in order.
//
// A log need not be cut into segments to be compacted as if it were: where one would begin follows from the sizes and timestamps of the batches
// (Kafka's LogSegment.shouldRoll), so that users who set segment.bytes or segment.ms to have recent records left alone, or compacted early, see the
// same.
//
// The package is pure: it reads no clock, does no I/O and takes no lock.
package compaction

import (
	"hash/fnv"
	"math"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// Batch is what counts of a batch.
type Batch struct {
	Base, Next stream.Offset // of the first record, and behind the last
	Bytes      int64
	Latest     int64 // largest record timestamp, milliseconds since 1970; < 0 if it has none
	Appended   int64 // when the log took it, milliseconds since 1970
}

// time is by which clock segments grow old: the records', or without one the log's.
func (b *Batch) time() int64 {
	if b.Latest < 0 {
		return b.Appended
	}
	return b.Latest
}

// maxSegments bounds the segments of a Dirty that are told apart; beyond it neighbours count as one, which can only delay a compaction.
const maxSegments = 4096

// segment is what there would be a segment for.
type segment struct {
	base   stream.Offset
	first  int64 // time of its first batch
	latest int64 // largest time
	bytes  int64
	roll   int64 // milliseconds that it may become old
}

// Dirty is the part of a shard that was not compacted yet.
type Dirty struct {
	config stream.Compaction
	shard  stream.Shard
	end    stream.Offset
	closed []segment
	active segment // no bytes: there is none
}

// NewDirty returns a Dirty without batches, of a shard whose stream has that configuration, from an offset on.
func NewDirty(shard stream.Shard, c stream.Compaction, from stream.Offset) *Dirty {
	return &Dirty{config: c, shard: shard, end: from}
}

// End returns the offset behind the last batch.
func (d *Dirty) End() stream.Offset { return d.end }

// Config returns the configuration by which the batches are judged.
func (d *Dirty) Config() stream.Compaction { return d.config }

// Add tells of the next batch.
func (d *Dirty) Add(b Batch) {
	a := &d.active
	if a.bytes > 0 && (a.bytes > d.segmentBytes()-b.Bytes || b.time()-a.first > a.roll) {
		d.close()
	}
	if a.bytes == 0 {
		*a = segment{base: b.Base, first: b.time(), latest: math.MinInt64, roll: d.roll(b.Base)}
	}
	a.bytes += b.Bytes
	a.latest = max(a.latest, b.time())
	d.end = b.Next
}

func (d *Dirty) segmentBytes() int64 {
	if d.config.SegmentBytes <= 0 {
		return stream.DefaultSegmentBytes
	}
	return d.config.SegmentBytes
}

// roll returns how old a segment may become that begins at base: no older than its records may be left alone (KIP-354).
func (d *Dirty) roll(base stream.Offset) int64 {
	age := d.config.SegmentAge
	if age <= 0 {
		age = stream.DefaultSegmentAge
	}
	if d.config.MaxLag > 0 {
		age = min(age, d.config.MaxLag)
	}
	if most := min(d.config.SegmentJitter, age).Milliseconds(); most > 0 {
		return age.Milliseconds() - int64(d.draw(base)%uint64(most))
	}
	return age.Milliseconds()
}

// draw returns a number that is another for each segment of each shard, and always the same for one.
func (d *Dirty) draw(base stream.Offset) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(d.shard.Stream[:])
	var b [12]byte
	for i := range 8 {
		b[i] = byte(base >> (8 * i))
	}
	for i := range 4 {
		b[8+i] = byte(d.shard.Index >> (8 * i))
	}
	_, _ = h.Write(b[:])
	return h.Sum64()
}

// close makes the active segment one that may be compacted.
func (d *Dirty) close() {
	d.closed = append(d.closed, d.active)
	d.active = segment{}
	if len(d.closed) <= maxSegments {
		return
	}
	half := d.closed[:0]
	for i := 0; i+1 < len(d.closed); i += 2 {
		a, b := d.closed[i], &d.closed[i+1]
		a.latest, a.bytes = max(a.latest, b.latest), a.bytes+b.bytes
		if b.first > 0 && (a.first <= 0 || b.first < a.first) {
			a.first = b.first
		}
		half = append(half, a)
	}
	if n := len(d.closed); n%2 == 1 {
		half = append(half, d.closed[n-1])
	}
	d.closed = half
}

// Cleanable is a part that may be compacted.
type Cleanable struct {
	To      stream.Offset // where it ends; no further than was asked
	Bytes   int64
	Overdue bool // some of it was left alone for longer than MaxLag
}

// Cleanable returns what may be compacted at a time, in milliseconds since 1970: up to the active segment, limit, and the first segment with a record
// that is younger than MinLag (Kafka's LogCleanerManager.cleanableOffsets).
func (d *Dirty) Cleanable(now int64, limit stream.Offset) Cleanable {
	c := Cleanable{To: d.active.base}
	if d.active.bytes == 0 {
		c.To = d.end
	}
	earliest := int64(math.MaxInt64)
	for i := range d.closed {
		s := &d.closed[i]
		if d.config.MinLag > 0 && s.latest > now-d.config.MinLag.Milliseconds() || d.endOf(i) > limit {
			c.To = s.base
			break
		}
		c.Bytes += s.bytes
	}
	for i := range d.closed {
		if first := d.closed[i].first; first > 0 {
			earliest = min(earliest, first)
		}
	}
	if lag := d.config.MaxLag; lag > 0 && c.Bytes > 0 && earliest < now-lag.Milliseconds() {
		c.Overdue = true
	}
	return c
}

// endOf returns where the closed segment i ends.
func (d *Dirty) endOf(i int) stream.Offset {
	switch {
	case i+1 < len(d.closed):
		return d.closed[i+1].base
	case d.active.bytes > 0:
		return d.active.base
	}
	return d.end
}

// Due says whether a shard with so many bytes in the part that was compacted already is to be compacted now, and how dirty it is: the share of
// what may be compacted in what was or may be.
func (d *Dirty) Due(c Cleanable, clean int64) (ratio float64, due bool) {
	if c.Bytes == 0 {
		return 0, false
	}
	least := d.config.MinDirty
	switch {
	case least == 0:
		least = stream.DefaultMinDirty
	case least < 0:
		least = 0
	}
	ratio = float64(c.Bytes) / float64(c.Bytes+clean)
	return ratio, ratio > least || c.Overdue
}

// Horizon returns the time until which a tombstone that is compacted at now stays, both in milliseconds since 1970 (KIP-534).
func Horizon(c *stream.Compaction, now int64) int64 {
	keep := c.DeleteRetention
	switch {
	case keep == 0:
		keep = stream.DefaultDeleteRetention
	case keep < 0:
		keep = 0
	}
	if ms := int64(keep / time.Millisecond); ms < math.MaxInt64-now {
		return now + ms
	}
	return math.MaxInt64
}
