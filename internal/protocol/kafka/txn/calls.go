package txn

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// Config returns what bounds transactions, defaults filled in.
func (c *Coordinator) Config() Config { return c.config }

// Init makes the caller the producer of transactional id id, and returns who it is then; see Txn.Init. INVALID_REQUEST for what cannot be an id,
// INVALID_TRANSACTION_TIMEOUT, PRODUCER_FENCED, POLICY_VIOLATION.
func (c *Coordinator) Init(ctx context.Context, id string, timeout time.Duration, known *Producer) (Producer, error) {
	if err := checkID(id); err != nil {
		return Producer{none, none}, err
	}
	if timeout <= 0 || timeout > c.config.MaxTimeout {
		return Producer{none, none}, kerr.InvalidTransactionTimeout
	}
	return c.change(ctx, id, true, func(t *Txn, now time.Time) (Step, error) { return t.Init(now, timeout, known) })
}

// Add takes shards into the producer's transaction.
func (c *Coordinator) Add(ctx context.Context, id string, p Producer, shards []stream.Shard) error {
	_, err := c.change(ctx, id, false, func(t *Txn, now time.Time) (Step, error) { return t.Add(now, p, shards) })
	return err
}

// Verify returns one error, or nil, for each shard; see Txn.Has.
func (c *Coordinator) Verify(id string, p Producer, shards []stream.Shard) ([]error, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	e, _ := c.lock(id, true, false)
	if e == nil {
		return nil, kerr.InvalidProducerIDMapping
	}
	defer e.mu.RUnlock()
	errs := make([]error, len(shards))
	for i, s := range shards {
		errs[i] = e.txn.Has(p, s)
	}
	return errs, nil
}

// AddGroup takes a group into the producer's transaction. INVALID_GROUP_ID for one that a document cannot name.
func (c *Coordinator) AddGroup(ctx context.Context, id string, p Producer, group string) error {
	if !utf8.ValidString(group) {
		return kerr.InvalidGroupID
	}
	_, err := c.change(ctx, id, false, func(t *Txn, now time.Time) (Step, error) { return t.AddGroup(now, p, group) })
	return err
}

// Stage keeps offsets of a group until the transaction ends; see Txn.Stage. may, asked if the transaction has nothing against it, says whether
// whoever asks may speak for the group.
func (c *Coordinator) Stage(ctx context.Context, id string, p Producer, group string, cursors []stream.Cursor, implicit bool, may func() error) error {
	if !utf8.ValidString(group) {
		return kerr.InvalidGroupID
	}
	_, err := c.change(ctx, id, false, func(t *Txn, now time.Time) (Step, error) {
		if err := t.MayStage(p, group, implicit); err != nil {
			return Step{}, err
		}
		if err := may(); err != nil {
			return Step{}, err
		}
		return t.Stage(now, p, group, cursors, implicit)
	})
	return err
}

// EndTxn ends the producer's transaction, and returns who it is then; see Txn.EndTxn.
func (c *Coordinator) EndTxn(ctx context.Context, id string, p Producer, commit, bumps bool) (Producer, error) {
	return c.change(ctx, id, false, func(t *Txn, now time.Time) (Step, error) { return t.EndTxn(now, p, commit, bumps) })
}

// DropOffsets forgets what transactions have staged for shards of a group, all of them if nil.
func (c *Coordinator) DropOffsets(ctx context.Context, group string, shards []stream.Shard) error {
	c.mu.Lock()
	var open []string
	if len(c.staged[group]) > 0 {
		for e := range c.open.All() {
			open = append(open, e.id)
		}
	}
	c.mu.Unlock()
	for _, id := range open {
		_, err := c.change(ctx, id, false, func(t *Txn, now time.Time) (Step, error) { return t.DropOffsets(now, group, shards), nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// Staged says which shards' offsets of the group a transaction that is open may change: nobody can tell yet what they will be (KIP-447). nil = none.
func (c *Coordinator) Staged(group string) map[stream.Shard]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.staged[group]) == 0 {
		return nil
	}
	all := make(map[stream.Shard]bool, len(c.staged[group]))
	for s := range c.staged[group] {
		all[s] = true
	}
	return all
}
