package memlog_test

import (
	"context"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/memlog"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

func TestLogKeepsTheContract(t *testing.T) {
	clocks := map[stream.Log]*clock.Virtual{}
	open := func(t *testing.T) stream.Log {
		c := clock.NewVirtual(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		l := memlog.New(c, nil)
		clocks[l] = c
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	streamtest.Log(t, open, streamtest.Options{
		Clock:  func(l stream.Log) *clock.Virtual { return clocks[l] },
		Retain: func(_ testing.TB, l stream.Log) { l.(*memlog.Log).Retain() },
		Compact: func(t testing.TB, l stream.Log) {
			if err := l.(*memlog.Log).Compact(); err != nil {
				t.Fatal(err)
			}
		},
		Crash: func(_ testing.TB, l stream.Log) stream.Log {
			l.(*memlog.Log).BumpEpochs()
			return l
		},
		Transact: func(l stream.Log, entries []stream.Append, cursors []stream.OwnedCursors) ([]stream.Appended, error) {
			return l.(*memlog.Log).Transact(context.Background(), entries, cursors)
		},
		Close: func(t testing.TB, l stream.Log) {
			if err := l.(*memlog.Log).Close(); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestReleasedChunkIsOverwritten(t *testing.T) {
	l := memlog.New(clock.NewVirtual(time.UnixMilli(0)), nil)
	s, err := l.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := streamtest.Batch(time.UnixMilli(0), "a")
	<-l.Append(t.Context(), []stream.Append{{Shard: s.Shard(0), Batch: b}}).Done()
	c, err := l.Read(t.Context(), s.Shard(0), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	held := c.Batches[0]
	c.Release()
	if held[20] != 0xdb {
		t.Fatal("a released batch still reads as if nothing had happened")
	}
}

// TestGapsBelongToNoBatch: between two batches and after the last, offsets can be read from, trimmed to and sought, and hold nothing.
func TestGapsBelongToNoBatch(t *testing.T) {
	l := memlog.New(clock.NewVirtual(time.UnixMilli(0)), nil)
	l.LeaveGaps(3)
	s, err := l.Create(t.Context(), stream.Spec{Name: "s", Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, base := range []stream.Offset{0, 5} {
		r, err := l.Append(t.Context(), []stream.Append{{Shard: s.Shard(0), Batch: streamtest.Batch(time.UnixMilli(int64(i)), "a", "b")}}).Wait(t.Context())
		if err != nil || r[0].Err != nil || r[0].Base != base {
			t.Fatalf("append %d: %+v, %v", i, r, err)
		}
	}
	for from, batches := range []int{2, 2, 1, 1, 1, 1, 1, 0, 0, 0, 0} {
		c, err := l.Read(t.Context(), s.Shard(0), stream.Offset(from), 1<<20)
		if err != nil || len(c.Batches) != batches || c.Bounds.End != 10 {
			t.Errorf("from %d: %d batches, the end is %d, %v", from, len(c.Batches), c.Bounds.End, err)
		}
		c.Release()
	}
	if at, _, ok, err := l.OffsetAt(t.Context(), s.Shard(0), time.UnixMilli(1)); at != 5 || !ok || err != nil {
		t.Errorf("offset for a time: %d, %v, %v", at, ok, err)
	}
	if start, err := l.Trim(t.Context(), s.Shard(0), 3); start != 3 || err != nil {
		t.Errorf("trim into a gap: %d, %v", start, err)
	}
}
