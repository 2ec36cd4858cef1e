package tier

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
)

// death ends everything at the n-th step: from then on no call of the store or the state does anything. Steps lie before and behind each call.
type death struct {
	at, steps atomic.Int64
}

func (d *death) step() error {
	if d.steps.Add(1) >= d.at.Load() {
		return errFault
	}
	return nil
}

func (d *death) begin(r *rig, at int64) {
	d.at.Store(at)
	d.steps.Store(0)
	call := func(string, object.Name) error { return d.step() }
	r.store.set(call, call)
	r.state.before, r.state.after = d.step, d.step
}

func (d *death) end(r *rig) (happened bool) {
	r.store.set(nil, nil)
	r.state.before, r.state.after = nil, nil
	return d.steps.Load() >= d.at.Load()
}

// TestEveryStepMayBeTheLast: the process ends before or behind any call of the object store or the state. Whatever was being done, all records are
// there afterwards, each object is a segment's, and a deleted stream leaves nothing.
func TestEveryStepMayBeTheLast(t *testing.T) {
	for at := int64(1); ; at++ {
		r := newRig(t, plainConfig())
		st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
		var d death
		d.begin(r, at)
		trimmed := r.live(st)
		died := d.end(r)
		r.open()
		b := r.check(st)
		if b.Start != 0 && b.Start != 5 || trimmed && b.Start != 5 {
			t.Fatalf("step %d: the shard begins with %d, trimming it to 5 was acknowledged: %v", at, b.Start, trimmed)
		}
		if b.End != 20 {
			t.Fatalf("step %d: the shard ends with %d", at, b.End)
		}
		r.log.Work(t.Context())
		r.log.Work(t.Context())
		r.wantBounds(st, b.Start, 20, 18, 18)
		r.wantObjects(int(r.log.Stats().Segments))
		must(t, r.log.Delete(t.Context(), st.ID))
		d.begin(r, 1+at%7)
		r.log.Work(t.Context())
		d.end(r)
		r.open()
		r.log.Work(t.Context())
		r.wantObjects(0)
		for _, kind := range []string{headKind, pageKind} {
			if left, err := r.state.List(t.Context(), kind, ""); err != nil || len(left) > 0 {
				t.Fatalf("step %d: %d documents are left, %v", at, len(left), err)
			}
		}
		if !died {
			t.Logf("%d steps", at-1)
			return
		}
	}
}

// live does what a tiered shard goes through, and returns whether trimming it was acknowledged.
func (r *rig) live(st *stream.Stream) (trimmed bool) {
	r.put(st, 10)
	r.clock.Advance(time.Second)
	r.log.Work(r.Context())
	_, err := r.log.Trim(r.Context(), st.Shard(0), 5)
	r.log.Work(r.Context())
	r.local10(st)
	r.clock.Advance(time.Second)
	r.log.Work(r.Context())
	return err == nil
}

// local10 appends ten batches, without looking at where the shard begins: that may have been lost.
func (r *rig) local10(st *stream.Stream) {
	for range 10 {
		b, err := r.local.Bounds(r.Context(), st.Shard(0))
		must(r, err)
		results, err := r.local.Append(r.Context(), []stream.Append{{Shard: st.Shard(0), Batch: numbered(r.clock.Now(), b.End)}}).Wait(r.Context())
		must(r, errors.Join(err, results[0].Err))
	}
}

// TestALateWriteChangesNothing: a store that takes an object after its writer was told that it does not.
func TestALateWriteChangesNothing(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
	r.put(st, 4)
	var late object.Name
	r.store.set(nil, func(operation string, name object.Name) error {
		if late = name; operation == "commit" {
			return errFault
		}
		return nil
	})
	r.log.Work(t.Context())
	r.store.set(nil, nil)
	kept := read(t, r.store.Store, late)
	c := st.Config
	c.Compaction.SegmentBytes = 5 * batchBytes
	_, err := r.log.Alter(t.Context(), st.ID, stream.Change{Config: &c})
	must(t, err)
	r.put(st, 8)
	r.clock.Advance(time.Second)
	r.log.Work(t.Context())
	put(t, r.store.Store, late, kept)
	r.wantBounds(st, 0, 12, 10, 10)
	r.wantObjects(3)
	r.clock.Advance(25 * time.Hour)
	r.log.Work(t.Context()) // lists all objects again
	r.wantObjects(2)
	r.open()
	r.wantBounds(st, 0, 12, 10, 10)
}

// TestReadersAreToldToComeAgain when the store fails or hangs; what is in the log is read as ever.
func TestReadersAreToldToComeAgain(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
	r.put(st, 10)
	r.clock.Advance(time.Second)
	r.log.Work(t.Context())
	r.store.set(func(operation string, _ object.Name) error { return errFault }, nil)
	for _, from := range []stream.Offset{0, 8} {
		c, err := r.log.Read(t.Context(), st.Shard(0), from, 1000)
		if !errors.Is(err, stream.ErrUnavailable) || c.Bounds.Start != 0 || c.Bounds.End != 10 {
			t.Errorf("read from %d: %+v, %v", from, c.Bounds, err)
		}
	}
	if _, _, _, err := r.log.OffsetAt(t.Context(), st.Shard(0), epoch); !errors.Is(err, stream.ErrUnavailable) {
		t.Errorf("offset for a time: %v", err)
	}
	r.readTo(st, 9, 10)
	r.put(st, 5)
	r.store.set(nil, nil)
	r.check(st)
}

func TestAHangingStoreHoldsNobodyUp(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
	r.put(st, 10)
	r.clock.Advance(time.Second)
	r.log.Work(t.Context())
	hold := make(chan struct{})
	r.store.set(func(operation string, _ object.Name) error { <-hold; return nil }, nil)
	failed := make(chan error, 1)
	go func() {
		_, err := r.log.Read(t.Context(), st.Shard(0), 0, 1000)
		failed <- err
	}()
	clocktest.Eventually(t, "the reader waits", func() bool { return r.clock.Waiting() > 0 })
	r.clock.Advance(DefaultReadWait)
	if err := <-failed; !errors.Is(err, stream.ErrUnavailable) {
		t.Errorf("read: %v", err)
	}
	r.put(st, 10)
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		r.log.Work(t.Context()) // begins to copy
	}()
	r.readTo(st, 9, 20)
	r.put(st, 1)
	close(hold)
	<-worked
	r.check(st)
}

// TestACopyThatMakesNoProgressEnds, and begins anew.
func TestACopyThatMakesNoProgressEnds(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(nil)
	r.put(st, 4)
	r.store.stuck = func() { r.clock.Advance(DefaultStall) }
	r.log.Work(t.Context())
	r.wantTiered(st, -1)
	r.store.stuck = nil
	r.log.Work(t.Context())
	r.wantTiered(st, 3)
	r.wantObjects(1)
}

func TestDamageIsNotServed(t *testing.T) {
	for what, at := range map[string]int64{"a batch": 100, "the index": -40} {
		r := newRig(t, plainConfig())
		st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
		r.put(st, 4)
		r.clock.Advance(time.Second)
		r.log.Work(t.Context())
		name := r.log.key(st.Shard(0), 0)
		info, err := r.store.Stat(t.Context(), name)
		must(t, err)
		if at < 0 {
			at += info.Size
		}
		r.store.spoil(t, name, at)
		var damage *stream.CorruptError
		if _, err := r.log.Read(t.Context(), st.Shard(0), 0, 1000); !errors.As(err, &damage) || damage.File != name.String() {
			t.Errorf("%s: %v", what, err)
		}
		must(t, r.store.Store.Delete(t.Context(), name))
		r.open()
		if _, err := r.log.Read(t.Context(), st.Shard(0), 0, 1000); !errors.As(err, &damage) {
			t.Errorf("%s is missing: %v", what, err)
		}
		r.readTo(st, 3, 4)
	}
}

// spoilt is a log that cannot read what is before an offset.
type spoilt struct {
	*memlog.Log
	before stream.Offset
}

func (s *spoilt) Read(ctx context.Context, id stream.Shard, from stream.Offset, maxBytes int) (stream.Chunk, error) {
	c, err := s.Log.Read(ctx, id, from, maxBytes)
	if from < s.before {
		c.Release()
		return c, &stream.CorruptError{File: "log", Reason: "spoilt"}
	}
	return c, err
}

// TestDamageInTheLogIsMended from objects, as far as they have it.
func TestDamageInTheLogIsMended(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(nil)
	r.put(st, 10)
	r.log.Work(t.Context())
	local := &spoilt{r.local, 9}
	r.log.Log = local
	r.check(st)
	if s := r.log.Stats(); s.Mended == 0 {
		t.Errorf("%+v", s)
	}
	local.before = 10
	r.readTo(st, 0, 9)
	var damage *stream.CorruptError
	if _, err := r.log.Read(t.Context(), st.Shard(0), 9, 1000); !errors.As(err, &damage) {
		t.Errorf("what is only in the log: %v", err)
	}
}
