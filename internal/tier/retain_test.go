package tier

import (
	"errors"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
)

func TestRetentionBySizeIsOfBothPlaces(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.RetentionBytes, c.Tier.Retention = 10*batchBytes, 1 })
	r.put(st, 31)
	r.clock.Advance(time.Second)
	r.log.Work(t.Context())
	r.wantBounds(st, 21, 31, 30, 30)
	r.wantObjects(3)
	r.open()
	r.wantBounds(st, 21, 31, 30, 30)
}

func TestRetentionByAgeIsOfBothPlaces(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Retention, c.Tier.Retention = 10*time.Hour, time.Hour })
	for range 12 {
		r.put(st, 3)
		r.clock.Advance(time.Hour)
	}
	r.log.Work(t.Context())
	b := r.check(st)
	if x := r.extent(st); b.Start != 6 || x.Local != 33 || x.Tiered != 33 {
		t.Fatalf("%+v, %+v", b, x)
	}
	r.wantObjects(9)
}

func TestDeletedRecordsGoFromBothPlaces(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.Retention = 1 })
	r.put(st, 22)
	r.clock.Advance(time.Second)
	r.log.Work(t.Context())
	w := r.log.Watch()
	defer w.Close()
	w.Add(st.Shard(0))
	w.Take(nil)
	for _, row := range []struct{ before, start, local stream.Offset }{{4, 4, 21}, {2, 4, 21}, {21, 21, 21}, {22, 22, 22}} {
		got, err := r.log.Trim(t.Context(), st.Shard(0), row.before)
		must(t, err)
		if got != row.start {
			t.Errorf("trim to %d: %d", row.before, got)
		}
		if b := r.check(st); b.Start != row.start || r.extent(st).Local != row.local {
			t.Errorf("trim to %d: %+v, %+v", row.before, b, r.extent(st))
		}
		if moved := w.Take(nil); len(moved) != 1 && row.before != 2 {
			t.Errorf("trim to %d: the watcher was told of %v", row.before, moved)
		}
		if _, err := r.log.Read(t.Context(), st.Shard(0), row.start-1, 1000); !errors.Is(err, stream.ErrOutOfRange) {
			t.Errorf("read before %d: %v", row.start, err)
		}
	}
	if _, err := r.log.Trim(t.Context(), st.Shard(0), 23); !errors.Is(err, stream.ErrOutOfRange) {
		t.Errorf("trim beyond the end: %v", err)
	}
	r.log.Work(t.Context())
	r.wantObjects(0)
	r.put(st, 4)
	r.clock.Advance(time.Second)
	r.log.Work(t.Context())
	r.wantBounds(st, 22, 26, 25, 25)
}

// TestWhatTheLogHasLostOtherwiseIsGone: its own retention, or somebody who trims it, may pass what was copied.
func TestWhatTheLogHasLostOtherwiseIsGone(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(nil)
	r.put(st, 10)
	r.log.Work(t.Context())
	_, err := r.local.Trim(t.Context(), st.Shard(0), 5)
	must(t, err)
	r.wantBounds(st, 0, 10, 5, 9)
	_, err = r.local.Trim(t.Context(), st.Shard(0), 10)
	must(t, err)
	r.wantBounds(st, 10, 10, 10, -1)
	r.put(st, 4)
	r.log.Work(t.Context())
	r.wantBounds(st, 10, 14, 10, 13)
	r.wantObjects(1)
}

// TestAStreamIsTieredNoMore: what is only in objects is gone at once, the objects soon, and it may be tiered again.
func TestAStreamIsTieredNoMore(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.RetentionBytes = 4 * batchBytes })
	r.put(st, 20)
	r.log.Work(t.Context())
	r.wantBounds(st, 0, 20, 15, 18)
	off, on := st.Config, st.Config
	off.Tier.On = false
	_, err := r.log.Alter(t.Context(), st.ID, stream.Change{Config: &off})
	must(t, err)
	r.wantBounds(st, 15, 20, 15, -1)
	_, err = r.log.Alter(t.Context(), st.ID, stream.Change{Config: &on})
	must(t, err)
	r.wantBounds(st, 15, 20, 15, -1)
	r.log.Work(t.Context())
	r.wantBounds(st, 15, 20, 15, 18)
	r.wantObjects(1)
	_, err = r.log.Alter(t.Context(), st.ID, stream.Change{Config: &off})
	must(t, err)
	r.open()
	r.wantBounds(st, 15, 20, 15, -1)
	r.log.Work(t.Context())
	r.wantObjects(0)
}

// TestAStreamWasTieredNoMoreWhenTheNodeStopped: between the stream's change and that of the documents.
func TestAStreamWasTieredNoMoreWhenTheNodeStopped(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(func(c *stream.Config) { c.Tier.RetentionBytes = 4 * batchBytes })
	r.put(st, 20)
	r.log.Work(t.Context())
	off := st.Config
	off.Tier.On = false
	r.state.before = func() error { return errFault }
	if _, err := r.log.Alter(t.Context(), st.ID, stream.Change{Config: &off}); !errors.Is(err, errFault) {
		t.Fatalf("alter: %v", err)
	}
	r.state.before = nil
	r.open()
	r.log.Work(t.Context())
	r.wantBounds(st, 15, 20, 15, -1)
	r.wantObjects(0)
}

// TestWhatNobodyKnowsIsDeleted: objects that no document has, but not those of others.
func TestWhatNobodyKnowsIsDeleted(t *testing.T) {
	r := newRig(t, plainConfig())
	st := r.tiered(nil)
	r.put(st, 10)
	r.log.Work(t.Context())
	stray := r.log.key(st.Shard(0), 0)
	stray.Key = r.log.key(stream.Shard{Stream: stream.ID{1}, Index: 3}, 7).Key
	others := object.Name{Bucket: "tier", Key: "p/another/" + headID(st.Shard(0)) + "/0000000000000000.segment"}
	note := object.Name{Bucket: "tier", Key: "p/" + r.log.id + "/README"}
	for _, name := range []object.Name{stray, others, note} {
		put(t, r.store.Store, name, []byte("x"))
	}
	r.open()
	r.log.Work(t.Context())
	r.wantObjects(5)
	if _, err := r.store.Stat(t.Context(), stray); !errors.Is(err, object.ErrNotFound) {
		t.Errorf("the stray object: %v", err)
	}
}

func TestDocumentsThatCannotBeAreRefused(t *testing.T) {
	for _, text := range []string{"", "{", `{"start":-1}`, `{"first":2,"next":1}`, `{"next":1,"segments":[{"number":0,"base":5,"end":4,"bytes":1,"size":1000}]}`} {
		r := newRig(t, plainConfig())
		st := r.tiered(nil)
		r.put(st, 10)
		r.log.Work(t.Context())
		found, err := r.state.List(t.Context(), headKind, "")
		must(t, err)
		_, err = r.state.Apply(t.Context(), change(found[0].Key, text))
		must(t, err)
		if _, err := New(t.Context(), r.cfg, Deps{Local: r.local, State: r.state, Objects: r.store, Clock: r.clock}); err == nil {
			t.Errorf("a log was opened with %q", text)
		}
	}
}
