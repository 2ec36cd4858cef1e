package flow

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// ReadBytes is how much of the log a flow asks for at a time. A single batch of the log may be larger.
const ReadBytes = 1 << 20

// maxOpen bounds how many compressed batches all flows of a budget have open at a time: each may need batch.DefaultMaxDecompressed.
const maxOpen = 4

// DefaultBudget is enough for 64 flows to read at the same moment.
const DefaultBudget = 64 * ReadBytes

// Budget bounds what all flows of a node together hold of the log in memory. A flow without its share waits.
type Budget struct {
	tokens *semaphore.Weighted
	opened *semaphore.Weighted // taken by who has tokens, never the other way round
}

// NewBudget returns a budget of so many bytes, at least ReadBytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{semaphore.NewWeighted(max(bytes, ReadBytes)), semaphore.NewWeighted(maxOpen)}
}

func (b *Budget) acquire(ctx context.Context) error { return take(ctx, b.tokens, ReadBytes) }

func (b *Budget) release() { b.tokens.Release(ReadBytes) }

// open is called before a compressed batch is decompressed, close when its records are no longer used.
func (b *Budget) open(ctx context.Context) error { return take(ctx, b.opened, 1) }

func (b *Budget) close() { b.opened.Release(1) }

func take(ctx context.Context, from *semaphore.Weighted, n int64) error {
	if err := from.Acquire(ctx, n); err != nil {
		return fmt.Errorf("wait for memory: %w", context.Cause(ctx))
	}
	return nil
}
