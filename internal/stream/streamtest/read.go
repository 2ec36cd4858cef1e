package streamtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

var readCases = []testCase{
	{"read begins with the batch that holds the offset", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b", "c")
		h.putValues(s.Shard(0), "d", "e")
		for from, want := range []int64{0, 0, 0, 3, 3} {
			c, err := h.log.Read(h.Context(), s.Shard(0), stream.Offset(from), 1<<20)
			h.must(err)
			first, err := batch.Parse(c.Batches[0])
			h.must(err)
			h.equal(fmt.Sprintf("first batch from %d", from), first.BaseOffset, want)
			h.equal("bounds", c.Bounds, h.bounds(s.Shard(0)))
			c.Release()
		}
	}},
	{"read at the end returns an empty chunk at once", func(h *harness) {
		s := h.create("s", 1)
		for range 2 {
			end := h.bounds(s.Shard(0)).End
			c, err := h.log.Read(h.Context(), s.Shard(0), end, 1<<20)
			h.must(err)
			h.equal("batches", len(c.Batches), 0)
			h.equal("end", c.Bounds.End, end)
			c.Release()
			h.putValues(s.Shard(0), "a")
		}
	}},
	{"read outside the bounds is out of range and says the bounds", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b")
		h.putValues(s.Shard(0), "c")
		_, err := h.log.Trim(h.Context(), s.Shard(0), 1)
		h.must(err)
		for _, from := range []stream.Offset{-1, 0, 4, 1 << 40} {
			c, err := h.log.Read(h.Context(), s.Shard(0), from, 1<<20)
			h.is(err, stream.ErrOutOfRange)
			h.equal("bounds", c.Bounds, h.bounds(s.Shard(0)))
			h.equal("batches", len(c.Batches), 0)
			c.Release()
		}
	}},
	{"read returns whole batches up to the limit, the first whatever its size", func(h *harness) {
		s := h.create("s", 1)
		size := len(plain(h.now(), strings.Repeat("x", 1000)))
		for range 10 {
			h.putValues(s.Shard(0), strings.Repeat("x", 1000))
		}
		for limit, want := range map[int]int{0: 1, 1: 1, size - 1: 1, size: 1, 2*size - 1: 1, 2 * size: 2, 1 << 20: 10} {
			c, err := h.log.Read(h.Context(), s.Shard(0), 0, limit)
			h.must(err)
			h.equal(fmt.Sprintf("batches within %d bytes", limit), len(c.Batches), want)
			h.equal("bytes", c.Bytes(), want*size)
			c.Release()
		}
	}},
	{"batches stay as read until released", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "first")
		c, err := h.log.Read(h.Context(), s.Shard(0), 0, 1<<20)
		h.must(err)
		for i := range 100 {
			h.putValues(s.Shard(0), fmt.Sprint(i))
		}
		_, err = h.log.Trim(h.Context(), s.Shard(0), -1)
		h.must(err)
		h.must(h.log.Delete(h.Context(), s.ID))
		h.equal("records", h.records(c, 0)[0].Value, "first")
		c.Release()
		c.Release()
		h.equal("batches after release", len(c.Batches), 0)
	}},
	{"records that are missing inside a batch leave gaps", func(h *harness) {
		s := h.create("s", 1)
		h.put(s.Shard(0), gappy(h.now()))
		h.equal("end", h.bounds(s.Shard(0)).End, 10)
		h.equal("next base", h.putValues(s.Shard(0), "after").Base, 10)
		h.equal("from within the gap", h.values(s.Shard(0), 5), "[after]")
		h.equal("all", h.values(s.Shard(0), 0), "[a b after]")
	}},
	{"bounds count the stored bytes", func(h *harness) {
		s := h.create("s", 2)
		var want int64
		for i := range 5 {
			b := plain(h.now(), strings.Repeat("x", i*100))
			h.put(s.Shard(0), b)
			want += int64(len(b))
		}
		h.equal("bytes", h.bounds(s.Shard(0)).Bytes, want)
		h.equal("bytes of the other shard", h.bounds(s.Shard(1)).Bytes, 0)
	}},
}

// gappy makes a batch of two records that takes ten offsets, as compaction leaves them.
func gappy(at time.Time) []byte {
	b := plain(at, "a", "b")
	b[26] = 9 // last offset delta
	batch.SetLogAppendTime(b, at.UnixMilli())
	return b
}

var timeCases = []testCase{
	{"offset for a time is the first record that late", func(h *harness) {
		s := h.create("s", 1)
		h.noOffsetAt(s.Shard(0), 0)
		h.put(s.Shard(0), stamped(1000, 3000, 2000))
		h.put(s.Shard(0), stamped(1500, 1500))
		h.put(s.Shard(0), stamped(5000, 4000, 5000))
		for _, row := range [][3]int64{ // asked, offset, timestamp
			{0, 0, 1000}, {1000, 0, 1000}, {1001, 1, 3000}, {3000, 1, 3000}, {3001, 5, 5000}, {5000, 5, 5000},
		} {
			at, timestamp, ok, err := h.log.OffsetAt(h.Context(), s.Shard(0), time.UnixMilli(row[0]))
			h.must(err)
			h.equal(fmt.Sprint("answer for ", row[0]), []int64{int64(at), timestamp.UnixMilli()}, []int64{row[1], row[2]})
			h.equal("ok", ok, true)
		}
		h.noOffsetAt(s.Shard(0), 5001)
	}},
	{"offset for a time leaves out what was trimmed", func(h *harness) {
		s := h.create("s", 1)
		h.put(s.Shard(0), stamped(1000, 2000, 3000))
		h.put(s.Shard(0), stamped(2500))
		_, err := h.log.Trim(h.Context(), s.Shard(0), 1)
		h.must(err)
		at, timestamp, ok, err := h.log.OffsetAt(h.Context(), s.Shard(0), time.UnixMilli(0))
		h.must(err)
		h.equal("answer", fmt.Sprint(at, timestamp.UnixMilli(), ok), "1 2000 true")
		_, err = h.log.Trim(h.Context(), s.Shard(0), 3)
		h.must(err)
		at, timestamp, ok, err = h.log.OffsetAt(h.Context(), s.Shard(0), time.UnixMilli(0))
		h.must(err)
		h.equal("answer", fmt.Sprint(at, timestamp.UnixMilli(), ok), "3 2500 true")
		h.noOffsetAt(s.Shard(0), 2501)
	}},
	{"offset for a time goes by the log's time where that is the stream's", func(h *harness) {
		h.needClock()
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{Timestamps: stream.LogAppendTime}})
		first := h.now()
		h.put(s.Shard(0), stamped(1, 2))
		h.clock.Advance(time.Second)
		h.put(s.Shard(0), stamped(1, 2))
		at, timestamp, ok, err := h.log.OffsetAt(h.Context(), s.Shard(0), first.Add(time.Millisecond))
		h.must(err)
		h.equal("answer", fmt.Sprint(at, timestamp.UnixMilli(), ok), fmt.Sprint(2, h.now().UnixMilli(), true))
	}},
	{"latest is the first of the records with the largest timestamp", func(h *harness) {
		s := h.create("s", 1)
		_, _, ok, err := h.log.Latest(h.Context(), s.Shard(0))
		h.must(err)
		h.equal("ok for an empty shard", ok, false)
		h.put(s.Shard(0), stamped(1000, 3000, 2000, 3000))
		h.put(s.Shard(0), stamped(3000, 10))
		at, timestamp, ok, err := h.log.Latest(h.Context(), s.Shard(0))
		h.must(err)
		h.equal("answer", fmt.Sprint(at, timestamp.UnixMilli(), ok), "1 3000 true")
		_, err = h.log.Trim(h.Context(), s.Shard(0), -1)
		h.must(err)
		_, _, ok, err = h.log.Latest(h.Context(), s.Shard(0))
		h.must(err)
		h.equal("ok for a trimmed shard", ok, false)
	}},
	{"the current epoch ends at the end", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b")
		b := h.bounds(s.Shard(0))
		epoch, end, err := h.log.EpochEnd(h.Context(), s.Shard(0), b.Epoch)
		h.must(err)
		h.equal("epoch", epoch, b.Epoch)
		h.equal("end", end, b.End)
	}},
	{"an epoch that has not begun has no end", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b")
		for _, asked := range []int32{-1, h.bounds(s.Shard(0)).Epoch + 1, 1 << 30} {
			epoch, end, err := h.log.EpochEnd(h.Context(), s.Shard(0), asked)
			h.must(err)
			h.equal(fmt.Sprint("end of epoch ", asked), fmt.Sprint(epoch, end), "-1 -1")
		}
	}},
	{"retention by age drops whole batches", func(h *harness) {
		h.needRetain()
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{Retention: time.Hour}})
		forever := h.createWith(stream.Spec{Name: "forever", Shards: 1, Config: stream.Config{Retention: -1}})
		h.putValues(forever.Shard(0), "kept")
		h.putValues(s.Shard(0), "a", "b")
		h.clock.Advance(30 * time.Minute)
		h.putValues(s.Shard(0), "c")
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 0)
		h.clock.Advance(30*time.Minute + time.Millisecond)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 2)
		h.equal("values", h.values(s.Shard(0), 2), "[c]")
		h.clock.Advance(300 * 24 * time.Hour)
		h.options.Retain(h, h.log)
		b := h.bounds(s.Shard(0))
		h.equal("bounds", []int64{int64(b.Start), int64(b.End), b.Bytes}, "[3 3 0]")
		h.equal("next base", h.putValues(s.Shard(0), "d").Base, 3)
		h.equal("kept", h.values(forever.Shard(0), 0), "[kept]")
	}},
	{"records without a timestamp are as old as they are in the log", func(h *harness) {
		h.needRetain()
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{Retention: time.Hour}})
		h.put(s.Shard(0), plain(time.UnixMilli(-1), "a"))
		h.clock.Advance(time.Hour)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 0)
		h.clock.Advance(time.Millisecond)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 1)
	}},
	{"records from the future are as old as they are in the log", func(h *harness) {
		h.needRetain()
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{Retention: time.Hour}})
		h.put(s.Shard(0), plain(h.now().Add(300*24*time.Hour), "a"))
		h.clock.Advance(time.Hour)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 0)
		h.clock.Advance(time.Millisecond)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 1)
	}},
	{"retention defaults to a week", func(h *harness) {
		h.needRetain()
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a")
		h.clock.Advance(stream.DefaultRetention)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 0)
		h.clock.Advance(time.Second)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 1)
	}},
	{"retention by size keeps at least so many bytes", func(h *harness) {
		h.needRetain()
		size := int64(len(plain(h.now(), strings.Repeat("x", 1000))))
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{RetentionBytes: 3*size - 1}})
		for range 10 {
			h.putValues(s.Shard(0), strings.Repeat("x", 1000))
		}
		h.options.Retain(h, h.log)
		b := h.bounds(s.Shard(0))
		h.equal("bounds", []int64{int64(b.Start), int64(b.End), b.Bytes}, []int64{7, 10, 3 * size})
	}},
	{"a stream that keeps all loses nothing until it is told otherwise", func(h *harness) {
		h.needRetain()
		config := stream.Config{Retention: time.Hour, RetentionBytes: 1, KeepAll: true}
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: config})
		h.putValues(s.Shard(0), "a")
		h.putValues(s.Shard(0), "b")
		h.clock.Advance(300 * 24 * time.Hour)
		h.options.Retain(h, h.log)
		h.equal("values", h.values(s.Shard(0), 0), "[a b]")
		config.KeepAll = false
		_, err := h.log.Alter(h.Context(), s.ID, stream.Change{Config: &config})
		h.must(err)
		h.options.Retain(h, h.log)
		h.equal("start", h.bounds(s.Shard(0)).Start, 2)
	}},
}

func (h *harness) noOffsetAt(shard stream.Shard, ms int64) {
	h.Helper()
	at, _, ok, err := h.log.OffsetAt(h.Context(), shard, time.UnixMilli(ms))
	h.must(err)
	if ok {
		h.Fatalf("offset %d for time %d, none was expected", at, ms)
	}
}

func (h *harness) needRetain() {
	h.needClock()
	if h.options.Retain == nil {
		h.Skip("the suite cannot make the log apply retention")
	}
}

var trimCases = []testCase{
	{"trim moves the start, never back", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b", "c")
		h.putValues(s.Shard(0), "d")
		for _, row := range [][2]stream.Offset{{0, 0}, {1, 1}, {0, 1}, {3, 3}, {2, 3}, {-1, 4}, {4, 4}} {
			start, err := h.log.Trim(h.Context(), s.Shard(0), row[0])
			h.must(err)
			h.equal(fmt.Sprintf("start after trim %d", row[0]), start, row[1])
			h.equal("bounds' start", h.bounds(s.Shard(0)).Start, row[1])
		}
		b := h.bounds(s.Shard(0))
		h.equal("bytes and end", fmt.Sprint(b.Bytes, b.End), "0 4")
		h.equal("next base", h.putValues(s.Shard(0), "e").Base, 4)
	}},
	{"trim within a batch keeps it whole and hides its beginning", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b", "c")
		_, err := h.log.Trim(h.Context(), s.Shard(0), 2)
		h.must(err)
		h.equal("values", h.values(s.Shard(0), 2), "[c]")
	}},
	{"trim beyond the end is out of range", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a")
		for _, before := range []stream.Offset{2, 1 << 40, -2} {
			_, err := h.log.Trim(h.Context(), s.Shard(0), before)
			h.is(err, stream.ErrOutOfRange)
		}
		h.equal("start", h.bounds(s.Shard(0)).Start, 0)
	}},
}
