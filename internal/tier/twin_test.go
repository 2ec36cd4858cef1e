package tier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/memory"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
	"github.com/freshet/freshet/internal/vfs"
)

// twinSeeds is how many runs TestAgreesWithALogInMemory makes; TIER_SEEDS overrides it.
const twinSeeds = 25

// seeds returns the first seed of a random test and how many there are: TIER_FIRST and TIER_SEEDS run the same again, or more.
func seeds(t *testing.T, many int) (first uint64, n int) {
	t.Helper()
	first, n = rand.Uint64N(1<<40), many
	if testing.Short() {
		n = (many + 4) / 5
	}
	if s := os.Getenv("TIER_SEEDS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("TIER_FIRST"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("seeds %d to %d; TIER_FIRST=%d runs them again", first, first+uint64(n)-1, first)
	return first, n
}

// TestAgreesWithALogInMemory does the same to a tiered log on the engine and to a log in memory, in random order: appends, transactions, copying, local
// and whole trims, restarts, crashes, a store and a state that fail. Then both must answer the same to every question.
func TestAgreesWithALogInMemory(t *testing.T) {
	first, n := seeds(t, twinSeeds)
	var sum Stats
	for i := range n {
		w := newTwins(t, first+uint64(i))
		for range 150 {
			w.step()
			if t.Failed() {
				t.Fatalf("seed %d", first+uint64(i))
			}
		}
		w.calm()
		w.log.Work(t.Context())
		w.compareAll()
		s := w.log.Stats()
		sum.Copied, sum.Gets, sum.CopyFailures, sum.Deleted = sum.Copied+s.Copied, sum.Gets+s.Gets, sum.CopyFailures+s.CopyFailures, sum.Deleted+s.Deleted
		w.stop()
		if t.Failed() {
			t.Fatalf("seed %d", first+uint64(i))
		}
	}
	t.Logf("since the last restarts: %d segments copied, %d reads of objects, %d copies failed, %d objects deleted", sum.Copied, sum.Gets, sum.CopyFailures, sum.Deleted)
}

// twins are a tiered log and a log in memory to which the same was done.
type twins struct {
	t      *testing.T
	random *rand.Rand
	clock  *clock.Virtual
	disk   *vfs.Mem
	engine *engine.Engine
	state  *faultyState
	store  *faultyStore
	log    *Log
	twin   *memlog.Log
	mine   *stream.Stream
	theirs *stream.Stream
	open   map[int64]bool // producers with a transaction
	wild   bool           // store and state may fail
	starts []int32        // sequences, by producer
}

func newTwins(t *testing.T, seed uint64) *twins {
	c := clock.NewVirtual(epoch)
	w := &twins{
		t: t, random: rand.New(rand.NewPCG(seed, 3)), clock: c, disk: vfs.NewMem(), store: &faultyStore{Store: memory.New(c)}, twin: memlog.New(c, nil),
		open: map[int64]bool{}, starts: make([]int32, 4),
	}
	w.start()
	config := stream.Config{Retention: -1, Tier: stream.Tier{On: true, Retention: 1}}
	config.Compaction.SegmentBytes, config.Compaction.SegmentAge = 1<<uint(9+w.random.IntN(4)), time.Hour
	var err error
	w.mine, err = w.log.Create(context.Background(), stream.Spec{Name: "s", Shards: 2, Config: config})
	must(t, err)
	w.theirs, err = w.twin.Create(context.Background(), stream.Spec{Name: "s", Shards: 2, Config: stream.Config{Retention: -1}})
	must(t, err)
	return w
}

func (w *twins) start() {
	w.t.Helper()
	var err error
	w.engine, err = engine.Open(context.Background(), engine.Config{
		Dir: "/data", FS: w.disk, Clock: w.clock, Random: seeded(1), TailBytes: 8 << 10, IndexBytes: 1, AheadBytes: 16 << 10, FileBytes: 64 << 10,
		RetentionInterval: never, GroupBytes: 16 << 10, MaxUnitBytes: 4 << 20, AllocateBytes: 16 << 10, ZeroBytes: 8 << 10, ReadBytes: 8 << 10, CompactRate: -1,
	})
	must(w.t, err)
	w.state = &faultyState{Store: w.engine.State()}
	cfg := Config{Bucket: "tier", CacheBytes: 4000, BlockBytes: 400, Interval: never, headSegments: 4}
	w.log, err = New(context.Background(), cfg, Deps{Local: w.engine, State: w.state, Objects: w.store, Clock: w.clock, Random: seeded(1)})
	must(w.t, err)
}

func (w *twins) stop() {
	w.log.Close()
	must(w.t, w.engine.Close())
}

func (w *twins) calm() {
	w.wild = false
	w.store.set(nil, nil)
	w.state.before, w.state.after = nil, nil
}

// rage has store and state fail now and then, before or after they have done what they were asked.
func (w *twins) rage() {
	w.wild = true
	dice := rand.New(rand.NewPCG(w.random.Uint64(), 4))
	fail := func() error {
		if dice.IntN(5) == 0 {
			return errFault
		}
		return nil
	}
	w.state.before, w.state.after = fail, fail
	unlucky := w.random.IntN(3) // the store is asked by several goroutines: no dice
	hook := func(operation string, _ object.Name) error {
		if (unlucky == 0) == (operation == "get") {
			return errFault
		}
		return nil
	}
	w.store.set(hook, nil)
}

func (w *twins) step() {
	i := int32(w.random.IntN(2))
	switch n := w.random.IntN(40); {
	case n < 14:
		w.append(i)
	case n < 18:
		w.transact(i)
	case n < 22:
		w.clock.Advance(time.Duration(w.random.IntN(90)) * time.Minute)
		w.log.Work(context.Background())
	case n < 23:
		w.trim(i)
	case n < 24:
		w.calm()
		w.stop()
		w.start()
	case n < 25:
		w.crash()
	case n < 26:
		w.rage()
	case n < 28:
		w.calm()
	case n < 29:
		w.alter()
	default:
		w.compare(i)
	}
}

func (w *twins) crash() {
	w.calm()
	before := w.epoch()
	cut := w.disk.CrashClone(rand.New(rand.NewPCG(w.random.Uint64(), 5)))
	w.stop()
	w.disk = cut
	w.start()
	if w.epoch() > before { // else nothing was written since the engine was opened, which looks like an orderly stop
		w.twin.BumpEpochs()
	}
}

func (w *twins) epoch() int32 {
	b, err := w.log.Bounds(context.Background(), w.mine.Shard(0))
	must(w.t, err)
	return b.Epoch
}

func (w *twins) alter() {
	c := w.mine.Config
	c.Tier.NoCopy = w.random.IntN(4) == 0
	c.Tier.Retention, c.Tier.RetentionBytes = time.Duration(w.random.IntN(2)*2-1), int64(w.random.IntN(3000)-1)
	altered, err := w.log.Alter(context.Background(), w.mine.ID, stream.Change{Config: &c})
	must(w.t, err)
	w.mine = altered
}

func (w *twins) both(i int32, b []byte) {
	w.t.Helper()
	got, err := w.log.Append(context.Background(), []stream.Append{{Shard: w.mine.Shard(i), Batch: b}}).Wait(context.Background())
	must(w.t, err)
	want, err := w.twin.Append(context.Background(), []stream.Append{{Shard: w.theirs.Shard(i), Batch: b}}).Wait(context.Background())
	must(w.t, err)
	if g, f := fmt.Sprint(got[0]), fmt.Sprint(want[0]); g != f {
		w.t.Errorf("append: %s, want %s", g, f)
	}
}

func (w *twins) append(i int32) {
	for range 1 + w.random.IntN(4) {
		var b batch.Builder
		for range 1 + w.random.IntN(5) {
			b.Add(w.clock.Now().UnixMilli()-w.random.Int64N(100_000), nil, make([]byte, w.random.IntN(120)))
		}
		w.both(i, b.Finish(batch.NoProducer))
	}
}

// transact begins, goes on with or ends a transaction of a producer, each with its own shard.
func (w *twins) transact(i int32) {
	id := int64(i*2) + w.random.Int64N(2)
	if !w.open[id] || w.random.IntN(3) == 0 {
		b := transactional(id, w.starts[id], w.clock.Now(), fmt.Sprint("transaction of ", id))
		w.starts[id]++
		w.open[id] = true
		w.both(i, b)
		return
	}
	w.open[id] = false
	marker := batch.AppendMarker(nil, batch.Marker{ProducerID: id, Commit: w.random.IntN(2) == 0, Time: w.clock.Now()})
	_, _, err := w.engine.Transact(context.Background(), []stream.Append{{Shard: w.mine.Shard(i), Batch: marker}}, nil, nil)
	must(w.t, err)
	_, err = w.twin.Transact(context.Background(), []stream.Append{{Shard: w.theirs.Shard(i), Batch: marker}}, nil)
	must(w.t, err)
}

func (w *twins) trim(i int32) {
	b, err := w.twin.Bounds(context.Background(), w.theirs.Shard(i))
	must(w.t, err)
	before := b.Start + stream.Offset(w.random.Int64N(int64(b.End-b.Start)/4+1))
	w.calm()
	got, err := w.log.Trim(context.Background(), w.mine.Shard(i), before)
	must(w.t, err)
	want, err := w.twin.Trim(context.Background(), w.theirs.Shard(i), before)
	must(w.t, err)
	if got != want {
		w.t.Errorf("trim to %d: %d, want %d", before, got, want)
	}
}

func (w *twins) compareAll() {
	for i := range w.mine.Shards {
		for range 20 {
			w.compare(i)
		}
	}
}

// compare asks both the same of a shard.
func (w *twins) compare(i int32) {
	w.t.Helper()
	ctx := context.Background()
	mine, theirs := w.mine.Shard(i), w.theirs.Shard(i)
	want, err := w.twin.Bounds(ctx, theirs)
	must(w.t, err)
	got, err := w.log.Bounds(ctx, mine)
	must(w.t, err)
	if g, f := fmt.Sprint(got.Start, got.End, got.LastStable), fmt.Sprint(want.Start, want.End, want.LastStable); g != f {
		w.t.Errorf("bounds: %s, want %s", g, f)
	}
	from := want.Start + stream.Offset(w.random.Int64N(int64(want.End-want.Start)+1))
	w.compareRead(mine, theirs, from, 1+w.random.IntN(3000))
	when := w.clock.Now().Add(-time.Duration(w.random.IntN(3000)) * time.Minute / 10)
	w.same("offset at a time", func(l stream.Log, id stream.Shard) (string, error) {
		at, found, ok, err := l.OffsetAt(ctx, id, when)
		return fmt.Sprint(at, found.UnixMilli(), ok), err
	}, i)
	w.same("latest", func(l stream.Log, id stream.Shard) (string, error) {
		at, found, ok, err := l.Latest(ctx, id)
		return fmt.Sprint(at, found.UnixMilli(), ok), err
	}, i)
	to := from + 1 + stream.Offset(w.random.Int64N(int64(want.End-from)+1)) // nothing lies in an empty range, whatever who is asked answers
	w.same("aborted", func(l stream.Log, id stream.Shard) (string, error) {
		all, err := l.Aborted(ctx, id, from, to)
		return fmt.Sprint(all), err
	}, i)
	if want.Start == 0 { // of what was trimmed nobody need know epochs
		asked := int32(w.random.IntN(int(want.Epoch) + 2))
		w.same(fmt.Sprint("end of epoch ", asked), func(l stream.Log, id stream.Shard) (string, error) {
			_, end, err := l.EpochEnd(ctx, id, asked)
			return fmt.Sprint(end), err
		}, i)
	}
}

func (w *twins) same(what string, ask func(stream.Log, stream.Shard) (string, error), i int32) {
	w.t.Helper()
	got, err := ask(w.log, w.mine.Shard(i))
	if w.wild && errors.Is(err, stream.ErrUnavailable) {
		return
	}
	must(w.t, err)
	want, err := ask(w.twin, w.theirs.Shard(i))
	must(w.t, err)
	if got != want {
		w.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func (w *twins) compareRead(mine, theirs stream.Shard, from stream.Offset, bytesWanted int) {
	w.t.Helper()
	got, err := w.log.Read(context.Background(), mine, from, bytesWanted)
	if w.wild && errors.Is(err, stream.ErrUnavailable) {
		return
	}
	must(w.t, err)
	defer got.Release()
	want, err := w.twin.Read(context.Background(), theirs, from, 1<<30)
	must(w.t, err)
	if len(got.Batches) == 0 && len(want.Batches) > 0 || len(got.Batches) > len(want.Batches) || len(got.Batches) > 1 && got.Bytes() > bytesWanted {
		w.t.Errorf("read from %d: %d batches of %d bytes, there are %d", from, len(got.Batches), got.Bytes(), len(want.Batches))
		return
	}
	for k, b := range got.Batches {
		if !bytes.Equal(b, want.Batches[k]) {
			w.t.Errorf("read from %d: batch %d differs", from, k)
		}
	}
}
