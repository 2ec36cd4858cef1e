package flow

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// ReadBytes is how much of the log a flow asks for at a time. A single batch of the log may be larger, and a compressed one decompresses
// into at most batch.DefaultMaxDecompressed beside it.
const ReadBytes = 1 << 20

// DefaultBudget is enough for 64 flows to read at the same moment.
const DefaultBudget = 64 * ReadBytes

// Budget bounds what all flows of a node together hold of the log in memory. A flow without its share waits.
type Budget struct {
	tokens *semaphore.Weighted
}

// NewBudget returns a budget of so many bytes, at least ReadBytes.
func NewBudget(bytes int64) *Budget {
	return &Budget{semaphore.NewWeighted(max(bytes, ReadBytes))}
}

func (b *Budget) acquire(ctx context.Context) error {
	if err := b.tokens.Acquire(ctx, ReadBytes); err != nil {
		return fmt.Errorf("wait for memory: %w", context.Cause(ctx))
	}
	return nil
}

func (b *Budget) release() { b.tokens.Release(ReadBytes) }
