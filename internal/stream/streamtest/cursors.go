package streamtest

import (
	"bytes"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

var cursorCases = []testCase{
	{"cursors are kept as committed", func(h *harness) {
		s := h.create("s", 1)
		c := stream.Cursor{
			Shard: s.Shard(0), Next: 42, Epoch: -1, Metadata: "a remark é", Committed: time.UnixMilli(1234567), Retention: time.Hour,
		}
		h.must(h.log.Commit(h.Context(), "me", []stream.Cursor{c}))
		h.committed("me", c)
		c.Next, c.Epoch, c.Metadata, c.Retention = 7, 3, "", 0
		h.must(h.log.Commit(h.Context(), "me", []stream.Cursor{c}))
		h.committed("me", c)
		h.committed("nobody")
	}},
	{"cursors are ordered by stream id and shard", func(h *harness) {
		a, b := h.create("a", 12), h.create("b", 3)
		if bytes.Compare(a.ID[:], b.ID[:]) > 0 {
			a, b = b, a
		}
		var want, shuffled []stream.Cursor
		for _, s := range []*stream.Stream{a, b} {
			for i := range s.Shards {
				want = append(want, stream.Cursor{Shard: s.Shard(i), Next: stream.Offset(i), Committed: time.UnixMilli(1)})
			}
		}
		shuffled = append(shuffled, want[7:]...)
		shuffled = append(shuffled, want[:7]...)
		slices.Reverse(shuffled)
		h.must(h.log.Commit(h.Context(), "me", shuffled))
		h.committed("me", want...)
	}},
	{"a commit is taken whole or not at all", func(h *harness) {
		s := h.create("s", 1)
		h.must(h.log.Commit(h.Context(), "me", []stream.Cursor{{Shard: s.Shard(0), Next: 1, Committed: time.UnixMilli(1)}}))
		err := h.log.Commit(h.Context(), "me", []stream.Cursor{{Shard: s.Shard(0), Next: 2}, {Shard: s.Shard(1), Next: 2}})
		h.is(err, stream.ErrNotFound)
		h.committed("me", stream.Cursor{Shard: s.Shard(0), Next: 1, Committed: time.UnixMilli(1)})
	}},
	{"forget removes the named cursors, or all", func(h *harness) {
		s := h.create("s", 3)
		var all []stream.Cursor
		for i := range s.Shards {
			all = append(all, stream.Cursor{Shard: s.Shard(i), Next: 1, Committed: time.UnixMilli(1)})
		}
		h.must(h.log.Commit(h.Context(), "me", all))
		h.must(h.log.Commit(h.Context(), "you", all))
		h.must(h.log.Forget(h.Context(), "me", []stream.Shard{}))
		h.committed("me", all...)
		h.must(h.log.Forget(h.Context(), "me", []stream.Shard{s.Shard(1), s.Shard(9)}))
		h.committed("me", all[0], all[2])
		h.must(h.log.Forget(h.Context(), "me", nil))
		h.committed("me")
		h.committed("you", all...)
		h.must(h.log.Forget(h.Context(), "nobody", nil))
	}},
	{"owners are those with a cursor, by prefix, in order", func(h *harness) {
		s := h.create("s", 1)
		for _, owner := range []string{"group/b", "group/a", "flow/x", "group/c"} {
			h.must(h.log.Commit(h.Context(), owner, []stream.Cursor{{Shard: s.Shard(0)}}))
		}
		h.must(h.log.Forget(h.Context(), "group/c", nil))
		h.must(h.log.Commit(h.Context(), "group/empty", nil))
		for prefix, want := range map[string]string{"": "[flow/x group/a group/b]", "group/": "[group/a group/b]", "none": "[]"} {
			owners, err := h.log.Owners(h.Context(), prefix)
			h.must(err)
			h.equal("owners of "+prefix, owners, want)
		}
	}},
}

// committed checks the owner's cursors.
func (h *harness) committed(owner string, want ...stream.Cursor) {
	h.Helper()
	got, err := h.log.Committed(h.Context(), owner)
	h.must(err)
	if len(got) != len(want) {
		h.Fatalf("%s has %d cursors, want %d", owner, len(got), len(want))
	}
	for i := range got {
		if !got[i].Committed.Equal(want[i].Committed) {
			h.Fatalf("cursor %d committed at %s, want %s", i, got[i].Committed, want[i].Committed)
		}
		got[i].Committed = want[i].Committed // the location may differ
	}
	h.equal("cursors of "+owner, got, want)
}
