//go:build linux || darwin

package engine

import (
	"context"
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// benchDir is on a disk, unless the environment names another: many systems keep their temporary files in memory.
func benchDir(b *testing.B) string {
	dir := os.Getenv("ENGINE_BENCH_DIR")
	if dir == "" {
		return b.TempDir()
	}
	dir, err := os.MkdirTemp(dir, "engine")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// processTime returns the CPU time used by this process.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchStream(b *testing.B, e *Engine, shards int32, durability stream.Durability) *stream.Stream {
	s, err := e.Create(context.Background(), stream.Spec{Name: "bench", Shards: shards, Config: stream.Config{Durability: durability}})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkAppend measures callers that each keep one call in flight: throughput, CPU per GiB, and latency.
func BenchmarkAppend(b *testing.B) {
	for _, shards := range []int32{6, 1000} {
		for _, size := range []int{100, kib, 16 * kib, 128 * kib, 512 * kib} {
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprintf("shards=%d/batch=%d/callers=%d", shards, size, callers), func(b *testing.B) {
					benchAppend(b, shards, size, callers)
				})
			}
		}
	}
}

func benchAppend(b *testing.B, shards int32, size, callers int) {
	e := mustOpen(b, Config{Dir: benchDir(b)})
	defer e.Close()
	s := benchStream(b, e, shards, stream.Fsync)
	one := batchOf(size)
	b.SetBytes(int64(len(one)))
	var next atomic.Int64
	latencies := make([][]time.Duration, callers)
	cpu := processTime()
	b.ResetTimer()
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				began := time.Now()
				t := e.Append(context.Background(), []stream.Append{{Shard: s.Shard(int32(n) % shards), Batch: one}})
				<-t.Done()
				if err := t.Results()[0].Err; err != nil {
					b.Error(err)
					return
				}
				latencies[c] = append(latencies[c], time.Since(began))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	cpu = processTime() - cpu
	var sorted []time.Duration
	for _, l := range latencies {
		sorted = append(sorted, l...)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	b.ReportMetric(float64(sorted[len(sorted)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(sorted[len(sorted)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(cpu.Seconds()/(float64(b.N)*float64(len(one))/(1<<30)), "cpu-s/GiB")
	b.ReportMetric(float64(b.N)/float64(max(1, e.Stats(false).Groups)), "appends/group")
}
