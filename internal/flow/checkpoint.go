package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

// Kind is the kind of the documents that hold the flows' plans; their id is the flow's name.
const Kind = "flow"

// CursorOwner returns the owner of a flow's cursors in the log.
func CursorOwner(flow string) string { return "flow/" + flow }

// checkpoint is a flow's document: the batch planned last, and for every other shard how far it had been delivered by then. All that lies
// before a planned range was delivered when the plan was made.
type checkpoint struct {
	Stream  string          `json:"stream"`
	Epoch   int64           `json:"epoch"` // of the lease of who wrote it
	Label   string          `json:"label,omitempty"`
	Oldest  int64           `json:"oldest,omitempty"` // milliseconds
	Records int             `json:"records,omitempty"`
	Bytes   int64           `json:"bytes,omitempty"`
	Plan    []plannedRange  `json:"plan,omitempty"`
	Before  map[int32]int64 `json:"before,omitempty"`
}

type plannedRange struct {
	Shard int32 `json:"shard"`
	From  int64 `json:"from"`
	To    int64 `json:"to"`
	Epoch int32 `json:"epoch"`
}

// ledger writes a flow's checkpoint under the version it read: a worker that was replaced finds another version and gets state.ErrConflict.
type ledger struct {
	store   state.Store
	flow    string
	version int64
	current checkpoint
}

// claim reads the checkpoint and writes it back under a new epoch, so that no earlier worker can write it any more.
func claim(ctx context.Context, store state.Store, flow string, source stream.ID, epoch int64) (*ledger, error) {
	l := &ledger{store: store, flow: flow}
	doc, err := store.Get(ctx, state.Key{Kind: Kind, ID: flow})
	switch {
	case errors.Is(err, state.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("read checkpoint: %w", err)
	default:
		l.version = doc.Version
		if err := json.Unmarshal(doc.Value, &l.current); err != nil {
			return nil, fmt.Errorf("read checkpoint of flow %s version %d: %w", flow, doc.Version, err)
		}
	}
	if l.current.Stream != source.String() {
		l.current = checkpoint{Stream: source.String()}
	}
	next := l.current
	next.Epoch = epoch
	return l, l.write(ctx, next)
}

func (l *ledger) write(ctx context.Context, next checkpoint) error {
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	versions, err := l.store.Apply(ctx, state.Change{Key: state.Key{Kind: Kind, ID: l.flow}, If: l.version, Value: value})
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	l.version, l.current = versions[0], next
	return nil
}

// plan makes a batch durable before it is written.
func (l *ledger) plan(ctx context.Context, b *Batch) error {
	next := checkpoint{
		Stream: l.current.Stream, Epoch: l.current.Epoch, Label: b.Label, Oldest: b.Oldest.UnixMilli(), Records: b.Records, Bytes: b.Bytes,
		Before: maps.Clone(l.current.Before),
	}
	if next.Before == nil {
		next.Before = map[int32]int64{}
	}
	for _, r := range l.current.Plan {
		next.Before[r.Shard] = r.To
	}
	for _, r := range b.Ranges {
		delete(next.Before, r.Shard.Index)
		next.Plan = append(next.Plan, plannedRange{r.Shard.Index, int64(r.From), int64(r.To), r.Epoch})
	}
	return l.write(ctx, next)
}

// delivered returns how far a shard is known to be delivered; ok is false if nothing is known.
func (l *ledger) delivered(shard int32) (at stream.Offset, ok bool) {
	i := slices.IndexFunc(l.current.Plan, func(r plannedRange) bool { return r.Shard == shard })
	if i >= 0 {
		return stream.Offset(l.current.Plan[i].From), true
	}
	before, ok := l.current.Before[shard]
	return stream.Offset(before), ok
}

// planned returns the batch planned last, nil if there is none.
func (l *ledger) planned(source stream.ID) *Batch {
	c := l.current
	if len(c.Plan) == 0 {
		return nil
	}
	b := &Batch{Label: c.Label, Oldest: time.UnixMilli(c.Oldest), Records: c.Records, Bytes: c.Bytes}
	for _, r := range c.Plan {
		b.Ranges = append(b.Ranges, Range{stream.Shard{Stream: source, Index: r.Shard}, stream.Offset(r.From), stream.Offset(r.To), r.Epoch})
	}
	return b
}
