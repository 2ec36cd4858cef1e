package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/producers"
	"github.com/freshet/freshet/internal/vfs"
)

// crashSeeds is how many random workloads TestPowerCut runs; ENGINE_CRASH_SEEDS overrides it. Each is cut after every change of the disk.
const crashSeeds = 6

// TestPowerCut runs random workloads, cuts power at every write, sync, rename and removal, and opens what is left. Then
//
//   - every acknowledged record is there once, at its offset; nothing is there that was not sent; each shard has the order of the calls
//   - nothing that a reader saw is gone
//   - of batches and documents that belong together there are all or none
//   - documents, cursors and starts are those last acknowledged, or the one on its way
//   - an idempotent producer goes on where it was: its repeats are told from what is new
//   - of transactions (crash_transactions_test.go) each end is there wholly or not at all, and open and aborted ones are what the batches say
//   - a check finds no damage
//   - the log goes on, and a clean restart changes nothing
func TestPowerCut(t *testing.T) {
	seeds := crashSeeds
	if s := os.Getenv("ENGINE_CRASH_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	first := rand.Uint64N(1 << 40)
	if s := os.Getenv("ENGINE_CRASH_FIRST"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seeds %d to %d; ENGINE_CRASH_FIRST=%d runs them again", first, first+uint64(seeds)-1, first)
	var sum sums
	// Workloads share nothing: each processor plays its own.
	t.Run("lanes", func(t *testing.T) {
		lanes := runtime.GOMAXPROCS(0)
		for lane := range lanes {
			t.Run(strconv.Itoa(lane), func(t *testing.T) {
				t.Parallel()
				for i := lane; i < seeds; i += lanes {
					sum.add(playAndCut(t, first+uint64(i)))
				}
			})
		}
	})
	t.Logf("%d workloads, %d power cuts, %d files rewritten, %d given up, %d of them recycled",
		sum.workloads, sum.cuts, sum.Rewrites, sum.Removed, sum.Recycled)
}

// sums counts what many workloads did.
type sums struct {
	mu              sync.Mutex
	workloads, cuts int
	Stats
}

func (s *sums) add(w *workload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workloads++
	s.cuts += len(w.cuts)
	s.Rewrites += w.stats.Rewrites
	s.Removed += w.stats.Removed
	s.Recycled += w.stats.Recycled
}

// playAndCut runs one workload and verifies what each cut of it leaves.
func playAndCut(t *testing.T, seed uint64) *workload {
	t.Helper()
	w := newWorkload(t, seed)
	w.run()
	for _, c := range w.cuts {
		w.verify(c)
		if t.Failed() {
			t.Fatalf("seed %d, cut at %d (%s)", w.seed, c.at, c.op)
		}
	}
	return w
}

// cut is the disk at one moment, and when that was.
type cut struct {
	at   int
	op   vfs.Op
	disk *vfs.Mem
}

// step is one value that something had: when it was asked for, and when that was acknowledged, 0 = not.
type step struct {
	asked, acked int
	value        string
}

// history is the values that something had, in order. One is on its way at most.
type history []*step

// allows says whether value may be found after a cut: it is the last acknowledged one, or asked for since.
func (h history) allows(value string, at int) bool {
	for i := len(h) - 1; i >= 0; i-- {
		if s := h[i]; s.asked < at {
			if s.value == value {
				return true
			}
			if s.acked != 0 && s.acked < at {
				return false
			}
		}
	}
	return value == ""
}

// unit is one call of Append or Transact: what of it is there, all of it is.
type unit struct {
	step
	entries []sent
	ticket  *stream.Ticket
}

type sent struct {
	shard stream.Shard
	ids   []uint64
	base  stream.Offset // once acknowledged
	batch []byte
}

type workload struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	disk   *vfs.Mem
	engine *Engine

	mu    sync.Mutex
	now   int // counts everything that is asked for or acknowledged
	cuts  []cut
	units []*unit
	seen  map[stream.Shard]history // the largest end that a reader saw
	start map[stream.Shard]history
	state map[string]history // documents and cursors

	streams  []*stream.Stream
	gone     *step // the deletion of the last stream
	lastID   uint64
	sequence int32
	pending  []*unit
	stats    Stats
	inFlight int // batches of the producer that may be on their way
	tx       transactions
}

func newWorkload(t *testing.T, seed uint64) *workload {
	return &workload{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), disk: vfs.NewMem(),
		seen: map[stream.Shard]history{}, start: map[stream.Shard]history{}, state: map[string]history{},
	}
}

func (w *workload) config(fs vfs.FS) Config {
	c := tiny(fs)
	c.Random = newSeeded(w.seed)
	c.FileBytes, c.GroupBytes, c.AllocateBytes, c.RewriteDead = 20*kib, 8*kib, 4*kib, 0.3 // a dead file is large enough to be written over
	return c
}

// tick returns the next moment.
func (w *workload) tick() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	return w.now
}

// hook keeps the disk as a power cut right after the operation before this one would leave it.
func (w *workload) hook(c *vfs.Call) error {
	switch c.Op {
	case vfs.OpRead, vfs.OpSize, vfs.OpList, vfs.OpOpen, vfs.OpLock:
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	w.cuts = append(w.cuts, cut{w.now, c.Op, w.disk.CrashClone(rand.New(rand.NewPCG(w.seed, uint64(w.now))))})
	return nil
}

func (w *workload) run() {
	w.engine = mustOpen(w.t, w.config(vfs.Fault(w.disk, w.hook)))
	for i := range 3 {
		s, err := w.engine.Create(context.Background(), stream.Spec{Name: stream.Name(fmt.Sprint("s", i)), Shards: 2})
		must(w.t, err)
		w.streams = append(w.streams, s)
	}
	w.beginTransactions()
	for range 40 + w.random.IntN(80) {
		w.operate()
	}
	w.settle()
	w.stats = w.engine.Stats(false)
	must(w.t, w.engine.Close())
}

func (w *workload) operate() {
	switch n := w.random.IntN(30); {
	case n >= 20:
		w.operateTransactions()
	case n < 11:
		w.append(1 + w.random.IntN(3))
	case n < 12:
		w.settle()
	case n < 14:
		w.read()
	case n < 15:
		w.trim()
	case n < 17:
		w.transact()
	case n < 18:
		w.commitCursor()
	case n < 19 && w.gone == nil && w.random.IntN(4) == 0:
		w.delete()
	default:
		w.engine.tend()
	}
	if len(w.pending) > 5 {
		w.settle()
	}
}

// live returns the streams that are not deleted.
func (w *workload) live() []*stream.Stream {
	if w.gone != nil {
		return w.streams[:len(w.streams)-1]
	}
	return w.streams
}

func (w *workload) shard() stream.Shard {
	s := w.live()[w.random.IntN(len(w.live()))]
	return s.Shard(int32(w.random.IntN(2)))
}

// producerShard is the one that an idempotent producer writes to.
func (w *workload) producerShard() stream.Shard { return w.streams[0].Shard(0) }

func (w *workload) send(shard stream.Shard) sent {
	var b batch.Builder
	e := sent{shard: shard}
	for range 1 + w.random.IntN(3) {
		w.lastID++
		value := make([]byte, 8+w.random.IntN(2000))
		binary.BigEndian.PutUint64(value, w.lastID)
		b.Add(epoch.UnixMilli(), nil, value)
		e.ids = append(e.ids, w.lastID)
	}
	p := batch.NoProducer
	if shard == w.producerShard() {
		w.inFlight++
		p = batch.Producer{ID: 7, Epoch: 0, Sequence: w.sequence}
		w.sequence += int32(len(e.ids))
	}
	e.batch = append([]byte(nil), b.Finish(p)...)
	return e
}

func (u *unit) appends() []stream.Append {
	var all []stream.Append
	for _, e := range u.entries {
		all = append(all, stream.Append{Shard: e.shard, Batch: e.batch})
	}
	return all
}

func (w *workload) append(n int) {
	u := &unit{}
	for range n {
		shard := w.shard()
		if shard == w.producerShard() && w.inFlight == producers.Remembered {
			shard = w.streams[0].Shard(1) // a producer has no more in flight than is remembered of it
		}
		u.entries = append(u.entries, w.send(shard))
	}
	w.ask(u)
	u.ticket = w.engine.Append(context.Background(), u.appends())
	w.pending = append(w.pending, u)
}

func (w *workload) ask(u *unit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now++
	u.asked = w.now
	w.units = append(w.units, u)
}

func (w *workload) acknowledge(u *unit, results []stream.Appended) {
	for i, r := range results {
		must(w.t, r.Err)
		u.entries[i].base = r.Base
	}
	u.acked = w.tick()
}

// settle waits for what is on its way.
func (w *workload) settle() {
	for _, u := range w.pending {
		<-u.ticket.Done()
		w.acknowledge(u, u.ticket.Results())
	}
	w.pending, w.inFlight = nil, 0
}

func (w *workload) read() {
	shard := w.shard()
	b, err := w.engine.Bounds(context.Background(), shard)
	must(w.t, err)
	now := w.tick()
	w.seen[shard] = append(w.seen[shard], &step{now, now, fmt.Sprint(b.End)})
}

// change does something that is acknowledged with a value.
func (w *workload) change(of map[string]history, name, value string, do func() error) {
	s := &step{asked: w.tick(), value: value}
	of[name] = append(of[name], s)
	must(w.t, do())
	s.acked = w.tick()
}

func (w *workload) trim() {
	shard := w.shard()
	b, err := w.engine.Bounds(context.Background(), shard)
	must(w.t, err)
	to := b.Start + stream.Offset(w.random.Int64N(int64(b.End-b.Start)+1))
	s := &step{asked: w.tick(), value: fmt.Sprint(to)}
	w.start[shard] = append(w.start[shard], s)
	_, err = w.engine.Trim(context.Background(), shard, to)
	must(w.t, err)
	s.acked = w.tick()
}

// transact appends to a shard and writes a document, together: the document's value is the unit's first id.
func (w *workload) transact() {
	u := &unit{entries: []sent{w.send(w.streams[1].Shard(0))}}
	key := state.Key{Kind: "k", ID: strconv.Itoa(w.random.IntN(3))}
	value := fmt.Sprint(u.entries[0].ids[0])
	w.ask(u)
	w.change(w.state, "document "+key.ID, value, func() error {
		results, _, err := w.engine.Transact(context.Background(), u.appends(), nil, []state.Change{{Key: key, If: state.Any, Value: []byte(value)}})
		if err == nil {
			w.acknowledge(u, results)
		}
		return err
	})
}

func (w *workload) commitCursor() {
	next := w.random.Int64N(1000)
	w.change(w.state, "cursor", fmt.Sprint(next), func() error {
		return w.engine.Commit(context.Background(), "owner", []stream.Cursor{{Shard: w.streams[0].Shard(1), Next: stream.Offset(next)}})
	})
}

func (w *workload) delete() {
	w.settle()
	w.gone = &step{asked: w.tick()}
	must(w.t, w.engine.Delete(context.Background(), w.streams[len(w.streams)-1].ID))
	w.gone.acked = w.tick()
}

// verify opens the disk of a cut and compares.
func (w *workload) verify(c cut) {
	ctx := context.Background()
	config := w.config(c.disk)
	if r, err := Check(c.disk, config.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && len(r.Damage) > 0 { // nothing may be there yet
		w.t.Errorf("check: %+v, %v", r, err)
	}
	e, err := Open(ctx, config)
	if err != nil {
		w.t.Errorf("open: %v", err)
		return
	}
	found := w.verifyStreams(e, c)
	w.verifyUnits(e, c, found)
	w.verifyState(e, c)
	w.verifyTransactions(e, c)
	if !w.t.Failed() {
		w.goOn(e, c, found)
	}
	if err := e.Close(); err != nil && !errors.Is(err, stream.ErrClosed) {
		w.t.Errorf("close: %v", err)
	}
}

type spot struct {
	shard  stream.Shard
	offset stream.Offset
}

// verifyStreams reads every shard and returns where it found each record.
func (w *workload) verifyStreams(e *Engine, c cut) map[uint64]spot {
	found := map[uint64]spot{}
	for i, s := range w.streams {
		_, err := e.StreamByID(context.Background(), s.ID)
		last := i == len(w.streams)-1
		switch {
		case err == nil && last && w.gone != nil && w.gone.acked != 0 && w.gone.acked < c.at:
			w.t.Errorf("stream %s is back", s.Name)
		case err != nil && !(last && w.gone != nil && w.gone.asked < c.at) && w.anyUnit(s, c):
			w.t.Errorf("stream %s is gone", s.Name)
		}
		if err != nil {
			continue
		}
		for k := range s.Shards {
			w.readShard(e, c, s.Shard(k), found)
		}
	}
	return found
}

// anyUnit says whether something was sent to the stream: then its creation had been acknowledged.
func (w *workload) anyUnit(s *stream.Stream, c cut) bool {
	for _, u := range w.units {
		for _, e := range u.entries {
			if e.shard.Stream == s.ID && u.asked < c.at {
				return true
			}
		}
	}
	return false
}

func (w *workload) readShard(e *Engine, c cut, shard stream.Shard, found map[uint64]spot) {
	b, err := e.Bounds(context.Background(), shard)
	if err != nil {
		w.t.Errorf("bounds: %v", err)
		return
	}
	if h := w.start[shard]; !h.allows(fmt.Sprint(b.Start), c.at) && !(b.Start == 0 && h.allows("", c.at)) {
		w.t.Errorf("shard %v starts at %d", shard, b.Start)
	}
	for _, s := range w.seen[shard] {
		if end, _ := strconv.ParseInt(s.value, 10, 64); s.acked < c.at && int64(b.End) < end {
			w.t.Errorf("shard %v ends at %d, a reader saw %d", shard, b.End, end)
		}
	}
	lastID := uint64(0)
	expect := b.Start
	for _, r := range readAll(w.t, e, shard) {
		id := binary.BigEndian.Uint64(r.value)
		if r.offset != expect || id <= lastID {
			w.t.Errorf("shard %v has record %d at %d, expected offset %d behind record %d", shard, id, r.offset, expect, lastID)
		}
		if p, twice := found[id]; twice {
			w.t.Errorf("record %d is at %v and at %v %d", id, p, shard, r.offset)
		}
		found[id] = spot{shard, r.offset}
		lastID, expect = id, r.offset+1
	}
	if expect != b.End {
		w.t.Errorf("shard %v ends at %d, its records at %d", shard, b.End, expect)
	}
}

type record struct {
	offset stream.Offset
	value  []byte
}

// readAll reads a shard from start to end.
func readAll(t *testing.T, e *Engine, shard stream.Shard) []record {
	t.Helper()
	var all []record
	b, err := e.Bounds(context.Background(), shard)
	must(t, err)
	for from := b.Start; from < b.End; {
		chunk, err := e.Read(context.Background(), shard, from, 3000)
		if err != nil {
			t.Errorf("read %v from %d: %v", shard, from, err)
			return all
		}
		if len(chunk.Batches) == 0 {
			t.Errorf("read %v from %d: nothing, the end is %d", shard, from, b.End)
			return all
		}
		for _, one := range chunk.Batches {
			must(t, batch.Records(one, 0, func(r *batch.Record) bool {
				if stream.Offset(r.Offset) >= from {
					all = append(all, record{stream.Offset(r.Offset), append([]byte(nil), r.Value...)})
				}
				return true
			}))
			h, err := batch.Parse(one)
			must(t, err)
			from = stream.Offset(h.LastOffset()) + 1
		}
		chunk.Release()
	}
	return all
}

// verifyUnits checks that acknowledged units are where they were, and all others there wholly or not at all.
func (w *workload) verifyUnits(e *Engine, c cut, found map[uint64]spot) {
	sentIDs := map[uint64]bool{}
	for _, u := range w.units {
		if u.asked >= c.at {
			continue
		}
		there, missing := 0, 0
		for _, s := range u.entries {
			b, err := e.Bounds(context.Background(), s.shard)
			for i, id := range s.ids {
				sentIDs[id] = true
				p, ok := found[id]
				switch acked := u.acked != 0 && u.acked < c.at; {
				case ok && p.shard != s.shard, ok && acked && p.offset != s.base+stream.Offset(i):
					w.t.Errorf("record %d is at %v, was sent to %v and acknowledged at %d", id, p, s.shard, s.base+stream.Offset(i))
				case !ok && acked && err == nil && s.base+stream.Offset(i) >= b.Start:
					w.t.Errorf("record %d of %v, acknowledged at offset %d, is gone", id, s.shard, s.base+stream.Offset(i))
				case ok:
					there++
				case err == nil && b.Start == 0: // else it may have been trimmed or deleted
					missing++
				}
			}
		}
		if there > 0 && missing > 0 {
			w.t.Errorf("of one call %d records are there and %d are missing", there, missing)
		}
	}
	for id := range found {
		if !sentIDs[id] {
			w.t.Errorf("record %d was never sent", id)
		}
	}
}

func (w *workload) verifyState(e *Engine, c cut) {
	for name, h := range w.state {
		value := ""
		if name == "cursor" {
			cursors, err := e.Committed(context.Background(), "owner")
			must(w.t, err)
			for _, k := range cursors {
				value = fmt.Sprint(k.Next)
			}
		} else if d, err := e.State().Get(context.Background(), state.Key{Kind: "k", ID: name[len("document "):]}); err == nil {
			value = string(d.Value)
		}
		if !h.allows(value, c.at) {
			w.t.Errorf("%s is %q after the cut", name, value)
		}
	}
}

// goOn sends what is not there again, as its producer would, then restarts cleanly and reads everything once more.
func (w *workload) goOn(e *Engine, c cut, found map[uint64]spot) {
	ctx := context.Background()
	if _, err := e.StreamByID(ctx, w.streams[0].ID); err != nil {
		return
	}
	w.endAllTransactions(e)
	before := len(readAll(w.t, e, w.producerShard()))
	missing := 0
	for _, u := range w.units {
		for _, s := range u.entries {
			if s.shard != w.producerShard() || u.asked >= c.at || u.acked != 0 && u.acked < c.at {
				continue
			}
			r, err := e.Append(ctx, []stream.Append{{Shard: s.shard, Batch: s.batch}}).Wait(ctx)
			must(w.t, err)
			_, there := found[s.ids[0]]
			if !r[0].Duplicate {
				missing += len(s.ids)
			}
			trimmed := r[0].Duplicate && r[0].Base < r[0].Start
			if r[0].Err != nil || r[0].Duplicate != there && !trimmed {
				w.t.Errorf("producer sends records %d on again: %+v, there before: %v", s.ids[0], r[0], there)
			}
		}
	}
	after := readAll(w.t, e, w.producerShard())
	if len(after) != before+missing {
		w.t.Errorf("%d records, %d were missing, now %d", before, missing, len(after))
	}
	b, err := e.Bounds(ctx, w.producerShard())
	must(w.t, err)
	must(w.t, e.Close())
	again, err := Open(ctx, w.config(c.disk))
	if err != nil {
		w.t.Errorf("open after clean close: %v", err)
		return
	}
	w.compareTransactions(again, true)
	b2, err := again.Bounds(ctx, w.producerShard())
	must(w.t, err)
	if b2 != b || len(readAll(w.t, again, w.producerShard())) != len(after) {
		w.t.Errorf("bounds %+v became %+v by a clean restart", b, b2)
	}
	must(w.t, again.Close())
}

// TestPowerCutAfterAClose: what a power cut takes of a stream that is not synced, readers have seen. So its place is given to other records under
// another leader epoch, also if the cut leaves the log as an orderly Close left it.
func TestPowerCutAfterAClose(t *testing.T) {
	lost := 0
	for seed := range uint64(40) {
		disk := vfs.NewMem()
		c := tiny(disk)
		e := mustOpen(t, c)
		s, err := e.Create(t.Context(), stream.Spec{Name: "s", Shards: 1, Config: stream.Config{Durability: stream.OS}})
		must(t, err)
		must(t, e.Close())
		e = mustOpen(t, c)
		for range 3 {
			testAppend(t, e, s.Shard(0), batchOf(kib))
		}
		seen, err := e.Bounds(t.Context(), s.Shard(0))
		must(t, err)
		c.FS = disk.CrashClone(rand.New(rand.NewPCG(seed, 0)))
		must(t, e.Close())
		e = mustOpen(t, c)
		left, err := e.Bounds(t.Context(), s.Shard(0))
		must(t, err)
		if left.End < seen.End {
			lost++
			if left.Epoch == seen.Epoch {
				t.Errorf("seed %d: a reader saw the end %d, it is %d now under the same epoch", seed, seen.End, left.End)
			}
		}
		must(t, e.Close())
	}
	if lost == 0 {
		t.Error("no cut has taken anything")
	}
}
