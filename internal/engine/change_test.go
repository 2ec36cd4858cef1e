package engine

import (
	"bytes"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/engine/format"
	"github.com/freshet/freshet/internal/state"
	"github.com/freshet/freshet/internal/stream"
)

func someChanges() []change {
	s := &stream.Stream{ID: stream.ID{1}, Name: "s", Shards: 3, Labels: map[string]string{"a": "b"}, Created: epoch}
	shard := stream.Shard{Stream: s.ID, Index: 2}
	return []change{
		&streamChange{s},
		&deletion{s.ID},
		&trimming{shard: shard, start: 5, freed: 6},
		&document{key: state.Key{Kind: "k", ID: "i"}, version: 3, value: []byte("v")},
		&cursorsChange{owner: "o", cursors: []stream.Cursor{{Shard: shard, Next: 1, Epoch: -1, Metadata: "m", Committed: time.Unix(1, 2), Retention: 3}}},
		&forgetting{owner: "o", all: true},
		&forgetting{owner: "o", shards: []stream.Shard{shard}},
		&epochChange{4},
		&producerIDs{5000},
		&shardState{shard: shard, start: 1, end: 9, size: 80, epochs: []epochStart{{0, 1}, {2, 4}}},
	}
}

// TestChangesRoundTrip: what is decoded is encoded to the same bytes again.
func TestChangesRoundTrip(t *testing.T) {
	for _, c := range someChanges() {
		b := c.encode(nil)
		got, err := decodeChange(c.kind(), b)
		if err != nil {
			t.Errorf("%T: %v", c, err)
			continue
		}
		if again := got.encode(nil); !bytes.Equal(again, b) {
			t.Errorf("%T: %x became %x", c, b, again)
		}
		if _, err := decodeChange(c.kind(), b[:len(b)/3]); err == nil && c.kind() != kindDocument {
			t.Errorf("%T: a third of its bytes is taken for it", c)
		}
	}
}

func FuzzChange(f *testing.F) {
	for _, c := range someChanges() {
		f.Add(byte(c.kind()), c.encode(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		c, err := decodeChange(format.Kind(kind), b)
		if err != nil {
			return
		}
		if _, err := decodeChange(c.kind(), c.encode(nil)); err != nil {
			t.Fatalf("%T decoded from %x does not decode again: %v", c, b, err)
		}
	})
}
