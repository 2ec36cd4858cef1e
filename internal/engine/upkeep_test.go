package engine

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/vfs"
)

// What is set while the engine is open holds from then on: the interval, and the rate of what is going on.
func TestUpkeepIsChangedWhileOpen(t *testing.T) {
	c := tiny(vfs.NewMem())
	c.CompactInterval, c.CompactRate = never, kib // in which 256 KiB would take minutes
	e := mustOpen(t, c)
	closing(t, e)
	s := keyedStream(t, e, "s", 1).Shard(0)
	for range 64 {
		putKeys(t, e, s, 4*kib, "a")
	}
	virtual := e.cfg.Clock.(*clock.Virtual)
	u := e.Upkeep()
	u.CompactInterval = time.Second
	e.SetUpkeep(u)
	began := virtual.Now()
	waiting := virtual.Waiting()
	clocktest.Eventually(t, "a pass waits for its rate", func() bool {
		if virtual.Waiting() > waiting && virtual.Now().After(began) {
			return true
		}
		virtual.Advance(time.Second)
		return false
	})
	u.CompactRate, u.CompactMemory = -1, 0
	e.SetUpkeep(u)
	clocktest.Eventually(t, "it is compacted", func() bool {
		virtual.Advance(time.Second)
		return e.Stats(false).Compaction.Runs > 0
	})
	if took := virtual.Now().Sub(began); took > 2*time.Minute {
		t.Errorf("it took %s", took)
	}
	if got := e.Upkeep(); got.CompactMemory != kib || got.CompactRate != -1 {
		t.Errorf("%+v", got)
	}
	if got := readKeyed(t, e, s, 0); len(got) != 2 {
		t.Errorf("%v are left", got)
	}
}
