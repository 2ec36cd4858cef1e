package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestOnDisk runs the engine on the system's own files: several of them, closed in order and not, checked, and locked while open.
func TestOnDisk(t *testing.T) {
	ctx := context.Background()
	c := Config{Dir: t.TempDir(), FileBytes: mib, AllocateBytes: 256 * kib, ZeroBytes: 64 * kib, GroupBytes: 64 * kib, TailBytes: 256 * kib}
	e := mustOpen(t, c)
	s, err := e.Create(ctx, stream.Spec{Name: "s", Shards: 6})
	must(t, err)
	for range 3 {
		if _, err := Open(ctx, c); !errors.Is(err, vfs.ErrLocked) {
			t.Fatalf("open twice: %v", err)
		}
		if _, err := Check(vfs.OS(), c.Dir); !errors.Is(err, vfs.ErrLocked) {
			t.Fatalf("check of an open log: %v", err)
		}
		var tickets []*stream.Ticket
		for i := range 300 {
			size := []int{100, 5 * kib, 30 * kib}[i%3]
			tickets = append(tickets, e.Append(ctx, []stream.Append{{Shard: s.Shard(int32(i / 3 % 6)), Batch: batchOf(size)}}))
		}
		for _, k := range tickets {
			r, err := k.Wait(ctx)
			must(t, errors.Join(err, r[0].Err))
		}
		want, err := content(t, e, shardsOf(s))
		must(t, err)
		e.fail(errInjected) // as unclean as it gets without a second process
		if err := e.Close(); !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		if r, err := Check(vfs.OS(), c.Dir); err != nil || len(r.Damage) > 0 {
			t.Fatalf("check: %+v, %v", r, err)
		}
		for range 2 {
			e = mustOpen(t, c)
			if got, err := content(t, e, shardsOf(s)); err != nil || got != want {
				t.Fatalf("after a restart %d bytes are read, not %d: %v", len(got), len(want), err)
			}
			must(t, e.Close())
		}
		e = mustOpen(t, c)
	}
	st := e.Stats(false)
	must(t, e.Close())
	if st.Files < 5 {
		t.Errorf("%s: everything fitted into few files", fmt.Sprint(st))
	}
}

func shardsOf(s *stream.Stream) []stream.Shard {
	var all []stream.Shard
	for i := range s.Shards {
		all = append(all, s.Shard(i))
	}
	return all
}
