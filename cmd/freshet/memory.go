package main

import (
	"os"
	"runtime/debug"

	"github.com/freshet/freshet/internal/app"
)

// heapTarget is how much memory beside the tail the garbage collector lets grow before it works harder and gives memory back: what a
// node uses under ordinary load, a quarter of what the bounds of all its parts allow together.
const heapTarget = 192 << 20

// limitHeap makes the runtime return memory after a burst, such as requests of 100 MiB, instead of keeping it for the next one. It is
// soft: what the parts' own bounds allow is never refused. GOMEMLIMIT, where set, decides instead.
func limitHeap(c app.Config) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(heapTarget + int64(c.TailMemory))
}
