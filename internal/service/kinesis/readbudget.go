package kinesis

import (
	"context"
	"sync/atomic"
)

const (
	// maxReadMemory bounds the values that GetRecords answers hold together, beyond minGetBytes each, until clients have taken them.
	maxReadMemory = 32 << 20
	// minGetBytes is what an answer can always have, and maxGetBytes the most.
	minGetBytes = 1 << 20
	maxGetBytes = 10 << 20
	// smallAnswer is an answer that is not worth being followed until its client has it.
	smallAnswer = 64 << 10
)

// readBudget divides memory among the readers of large answers. It never makes one wait: an answer with fewer records than there are is as good,
// and the reader comes back.
type readBudget struct{ used atomic.Int64 }

// grant returns how many bytes of values a new answer may have.
func (b *readBudget) grant() int {
	free := maxReadMemory - b.used.Load()
	n := min(max(free/2, minGetBytes), maxGetBytes)
	b.used.Add(n)
	return int(n)
}

// settle gives back what an answer did not use of its grant, and the rest when its request is over.
func (b *readBudget) settle(ctx context.Context, granted, used int) {
	if used <= smallAnswer {
		b.used.Add(-int64(granted))
		return
	}
	b.used.Add(int64(used) - int64(granted))
	context.AfterFunc(ctx, func() { b.used.Add(-int64(used)) })
}
