package streamtest

import (
	"fmt"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

var streamCases = []testCase{
	{"create returns the stream as asked", func(h *harness) {
		spec := stream.Spec{
			Name:   "a.b_c-D9",
			Shards: 3,
			Config: stream.Config{
				Retention: time.Hour, RetentionBytes: 1 << 30, KeepAll: true, MaxBatchBytes: stream.MostBatchBytes, Timestamps: stream.LogAppendTime,
				TimestampBefore: time.Minute, TimestampAfter: time.Second, Durability: stream.OS,
			},
			Labels: map[string]string{"one": "1", "empty": ""},
		}
		before := h.now()
		s := h.createWith(spec)
		h.equal("name", s.Name, spec.Name)
		h.equal("shards", s.Shards, spec.Shards)
		h.equal("config", s.Config, spec.Config)
		h.equal("labels", s.Labels, spec.Labels)
		if s.ID.IsZero() || s.Created.Before(before.Truncate(time.Millisecond)) {
			h.Fatalf("id %s, created %s, the clock was at %s", s.ID, s.Created, before)
		}
		spec.Labels["one"] = "changed by the caller"
		for _, find := range []func() (*stream.Stream, error){
			func() (*stream.Stream, error) { return h.log.Stream(h.Context(), spec.Name) },
			func() (*stream.Stream, error) { return h.log.StreamByID(h.Context(), s.ID) },
		} {
			found, err := find()
			h.must(err)
			h.equal("found stream", *found, *s)
			h.equal("label", found.Labels["one"], "1")
		}
		for i := range s.Shards {
			b := h.bounds(s.Shard(i))
			h.equal("bounds of a new shard", b, stream.Bounds{Epoch: b.Epoch})
		}
	}},
	{"create refuses a taken name", func(h *harness) {
		h.create("s", 1)
		_, err := h.log.Create(h.Context(), stream.Spec{Name: "s", Shards: 2})
		h.is(err, stream.ErrExists)
	}},
	{"create refuses what cannot be", func(h *harness) {
		for _, name := range []stream.Name{"", ".", "..", "a b", "a/b", "ä", stream.Name(strings.Repeat("n", 250))} {
			_, err := h.log.Create(h.Context(), stream.Spec{Name: name, Shards: 1})
			h.is(err, stream.ErrInvalid)
		}
		for _, shards := range []int32{0, -1} {
			_, err := h.log.Create(h.Context(), stream.Spec{Name: "s", Shards: shards})
			h.is(err, stream.ErrInvalid)
		}
		h.create(stream.Name(strings.Repeat("n", 249)), 1)
	}},
	{"streams are listed by name", func(h *harness) {
		for _, name := range []stream.Name{"b", "a", "c"} {
			h.create(name, 1)
		}
		all, err := h.log.Streams(h.Context())
		h.must(err)
		h.equal("names", names(all), "[a b c]")
		all[0] = nil // the slice is the caller's
		all, err = h.log.Streams(h.Context())
		h.must(err)
		h.equal("names", names(all), "[a b c]")
	}},
	{"the revision tells each change of the streams", func(h *harness) {
		last := h.log.Revision()
		moved := func(what string, want bool) {
			h.Helper()
			now := h.log.Revision()
			h.equal("revision moved by "+what, now != last, want)
			last = now
		}
		s := h.create("s", 1)
		moved("create", true)
		shards := int32(2)
		_, err := h.log.Alter(h.Context(), s.ID, stream.Change{Shards: &shards})
		h.must(err)
		moved("alter", true)
		_, err = h.log.Create(h.Context(), stream.Spec{Name: "s", Shards: 1})
		h.is(err, stream.ErrExists)
		_, err = h.log.Streams(h.Context())
		h.must(err)
		moved("reading", false)
		h.must(h.log.Delete(h.Context(), s.ID))
		moved("delete", true)
	}},
	{"unknown streams and shards are not found", func(h *harness) {
		s := h.create("s", 2)
		_, err := h.log.Stream(h.Context(), "t")
		h.is(err, stream.ErrNotFound)
		_, err = h.log.StreamByID(h.Context(), stream.ID{1})
		h.is(err, stream.ErrNotFound)
		_, err = h.log.Alter(h.Context(), stream.ID{1}, stream.Change{})
		h.is(err, stream.ErrNotFound)
		h.is(h.log.Delete(h.Context(), stream.ID{1}), stream.ErrNotFound)
		for _, shard := range []stream.Shard{s.Shard(2), s.Shard(-1), {Stream: stream.ID{1}}} {
			h.shardIsGone(shard)
		}
	}},
	{"alter changes what it names", func(h *harness) {
		s := h.createWith(stream.Spec{Name: "s", Shards: 1, Labels: map[string]string{"a": "1", "b": "2"}})
		old := *s
		shards := int32(4)
		altered, err := h.log.Alter(h.Context(), s.ID, stream.Change{Shards: &shards})
		h.must(err)
		h.equal("shards", altered.Shards, 4)
		h.equal("labels", altered.Labels, s.Labels)
		h.equal("a snapshot handed out before", *s, old)
		h.putValues(s.Shard(3), "x")

		config := stream.Config{Retention: -1, MaxBatchBytes: 100}
		altered, err = h.log.Alter(h.Context(), s.ID, stream.Change{Config: &config})
		h.must(err)
		h.equal("config", altered.Config, config)
		h.equal("shards", altered.Shards, 4)
		altered, err = h.log.Alter(h.Context(), s.ID, stream.Change{Labels: map[string]string{"c": "3"}})
		h.must(err)
		h.equal("labels", altered.Labels, map[string]string{"c": "3"})
		altered, err = h.log.Alter(h.Context(), s.ID, stream.Change{Labels: map[string]string{}})
		h.must(err)
		h.equal("labels", len(altered.Labels), 0)
		h.equal("config", altered.Config, config)
		h.equal("id, name and creation", fmt.Sprint(altered.ID, altered.Name, altered.Created), fmt.Sprint(s.ID, s.Name, s.Created))
		found, err := h.log.Stream(h.Context(), "s")
		h.must(err)
		h.equal("found stream", *found, *altered)
	}},
	{"alter cannot take shards away", func(h *harness) {
		s := h.create("s", 3)
		for _, shards := range []int32{2, 0, -1} {
			_, err := h.log.Alter(h.Context(), s.ID, stream.Change{Shards: &shards})
			h.is(err, stream.ErrInvalid)
		}
		same := int32(3)
		_, err := h.log.Alter(h.Context(), s.ID, stream.Change{Shards: &same})
		h.must(err)
	}},
	{"delete removes records and cursors, and frees the name", func(h *harness) {
		s, other := h.create("s", 1), h.create("other", 1)
		h.putValues(s.Shard(0), "x")
		h.must(h.log.Commit(h.Context(), "me", []stream.Cursor{{Shard: s.Shard(0), Next: 1}, {Shard: other.Shard(0), Next: 0}}))
		h.must(h.log.Commit(h.Context(), "you", []stream.Cursor{{Shard: s.Shard(0), Next: 1}}))
		h.must(h.log.Delete(h.Context(), s.ID))
		h.shardIsGone(s.Shard(0))
		_, err := h.log.Stream(h.Context(), "s")
		h.is(err, stream.ErrNotFound)
		_, err = h.log.StreamByID(h.Context(), s.ID)
		h.is(err, stream.ErrNotFound)
		h.is(h.log.Delete(h.Context(), s.ID), stream.ErrNotFound)
		left, err := h.log.Committed(h.Context(), "me")
		h.must(err)
		if len(left) != 1 || left[0].Shard != other.Shard(0) {
			h.Fatalf("cursors left: %+v", left)
		}
		owners, err := h.log.Owners(h.Context(), "")
		h.must(err)
		h.equal("owners", owners, "[me]")

		again := h.create("s", 1)
		if again.ID == s.ID {
			h.Fatal("the id was reused")
		}
		h.equal("records of the new stream", len(h.readAll(again.Shard(0), 0)), 0)
	}},
	{"producer ids are given out once", func(h *harness) {
		seen := map[int64]bool{}
		for range 100 {
			id, err := h.log.NewProducerID(h.Context())
			h.must(err)
			if id < 0 || seen[id] {
				h.Fatalf("producer id %d after %d others", id, len(seen))
			}
			seen[id] = true
		}
	}},
	{"a closed log says so", func(h *harness) {
		if h.options.Close == nil {
			h.Skip("the suite cannot close the log")
		}
		s := h.create("s", 1)
		h.options.Close(h, h.log)
		_, err := h.log.Create(h.Context(), stream.Spec{Name: "t", Shards: 1})
		h.is(err, stream.ErrClosed)
		_, err = h.log.Bounds(h.Context(), s.Shard(0))
		h.is(err, stream.ErrClosed)
		h.is(h.append(stream.Append{Shard: s.Shard(0), Batch: plain(h.now(), "x")})[0].Err, stream.ErrClosed)
		h.is(h.log.Commit(h.Context(), "me", []stream.Cursor{{Shard: s.Shard(0)}}), stream.ErrClosed)
	}},
}

func names(all []*stream.Stream) []stream.Name {
	var names []stream.Name
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

// shardIsGone asks everything of a shard that does not exist.
func (h *harness) shardIsGone(shard stream.Shard) {
	h.Helper()
	_, err := h.log.Bounds(h.Context(), shard)
	h.is(err, stream.ErrNotFound)
	_, err = h.log.Read(h.Context(), shard, 0, 1000)
	h.is(err, stream.ErrNotFound)
	_, _, _, err = h.log.OffsetAt(h.Context(), shard, time.UnixMilli(0))
	h.is(err, stream.ErrNotFound)
	_, _, _, err = h.log.Latest(h.Context(), shard)
	h.is(err, stream.ErrNotFound)
	_, _, err = h.log.EpochEnd(h.Context(), shard, 0)
	h.is(err, stream.ErrNotFound)
	_, err = h.log.Trim(h.Context(), shard, 0)
	h.is(err, stream.ErrNotFound)
	h.is(h.append(stream.Append{Shard: shard, Batch: plain(h.now(), "x")})[0].Err, stream.ErrNotFound)
	h.is(h.log.Commit(h.Context(), "nobody", []stream.Cursor{{Shard: shard}}), stream.ErrNotFound)
}
