package tier

import (
	"bytes"
	"testing"

	"github.com/freshet/freshet/internal/batch"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/stream/streamtest"
)

// written returns an object of two blocks, and what documents say of it.
func written(t testing.TB) ([]byte, stream.Shard, segment) {
	t.Helper()
	var to bytes.Buffer
	w, err := newSegmentWriter(&to, 1)
	must(t, err)
	for i := range int64(2) {
		b := streamtest.Batch(epoch, "value")
		batch.SetBase(b, 5+i, 3)
		h, err := batch.Parse(b)
		must(t, err)
		must(t, w.add(&h, b))
	}
	w.index.aborted = []stream.Aborted{{ProducerID: 1, First: 2, Last: 6}}
	id := stream.Shard{Stream: stream.ID{1}, Index: 2}
	must(t, w.finish(id, 9, 5))
	return to.Bytes(), id, segment{Number: 9, Base: 5, End: 7, Bytes: w.bytes, Size: w.at, Latest: w.latest}
}

func TestAnIndexIsReadAsItWasWritten(t *testing.T) {
	b, id, g := written(t)
	must(t, g.check())
	tail := b[int64(len(magic))+g.Bytes:]
	x, err := readIndex(tail, id, &g)
	must(t, err)
	if len(x.blocks) != 2 || x.blocks[1].base != 6 || len(x.aborted) != 1 || x.aborted[0].Last != 6 || len(x.epochs) != 1 || x.epochs[0] != (epochStart{3, 5}) {
		t.Errorf("%+v", x)
	}
	for offset, want := range map[stream.Offset]int{0: 0, 5: 0, 6: 1, 7: 1} {
		if got := x.at(offset); got != want {
			t.Errorf("offset %d is in block %d, want %d", offset, got, want)
		}
	}
	for i := range tail {
		spoiled := bytes.Clone(tail)
		spoiled[i] ^= 0x10
		if _, err := readIndex(spoiled, id, &g); err == nil {
			t.Errorf("byte %d changed, and nobody noticed", i)
		}
	}
	other := g
	other.Number++
	if _, err := readIndex(tail, id, &other); err == nil {
		t.Error("the index of another segment was taken")
	}
}

func FuzzReadIndex(f *testing.F) {
	b, id, g := written(f)
	f.Add(b[int64(len(magic))+g.Bytes:])
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := readIndex(b, id, &g); err == nil && (len(x.blocks) == 0 || x.at(g.Base) < 0) {
			t.Errorf("%+v", x)
		}
	})
}

func FuzzDocuments(f *testing.F) {
	_, id, g := written(f)
	f.Add(encode(&head{Start: 5, First: 9, Next: 10, Segments: []segment{g}}))
	f.Add(encode(&head{Pending: &pending{}, Next: 3, Pages: []page{{0, 1}}, Epochs: []epochStart{{1, 2}}}))
	f.Add(encode([]segment{g}))
	f.Add([]byte(headID(id)))
	f.Add([]byte("p/x/" + headID(id) + "/0000000000000009.segment"))
	l := &Log{cfg: Config{Prefix: "p/"}, id: "x"}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHead(b); err == nil && checkAll(&h, h.Segments) == nil {
			again, err := decodeHead(encode(&h))
			if err != nil || !bytes.Equal(encode(&again), encode(&h)) {
				t.Errorf("%+v is stored as %+v, %v", h, again, err)
			}
		}
		if all, err := decodePage(b); err == nil {
			_ = checkAll(&head{Next: 1 << 62}, all)
		}
		if id, err := parseHeadID(string(b)); err == nil && headID(id) != string(b) {
			if again, err := parseHeadID(headID(id)); err != nil || again != id { // other ways to write it mean the same
				t.Errorf("%q is %v, which is written %q", b, id, headID(id))
			}
		}
		if id, number, ok := l.parseKey(string(b)); ok {
			if again, n, ok := l.parseKey(l.key(id, number).Key); !ok || again != id || n != number {
				t.Errorf("%q is not read back", b)
			}
		}
	})
}
