package compaction

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// batches adds batches of 100 bytes and ten records each, with these times.
func batches(d *Dirty, times ...int64) {
	for _, t := range times {
		base := d.End()
		d.Add(Batch{Base: base, Next: base + 10, Bytes: 100, Latest: t, Appended: 1_000_000})
	}
}

func TestSegmentsBeginWhereKafkaWouldBeginThem(t *testing.T) {
	const far = 1 << 40
	for what, row := range map[string]struct {
		config stream.Compaction
		times  []int64
		now    int64
		want   Cleanable
	}{
		"nothing":                         {stream.Compaction{}, nil, 0, Cleanable{To: 50}},
		"all in the active one":           {stream.Compaction{}, []int64{1, 2, 3}, far, Cleanable{To: 50}},
		"by size":                         {stream.Compaction{SegmentBytes: 250}, []int64{1, 1, 1, 1, 1}, far, Cleanable{To: 90, Bytes: 400}},
		"by size, to the byte":            {stream.Compaction{SegmentBytes: 300}, []int64{1, 1, 1, 1, 1}, far, Cleanable{To: 80, Bytes: 300}},
		"each larger than a segment":      {stream.Compaction{SegmentBytes: 10}, []int64{1, 1, 1}, far, Cleanable{To: 70, Bytes: 200}},
		"by age of records":               {stream.Compaction{SegmentAge: 100 * time.Millisecond}, []int64{1000, 1100, 1101, 1201, 1202}, far, Cleanable{To: 90, Bytes: 400}},
		"time alone begins none":          {stream.Compaction{SegmentAge: time.Millisecond}, []int64{1000}, far, Cleanable{To: 50}},
		"records that go back begin none": {stream.Compaction{SegmentAge: time.Millisecond}, []int64{1000, 5, 4}, far, Cleanable{To: 50}},
		"without timestamps, the log's":   {stream.Compaction{SegmentAge: time.Millisecond}, []int64{-1, -1}, far, Cleanable{To: 50}},
		"no older than records may be": {
			stream.Compaction{MaxLag: 100 * time.Millisecond},
			[]int64{1000, 1101},
			1050,
			Cleanable{To: 60, Bytes: 100},
		},
		"overdue": {stream.Compaction{MaxLag: 100 * time.Millisecond}, []int64{1000, 1101}, 1101, Cleanable{To: 60, Bytes: 100, Overdue: true}},
		"too young": {
			stream.Compaction{SegmentBytes: 100, MinLag: 50 * time.Millisecond},
			[]int64{1000, 1010, 1020, 1000},
			1060,
			Cleanable{To: 70, Bytes: 200},
		},
		"too young, and older behind it": {
			stream.Compaction{SegmentBytes: 100, MinLag: 50 * time.Millisecond},
			[]int64{1000, 2000, 1000, 1000},
			1060,
			Cleanable{To: 60, Bytes: 100},
		},
	} {
		d := NewDirty(stream.Shard{}, row.config, 50)
		batches(d, row.times...)
		if got := d.Cleanable(row.now, far); got != row.want {
			t.Errorf("%s: %+v, want %+v", what, got, row.want)
		}
	}
	d := NewDirty(stream.Shard{}, stream.Compaction{SegmentBytes: 1}, 50)
	batches(d, 1, 1, 1)
	for limit, want := range map[stream.Offset]Cleanable{70: {To: 70, Bytes: 200}, 69: {To: 60, Bytes: 100}, 59: {To: 50}} {
		if got := d.Cleanable(far, limit); got != want {
			t.Errorf("no further than %d: %+v, want %+v", limit, got, want)
		}
	}
}

func TestManySegmentsCountAsFewer(t *testing.T) {
	d := NewDirty(stream.Shard{}, stream.Compaction{SegmentBytes: 1, MinLag: time.Millisecond}, 0)
	for i := range int64(3 * maxSegments) {
		batches(d, i)
	}
	got := d.Cleanable(2*maxSegments, 1<<40)
	if len(d.closed) > maxSegments || got.To > 20*maxSegments || got.To < 20*maxSegments-40 || got.Bytes != int64(got.To)*10 {
		t.Errorf("%d segments, %+v", len(d.closed), got)
	}
}

func TestDueIsWhatIsDirtierThanAllowed(t *testing.T) {
	for what, row := range map[string]struct {
		least        float64
		bytes, clean int64
		overdue      bool
		ratio        float64
		due          bool
	}{
		"a half is not more than that": {0, 100, 100, false, 0.5, false},
		"more than a half":             {0, 101, 99, false, 0.505, true},
		"nothing to compact":           {-1, 0, 0, false, 0, false},
		"any, however little":          {-1, 1, 99, false, 0.01, true},
		"never but":                    {1, 100, 0, false, 1, false},
		"for its age":                  {1, 100, 0, true, 1, true},
	} {
		d := NewDirty(stream.Shard{}, stream.Compaction{MinDirty: row.least}, 0)
		if ratio, due := d.Due(Cleanable{Bytes: row.bytes, Overdue: row.overdue}, row.clean); ratio != row.ratio || due != row.due {
			t.Errorf("%s: %v, %v", what, ratio, due)
		}
	}
}

func TestJitterMakesSegmentsYoungerByNoMoreThanItMay(t *testing.T) {
	c := stream.Compaction{SegmentAge: time.Second, SegmentJitter: 200 * time.Millisecond}
	ages := map[int64]bool{}
	for i := range stream.Offset(100) {
		d := NewDirty(stream.Shard{Index: 3}, c, i)
		if age := d.roll(i); age > 1000 || age <= 800 || age != d.roll(i) {
			t.Fatalf("segment at %d becomes %d ms old", i, age)
		} else {
			ages[age] = true
		}
	}
	if len(ages) < 20 {
		t.Errorf("%d different ages of 100", len(ages))
	}
}

func TestHorizon(t *testing.T) {
	for keep, want := range map[time.Duration]int64{0: 1000 + 24*3600*1000, -1: 1000, time.Nanosecond: 1000, time.Hour: 3_601_000, 1<<63 - 1: 1000 + (1<<63-1)/1_000_000} {
		if got := Horizon(&stream.Compaction{DeleteRetention: keep}, 1000); got != want {
			t.Errorf("%s: %d, want %d", keep, got, want)
		}
	}
}
