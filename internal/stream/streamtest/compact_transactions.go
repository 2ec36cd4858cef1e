package streamtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/committed"
)

// putWithin appends one batch of records "key=value" of a producer's transaction.
func (h *harness) putWithin(shard stream.Shard, p batch.Producer, pairs ...string) {
	h.Helper()
	var b batch.Builder
	for _, one := range pairs {
		var value []byte
		if len(one) > 1 {
			value = []byte(one[2:])
		}
		b.Add(h.now().UnixMilli(), []byte(one[:1]), value)
	}
	out := b.Finish(p)
	out[22] |= 1 << 4
	batch.SetMaxTimestamp(out, h.now().UnixMilli()) // and with it the checksum
	h.put(shard, out)
}

// readCommitted reads what a consumer gets that reads committed records only: as Kafka's consumer does, it passes over the batches of a producer from where
// an aborted transaction of it begins to the marker that aborts it.
func (h *harness) readCommitted(shard stream.Shard, from stream.Offset) []string {
	h.Helper()
	var all []pair
	for end := h.bounds(shard).LastStable; from < end; {
		c, err := h.log.Read(h.Context(), shard, from, 300)
		h.must(err)
		last, err := batch.Parse(c.Batches[len(c.Batches)-1])
		h.must(err)
		to := stream.Offset(last.LastOffset() + 1)
		told, err := h.log.Aborted(h.Context(), shard, from, to)
		h.must(err)
		aborts := map[int64]bool{}
		for _, b := range c.Batches {
			head, err := batch.Parse(b)
			h.must(err)
			for ; len(told) > 0 && int64(told[0].First) <= head.LastOffset(); told = told[1:] {
				aborts[told[0].ProducerID] = true
			}
			if head.Attributes.Control() {
				if m, err := batch.ParseMarker(b); err == nil && !m.Commit {
					delete(aborts, head.ProducerID)
				}
				continue
			}
			if head.Attributes.Transactional() && aborts[head.ProducerID] || stream.Offset(head.BaseOffset) >= end {
				continue
			}
			h.must(batch.Records(b, 0, func(r *batch.Record) bool {
				if stream.Offset(r.Offset) >= from {
					all = append(all, pair{stream.Offset(r.Offset), r.Timestamp, string(r.Key), string(r.Value), r.Value == nil})
				}
				return true
			}))
		}
		from = to
		c.Release()
	}
	return h.text(all)
}

// markers returns the offsets of the markers in a shard.
func (h *harness) markers(shard stream.Shard) (at []int64) {
	h.Helper()
	for from, end := h.bounds(shard).Start, h.bounds(shard).End; from < end; {
		c, err := h.log.Read(h.Context(), shard, from, 1<<20)
		h.must(err)
		for _, b := range c.Batches {
			head, err := batch.Parse(b)
			h.must(err)
			if head.Attributes.Control() && head.Records > 0 {
				at = append(at, head.BaseOffset)
			}
			from = stream.Offset(head.LastOffset() + 1)
		}
		c.Release()
	}
	return at
}

// between is a log in which something happens just before aborted transactions are asked for the first time.
type between struct {
	stream.Log
	happens func()
}

func (l *between) Aborted(ctx context.Context, shard stream.Shard, from, to stream.Offset) ([]stream.Aborted, error) {
	if l.happens != nil {
		l.happens()
		l.happens = nil
	}
	return l.Log.Aborted(ctx, shard, from, to)
}

// readBetween reads the committed records of a shard from an offset on while something happens in the middle of it.
func (h *harness) readBetween(shard stream.Shard, from stream.Offset, happens func()) ([]string, error) {
	h.Helper()
	chunk, aborted, err := committed.Read(h.Context(), &between{h.log, happens}, shard, from, 1<<20)
	defer chunk.Release()
	filter := committed.NewFilter(aborted)
	var all []pair
	for _, b := range chunk.Batches {
		head, err := batch.Parse(b)
		h.must(err)
		if filter.Skips(&head) {
			continue
		}
		h.must(batch.Records(b, 0, func(r *batch.Record) bool {
			all = append(all, pair{stream.Offset(r.Offset), r.Timestamp, string(r.Key), string(r.Value), r.Value == nil})
			return true
		}))
	}
	return h.text(all), err
}

var compactTransactionCases = []testCase{
	{"what was aborted is not read as committed while compaction takes it away", func(h *harness) {
		h.needTransact()
		h.needClock()
		c := eager
		c.DeleteRetention = -1
		s := h.compacted(c)
		p := h.producer()
		h.putWithin(s, p.at(0), "a=1")
		h.end(s, p, false)
		h.putWithin(s, p.at(1), "b=1")
		h.end(s, p, true)
		h.putPairs(s, "x=1")
		got, err := h.readBetween(s, 0, func() {
			for range 3 { // the marker goes when its records have gone before, and that was seen
				h.putPairs(s, "x=2")
				h.clock.Advance(time.Second)
				h.compact()
			}
			h.aborted(s, 0, h.bounds(s).End) // there is nothing to tell any more
		})
		h.must(err)
		h.equal("committed", got, []string{"2b=1", "6x=2", "7x=2"})
	}},
	{"what was aborted is not read as committed while it is trimmed", func(h *harness) {
		h.needTransact()
		s := h.compacted(eager)
		p := h.producer()
		h.putWithin(s, p.at(0), "a=1")
		h.end(s, p, false)
		h.putPairs(s, "x=1")
		got, err := h.readBetween(s, 0, func() {
			_, err := h.log.Trim(h.Context(), s, 2)
			h.must(err)
		})
		if !errors.Is(err, stream.ErrOutOfRange) {
			h.Fatalf("%v, %v from what is no more", got, err)
		}
	}},
	{"compaction ends before what may be of an open transaction", func(h *harness) {
		h.needTransact()
		s := h.compacted(eager)
		p := h.producer()
		h.putPairs(s, "a=1")
		h.putPairs(s, "a=2")
		h.putWithin(s, p.at(0), "a=3")
		h.putPairs(s, "a=4")
		h.putPairs(s, "a=5")
		h.compact()
		h.equal("records", h.text(h.pairs(s, 0, 1<<20)), []string{"1a=2", "2a=3", "3a=4", "4a=5"})
		h.end(s, p, true)
		h.putPairs(s, "b=1")
		h.compact()
		h.equal("records", h.readCommitted(s, 0), []string{"4a=5", "6b=1"})
	}},
	{"what was aborted goes, and is no key's last record", func(h *harness) {
		h.needTransact()
		s := h.compacted(eager)
		p := h.producer()
		h.putPairs(s, "a=1", "b=1")
		h.putWithin(s, p.at(0), "a=2", "c=1")
		h.end(s, p, false)
		h.putWithin(s, p.at(2), "b=2")
		h.end(s, p, true)
		h.putPairs(s, "x=1")
		want := []string{"0a=1", "5b=2", "7x=1"}
		h.equal("before", h.readCommitted(s, 0), []string{"0a=1", "1b=1", "5b=2", "7x=1"})
		h.compact()
		h.equal("committed", h.readCommitted(s, 0), want)
		h.equal("all that is there", h.text(h.pairs(s, 0, 1<<20)), []string{"0a=1", "5b=2", "7x=1"})
		for from := range stream.Offset(8) {
			i := slices.IndexFunc(want, func(r string) bool { return r >= fmt.Sprint(from) })
			h.equal(fmt.Sprint("committed from ", from), h.readCommitted(s, from), want[i:])
		}
	}},
	{"a marker goes in its time, once nothing of its transaction is left", func(h *harness) {
		h.needTransact()
		h.needClock()
		c := eager
		c.DeleteRetention = time.Hour
		s := h.compacted(c)
		p, q := h.producer(), h.producer()
		h.putWithin(s, p.at(0), "a=1") // 0
		h.putWithin(s, q.at(0), "b=1") // 1
		h.end(s, p, true)              // 2
		h.end(s, q, false)             // 3
		h.putWithin(s, q.at(1), "c=1") // 4
		h.end(s, q, true)              // 5
		h.putPairs(s, "a=2")           // 6
		next := func(want []int64, records ...string) {
			h.Helper()
			h.putPairs(s, "x=1")
			h.compact()
			h.equal("markers", h.markers(s), want)
			if slices.Contains(want, 3) { // who has read what it aborted before that was compacted is still told so
				h.aborted(s, 0, 6, stream.Aborted{ProducerID: q.ID, First: 1, Last: 3})
			} else {
				h.aborted(s, 0, 6)
			}
			if got := h.readCommitted(s, 0); !slices.Contains(got, "4c=1") || !slices.Contains(got, "6a=2") {
				h.Fatalf("committed: %v", got)
			}
		}
		next([]int64{2, 3, 5}) // a=1 was met
		next([]int64{2, 3, 5}) // neither a=1 nor b=1 was, from here on their markers have an hour
		h.clock.Advance(time.Hour)
		next([]int64{5})
		next([]int64{5}) // c=1 is still there
	}},
	{"random transactions are compacted to what was committed", func(h *harness) {
		h.needTransact()
		h.needClock()
		for seed := range uint64(compactSeeds) {
			h.compactTransactions(seed)
		}
	}},
}

// keyedTransactions is a shard written to in and outside of transactions, and what of it was committed.
type keyedTransactions struct {
	h         *harness
	shard     stream.Shard
	random    *rand.Rand
	producers []producerID
	sequences []int32
	open      [][]pair // by producer
	committed map[string]pair
}

// settle notes what is committed: of each key the last record counts.
func (k *keyedTransactions) settle(writes ...pair) {
	for _, w := range writes {
		if w.offset >= k.committed[w.key].offset {
			k.committed[w.key] = w
		}
	}
}

// write writes one record, or ends a transaction.
func (k *keyedTransactions) write(n int) {
	h, i := k.h, k.random.IntN(len(k.producers)+1)
	w := pair{offset: h.bounds(k.shard).End, key: string(rune('a' + k.random.IntN(6))), value: fmt.Sprint(n)}
	switch {
	case i == len(k.producers):
		h.putPairs(k.shard, w.key+"="+w.value)
		k.settle(w)
	case len(k.open[i]) > 0 && k.random.IntN(3) == 0:
		k.end(i, k.random.IntN(2) == 0)
	default:
		h.putWithin(k.shard, k.producers[i].at(k.sequences[i]), w.key+"="+w.value)
		k.sequences[i]++
		k.open[i] = append(k.open[i], w)
	}
}

func (k *keyedTransactions) end(i int, commit bool) {
	k.h.end(k.shard, k.producers[i], commit)
	if commit {
		k.settle(k.open[i]...)
	}
	k.open[i] = nil
}

// compactTransactions writes keys in and outside of transactions of several producers, and compares what readers of committed records get with a map.
func (h *harness) compactTransactions(seed uint64) {
	h.Logf("seed %d", seed)
	c := eager
	c.DeleteRetention = 3 * time.Minute
	k := keyedTransactions{
		h: h, shard: h.compactedAs(fmt.Sprint("s", seed), c), random: rand.New(rand.NewPCG(seed, 1)),
		sequences: make([]int32, 3), open: make([][]pair, 3), committed: map[string]pair{},
	}
	for range 3 {
		k.producers = append(k.producers, h.producer())
	}
	for n := range 120 {
		k.write(n)
		if k.random.IntN(5) == 0 {
			h.clock.Advance(time.Minute)
			h.compact()
		}
		if k.random.IntN(20) == 0 && h.options.Reopen != nil {
			h.log = h.options.Reopen(h, h.log)
		}
	}
	for i := range k.producers {
		if len(k.open[i]) > 0 {
			k.end(i, true)
		}
	}
	want := map[string]string{"z": "end"}
	for key, w := range k.committed {
		want[key] = w.value
	}
	for range 3 {
		h.putPairs(k.shard, "z=end")
		h.compact()
		found := map[string]string{}
		for _, r := range h.readCommitted(k.shard, 0) {
			r = strings.TrimLeft(r, "0123456789")
			found[r[:1]] = r[2:]
		}
		h.equal("last committed values", found, want)
		h.clock.Advance(4 * time.Minute)
	}
}
