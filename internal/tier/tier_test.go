package tier

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/object/memory"
	"github.com/freshet/freshet/internal/state/memstate"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
	"github.com/freshet/freshet/internal/stream/streamtest"
	"github.com/freshet/freshet/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// never is an interval for what tests do themselves.
const never = 1 << 60

// eager copies all that may be copied after each append, and has the local log lose it, so that everything is read from objects.
type eager struct {
	*Log
	clock *clock.Virtual
	store *memory.Store
	disk  *vfs.Mem      // of an engine
	ids   *rand.ChaCha8 // its source of ids, which goes on when it is opened again: no two streams of a disk have the same
	cfg   Config
}

func (e *eager) Append(ctx context.Context, entries []stream.Append) *stream.Ticket {
	t := e.Log.Append(ctx, entries)
	<-t.Done()
	e.Work(ctx)
	return t
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func seeded(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(key)
}

// small makes everything happen early.
func small(segment int64) Config {
	return Config{Bucket: "tier", Prefix: "p/", CacheBytes: 3000, BlockBytes: 300, AheadParts: 2, Interval: never, headSegments: 4, everything: segment, keepAll: true}
}

func newEager(t testing.TB, local stream.Log, deps Deps, c *clock.Virtual, store *memory.Store, cfg Config) *eager {
	t.Helper()
	deps.Local, deps.Objects, deps.Clock, deps.Random = local, store, c, seeded(1)
	l, err := New(context.Background(), cfg, deps)
	must(t, err)
	t.Cleanup(l.Close)
	return &eager{Log: l, clock: c, store: store, cfg: cfg}
}

var segmentSizes = map[string]int64{"a batch each": 1, "a few batches each": 1000, "large": 1 << 20}

func TestOverMemoryKeepsTheContract(t *testing.T) {
	for name, size := range segmentSizes {
		t.Run(name, func(t *testing.T) {
			states := map[*eager]Deps{}
			open := func(t *testing.T) stream.Log {
				c := clock.NewVirtual(epoch)
				deps := Deps{State: memstate.New(c)}
				e := newEager(t, memlog.New(c, nil), deps, c, memory.New(c), small(size))
				states[e] = deps
				return e
			}
			reopen := func(t testing.TB, l stream.Log) stream.Log {
				e := l.(*eager)
				e.Close()
				again := newEager(t, e.Log.Log, states[e], e.clock, e.store, e.cfg)
				states[again] = states[e]
				return again
			}
			streamtest.Log(t, open, streamtest.Options{
				Clock: func(l stream.Log) *clock.Virtual { return l.(*eager).clock },
				Retain: func(_ testing.TB, l stream.Log) {
					e := l.(*eager)
					e.Log.Log.(*memlog.Log).Retain()
					e.Log.cfg.keepAll = false
					e.Work(t.Context())
					e.Log.cfg.keepAll = true
				},
				Compact: func(t testing.TB, l stream.Log) { must(t, l.(*eager).Log.Log.(*memlog.Log).Compact()) },
				Reopen:  reopen,
				Crash: func(t testing.TB, l stream.Log) stream.Log {
					l.(*eager).Log.Log.(*memlog.Log).BumpEpochs()
					return reopen(t, l)
				},
				Transact: func(l stream.Log, entries []stream.Append, cursors []stream.OwnedCursors) ([]stream.Appended, error) {
					results, err := l.(*eager).Log.Log.(*memlog.Log).Transact(context.Background(), entries, cursors)
					l.(*eager).Work(context.Background())
					return results, err
				},
				Close: func(t testing.TB, l stream.Log) { must(t, l.(*eager).Log.Log.(*memlog.Log).Close()) },
			})
		})
	}
}

func TestOverTheEngineKeepsTheContract(t *testing.T) {
	for name, size := range segmentSizes {
		t.Run(name, func(t *testing.T) {
			start := func(t testing.TB, disk *vfs.Mem, ids *rand.ChaCha8, c *clock.Virtual, store *memory.Store) *eager {
				local, err := engine.Open(context.Background(), engine.Config{
					Dir: "/data", FS: disk, Clock: c, Random: ids, TailBytes: 32 << 10, IndexBytes: 1, AheadBytes: 16 << 10, FileBytes: 64 << 10,
					RetentionInterval: never, GroupBytes: 16 << 10, MaxUnitBytes: 4 << 20, AllocateBytes: 16 << 10, ZeroBytes: 8 << 10, ReadBytes: 8 << 10, CompactRate: -1,
				})
				must(t, err)
				t.Cleanup(func() { _ = local.Close() })
				e := newEager(t, local, Deps{State: local.State()}, c, store, small(size))
				e.disk, e.ids = disk, ids
				return e
			}
			stop := func(t testing.TB, l stream.Log) *eager {
				e := l.(*eager)
				e.Close()
				must(t, e.Log.Log.(*engine.Engine).Close())
				return e
			}
			open := func(t *testing.T) stream.Log {
				c := clock.NewVirtual(epoch)
				return start(t, vfs.NewMem(), seeded(1), c, memory.New(c))
			}
			streamtest.Log(t, open, streamtest.Options{
				Clock: func(l stream.Log) *clock.Virtual { return l.(*eager).clock },
				Reopen: func(t testing.TB, l stream.Log) stream.Log {
					e := stop(t, l)
					return start(t, e.disk, e.ids, e.clock, e.store)
				},
				Crash: func(t testing.TB, l stream.Log) stream.Log {
					disk := l.(*eager).disk.CrashClone(rand.New(rand.NewPCG(1, 2)))
					e := stop(t, l)
					return start(t, disk, e.ids, e.clock, e.store)
				},
				Transact: func(l stream.Log, entries []stream.Append, cursors []stream.OwnedCursors) ([]stream.Appended, error) {
					results, _, err := l.(*eager).Log.Log.(*engine.Engine).Transact(context.Background(), entries, cursors, nil)
					l.(*eager).Work(context.Background())
					return results, err
				},
				Close: func(t testing.TB, l stream.Log) { stop(t, l) },
			})
		})
	}
}
