package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/freshet/freshet/internal/app"
)

const (
	// heapTarget is how much memory beside the tail of the log the garbage collector lets grow before it works harder and gives memory back. A node under
	// ordinary load lives in it, and is less than 256 MiB resident: the program itself takes some 30.
	heapTarget = 144 << 20
	// heapStep is what limits beyond the target are multiples of, heapInterval how often they are looked at.
	heapStep     = 8 << 20
	heapInterval = time.Second
)

// limitHeap makes the runtime collect garbage, and return memory after a burst, rather than keep twice of what is in use. The limit is soft, and
// follows what is in use: what the parts' own bounds allow is never refused, nor is the collector kept busy by it. GOMEMLIMIT, where set, decides
// instead. It returns at once and works until ctx is done.
func limitHeap(ctx context.Context, c app.Config) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	target := heapTarget + int64(c.TailMemory)
	limit := target
	debug.SetMemoryLimit(limit)
	go func() {
		tick := time.NewTicker(heapInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if l := heapLimit(target, inUse()); l != limit {
				limit = l
				debug.SetMemoryLimit(limit) // stops all goroutines for a moment
			}
		}
	}()
}

// heapLimit returns the limit for a number of bytes in use: an eighth of them more may be garbage.
func heapLimit(target, inUse int64) int64 {
	wanted := inUse + inUse/8
	if wanted <= target {
		return target
	}
	return (wanted + heapStep - 1) / heapStep * heapStep
}

// inUse returns how many bytes the last garbage collection has found in use, and those of stacks.
func inUse() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() + s[1].Value.Uint64())
}
