package engine

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/state/statetest"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/streamtest"
	"github.com/freshet/freshet/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// never is an interval for what tests do themselves.
const never = 1 << 60

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// seeded is a reproducible io.Reader.
type seeded struct{ *rand.ChaCha8 }

func newSeeded(seed uint64) seeded {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return seeded{rand.NewChaCha8(key)}
}

// tiny makes everything happen early: small files, small groups, no room in caches.
func tiny(fs vfs.FS) Config {
	return Config{
		Dir: "/data", FS: fs, Clock: clock.NewVirtual(epoch), Random: newSeeded(1), Logger: testLogger(),
		TailBytes: 32 * kib, IndexBytes: 1, AheadBytes: 16 * kib, FileBytes: 64 * kib, GroupBytes: 16 * kib, MaxUnitBytes: 4 * mib, AllocateBytes: 16 * kib, ZeroBytes: 8 * kib, ReadBytes: 8 * kib, CompactRate: -1, CompactInterval: never,
	}
}

func testLogger() *slog.Logger {
	if testing.Verbose() && os.Getenv("ENGINE_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// configurations are what every suite is run on.
var configurations = map[string]func(vfs.FS) Config{
	"tiny": tiny,
	"no tail": func(fs vfs.FS) Config {
		c := tiny(fs)
		c.TailBytes, c.MaxExtents, c.FileBytes = 1, 3, 2*mib
		return c
	},
	"defaults": func(fs vfs.FS) Config {
		return Config{Dir: "/data", FS: fs, Clock: clock.NewVirtual(epoch), Random: newSeeded(1), AllocateBytes: 64 * kib, ZeroBytes: 16 * kib, CompactRate: -1, CompactInterval: never}
	},
}

func mustOpen(t testing.TB, c Config) *Engine {
	t.Helper()
	e, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func closing(t testing.TB, e *Engine) {
	t.Cleanup(func() {
		if err := e.Close(); err != nil && err != stream.ErrClosed {
			t.Errorf("close: %v", err)
		}
	})
}

func TestLog(t *testing.T) {
	for name, config := range configurations {
		t.Run(name, func(t *testing.T) {
			open := func(t *testing.T) stream.Log {
				e := mustOpen(t, config(vfs.NewMem()))
				closing(t, e)
				return e
			}
			streamtest.Log(t, open, streamtest.Options{
				Clock:   func(l stream.Log) *clock.Virtual { return l.(*Engine).cfg.Clock.(*clock.Virtual) },
				Retain:  func(t testing.TB, l stream.Log) { must(t, l.(*Engine).retain(context.Background())) },
				Compact: func(t testing.TB, l stream.Log) { must(t, l.(*Engine).CompactNow(context.Background())) },
				Reopen: func(t testing.TB, l stream.Log) stream.Log {
					e := l.(*Engine)
					must(t, e.Close())
					again := mustOpen(t, e.cfg)
					closing(t, again)
					return again
				},
				Crash: func(t testing.TB, l stream.Log) stream.Log {
					e := l.(*Engine)
					c := e.cfg
					c.FS = c.FS.(*vfs.Mem).CrashClone(rand.New(rand.NewPCG(1, 2)))
					must(t, e.Close())
					again := mustOpen(t, c)
					closing(t, again)
					return again
				},
				Transact: func(l stream.Log, entries []stream.Append, cursors []stream.OwnedCursors) ([]stream.Appended, error) {
					results, _, err := l.(*Engine).Transact(context.Background(), entries, cursors, nil)
					return results, err
				},
				Close: func(t testing.TB, l stream.Log) { must(t, l.(*Engine).Close()) },
			})
		})
	}
}

func TestStore(t *testing.T) {
	for name, config := range configurations {
		t.Run(name, func(t *testing.T) {
			statetest.Store(t, func(t *testing.T) state.Store {
				e := mustOpen(t, config(vfs.NewMem()))
				closing(t, e)
				return e.State()
			}, statetest.Options{
				Reopen: func(t testing.TB, s state.Store) state.Store {
					e := s.(*store).engine()
					c := e.cfg
					c.FS = c.FS.(*vfs.Mem).CrashClone(rand.New(rand.NewPCG(1, 2)))
					must(t, e.Close())
					again := mustOpen(t, c)
					closing(t, again)
					return again.State()
				},
				Close: func(t testing.TB, s state.Store) { must(t, s.(*store).engine().Close()) },
				Clock: func(s state.Store) *clock.Virtual { return s.(*store).cfg.Clock.(*clock.Virtual) },
			})
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// batchOf returns a batch of about size bytes in records of 1 KiB.
func batchOf(size int) []byte {
	var w batch.Builder
	now := epoch.UnixMilli()
	value := make([]byte, min(size, kib))
	for i := range value {
		value[i] = byte(i * 7)
	}
	for w.Len() == 0 || w.Bytes() < size {
		w.Add(now, nil, value)
	}
	return append([]byte(nil), w.Finish(batch.NoProducer)...)
}
