package flow_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/flow"
	"github.com/freshet/freshet/internal/flow/flowtest"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// TestKilledAnywhereEverythingOnce kills a flow before and after each step it takes, then lets new ones, killed a few steps later, go on with
// different limits, so that what is gathered anew would be cut differently. In the end every record is in the sink once.
func TestKilledAnywhereEverythingOnce(t *testing.T) {
	for _, gap := range []int64{0, 3} {
		t.Run(fmt.Sprintf("gaps of %d offsets", gap), func(t *testing.T) {
			flowtest.KillAnywhere(t, func(t *testing.T, n int, after bool) bool { return killedAt(t, gap, n, after) })
		})
	}
}

func killedAt(t *testing.T, gap int64, n int, after bool) (reached bool) {
	b := newBench(t, 3)
	b.log.(*memlog.Log).LeaveGaps(gap)
	log, store := b.log, b.state
	sink := &flowtest.Sink{}
	run := func(n int, bytes int64, age time.Duration) bool {
		ctx, k := flowtest.Mortal(t.Context(), n, after)
		b.log, b.state = k.Log(log), k.State(store)
		c := b.config()
		c.Limits = flow.Limits{Bytes: bytes, Age: age}
		f := b.flow(c, k.Sink(sink))
		end := start(ctx, f)
		for i := range 4 {
			time.Sleep(20 * time.Second)
			b.log = log
			b.send(int32(i%3), 7)
		}
		synctest.Wait()
		if err := end(); err != nil && !k.Killed() {
			t.Fatal(err)
		}
		return k.Killed()
	}
	reached = run(n, 1000, time.Minute)
	run(n%5, 700, 10*time.Second)
	run(n%3, 1900, time.Minute)
	if run(-1, 1300, 30*time.Second) {
		t.Fatal("killed without being asked to")
	}
	b.expect(sink.Values(), b.sent)
	cursors, err := log.Committed(t.Context(), flow.CursorOwner("test"))
	if err != nil || len(cursors) != 3 {
		t.Fatalf("cursors %+v, %v", cursors, err)
	}
	for _, c := range cursors {
		if bounds, err := log.Bounds(t.Context(), c.Shard); err != nil || c.Next != bounds.End {
			t.Errorf("cursor %+v, the end is %d, %v", c, bounds.End, err)
		}
	}
	return reached
}
