package streamtest

import (
	"slices"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

var watchCases = []testCase{
	{"a shard just added is reported at once", func(h *harness) {
		s := h.create("s", 2)
		w := h.watch()
		h.quiet(w)
		w.Add(s.Shard(0), s.Shard(1))
		h.takes(w, s.Shard(0), s.Shard(1))
		h.quiet(w)
		w.Add(s.Shard(0))
		h.takes(w, s.Shard(0))
		h.quiet(w)
	}},
	{"a shard that did not exist is watched once it is added again", func(h *harness) {
		s := h.create("s", 1)
		w := h.watch()
		w.Add(s.Shard(1))
		h.takes(w, s.Shard(1))
		shards := int32(2)
		_, err := h.log.Alter(h.Context(), s.ID, stream.Change{Shards: &shards})
		h.must(err)
		w.Add(s.Shard(1))
		h.takes(w, s.Shard(1))
		h.quiet(w)
		h.putValues(s.Shard(1), "x")
		h.takes(w, s.Shard(1))
		w.Remove(s.Shard(1))
		h.putValues(s.Shard(1), "x")
		h.quiet(w)
	}},
	{"a shard is reported once however often it moved", func(h *harness) {
		s := h.create("s", 3)
		w := h.watch(s.Shard(0), s.Shard(1))
		for range 3 {
			for i := range s.Shards {
				h.putValues(s.Shard(i), "x")
			}
		}
		h.takes(w, s.Shard(0), s.Shard(1))
		h.quiet(w)
		h.putValues(s.Shard(1), "x")
		h.takes(w, s.Shard(1))
		h.quiet(w)
	}},
	{"what a report promises can be read", func(h *harness) {
		s := h.create("s", 1)
		w := h.watch(s.Shard(0))
		for i := range stream.Offset(100) {
			ticket := h.log.Append(h.Context(), []stream.Append{{Shard: s.Shard(0), Batch: plain(h.now(), "x")}})
			h.takes(w, s.Shard(0))
			if b := h.bounds(s.Shard(0)); b.End != i+1 {
				h.Fatalf("reported, but the end is %d, not %d", b.End, i+1)
			}
			h.wait(ticket)
		}
	}},
	{"trimming moves a shard", func(h *harness) {
		s := h.create("s", 1)
		h.putValues(s.Shard(0), "x")
		w := h.watch(s.Shard(0))
		_, err := h.log.Trim(h.Context(), s.Shard(0), -1)
		h.must(err)
		h.takes(w, s.Shard(0))
	}},
	{"deleting a stream reports its shards", func(h *harness) {
		s := h.create("s", 2)
		w := h.watch(s.Shard(0), s.Shard(1))
		h.must(h.log.Delete(h.Context(), s.ID))
		h.takes(w, s.Shard(0), s.Shard(1))
	}},
	{"removed shards are not reported", func(h *harness) {
		s := h.create("s", 2)
		w := h.watch(s.Shard(0), s.Shard(1))
		h.putValues(s.Shard(0), "x")
		w.Remove(s.Shard(0))
		h.quiet(w)
		h.putValues(s.Shard(0), "x")
		h.quiet(w)
		h.putValues(s.Shard(1), "x")
		h.takes(w, s.Shard(1))
	}},
	{"watchers do not take from each other", func(h *harness) {
		s := h.create("s", 1)
		a, b := h.watch(s.Shard(0)), h.watch(s.Shard(0))
		h.putValues(s.Shard(0), "x")
		h.takes(a, s.Shard(0))
		h.takes(b, s.Shard(0))
	}},
	{"take appends to what it is given", func(h *harness) {
		s := h.create("s", 1)
		w := h.log.Watch()
		defer w.Close()
		w.Add(s.Shard(0))
		h.equal("taken", w.Take([]stream.Shard{{Index: 9}}), []stream.Shard{{Index: 9}, s.Shard(0)})
	}},
	{"a closed watcher never fires again", func(h *harness) {
		s := h.create("s", 1)
		w := h.watch(s.Shard(0))
		h.putValues(s.Shard(0), "x")
		w.Close()
		h.quiet(w)
		h.putValues(s.Shard(0), "x")
		w.Add(s.Shard(0))
		h.quiet(w)
		w.Close()
	}},
}

// watch returns a watcher on shards whose first reports are taken.
func (h *harness) watch(shards ...stream.Shard) stream.Watcher {
	h.Helper()
	w := h.log.Watch()
	h.Cleanup(w.Close)
	w.Add(shards...)
	if len(shards) > 0 {
		h.takes(w, shards...)
	}
	return w
}

// takes waits until the watcher has reported just these shards, in any order.
func (h *harness) takes(w stream.Watcher, want ...stream.Shard) {
	h.Helper()
	hang := time.NewTimer(patience)
	defer hang.Stop()
	var got []stream.Shard
	for len(got) < len(want) {
		select {
		case <-w.Ready():
		case <-hang.C:
			h.Fatalf("after %s the watcher has reported %v, want %v", patience, got, want)
		}
		got = w.Take(got)
	}
	for _, s := range want {
		if !slices.Contains(got, s) || len(got) != len(want) {
			h.Fatalf("reported %v, want %v", got, want)
		}
	}
}

// quiet checks that the watcher has nothing to report. Reports come before tickets are done, so there is nothing to wait for.
func (h *harness) quiet(w stream.Watcher) {
	h.Helper()
	select {
	case <-w.Ready():
		if got := w.Take(nil); len(got) > 0 {
			h.Fatalf("reported %v, want nothing", got)
		}
		h.Fatal("ready without anything to take")
	default:
		if got := w.Take(nil); len(got) > 0 {
			h.Fatalf("took %v without being ready", got)
		}
	}
}
