package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet/freshet/internal/stream"
)

// is returns nil if p is t's producer. INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED.
func (t *Txn) is(p Producer) error {
	switch {
	case p.ID != t.ProducerID:
		return kerr.InvalidProducerIDMapping
	case p.Epoch != t.Epoch:
		return kerr.ProducerFenced
	}
	return nil
}

// Add takes shards into the transaction, which begins if none is open.
func (t *Txn) Add(now time.Time, p Producer, shards []stream.Shard) (Step, error) {
	if err := t.is(p); err != nil {
		return Step{}, err
	}
	if t.holds(shards) {
		return Step{Next: *t}, nil
	}
	n := t.clone()
	n.Join(now, shards)
	n.Updated = now
	return Step{Next: n, Save: true}, nil
}

// holds says whether a transaction is open and has all of shards.
func (t *Txn) holds(shards []stream.Shard) bool {
	for _, s := range shards {
		if _, ok := t.Shards[s]; !ok {
			return false
		}
	}
	return t.State == Ongoing
}

// Join takes shards into the transaction in place, without anything to keep: a batch in the log says as much (KIP-890). See Reopen.
func (t *Txn) Join(now time.Time, shards []stream.Shard) {
	t.begin(now)
	if t.Shards == nil {
		t.Shards = make(map[stream.Shard]struct{}, len(shards))
	}
	for _, s := range shards {
		t.Shards[s] = struct{}{}
	}
}

// Has returns nil if the open transaction has shard, and TRANSACTION_ABORTABLE if not.
func (t *Txn) Has(p Producer, shard stream.Shard) error {
	if err := t.is(p); err != nil {
		return err
	}
	if _, ok := t.Shards[shard]; !ok {
		return kerr.TransactionAbortable
	}
	return nil
}

// AddGroup takes a group into the transaction, whose offsets may then be staged.
func (t *Txn) AddGroup(now time.Time, p Producer, group string) (Step, error) {
	if err := t.is(p); err != nil {
		return Step{}, err
	}
	if _, ok := t.Groups[group]; ok && t.State == Ongoing {
		return Step{Next: *t}, nil
	}
	n := t.clone()
	n.addGroup(now, group)
	return Step{Next: n, Save: true}, nil
}

func (t *Txn) addGroup(now time.Time, group string) {
	t.begin(now)
	if t.Groups == nil {
		t.Groups = map[string]struct{}{}
	}
	t.Groups[group] = struct{}{}
	t.Updated = now
}
