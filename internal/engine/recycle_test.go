package engine

import (
	"context"
	"testing"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestRestartInAFileWrittenOver: a dead file that the log goes on in has the size that its index gave it. After a restart, too, zeros are written into
// whole pages of it only.
func TestRestartInAFileWrittenOver(t *testing.T) {
	c := tiny(vfs.NewMem())
	c.AllocateBytes = 4 * kib // so that nothing is reserved ahead of the small groups below
	e := mustOpen(t, c)
	odd := func() bool { return e.active.Load().allocated.Load()%format.Align != 0 }
	for range 200 {
		s, err := e.Create(context.Background(), stream.Spec{Name: "s", Shards: 1})
		must(t, err)
		for range 100 {
			if odd() {
				break
			}
			testAppend(t, e, s.Shard(0), batchOf(3*kib))
		}
		if odd() {
			break
		}
		removed := e.Stats(false).Removed
		must(t, e.Delete(context.Background(), s.ID))
		if e.Stats(false).Files > 3 {
			clocktest.Eventually(t, "dead files are gone", func() bool { return e.Stats(false).Removed > removed || e.Stats(false).Files <= 3 })
		}
	}
	if !odd() {
		t.Fatal("no file of an odd size was written over")
	}
	must(t, e.Close())
	e = mustOpen(t, c)
	closing(t, e)
	if f := e.active.Load(); f.zeroed%format.Align != 0 {
		t.Errorf("zeros would follow at byte %d", f.zeroed)
	}
}
