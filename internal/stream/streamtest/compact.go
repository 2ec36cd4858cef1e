package streamtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

// eager compacts whatever may be: all but the last batch of a shard.
var eager = stream.Compaction{On: true, SegmentBytes: 1, MinDirty: -1}

// pair is a record with a key. No value deletes the key.
type pair struct {
	offset     stream.Offset
	time       int64
	key, value string
	deletes    bool
}

// keyedBatch makes a batch of pairs in a codec.
func (h *harness) keyedBatch(codec batch.Codec, pairs ...pair) []byte {
	h.Helper()
	var b batch.Builder
	for _, p := range pairs {
		value := []byte(p.value)
		if p.deletes {
			value = nil
		}
		b.Add(p.time, []byte(p.key), value)
	}
	out, err := batch.Recode(nil, b.Finish(batch.NoProducer), codec, 0, 0)
	h.must(err)
	return out
}

// putPairs appends one batch of records "key=value"; "key" alone deletes.
func (h *harness) putPairs(shard stream.Shard, pairs ...string) {
	h.Helper()
	var all []pair
	for _, p := range pairs {
		one := pair{time: h.now().UnixMilli(), key: p[:1], deletes: len(p) == 1}
		if !one.deletes {
			one.value = p[2:]
		}
		all = append(all, one)
	}
	h.put(shard, h.keyedBatch(batch.None, all...))
}

// pairs reads a shard from an offset on, and checks that it can be read to its end.
func (h *harness) pairs(shard stream.Shard, from stream.Offset, maxBytes int) []pair {
	h.Helper()
	var all []pair
	for end := h.bounds(shard).End; from < end; {
		c, err := h.log.Read(h.Context(), shard, from, maxBytes)
		h.must(err)
		if len(c.Batches) == 0 {
			h.Fatalf("reading ends at offset %d, the shard at %d", from, end)
		}
		before := from
		for _, b := range c.Batches {
			head, err := batch.VerifyStored(b)
			h.must(err)
			h.must(batch.Records(b, 0, func(r *batch.Record) bool {
				if stream.Offset(r.Offset) >= from && !head.Attributes.Control() {
					all = append(all, pair{stream.Offset(r.Offset), r.Timestamp, string(r.Key), string(r.Value), r.Value == nil})
				}
				return true
			}))
			from = stream.Offset(head.LastOffset() + 1)
		}
		if from <= before {
			h.Fatalf("a read from offset %d returns what ends at %d", before, from)
		}
		c.Release()
	}
	return all
}

func (h *harness) text(pairs []pair) (all []string) {
	for _, p := range pairs {
		one := fmt.Sprint(p.offset, p.key)
		if !p.deletes {
			one += "=" + p.value
		}
		all = append(all, one)
	}
	return all
}

func (h *harness) needCompaction() {
	if h.options.Compact == nil {
		h.Skip("the log does not compact when it is told to")
	}
}

func (h *harness) compact() {
	h.Helper()
	h.options.Compact(h, h.log)
}

func (h *harness) compacted(c stream.Compaction) stream.Shard {
	h.Helper()
	return h.compactedAs("s", c)
}

func (h *harness) compactedAs(name string, c stream.Compaction) stream.Shard {
	h.Helper()
	h.needCompaction()
	return h.createWith(stream.Spec{Name: stream.Name(name), Shards: 1, Config: stream.Config{KeepAll: true, Compaction: c}}).Shard(0)
}

// compactSeeds is how many random runs there are.
const compactSeeds = 5

var compactCases = []testCase{
	{"compaction keeps the last record of each key where it was, and all of the newest part", func(h *harness) {
		s := h.compacted(eager)
		h.putPairs(s, "a=1", "b=1", "a=2")
		h.putPairs(s, "c=1", "b=2")
		h.putPairs(s, "a=3", "a=4")
		h.putPairs(s, "c=2")
		h.compact()
		h.equal("records", h.text(h.pairs(s, 0, 1<<20)), []string{"3c=1", "4b=2", "6a=4", "7c=2"})
		h.putPairs(s, "b=3")
		h.compact()
		h.equal("records", h.text(h.pairs(s, 0, 1<<20)), []string{"4b=2", "6a=4", "7c=2", "8b=3"})
	}},
	{"a batch that compaction empties is passed over, from every offset", func(h *harness) {
		s := h.compacted(eager)
		for i := range 9 {
			h.putPairs(s, fmt.Sprint("a=", i), fmt.Sprint("b=", i))
		}
		h.putPairs(s, "c=1")
		h.putPairs(s, "a=9", "b=9")
		h.putPairs(s, "d=1")
		h.compact()
		for from := range stream.Offset(21) {
			want := []string{"18c=1", "19a=9", "20b=9", "21d=1"}
			want = want[max(0, int(from)-18):]
			for _, limit := range []int{0, 1, 100, 1 << 20} {
				h.equal(fmt.Sprintf("records from %d, %d bytes at a time", from, limit), h.text(h.pairs(s, from, limit)), want)
			}
		}
	}},
	{"a tombstone stays for its time, then goes", func(h *harness) {
		h.needClock()
		c := eager
		c.DeleteRetention = time.Hour
		s := h.compacted(c)
		h.putPairs(s, "a=1", "b=1")
		h.putPairs(s, "a")
		h.putPairs(s, "x=1")
		h.compact()
		h.equal("records", h.text(h.pairs(s, 0, 1<<20)), []string{"1b=1", "2a", "3x=1"})
		h.clock.Advance(time.Hour - time.Millisecond)
		h.putPairs(s, "x=2")
		h.compact()
		h.equal("a millisecond before its time", h.text(h.pairs(s, 0, 1<<20)), []string{"1b=1", "2a", "3x=1", "4x=2"})
		h.clock.Advance(time.Millisecond)
		h.putPairs(s, "x=3")
		h.compact()
		h.equal("at its time", h.text(h.pairs(s, 0, 1<<20)), []string{"1b=1", "4x=2", "5x=3"})
	}},
	{"a record without key goes when it is compacted", func(h *harness) {
		s := h.compacted(eager)
		h.putValues(s, "no key")
		h.putPairs(s, "a=1")
		h.compact()
		h.equal("records", h.text(h.pairs(s, 0, 1<<20)), []string{"1a=1"})
	}},
	{"a stream is compacted when its share of what was not yet is large enough", func(h *harness) {
		s := h.compacted(stream.Compaction{On: true, SegmentBytes: 1, MinDirty: 0.4})
		h.putPairs(s, "a=1")
		h.putPairs(s, "b=1")
		h.putPairs(s, "c=1")
		h.putPairs(s, "z=1")
		h.compact() // all of three batches may be
		h.putPairs(s, "a=2")
		h.compact() // one beside three
		h.equal("a quarter", h.text(h.pairs(s, 0, 1<<20)), []string{"0a=1", "1b=1", "2c=1", "3z=1", "4a=2"})
		h.putPairs(s, "a=3")
		h.putPairs(s, "a=4")
		h.compact()
		h.equal("a half", h.text(h.pairs(s, 0, 1<<20)), []string{"1b=1", "2c=1", "3z=1", "5a=3", "6a=4"})
	}},
	{"records younger than they may be are left alone", func(h *harness) {
		h.needClock()
		c := eager
		c.MinLag = time.Minute
		s := h.compacted(c)
		h.putPairs(s, "a=1")
		h.putPairs(s, "a=2")
		h.clock.Advance(30 * time.Second)
		h.putPairs(s, "a=3")
		h.putPairs(s, "a=4")
		h.compact()
		h.equal("all of them", h.text(h.pairs(s, 0, 1<<20)), []string{"0a=1", "1a=2", "2a=3", "3a=4"})
		h.clock.Advance(30 * time.Second)
		h.compact()
		h.equal("half of them", h.text(h.pairs(s, 0, 1<<20)), []string{"1a=2", "2a=3", "3a=4"})
	}},
	{"a stream that does not ask for compaction has none", func(h *harness) {
		s := h.compacted(stream.Compaction{SegmentBytes: 1, MinDirty: -1})
		h.putPairs(s, "a=1")
		h.putPairs(s, "a=2")
		h.putPairs(s, "a=3")
		h.compact()
		h.equal("records", h.text(h.pairs(s, 0, 1<<20)), []string{"0a=1", "1a=2", "2a=3"})
	}},
	{"what is compacted is sought, trimmed and retained like all else", func(h *harness) {
		h.needClock()
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{Retention: time.Hour, Compaction: eager}}).Shard(0)
		h.needCompaction()
		first := h.now().UnixMilli()
		for i := range 6 {
			h.putPairs(s, fmt.Sprint("a=", i), fmt.Sprintf("%c=%d", 'b'+i%3, i))
			h.clock.Advance(time.Minute)
		}
		h.compact() // 7 b=3 and 9 c=4 stay, and 10 a=5, 11 d=5
		want := []string{"5d=2", "7b=3", "8a=4", "9c=4", "10a=5", "11d=5"}
		h.equal("records", h.text(h.pairs(s, 0, 1<<20)), want)
		minute := time.Minute.Milliseconds()
		for _, row := range []struct {
			after int64
			want  stream.Offset
			at    int64
		}{{0, 5, 2}, {1, 5, 2}, {3*minute - 1, 7, 3}, {4 * minute, 8, 4}, {5 * minute, 10, 5}} {
			at, when, ok, err := h.log.OffsetAt(h.Context(), s, time.UnixMilli(first+row.after))
			h.must(err)
			h.equal(fmt.Sprintf("first record after %d ms", row.after), fmt.Sprint(at, when.UnixMilli(), ok), fmt.Sprint(row.want, first+row.at*minute, true))
		}
		at, _, ok, err := h.log.Latest(h.Context(), s)
		h.must(err)
		h.equal("latest", fmt.Sprint(at, ok), "10 true")
		start, err := h.log.Trim(h.Context(), s, 6) // in a batch that has lost a record
		h.must(err)
		h.equal("start", start, 6)
		h.equal("records", h.text(h.pairs(s, 6, 1<<20)), want[1:])
		h.clock.Advance(58 * time.Minute) // from minute 6 to 64: what is of minute 3 goes
		h.options.Retain(h, h.log)
		h.equal("records", h.text(h.pairs(s, h.bounds(s).Start, 1<<20)), want[2:])
	}},
	{"random keys agree with a model, whatever the codec, across restarts", func(h *harness) {
		h.needClock()
		for seed := range uint64(compactSeeds) {
			h.compactAtRandom(seed)
		}
	}},
}

// compactAtRandom writes keys in all codecs, compacts now and then, and compares with what a map says should be left.
func (h *harness) compactAtRandom(seed uint64) {
	h.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	c := eager
	c.DeleteRetention = 10 * time.Minute
	s := h.compactedAs(fmt.Sprint("s", seed), c)
	m := keyModel{h: h, shard: s, horizons: map[stream.Offset]time.Time{}}
	for range 30 {
		for range 1 + random.IntN(6) {
			m.put(random)
		}
		h.clock.Advance(time.Duration(random.IntN(5)) * time.Minute)
		switch random.IntN(8) {
		case 0:
			if h.options.Reopen != nil {
				h.log = h.options.Reopen(h, h.log)
			}
		case 1:
			if h.options.Crash != nil {
				h.log = h.options.Crash(h, h.log)
			}
		case 2:
			m.trim(random)
		default:
			h.compact()
			m.compact(c.DeleteRetention)
		}
		h.equal("records", h.text(h.pairs(s, m.start, 1+random.IntN(2000))), h.text(m.left))
		for range 3 {
			from := m.start + stream.Offset(random.Int64N(int64(m.end-m.start)+1))
			i, _ := slices.BinarySearchFunc(m.left, from, func(p pair, o stream.Offset) int { return int(p.offset - o) })
			h.equal(fmt.Sprint("records from ", from), h.text(h.pairs(s, from, 1+random.IntN(500))), h.text(m.left[i:]))
		}
		h.checkBytes(s)
	}
}

// checkBytes compares the bytes that a log says a shard has with those that can be read.
func (h *harness) checkBytes(s stream.Shard) {
	h.Helper()
	b := h.bounds(s)
	var bytes int64
	for from := b.Start; from < b.End; {
		c, err := h.log.Read(h.Context(), s, from, 1<<20)
		h.must(err)
		bytes += int64(c.Bytes())
		last, err := batch.Parse(c.Batches[len(c.Batches)-1])
		h.must(err)
		from = stream.Offset(last.LastOffset() + 1)
		c.Release()
	}
	// Of what is compacted a batch before the start may count until the next one is trimmed too.
	if b.Bytes < bytes || b.Bytes > bytes+4096 {
		h.Fatalf("the shard says that it has %d bytes, and has %d", b.Bytes, bytes)
	}
}

// keyModel is what should be left of a shard.
type keyModel struct {
	h          *harness
	shard      stream.Shard
	start, end stream.Offset
	last       stream.Offset // base of the last batch
	clean      stream.Offset
	left       []pair
	horizons   map[stream.Offset]time.Time // of tombstones
}

func (m *keyModel) put(random *rand.Rand) {
	var pairs []pair
	for range 1 + random.IntN(5) {
		p := pair{
			offset: m.end + stream.Offset(len(pairs)), time: m.h.now().UnixMilli(), key: fmt.Sprint("k", random.IntN(12)),
			value: fmt.Sprint(random.Uint64()), deletes: random.IntN(4) == 0,
		}
		if p.deletes {
			p.value = ""
		}
		pairs = append(pairs, p)
	}
	m.h.put(m.shard, m.h.keyedBatch(batch.Codec(random.IntN(5)), pairs...))
	m.left = append(m.left, pairs...)
	m.last = m.end
	m.end += stream.Offset(len(pairs))
}

func (m *keyModel) trim(random *rand.Rand) {
	m.start += stream.Offset(random.Int64N(int64(m.end-m.start)/4 + 1))
	_, err := m.h.log.Trim(m.h.Context(), m.shard, m.start)
	m.h.must(err)
	m.left = slices.DeleteFunc(m.left, func(p pair) bool { return p.offset < m.start })
}

// compact does what compaction is to do with everything before the last batch, if some of that is new.
func (m *keyModel) compact(keep time.Duration) {
	if max(m.clean, m.start) >= m.last {
		return
	}
	now := m.h.now()
	m.clean = m.last
	last := map[string]stream.Offset{}
	for _, p := range m.left {
		if p.offset < m.last {
			last[p.key] = p.offset
		}
	}
	m.left = slices.DeleteFunc(m.left, func(p pair) bool {
		if p.offset >= m.last {
			return false
		}
		at, marked := m.horizons[p.offset]
		return last[p.key] > p.offset || p.deletes && marked && !at.After(now)
	})
	for _, p := range m.left {
		if _, marked := m.horizons[p.offset]; p.deletes && !marked && p.offset < m.last {
			m.horizons[p.offset] = now.Add(keep)
		}
	}
}
