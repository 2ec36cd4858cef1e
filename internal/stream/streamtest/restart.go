package streamtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

var restartCases = []testCase{
	{"everything outlives a clean restart", func(h *harness) {
		if h.options.Reopen == nil {
			h.Skip("the suite cannot reopen the log")
		}
		h.outlives(h.options.Reopen)
	}},
	{"everything acknowledged outlives a crash", func(h *harness) {
		if h.options.Crash == nil {
			h.Skip("the suite cannot crash the log")
		}
		h.outlives(h.options.Crash)
	}},
	{"an epoch ends where a crash began the next", func(h *harness) {
		if h.options.Crash == nil {
			h.Skip("the suite cannot crash the log")
		}
		s := h.create("s", 1)
		type ending struct {
			epoch int32
			end   stream.Offset
		}
		var endings []ending
		for i := range 3 {
			h.putValues(s.Shard(0), "a", "b", fmt.Sprint(i))
			b := h.bounds(s.Shard(0))
			endings = append(endings, ending{b.Epoch, b.End})
			h.log = h.options.Crash(h, h.log)
			if after := h.bounds(s.Shard(0)); after.Epoch <= b.Epoch || after.End != b.End {
				h.Fatalf("bounds %+v before the crash, %+v after", b, after)
			}
		}
		h.putValues(s.Shard(0), "last")
		for _, e := range endings {
			epoch, end, err := h.log.EpochEnd(h.Context(), s.Shard(0), e.epoch)
			h.must(err)
			h.equal("ending", ending{epoch, end}, e)
		}
		last := endings[len(endings)-1]
		_, err := h.log.Trim(h.Context(), s.Shard(0), last.end)
		h.must(err)
		epoch, end, err := h.log.EpochEnd(h.Context(), s.Shard(0), last.epoch)
		h.must(err)
		h.equal("ending of an epoch that was trimmed", ending{epoch, end}, last)
	}},
	{"what was deleted stays deleted", func(h *harness) {
		if h.options.Crash == nil {
			h.Skip("the suite cannot crash the log")
		}
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "x")
		h.must(h.log.Commit(h.Context(), "me", []stream.Cursor{{Shard: s.Shard(0), Next: 1}}))
		h.must(h.log.Delete(h.Context(), s.ID))
		again := h.create("s", 1)
		h.log = h.options.Crash(h, h.log)
		h.shardIsGone(s.Shard(0))
		h.equal("records of the new stream", len(h.readAll(again.Shard(0), 0)), 0)
		h.committed("me")
	}},
}

// outlives fills the log, restarts it, and looks for everything.
func (h *harness) outlives(restart func(testing.TB, stream.Log) stream.Log) {
	h.Helper()
	spec := stream.Spec{
		Name: "s", Shards: 2, Labels: map[string]string{"k": "v"},
		Config: stream.Config{Retention: -1, RetentionBytes: 1 << 40, KeepAll: true, MaxBatchBytes: 5000, TimestampAfter: time.Hour, Durability: stream.Fsync},
	}
	s := h.createWith(spec)
	shards := int32(3)
	s, err := h.log.Alter(h.Context(), s.ID, stream.Change{Shards: &shards})
	h.must(err)
	producer := h.producer()
	for i := range int32(7) {
		h.put(s.Shard(0), produced(producer.at(i), h.now(), fmt.Sprint(i)))
	}
	h.putValues(s.Shard(2), "a", "b", "c")
	_, err = h.log.Trim(h.Context(), s.Shard(2), 1)
	h.must(err)
	cursor := stream.Cursor{Shard: s.Shard(2), Next: 2, Epoch: 0, Metadata: "m", Committed: time.UnixMilli(99), Retention: time.Minute}
	h.must(h.log.Commit(h.Context(), "me", []stream.Cursor{cursor}))
	before := h.readAll(s.Shard(0), 0)

	h.log = restart(h, h.log)
	found, err := h.log.Stream(h.Context(), "s")
	h.must(err)
	if !found.Created.Equal(s.Created) {
		h.Fatalf("created %s, was %s", found.Created, s.Created)
	}
	h.equal("stream", fmt.Sprint(found.ID, found.Name, found.Shards, found.Config, found.Labels), fmt.Sprint(s.ID, s.Name, s.Shards, s.Config, s.Labels))
	h.equal("records", h.readAll(s.Shard(0), 0), before)
	h.equal("trimmed records", h.values(s.Shard(2), 1), "[b c]")
	h.equal("start", h.bounds(s.Shard(2)).Start, 1)
	h.committed("me", cursor)
	for i := int32(2); i < 7; i++ {
		if r := h.put(s.Shard(0), produced(producer.at(i), h.now(), fmt.Sprint(i))); !r.Duplicate || r.Base != stream.Offset(i) {
			h.Fatalf("repeat of sequence %d: %+v", i, r)
		}
	}
	h.is(h.offer(s.Shard(0), produced(producer.at(8), h.now(), "8")), stream.ErrOutOfOrder)
	h.equal("next base", h.put(s.Shard(0), produced(producer.at(7), h.now(), "7")).Base, 7)
	if next := h.producer(); next.ID == producer.ID {
		h.Fatalf("producer id %d was given out twice", next.ID)
	}
}
