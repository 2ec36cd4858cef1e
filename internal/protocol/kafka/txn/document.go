package txn

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/stream"
)

// document is what of a Txn survives a restart. Shards and groups are there while a transaction is open.
type document struct {
	State      State              `json:"state"`
	ProducerID int64              `json:"producerId"`
	Epoch      int16              `json:"epoch"`
	PreviousID int64              `json:"previousId"`
	LastEpoch  int16              `json:"lastEpoch"`
	Timeout    time.Duration      `json:"timeoutNanos"`
	Started    time.Time          `json:"started"`
	Updated    time.Time          `json:"updated"`
	Shards     map[string][]int32 `json:"shards,omitempty"` // by stream id, ascending
	Groups     []string           `json:"groups,omitempty"`
	Offsets    []offsetDocument   `json:"offsets,omitempty"`
}

// offsetDocument is one staged offset within a document.
type offsetDocument struct {
	Group    string        `json:"group"`
	Stream   string        `json:"stream"`
	Index    int32         `json:"index"`
	Next     stream.Offset `json:"next"`
	Epoch    int32         `json:"epoch"`
	Metadata string        `json:"metadata,omitempty"`
	Staged   time.Time     `json:"staged"`
}

// Encode returns t as a document, the same bytes for the same t.
func (t *Txn) Encode() ([]byte, error) {
	d := document{
		State: t.State, ProducerID: t.ProducerID, Epoch: t.Epoch, PreviousID: t.PreviousID, LastEpoch: t.LastEpoch,
		Timeout: t.Timeout, Started: t.Started, Updated: t.Updated, Groups: slices.Sorted(maps.Keys(t.Groups)),
	}
	for _, s := range t.Touched() {
		if d.Shards == nil {
			d.Shards = map[string][]int32{}
		}
		id := s.Stream.String()
		d.Shards[id] = append(d.Shards[id], s.Index)
	}
	for _, o := range slices.SortedFunc(maps.Keys(t.Offsets), compareOffsets) {
		c := t.Offsets[o]
		d.Offsets = append(d.Offsets, offsetDocument{
			Group: o.Group, Stream: o.Shard.Stream.String(), Index: o.Shard.Index, Next: c.Next, Epoch: c.Epoch, Metadata: c.Metadata, Staged: c.Committed,
		})
	}
	value, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	return value, nil
}

// Decode reads what Encode wrote, and refuses what no transactional id can be.
func Decode(value []byte) (Txn, error) {
	var d document
	if err := json.Unmarshal(value, &d); err != nil {
		return Txn{}, fmt.Errorf("decode transaction: %w", err)
	}
	t := Txn{
		State: d.State, ProducerID: d.ProducerID, Epoch: d.Epoch, PreviousID: d.PreviousID, LastEpoch: d.LastEpoch,
		Timeout: d.Timeout, Started: d.Started, Updated: d.Updated,
	}
	if err := t.check(len(d.Shards) + len(d.Groups) + len(d.Offsets)); err != nil {
		return Txn{}, err
	}
	for text, indexes := range d.Shards {
		id, err := stream.ParseID(text)
		if err != nil {
			return Txn{}, fmt.Errorf("decode transaction: %w", err)
		}
		for _, i := range indexes {
			t.Join(t.Started, []stream.Shard{{Stream: id, Index: i}})
		}
	}
	for _, g := range d.Groups {
		t.addGroup(t.Updated, g)
	}
	for _, o := range d.Offsets {
		id, err := stream.ParseID(o.Stream)
		if err != nil {
			return Txn{}, fmt.Errorf("decode transaction: %w", err)
		}
		if t.Offsets == nil {
			t.Offsets = map[Offset]stream.Cursor{}
		}
		s := stream.Shard{Stream: id, Index: o.Index}
		t.Offsets[Offset{Group: o.Group, Shard: s}] = stream.Cursor{Shard: s, Next: o.Next, Epoch: o.Epoch, Metadata: o.Metadata, Committed: o.Staged}
	}
	return t, nil
}

func (t *Txn) check(touched int) error {
	switch {
	case t.State != Empty && t.State != Ongoing && t.State != CompleteCommit && t.State != CompleteAbort:
		return fmt.Errorf("decode transaction: state %q is none to be kept", t.State)
	case t.ProducerID < 0 || t.Epoch < 0 || t.Epoch > lastEpoch || t.Timeout <= 0:
		return fmt.Errorf("decode transaction: producer %d, epoch %d, timeout %v", t.ProducerID, t.Epoch, t.Timeout)
	case t.State != Ongoing && touched > 0:
		return fmt.Errorf("decode transaction: %s, with %d things touched", t.State, touched)
	}
	return nil
}

// Reopen is for a Txn that was just decoded: it takes in the shards whose log says that the producer's transaction is open there, and gives the
// producer a while at least to come back, for the node was away and not it. If the clock was set back meanwhile, its time begins now: readers would have
// to wait until the clock is where it was.
func (t *Txn) Reopen(now time.Time, shards []stream.Shard, grace time.Duration) {
	t.Started, t.Updated = earlier(t.Started, now), earlier(t.Updated, now)
	if len(shards) > 0 {
		t.Join(now, shards)
	}
	t.spared = now.Add(min(grace, t.Timeout))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
