package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// eagerly compacts whatever may be: all but the last batch of a shard.
var eagerly = stream.Compaction{On: true, SegmentBytes: 1, MinDirty: -1}

// keyedRecord is what is compared of a record with a key.
type keyedRecord struct {
	offset     stream.Offset
	key, value string
}

// written is a record, and when it was sent and acknowledged.
type written struct {
	keyedRecord
	asked, acked int
}

// bound is how far a shard was or is being compacted.
type bound struct {
	to           stream.Offset
	asked, acked int
}

// compactWorkload writes keys, compacts, and keeps the disk as it is before each change to it.
type compactWorkload struct {
	t       *testing.T
	seed    uint64
	random  *rand.Rand
	disk    *vfs.Mem
	engine  *Engine
	streams []*stream.Stream // two that are compacted, then one that is not
	now     int
	cuts    []cut
	sent    map[stream.Shard][]written
	last    map[stream.Shard]stream.Offset // base of the last batch
	bounds  map[stream.Shard][]bound
	value   int
}

func (w *compactWorkload) config(fs vfs.FS) Config {
	c := tiny(fs)
	c.Random = newSeeded(w.seed)
	c.FileBytes, c.GroupBytes, c.AllocateBytes, c.RewriteDead = 24*kib, 8*kib, 4*kib, 0.3
	c.CompactMemory = kib // several passes
	return c
}

func (w *compactWorkload) tick() int {
	w.now++
	return w.now
}

// hook keeps the disk as a power cut before the operation would leave it. The workload waits for each of its steps, but maintenance goes on beside it.
func (w *compactWorkload) hook(lock chan struct{}) func(c *vfs.Call) error {
	return func(c *vfs.Call) error {
		switch c.Op {
		case vfs.OpRead, vfs.OpSize, vfs.OpList, vfs.OpOpen, vfs.OpLock:
			return nil
		}
		lock <- struct{}{}
		defer func() { <-lock }()
		w.cuts = append(w.cuts, cut{w.tick(), c.Op, w.disk.CrashClone(rand.New(rand.NewPCG(w.seed, uint64(w.now))))})
		return nil
	}
}

func (w *compactWorkload) run() {
	lock := make(chan struct{}, 1)
	step := func() int {
		lock <- struct{}{}
		defer func() { <-lock }()
		return w.tick()
	}
	w.engine = mustOpen(w.t, w.config(vfs.Fault(w.disk, w.hook(lock))))
	for i := range 3 {
		config := stream.Config{KeepAll: true}
		if i < 2 {
			config.Compaction = eagerly
		}
		s, err := w.engine.Create(context.Background(), stream.Spec{Name: stream.Name(fmt.Sprint("s", i)), Shards: 2, Config: config})
		must(w.t, err)
		w.streams = append(w.streams, s)
	}
	for range 60 {
		switch n := w.random.IntN(12); {
		case n < 8:
			w.write(step)
		case n < 10:
			w.compact(step)
		default:
			w.engine.tend()
		}
	}
	must(w.t, w.engine.Close())
}

func (w *compactWorkload) write(step func() int) {
	s := w.streams[w.random.IntN(len(w.streams))].Shard(int32(w.random.IntN(2)))
	var b batch.Builder
	var records []written
	asked := step()
	next := stream.Offset(0)
	if n := len(w.sent[s]); n > 0 {
		next = w.sent[s][n-1].offset + 1
	}
	for i := range 1 + w.random.IntN(6) {
		w.value++
		r := written{keyedRecord{next + stream.Offset(i), fmt.Sprint("k", w.random.IntN(15)), fmt.Sprintf("%0*d", 8+w.random.IntN(400), w.value)}, asked, 0}
		b.Add(epoch.UnixMilli(), []byte(r.key), []byte(r.value))
		records = append(records, r)
	}
	out, err := batch.Recode(nil, b.Finish(batch.NoProducer), batch.Codec(w.random.IntN(5)), 0, 0)
	must(w.t, err)
	w.sent[s] = append(w.sent[s], records...)
	if a := testAppend(w.t, w.engine, s, out); a.Base != next {
		w.t.Fatalf("seed %d: batch is at offset %d, not %d", w.seed, a.Base, next)
	}
	acked := step()
	for i := range records {
		w.sent[s][len(w.sent[s])-1-i].acked = acked
	}
	w.last[s] = next
}

func (w *compactWorkload) compact(step func() int) {
	asked := step()
	for _, st := range w.streams[:2] {
		for _, s := range shardsOf(st) {
			w.bounds[s] = append(w.bounds[s], bound{w.last[s], asked, 0})
		}
	}
	must(w.t, w.engine.CompactNow(context.Background()))
	acked := step()
	for s := range w.bounds {
		w.bounds[s][len(w.bounds[s])-1].acked = acked
	}
}

// verify opens the disk of a cut and compares it with what was sent.
func (w *compactWorkload) verify(c cut) {
	config := w.config(c.disk)
	if r, err := Check(c.disk, config.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && len(r.Damage) > 0 {
		w.t.Errorf("check: %+v, %v", r, err)
	}
	e, err := Open(context.Background(), config)
	if err != nil {
		w.t.Errorf("open: %v", err)
		return
	}
	for i, st := range w.streams {
		if _, err := e.StreamByID(context.Background(), st.ID); err != nil {
			continue
		}
		for _, s := range shardsOf(st) {
			w.verifyShard(e, c, s, i < 2)
		}
	}
	w.goOn(e, config)
}

func readKeyed(t *testing.T, e *Engine, s stream.Shard, from stream.Offset) []keyedRecord {
	t.Helper()
	var all []keyedRecord
	b, err := e.Bounds(context.Background(), s)
	must(t, err)
	for from < b.End {
		chunk, err := e.Read(context.Background(), s, from, 3000)
		must(t, err)
		if len(chunk.Batches) == 0 {
			t.Fatalf("reading ends at %d, the shard at %d", from, b.End)
		}
		for _, one := range chunk.Batches {
			h, err := batch.VerifyStored(one)
			must(t, err)
			must(t, batch.Records(one, 0, func(r *batch.Record) bool {
				if stream.Offset(r.Offset) >= from {
					all = append(all, keyedRecord{stream.Offset(r.Offset), string(r.Key), string(r.Value)})
				}
				return true
			}))
			from = stream.Offset(h.LastOffset()) + 1
		}
		chunk.Release()
	}
	return all
}

// verifyShard: every record that is found was sent; what was acknowledged is there, but for what a later record of its key may have replaced before
// the cut; and what a compaction that was finished has replaced is not.
func (w *compactWorkload) verifyShard(e *Engine, c cut, s stream.Shard, compacted bool) {
	found := map[stream.Offset]keyedRecord{}
	for _, r := range readKeyed(w.t, e, s, 0) {
		found[r.offset] = r
	}
	var began, done stream.Offset
	for _, b := range w.bounds[s] {
		if b.asked < c.at {
			began = b.to
		}
		if b.acked != 0 && b.acked < c.at {
			done = b.to
		}
	}
	sent := w.sent[s]
	for i, r := range sent {
		if r.asked >= c.at {
			break
		}
		got, ok := found[r.offset]
		delete(found, r.offset)
		replacedBy := func(to stream.Offset) bool {
			return slices.ContainsFunc(sent[i+1:], func(l written) bool { return l.key == r.key && l.offset < to })
		}
		acked := r.acked != 0 && r.acked < c.at
		switch {
		case ok && got != r.keyedRecord:
			w.t.Errorf("shard %v has %v, was sent %v", s, got, r)
		case !ok && acked && !(compacted && replacedBy(began)):
			w.t.Errorf("shard %v lacks %d of %s, acknowledged at %d; compacted up to %d", s, r.offset, r.key, r.acked, began)
		case ok && compacted && replacedBy(done):
			w.t.Errorf("shard %v still has %d of %s, compacted up to %d", s, r.offset, r.key, done)
		}
	}
	if len(found) > 0 {
		w.t.Errorf("shard %v has %v, which was not sent", s, found)
	}
}

// goOn compacts once more, and compares what a restart makes of it.
func (w *compactWorkload) goOn(e *Engine, config Config) {
	must(w.t, e.CompactNow(context.Background()))
	all := func(e *Engine) (text []string) {
		for _, st := range w.streams {
			for _, s := range shardsOf(st) {
				if b, err := e.Bounds(context.Background(), s); err == nil {
					b.Compactions = 0 // since the log was opened
					text = append(text, fmt.Sprint(b, readKeyed(w.t, e, s, 0)))
				}
			}
		}
		return text
	}
	before := all(e)
	must(w.t, e.Close())
	again, err := Open(context.Background(), config)
	if err != nil {
		w.t.Errorf("open after clean close: %v", err)
		return
	}
	if after := all(again); !slices.Equal(before, after) {
		w.t.Errorf("a clean restart changes\n%s to\n%s", before, after)
	}
	must(w.t, again.Close())
}

// TestPowerCutCompacting runs random workloads on compacted streams beside one that is not, cuts power at every change of the disk, and opens what is
// left.
func TestPowerCutCompacting(t *testing.T) {
	first := rand.Uint64N(1 << 40)
	t.Logf("seeds from %d", first)
	cuts, compacted := 0, int64(0)
	for i := range uint64(3) {
		w := &compactWorkload{
			t: t, seed: first + i, random: rand.New(rand.NewPCG(first+i, 1)), disk: vfs.NewMem(),
			sent: map[stream.Shard][]written{}, last: map[stream.Shard]stream.Offset{}, bounds: map[stream.Shard][]bound{},
		}
		w.run()
		compacted += w.engine.counters.compactRuns.Load()
		cuts += len(w.cuts)
		for _, c := range w.cuts {
			w.verify(c)
			if t.Failed() {
				t.Fatalf("seed %d, cut at %d (%s)", w.seed, c.at, c.op)
			}
		}
	}
	t.Logf("%d power cuts, %d compactions", cuts, compacted)
}
