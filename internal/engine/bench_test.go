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

	"github.com/freshet/freshet/internal/batch"
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

// fill appends total bytes in batches of size bytes, round robin over the shards.
func fill(b *testing.B, e *Engine, s *stream.Stream, size int, total int64) int64 {
	one := batchOf(size)
	var last *stream.Ticket
	n := total / int64(len(one))
	for i := range n {
		last = e.Append(context.Background(), []stream.Append{{Shard: s.Shard(int32(i) % s.Shards), Batch: one}})
	}
	<-last.Done()
	return n * int64(len(one))
}

// readBack reads all shards from start to end, a MiB of each in turn, as a consumer of all of them does.
func readBack(b *testing.B, e *Engine, s *stream.Stream) (bytes int64) {
	next := make([]stream.Offset, s.Shards)
	for left := int(s.Shards); left > 0; {
		left = int(s.Shards)
		for i := range s.Shards {
			c, err := e.Read(context.Background(), s.Shard(i), next[i], mib)
			if err != nil {
				b.Fatal(err)
			}
			if len(c.Batches) == 0 {
				left--
				continue
			}
			bytes += int64(c.Bytes())
			h, err := batch.Parse(c.Batches[len(c.Batches)-1])
			if err != nil {
				b.Fatal(err)
			}
			next[i] = stream.Offset(h.LastOffset()) + 1
			c.Release()
		}
	}
	return bytes
}

// BenchmarkRead measures reading 48 MiB from memory and 512 MiB from files. The files may be in the system's cache from the second round on.
func BenchmarkRead(b *testing.B) {
	for _, shards := range []int32{6, 1000} {
		for _, size := range []int{kib, 16 * kib, 128 * kib} {
			for where, total := range map[string]int64{"tail": 48 * mib, "cold": 512 * mib} {
				b.Run(fmt.Sprintf("%s/shards=%d/batch=%d", where, shards, size), func(b *testing.B) {
					e := mustOpen(b, Config{Dir: benchDir(b)})
					defer e.Close()
					s := benchStream(b, e, shards, stream.OS)
					b.SetBytes(fill(b, e, s, size, total))
					cpu := processTime()
					b.ResetTimer()
					var bytes int64
					for range b.N {
						bytes += readBack(b, e, s)
					}
					b.StopTimer()
					b.ReportMetric((processTime()-cpu).Seconds()/(float64(bytes)/(1<<30)), "cpu-s/GiB")
				})
			}
		}
	}
}

// BenchmarkOpen measures opening 2 GiB of log after a clean close and after a crash, and 10,000 idle shards.
func BenchmarkOpen(b *testing.B) {
	c := Config{Dir: benchDir(b)}
	e := mustOpen(b, c)
	benchFill := benchStream(b, e, 1000, stream.OS)
	fill(b, e, benchFill, 64*kib, 2<<30)
	if _, err := e.Create(context.Background(), stream.Spec{Name: "idle", Shards: 10_000}); err != nil {
		b.Fatal(err)
	}
	must(b, e.Close())
	b.Run("clean", func(b *testing.B) {
		for range b.N {
			must(b, mustOpen(b, c).Close())
		}
	})
	b.Run("after a crash", func(b *testing.B) {
		b.StopTimer()
		for range b.N {
			e := mustOpen(b, c)
			fill(b, e, benchFill, 64*kib, 64*mib)
			e.fail(errInjected)
			_ = e.Close() // says that it has failed
			b.StartTimer()
			e = mustOpen(b, c)
			b.StopTimer()
			must(b, e.Close())
		}
	})
}
