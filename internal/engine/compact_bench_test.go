//go:build linux || darwin

package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

// BenchmarkCompact compacts a shard of 100-byte records in batches of 16 KiB, each key ten times, in random order, as fast as it goes: MB/s of what was
// there before, the peak of the process's memory above what it had, and what is left. COMPACT_BENCH_BYTES is how much there is, 256 MiB if it is not set.
func BenchmarkCompact(b *testing.B) {
	size := int64(256 * mib)
	if s := os.Getenv("COMPACT_BENCH_BYTES"); s != "" {
		if _, err := fmt.Sscan(s, &size); err != nil {
			b.Fatal(err)
		}
	}
	for _, codec := range []batch.Codec{batch.None, batch.LZ4, batch.Zstd} {
		b.Run(codec.String(), func(b *testing.B) { benchmarkCompact(b, codec, size) })
	}
}

func benchmarkCompact(b *testing.B, codec batch.Codec, size int64) {
	dir := benchDir(b)
	for b.Loop() {
		b.StopTimer()
		e := mustOpen(b, Config{Dir: filepath.Join(dir, fmt.Sprint(b.N)), FS: vfs.OS(), CompactInterval: never, CompactRate: -1})
		s, err := e.Create(context.Background(), stream.Spec{Name: "s", Shards: 1, Config: stream.Config{
			KeepAll: true, Durability: stream.OS, Compaction: stream.Compaction{On: true, SegmentBytes: 16 * mib, MinDirty: -1},
		}})
		must(b, err)
		records := fillKeys(b, e, s.Shard(0), codec, size)
		before, err := e.Bounds(context.Background(), s.Shard(0))
		must(b, err)
		runtime.GC()
		had, stop := residentPeak()
		b.StartTimer()
		began, used := time.Now(), processTime()
		must(b, e.CompactNow(context.Background()))
		took, cpu := time.Since(began), processTime()-used
		b.StopTimer()
		after, err := e.Bounds(context.Background(), s.Shard(0))
		must(b, err)
		b.ReportMetric(float64(before.Bytes)/mib/took.Seconds(), "MiB/s")
		b.ReportMetric(cpu.Seconds()/float64(before.Bytes)*1024*mib, "CPU-s/GiB")
		b.ReportMetric(float64(stop()-had)/mib, "peak-MiB")
		b.ReportMetric(100*float64(after.Bytes)/float64(before.Bytes), "%left")
		b.ReportMetric(float64(records), "records")
		must(b, e.Close())
		b.StartTimer()
	}
}

// fillKeys writes records of 100 bytes, key and value together, ten of each key.
func fillKeys(b *testing.B, e *Engine, s stream.Shard, codec batch.Codec, size int64) (records int) {
	random := rand.New(rand.NewPCG(1, 2))
	records = int(size / 100)
	var w batch.Builder
	key, value := make([]byte, 16), []byte(strings.Repeat("abcdefgh", 10))
	var ticket *stream.Ticket
	for n := range records {
		binary.BigEndian.PutUint64(key[8:], random.Uint64N(uint64(records/10)))
		binary.BigEndian.PutUint64(value, random.Uint64())
		w.Add(int64(n), key, value)
		if w.Bytes() < 16*kib && n+1 < records {
			continue
		}
		out, err := batch.Recode(nil, w.Finish(batch.NoProducer), codec, 0, 0)
		must(b, err)
		w.Reset()
		ticket = e.Append(context.Background(), []stream.Append{{Shard: s, Batch: out}})
	}
	r, err := ticket.Wait(context.Background())
	must(b, err)
	must(b, r[0].Err)
	return records
}

// residentPeak returns the process's memory in bytes, and how to learn the most that it had from then on.
func residentPeak() (now int64, peak func() int64) {
	done, most := make(chan struct{}), make(chan int64, 1)
	now = resident()
	go func() {
		high := now
		for {
			select {
			case <-done:
				most <- high
				return
			case <-time.After(5 * time.Millisecond):
				high = max(high, resident())
			}
		}
	}()
	return now, func() int64 { close(done); return <-most }
}

// resident is the process's memory where Linux tells it, else that of the heap.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapSys)
	}
	var size, pages int64
	_, _ = fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}
