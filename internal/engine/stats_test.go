package engine

import (
	"sync/atomic"
	"testing"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// TestStatsDoNotWaitForTheDisk: while a file is finished on a slow disk the figures are there, and nobody who asks for them holds readers up.
func TestStatsDoNotWaitForTheDisk(t *testing.T) {
	finishing, goOn := make(chan struct{}), make(chan struct{})
	var met atomic.Bool
	e := mustOpen(t, tiny(vfs.Fault(vfs.NewMem(), func(call *vfs.Call) error {
		if call.Op == vfs.OpTruncate && !met.Swap(true) {
			close(finishing)
			<-goOn
		}
		return nil
	})))
	closing(t, e)
	s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
	must(t, err)
	for range 20 {
		testAppend(t, e, s.Shard(0), batchOf(4*kib))
	}
	<-finishing
	var bytes atomic.Int64
	go func() { bytes.Store(e.Stats(false).FileBytes) }()
	defer close(goOn)
	clocktest.Eventually(t, "the figures are there", func() bool { return bytes.Load() > 0 })
}
