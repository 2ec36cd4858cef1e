package txn

import (
	"maps"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// MayStage says whether p may stage offsets of a group. implicit takes the group into the transaction (TxnOffsetCommit v5, KIP-890); without it
// TRANSACTION_ABORTABLE if AddGroup has not.
func (t *Txn) MayStage(p Producer, group string, implicit bool) error {
	if err := t.is(p); err != nil {
		return err
	}
	if _, ok := t.Groups[group]; !ok && !implicit {
		return kerr.TransactionAbortable
	}
	return nil
}

// Stage keeps what a group will have read if the transaction commits, if MayStage.
func (t *Txn) Stage(now time.Time, p Producer, group string, cursors []stream.Cursor, implicit bool) (Step, error) {
	if err := t.MayStage(p, group, implicit); err != nil {
		return Step{}, err
	}
	n := t.clone()
	n.addGroup(now, group)
	if n.Offsets == nil {
		n.Offsets = make(map[Offset]stream.Cursor, len(cursors))
	}
	for _, c := range cursors {
		c.Committed = now
		n.Offsets[Offset{Group: group, Shard: c.Shard}] = c
	}
	return Step{Next: n, Save: true}, nil
}

// DropOffsets forgets what was staged for shards of a group, all of them if nil: they were deleted. Without any of these the Step saves nothing.
func (t *Txn) DropOffsets(now time.Time, group string, shards []stream.Shard) Step {
	wanted := make(map[stream.Shard]bool, len(shards))
	for _, s := range shards {
		wanted[s] = true
	}
	n := t.clone()
	maps.DeleteFunc(n.Offsets, func(o Offset, _ stream.Cursor) bool { return o.Group == group && (shards == nil || wanted[o.Shard]) })
	if len(n.Offsets) == len(t.Offsets) {
		return Step{Next: *t}
	}
	n.Updated = now
	return Step{Next: n, Save: true}
}

// Bytes returns about what the transaction takes beside a fixed part.
func (t *Txn) Bytes() int64 {
	const shard, cursor = 32, 160
	n := int64(len(t.Shards) * shard)
	for g := range t.Groups {
		n += int64(len(g))
	}
	for o, c := range t.Offsets {
		n += int64(cursor + len(o.Group) + len(c.Metadata))
	}
	return n
}
