package tier

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/memory"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// cutSeeds is how many workloads TestPowerCut cuts.
const cutSeeds = 4

// TestPowerCut runs random workloads on the engine's simulated disk, with tiering on, and cuts power at every write, sync, rename and removal, and
// around every change of the object store. What is left is opened: every acknowledged record is there, the shard begins where it was trimmed to, each
// object becomes a segment or goes, and the log goes on.
func TestPowerCut(t *testing.T) {
	first, n := seeds(t, cutSeeds)
	cuts := 0
	for i := range n {
		w := newCuts(t, first+uint64(i))
		w.run()
		for _, c := range w.cuts {
			w.verify(c)
			if t.Failed() {
				t.Fatalf("seed %d, cut %d of %d (%s)", first+uint64(i), c.at, len(w.cuts), c.what)
			}
		}
		cuts += len(w.cuts)
	}
	t.Logf("%d workloads, %d power cuts", n, cuts)
}

// cut is all that is durable at one moment, and what was acknowledged by then.
type cut struct {
	at             int
	what           string
	disk           *vfs.Mem
	store          *memory.Store
	end            stream.Offset // acknowledged
	start, trimmed stream.Offset // acknowledged, and asked for
}

type cuts struct {
	t      *testing.T
	random *rand.Rand
	seed   uint64
	clock  *clock.Virtual
	disk   *vfs.Mem
	store  *faultyStore

	mu   sync.Mutex // guards what follows
	cuts []cut
	now  cut // what was acknowledged
}

func newCuts(t *testing.T, seed uint64) *cuts {
	c := clock.NewVirtual(epoch)
	return &cuts{t: t, random: rand.New(rand.NewPCG(seed, 6)), seed: seed, clock: c, disk: vfs.NewMem(), store: &faultyStore{Store: memory.New(c)}}
}

// keep keeps what a power cut now would leave.
func (w *cuts) keep(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.now
	c.at, c.what = len(w.cuts), what
	c.disk = w.disk.CrashClone(rand.New(rand.NewPCG(w.seed, uint64(c.at))))
	c.store = memory.New(w.clock)
	page, err := w.store.Store.List(context.Background(), "tier", object.Query{})
	must(w.t, err)
	for _, o := range page.Objects {
		put(w.t, c.store, o.Name, read(w.t, w.store.Store, o.Name))
	}
	w.cuts = append(w.cuts, c)
}

func (w *cuts) open(fs vfs.FS, store object.Store) (*engine.Engine, *Log, error) {
	e, err := engine.Open(context.Background(), engine.Config{
		Dir: "/data", FS: fs, Clock: w.clock, Random: seeded(w.seed), TailBytes: 4 << 10, IndexBytes: 1, AheadBytes: 16 << 10, FileBytes: 20 << 10,
		RetentionInterval: never, GroupBytes: 8 << 10, MaxUnitBytes: 4 << 20, AllocateBytes: 4 << 10, ZeroBytes: 8 << 10, ReadBytes: 8 << 10, RewriteDead: 0.3,
		CompactInterval: never,
	})
	if err != nil {
		return nil, nil, err
	}
	l, err := New(context.Background(), Config{Bucket: "tier", BlockBytes: 400, Interval: never, headSegments: 4}, Deps{
		Local: e, State: e.State(), Objects: store, Clock: w.clock, Random: seeded(w.seed),
	})
	if err != nil {
		_ = e.Close()
	}
	return e, l, err
}

func (w *cuts) run() {
	fs := vfs.Fault(w.disk, func(c *vfs.Call) error {
		switch c.Op {
		case vfs.OpRead, vfs.OpSize, vfs.OpList, vfs.OpOpen, vfs.OpLock:
		default:
			w.keep(fmt.Sprint(c.Op))
		}
		return nil
	})
	around := func(operation string, _ object.Name) error {
		if operation == "commit" || operation == "delete" {
			w.keep(operation)
		}
		return nil
	}
	w.store.set(around, around)
	e, l, err := w.open(fs, w.store)
	must(w.t, err)
	config := stream.Config{Retention: -1, Tier: stream.Tier{On: true, Retention: 1}}
	config.Compaction.SegmentBytes = 3 * batchBytes
	st, err := l.Create(context.Background(), stream.Spec{Name: "s", Shards: 1, Config: config})
	must(w.t, err)
	for range 25 {
		w.step(l, st)
	}
	l.Close()
	must(w.t, e.Close())
}

func (w *cuts) step(l *Log, st *stream.Stream) {
	ctx := context.Background()
	w.clock.Advance(time.Second)
	switch n := w.random.IntN(12); {
	case n < 6:
		for range 1 + w.random.IntN(3) {
			results, err := l.Append(ctx, []stream.Append{{Shard: st.Shard(0), Batch: numbered(w.clock.Now(), w.now.end)}}).Wait(ctx)
			must(w.t, errors.Join(err, results[0].Err))
			w.mu.Lock()
			w.now.end = results[0].Base + 1
			w.mu.Unlock()
		}
	case n < 11:
		l.Work(ctx)
	default:
		w.mu.Lock()
		w.now.trimmed = w.now.start + stream.Offset(w.random.Int64N(int64(w.now.end-w.now.start)/2+1))
		before := w.now.trimmed
		w.mu.Unlock()
		_, err := l.Trim(ctx, st.Shard(0), before)
		must(w.t, err)
		w.mu.Lock()
		w.now.start = before
		w.mu.Unlock()
	}
}

func (w *cuts) verify(c cut) {
	w.t.Helper()
	ctx := context.Background()
	e, l, err := w.open(c.disk, c.store)
	if err != nil {
		w.t.Errorf("open: %v", err)
		return
	}
	defer func() {
		l.Close()
		must(w.t, e.Close())
	}()
	st, err := l.Stream(ctx, "s")
	if errors.Is(err, stream.ErrNotFound) && c.end == 0 {
		return
	}
	must(w.t, err)
	r := &rig{T: w.t, clock: w.clock, log: l, store: &faultyStore{Store: c.store}}
	b := r.check(st)
	if b.End < c.end || b.Start < c.start || b.Start > max(c.start, c.trimmed) {
		w.t.Errorf("the shard is %d to %d: it was acknowledged to %d, trimmed to %d or %d", b.Start, b.End, c.end, c.start, c.trimmed)
		return
	}
	r.put(st, 7)
	w.clock.Advance(time.Second)
	l.Work(ctx)
	l.Work(ctx)
	if after := r.check(st); after.Start != b.Start || after.End != b.End+7 {
		w.t.Errorf("the shard was %d to %d, and became %d to %d", b.Start, b.End, after.Start, after.End)
	}
	if got, want := len(r.objects()), int(l.Stats().Segments); got != want {
		w.t.Errorf("%d objects, and %d segments", got, want)
	}
}
