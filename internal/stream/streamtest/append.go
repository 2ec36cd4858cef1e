package streamtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
)

var appendCases = []testCase{
	{"append assigns offsets in order, per shard", func(h *harness) {
		s := h.create("s", 2)
		h.equal("first base", h.putValues(s.Shard(0), "a", "b", "c").Base, 0)
		h.equal("second base", h.putValues(s.Shard(0), "d").Base, 3)
		h.equal("base in another shard", h.putValues(s.Shard(1), "e").Base, 0)
		h.equal("shard 0", h.values(s.Shard(0), 0), "[a b c d]")
		h.equal("shard 1", h.values(s.Shard(1), 0), "[e]")
		b := h.bounds(s.Shard(0))
		h.equal("bounds", [3]stream.Offset{b.Start, b.End, b.LastStable}, [3]stream.Offset{0, 4, 4})
	}},
	{"append stores the batch but for base offset and leader epoch", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b")
		b := plain(h.now(), "c", "d", "e")
		h.put(s.Shard(0), b)
		c, err := h.log.Read(h.Context(), s.Shard(0), 2, 1<<20)
		h.must(err)
		defer c.Release()
		batch.SetBase(b, 2, c.Bounds.Epoch)
		if len(c.Batches) != 1 || !slices.Equal(c.Batches[0], b) {
			h.Fatalf("read %x, want %x", c.Batches, b)
		}
	}},
	{"append copies the bytes before it returns", func(h *harness) {
		s := h.create("s", 1)
		b := plain(h.now(), "before")
		ticket := h.log.Append(h.Context(), []stream.Append{{Shard: s.Shard(0), Batch: b}})
		clear(b)
		h.must(h.wait(ticket)[0].Err)
		h.equal("values", h.values(s.Shard(0), 0), "[before]")
	}},
	{"batches of one shard keep the order of the calls", func(h *harness) {
		s := h.create("s", 1)
		var tickets []*stream.Ticket
		var want []string
		for i := range 200 {
			want = append(want, fmt.Sprint(i))
			tickets = append(tickets, h.log.Append(h.Context(), []stream.Append{{Shard: s.Shard(0), Batch: plain(h.now(), want[i])}}))
		}
		for i, t := range tickets {
			a := h.wait(t)[0]
			h.must(a.Err)
			h.equal("base", a.Base, i)
		}
		h.equal("values", h.values(s.Shard(0), 0), want)
	}},
	{"a done ticket's records are readable", func(h *harness) {
		s := h.create("s", 1)
		for i := range 50 {
			a := h.putValues(s.Shard(0), "x")
			if b := h.bounds(s.Shard(0)); b.End != a.Base+1 {
				h.Fatalf("append %d: base %d, but the end is %d", i, a.Base, b.End)
			}
		}
	}},
	{"entries of a call are taken or refused alone", func(h *harness) {
		s := h.create("s", 2)
		torn := plain(h.now(), "torn")
		torn[len(torn)-1]++
		results := h.append(
			stream.Append{Shard: s.Shard(0), Batch: plain(h.now(), "a")},
			stream.Append{Shard: s.Shard(7), Batch: plain(h.now(), "nowhere")},
			stream.Append{Shard: s.Shard(1), Batch: torn},
			stream.Append{Shard: s.Shard(0), Batch: plain(h.now(), "b")},
			stream.Append{Shard: s.Shard(1), Batch: plain(h.now(), "c")},
		)
		h.must(results[0].Err)
		h.is(results[1].Err, stream.ErrNotFound)
		h.isFault(results[2].Err, batch.Checksum)
		h.must(results[3].Err)
		h.must(results[4].Err)
		h.equal("bases", [3]stream.Offset{results[0].Base, results[3].Base, results[4].Base}, [3]stream.Offset{0, 1, 0})
		h.equal("shard 0", h.values(s.Shard(0), 0), "[a b]")
		h.equal("shard 1", h.values(s.Shard(1), 0), "[c]")
	}},
	{"an empty call is done at once", func(h *harness) {
		h.equal("results", len(h.append()), 0)
	}},
	{"damaged batches are refused by kind", func(h *harness) {
		s := h.create("s", 1)
		good := plain(h.now(), "good", "better")
		change := func(at int, v byte) []byte {
			b := slices.Clone(good)
			b[at] = v
			return b
		}
		for _, row := range []struct {
			batch []byte
			fault batch.Fault
		}{
			{nil, batch.Truncated},
			{good[:len(good)-1], batch.Truncated},
			{change(16, 1), batch.Magic},
			{change(len(good)-1, 'x'), batch.Checksum},
			{append(slices.Clone(good), good...), batch.Inconsistent},
		} {
			h.isFault(h.append(stream.Append{Shard: s.Shard(0), Batch: row.batch})[0].Err, row.fault)
		}
		h.equal("end", h.bounds(s.Shard(0)).End, 0)
	}},
	{"batches over the limit are refused", func(h *harness) {
		small := plain(h.now(), strings.Repeat("x", 100))
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{MaxBatchBytes: int32(len(small))}})
		h.put(s.Shard(0), small)
		h.is(h.append(stream.Append{Shard: s.Shard(0), Batch: plain(h.now(), strings.Repeat("x", 101))})[0].Err, stream.ErrTooLarge)
		d := h.create("default", 1)
		h.putValues(d.Shard(0), strings.Repeat("x", 1<<20-200))
		h.is(h.append(stream.Append{Shard: d.Shard(0), Batch: plain(h.now(), strings.Repeat("x", 1<<20))})[0].Err, stream.ErrTooLarge)
	}},
	{"appended says where the shard starts", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "a", "b", "c")
		_, err := h.log.Trim(h.Context(), s.Shard(0), 2)
		h.must(err)
		h.equal("start", h.putValues(s.Shard(0), "d").Start, 2)
	}},
	{"create time is kept, log append time is set", func(h *harness) {
		h.needClock()
		c := h.create("c", 1)
		a := h.createWith(stream.Spec{Name: "a", Shards: 1, Config: stream.Config{Timestamps: stream.LogAppendTime}})
		old := h.now().Add(-time.Hour)
		if r := h.put(c.Shard(0), plain(old, "x")); !r.Time.IsZero() {
			h.Fatalf("create time: appended at %s", r.Time)
		}
		h.equal("timestamp", h.readAll(c.Shard(0), 0)[0].Timestamp, old.UnixMilli())
		h.clock.Advance(time.Minute)
		r := h.put(a.Shard(0), plain(old, "x", "y"))
		h.equal("time", r.Time.UnixMilli(), h.now().UnixMilli())
		for _, read := range h.readAll(a.Shard(0), 0) {
			h.equal("timestamp", read.Timestamp, h.now().UnixMilli())
		}
	}},
	{"timestamps out of bounds are refused", func(h *harness) {
		h.needClock()
		config := stream.Config{TimestampBefore: time.Hour, TimestampAfter: time.Minute}
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: config})
		config.Timestamps = stream.LogAppendTime
		a := h.createWith(stream.Spec{Name: "a", Shards: 1, Config: config})
		u := h.create("unbounded", 1)
		for d, want := range map[time.Duration]error{
			0: nil, -time.Hour: nil, time.Minute: nil,
			-time.Hour - time.Millisecond: stream.ErrTimestamp, time.Minute + time.Millisecond: stream.ErrTimestamp,
		} {
			b := plain(h.now().Add(d), "x")
			h.is(h.append(stream.Append{Shard: s.Shard(0), Batch: b})[0].Err, want)
			h.put(a.Shard(0), b)
			h.put(u.Shard(0), b)
		}
		h.put(s.Shard(0), stamped(-1)) // no timestamp at all
	}},
	{"wait gives up with its context's cause, the append goes on", func(h *harness) {
		s := h.create("s", 1)
		ticket := h.log.Append(h.Context(), []stream.Append{{Shard: s.Shard(0), Batch: plain(h.now(), "x")}})
		<-ticket.Done()
		results, err := ticket.Wait(h.Context())
		h.must(err)
		h.must(results[0].Err)
		unfinished := stream.NewTicket(1)
		reason := errors.New("had enough")
		ctx, cancel := context.WithCancelCause(h.Context())
		cancel(reason)
		_, err = unfinished.Wait(ctx)
		h.is(err, reason)
	}},
	{"concurrent appends get every offset once", func(h *harness) {
		s := h.create("s", 3)
		const writers, batches = 8, 25
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range batches {
					shard := s.Shard(int32((w + i) % 3))
					results, err := h.log.Append(h.Context(), []stream.Append{{Shard: shard, Batch: plain(time.UnixMilli(1000), fmt.Sprint(w, i), "second")}}).Wait(h.Context())
					if err != nil || results[0].Err != nil {
						h.Errorf("writer %d: %v, %+v", w, err, results)
					}
				}
			})
		}
		wg.Wait()
		seen := map[string]bool{}
		for i := range s.Shards {
			for offset, r := range h.readAll(s.Shard(i), 0) {
				h.equal("offset", r.Offset, offset)
				seen[r.Value] = true
			}
		}
		h.equal("distinct values", len(seen), writers*batches+1)
	}},
}

var producerCases = []testCase{
	{"a producer's repeat answers with the old offset", func(h *harness) {
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{Timestamps: stream.LogAppendTime}})
		p := h.producer()
		var first []stream.Appended
		for i := range int32(6) {
			first = append(first, h.put(s.Shard(0), produced(p.at(2*i), h.now(), "a", "b")))
		}
		if h.clock != nil {
			h.clock.Advance(time.Minute)
		}
		for i := int32(1); i < 6; i++ {
			again := h.put(s.Shard(0), produced(p.at(2*i), h.now(), "a", "b"))
			if !again.Duplicate || again.Base != first[i].Base || !again.Time.Equal(first[i].Time) {
				h.Fatalf("repeat of batch %d: %+v, first it was %+v", i, again, first[i])
			}
		}
		h.is(h.offer(s.Shard(0), produced(p.at(0), h.now(), "a", "b")), stream.ErrStale)
		h.equal("end", h.bounds(s.Shard(0)).End, 12)
	}},
	{"a repeat beside its first in one call is a duplicate", func(h *harness) {
		s := h.create("s", 1)
		p := h.producer()
		b := produced(p.at(0), h.now(), "a")
		results := h.append(stream.Append{Shard: s.Shard(0), Batch: b}, stream.Append{Shard: s.Shard(0), Batch: b})
		h.must(results[0].Err)
		h.must(results[1].Err)
		if results[0].Duplicate || !results[1].Duplicate || results[1].Base != 0 {
			h.Fatalf("results %+v", results)
		}
		h.equal("end", h.bounds(s.Shard(0)).End, 1)
	}},
	{"a gap in a producer's sequence is out of order", func(h *harness) {
		s := h.create("s", 2)
		p := h.producer()
		h.put(s.Shard(0), produced(p.at(0), h.now(), "a"))
		h.is(h.offer(s.Shard(0), produced(p.at(2), h.now(), "c")), stream.ErrOutOfOrder)
		h.put(s.Shard(0), produced(p.at(1), h.now(), "b"))
		h.put(s.Shard(1), produced(p.at(0), h.now(), "another shard counts for itself"))
		h.equal("values", h.values(s.Shard(0), 0), "[a b]")
	}},
	{"an unknown producer may begin anywhere", func(h *harness) {
		s := h.create("s", 1)
		p := h.producer()
		h.put(s.Shard(0), produced(p.at(500), h.now(), "a"))
		h.put(s.Shard(0), produced(p.at(501), h.now(), "b"))
	}},
	{"sequences wrap from 2^31-1 to 0", func(h *harness) {
		s := h.create("s", 1)
		p := h.producer()
		h.put(s.Shard(0), produced(p.at(math.MaxInt32-1), h.now(), "a", "b", "c"))
		h.put(s.Shard(0), produced(p.at(1), h.now(), "d"))
		if r := h.put(s.Shard(0), produced(p.at(math.MaxInt32-1), h.now(), "a", "b", "c")); !r.Duplicate || r.Base != 0 {
			h.Fatalf("repeat: %+v", r)
		}
	}},
	{"a newer epoch fences the older", func(h *harness) {
		s := h.create("s", 1)
		p := h.producer()
		h.put(s.Shard(0), produced(p.at(0), h.now(), "a"))
		p.Epoch++
		h.is(h.offer(s.Shard(0), produced(p.at(1), h.now(), "b")), stream.ErrOutOfOrder)
		h.put(s.Shard(0), produced(p.at(0), h.now(), "b"))
		p.Epoch--
		h.is(h.offer(s.Shard(0), produced(p.at(1), h.now(), "c")), stream.ErrFenced)
		h.equal("values", h.values(s.Shard(0), 0), "[a b]")
	}},
	{"a refused batch leaves the producer's sequence alone", func(h *harness) {
		h.needClock()
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Config: stream.Config{TimestampAfter: time.Minute}})
		p := h.producer()
		h.is(h.offer(s.Shard(0), produced(p.at(0), h.now().Add(time.Hour), "a")), stream.ErrTimestamp)
		h.put(s.Shard(0), produced(p.at(0), h.now(), "a"))
	}},
}

// producerID is a producer's identity, to be given a sequence.
type producerID batch.Producer

func (p producerID) at(sequence int32) batch.Producer {
	return batch.Producer{ID: p.ID, Epoch: p.Epoch, Sequence: sequence}
}

func (h *harness) producer() producerID {
	h.Helper()
	id, err := h.log.NewProducerID(h.Context())
	h.must(err)
	return producerID{ID: id}
}

// offer appends one batch and returns what the log says.
func (h *harness) offer(shard stream.Shard, b []byte) error {
	h.Helper()
	return h.append(stream.Append{Shard: shard, Batch: b})[0].Err
}

func (h *harness) isFault(err error, want batch.Fault) {
	h.Helper()
	var fault *batch.Error
	if !errors.As(err, &fault) || fault.Fault != want {
		h.Fatalf("error %v, want fault %d", err, want)
	}
}
