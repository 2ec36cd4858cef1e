package batch_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/batch"
)

// markers are what Apache Kafka 4.3.1 wrote behind the transactions of a franz-go client, at offsets 2 and 5 of leader epoch 0.
var markers = []struct {
	stored string
	offset int64
	marker batch.Marker
}{
	{
		"0000000000000002000000420000000002d3618593003000000000000001a227455ff4000001a227455ff400000000000000000001ffffffff000000012000000008000000010c00000000000000",
		2,
		batch.Marker{ProducerID: 0, Epoch: 1, Commit: true, Time: time.UnixMilli(0x01a227455ff4)},
	},
	{
		"0000000000000005000000420000000002a87a6491003000000000000001a227456021000001a22745602100000000000000000002ffffffff000000012000000008000000000c00000000000000",
		5,
		batch.Marker{ProducerID: 0, Epoch: 2, Time: time.UnixMilli(0x01a227456021)},
	},
}

func TestMarkersAreKafkas(t *testing.T) {
	for _, m := range markers {
		stored, err := hex.DecodeString(m.stored)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := batch.ParseMarker(stored); err != nil || got != m.marker {
			t.Errorf("parsed %+v, %v, want %+v", got, err, m.marker)
		}
		before := []byte("before")
		b := batch.AppendMarker(before, m.marker)[len(before):]
		batch.SetBase(b, m.offset, 0)
		if !bytes.Equal(b, stored) {
			t.Errorf("wrote\n%x, Kafka\n%x", b, stored)
		}
		if _, err := batch.Verify(b); err != nil {
			t.Error(err)
		}
	}
}

func TestParseMarkerRefusesOthers(t *testing.T) {
	good := batch.AppendMarker(nil, batch.Marker{ProducerID: 9, Epoch: 3, CoordinatorEpoch: 4})
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	rows := map[string][]byte{
		"a data batch":              example(),
		"not transactional":         change(22, 0x20),
		"not control":               change(22, 0x10),
		"without producer":          change(43, 0xff),
		"two records":               change(60, 2),
		"key of a negative version": change(66, 0x80),
		"key of another control":    change(69, 2),
		"value of negative version": change(71, 0x80),
	}
	for name, b := range rows {
		var fault *batch.Error
		if m, err := batch.ParseMarker(b); !errors.As(err, &fault) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	later := change(67, 7) // version 7 of the key says the same in its first bytes
	if m, err := batch.ParseMarker(later); err != nil || m.CoordinatorEpoch != 4 {
		t.Errorf("a later version: %+v, %v", m, err)
	}
}

// FuzzParseMarker: what is taken for a marker survives being written again.
func FuzzParseMarker(f *testing.F) {
	f.Add(batch.AppendMarker(nil, batch.Marker{ProducerID: 1, Epoch: 2, Commit: true, CoordinatorEpoch: 3, Time: time.UnixMilli(4)}))
	f.Add(example())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := batch.ParseMarker(b)
		if err != nil {
			return
		}
		again, err := batch.ParseMarker(batch.AppendMarker(nil, m))
		if err != nil || again != m {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
