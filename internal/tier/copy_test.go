package tier

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
)

func TestClosedSegmentsAreCopied(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(nil)
	r.put(st, 3)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 3, 0, -1) // they fill a segment; the next one is not begun
	r.put(st, 1)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 4, 0, 3)
	r.put(st, 20)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 24, 0, 21)
	r.wantObjects(7)
	if b, _ := r.log.Bounds(t.Context(), st.Shard(0)); b.Bytes != 24*batchBytes {
		t.Errorf("the shard has %d bytes, want %d", b.Bytes, 24*batchBytes)
	}
	if s := r.log.Stats(); s.Copied != 7 || s.CopiedBytes != 21*batchBytes || s.Segments != 7 || s.Gets != 0 {
		t.Errorf("%+v", s)
	}
}

func TestOldSegmentsAreCopiedWhateverTheirSize(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Compaction.SegmentAge = time.Hour })
	r.put(st, 1)
	r.clock.Advance(time.Hour)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 1, 0, -1)
	r.put(st, 1)
	r.clock.Advance(time.Millisecond)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 2, 0, 2) // what has come since goes with it
	r.wantObjects(1)
	r.put(st, 1)
	r.clock.Advance(30 * time.Minute)
	r.put(st, 1)
	r.clock.Advance(time.Hour)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 4, 0, 4)
}

func TestLocalRetentionTrimsOnlyWhatWasCopied(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention = time.Hour })
	r.put(st, 10)
	r.clock.Advance(time.Hour + time.Millisecond)
	r.store.set(func(string, object.Name) error { return errFault }, nil)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 10, 0, -1)
	r.store.set(nil, nil)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 10, 9, 9)
	if s := r.log.Stats(); s.Gets == 0 || s.CopyFailures != 2 {
		t.Errorf("%+v", s)
	}
	if b, _ := r.log.Bounds(t.Context(), st.Shard(0)); b.Bytes != 10*batchBytes || r.extent(st).LocalBytes != batchBytes {
		t.Errorf("the shard has %d bytes, %d of them locally", b.Bytes, r.extent(st).LocalBytes)
	}
	r.open()
	r.wantBounds(st, 0, 10, 9, 9)
	r.put(st, 10)
	r.wantBounds(st, 0, 20, 9, 9)
}

func TestLocalRetentionBySizeKeepsThatMuch(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.RetentionBytes = 4 * batchBytes })
	r.put(st, 16)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 16, 12, 15)
}

func TestLocalRetentionIsTheWholeOneUnlessSet(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Retention, c.Tier.Retention = time.Hour, 0 })
	r.put(st, 10)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 10, 0, 9)
	r.clock.Advance(2 * time.Hour)
	r.log.Work(t.Context())
	r.wantBounds(st, 9, 10, 9, -1)
	r.log.Work(t.Context())
	r.wantObjects(0)
}

func TestNothingIsCopiedWhereThatIsDisabled(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(nil)
	r.put(st, 10)
	r.log.Work(t.Context())
	c := st.Config
	c.Tier.NoCopy = true
	_, err := r.log.Alter(t.Context(), st.ID, stream.Change{Config: &c})
	must(t, err)
	r.put(st, 10)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 20, 0, 9)
}

func TestWhatIsOpenIsNotCopied(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Compaction.SegmentAge = time.Hour })
	r.put(st, 4)
	r.begin(st, 7)
	r.put(st, 4)
	r.log.Work(t.Context())
	r.wantTiered(st, 3)
	r.clock.Advance(2 * time.Hour)
	r.log.Work(t.Context())
	r.wantTiered(st, 4) // where the transaction begins
	r.end(st, 7, false)
	r.log.Work(t.Context())
	r.wantTiered(st, 9) // the marker is of two hours later
	if got, err := r.log.Aborted(t.Context(), st.Shard(0), 0, 10); err != nil || len(got) != 1 || got[0] != (stream.Aborted{ProducerID: 7, First: 4, Last: 9}) {
		t.Errorf("aborted: %+v, %v", got, err)
	}
}

func TestCompactedStreamsAreNotTiered(t *testing.T) {
	r := newRig(t, plainConfig())
	c := stream.Config{Tier: stream.Tier{On: true}, Compaction: stream.Compaction{On: true}}
	if _, err := r.log.Create(t.Context(), stream.Spec{Name: "c", Shards: 1, Config: c}); !errors.Is(err, stream.ErrInvalid) {
		t.Errorf("create: %v", err)
	}
	st := r.tiered(nil)
	if _, err := r.log.Alter(t.Context(), st.ID, stream.Change{Config: &c}); !errors.Is(err, stream.ErrInvalid) {
		t.Errorf("alter: %v", err)
	}
}

func TestRunCopiesAndStops(t *testing.T) {
	cfg := plainConfig()
	cfg.Interval = time.Second
	r := newRig(t, cfg)
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.log.Run(ctx) }()
	r.put(st, 31)
	clocktest.Eventually(t, "all is copied and trimmed", func() bool {
		r.clock.Advance(time.Second)
		return r.extent(st).Local == 30
	})
	stop()
	must(t, <-done)
	r.wantBounds(st, 0, 31, 30, 30)
}

// TestManySegmentsFillPages: the head document stays small, and all is found again after a restart.
func TestManySegmentsFillPages(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
	r.put(st, 100)
	r.clock.Advance(time.Second)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 100, 99, 99)
	heads, err := r.state.List(t.Context(), headKind, "")
	must(t, err)
	pages, err := r.state.List(t.Context(), pageKind, "")
	must(t, err)
	if h, err := decodeHead(heads[0].Value); err != nil || len(h.Segments) > 4 || len(h.Pages) != len(pages) || len(pages) < 14 {
		t.Fatalf("%d pages, %d in the head with %d segments, %v", len(pages), len(h.Pages), len(h.Segments), err)
	}
	r.open()
	r.wantBounds(st, 0, 100, 99, 99)
	_, err = r.log.Trim(t.Context(), st.Shard(0), 50)
	must(t, err)
	r.wantBounds(st, 50, 100, 99, 99)
	r.open()
	r.wantBounds(st, 50, 100, 99, 99)
	r.log.Work(t.Context())
	r.wantObjects(17)
	if left, err := r.state.List(t.Context(), pageKind, ""); err != nil || len(left) >= len(pages) {
		t.Errorf("%d of %d pages are left, %v", len(left), len(pages), err)
	}
	if !strings.HasSuffix(r.objects()[0], ".segment") {
		t.Errorf("object %s", r.objects()[0])
	}
}

// TestWhatIsBeingCopiedIsDue: a store that takes nothing for a while does not hide what waits for it.
func TestWhatIsBeingCopiedIsDue(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(nil)
	r.put(st, 10)
	stuck := make(chan struct{}, 1)
	r.store.stuck = func() {
		select {
		case stuck <- struct{}{}:
		default:
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.log.Run(ctx) }()
	<-stuck
	b, err := r.log.Bounds(t.Context(), st.Shard(0))
	must(t, err)
	clocktest.Eventually(t, "what is being copied is told as due", func() bool {
		r.log.kick()
		return r.log.Stats().Lag == b.Bytes
	})
	stop()
	must(t, <-ended)
}
