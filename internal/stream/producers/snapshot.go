package producers

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/stream"
)

// snapshotVersion is the first byte of a snapshot.
const snapshotVersion = 1

// Snapshot appends the table to dst in the form that Load reads:
//
//	version 1 u8 | producers uvarint | each, longest silent first:
//	    id uvarint | epoch uvarint | accepted uvarint | last sign of life varint (ms) | batches u8 | each, oldest first:
//	        first uvarint | records-1 uvarint | base offset uvarint | at varint (ms)
func (t *Table) Snapshot(dst []byte) []byte {
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, uint64(len(t.producers)))
	for p := t.ring.next; p != &t.ring; p = p.next {
		dst = binary.AppendUvarint(dst, uint64(p.id))
		dst = binary.AppendUvarint(dst, uint64(p.epoch))
		dst = binary.AppendUvarint(dst, uint64(p.accepted))
		dst = binary.AppendVarint(dst, p.at)
		dst = append(dst, p.kept)
		for _, b := range p.batches[:p.kept] {
			dst = binary.AppendUvarint(dst, uint64(b.First))
			dst = binary.AppendUvarint(dst, uint64(forward(b.First, b.Last)))
			dst = binary.AppendUvarint(dst, uint64(b.Base))
			dst = binary.AppendVarint(dst, b.At)
		}
	}
	return dst
}

// Load returns the table of at most limit producers (0 = DefaultMaxProducers) that a snapshot holds; with a smaller limit than the snapshot's
// the longest silent are left out. src must end with the snapshot.
func Load(src []byte, limit int) (*Table, error) {
	t := New(limit)
	r := reader{b: src}
	if v := r.byte(); r.err == nil && v != snapshotVersion {
		return nil, fmt.Errorf("producer snapshot: version %d, only %d is known", v, snapshotVersion)
	}
	n := r.uvarint(uint64(len(src)))
	for range n {
		if r.err != nil {
			break
		}
		p := r.producer()
		if t.producers[p.id] != nil {
			return nil, fmt.Errorf("producer snapshot: producer %d appears twice", p.id)
		}
		t.producers[p.id] = p
		p.link(&t.ring)
		for len(t.producers) > t.limit {
			t.forget(t.ring.next)
		}
	}
	if r.err == nil && len(r.b) != 0 {
		r.err = fmt.Errorf("%d bytes follow the last producer", len(r.b))
	}
	if r.err != nil {
		return nil, fmt.Errorf("producer snapshot: %w", r.err)
	}
	return t, nil
}

// reader takes values off b until the first error.
type reader struct {
	b   []byte
	err error
}

var errShort = errors.New("bytes end within a producer, or hold an impossible value")

func (r *reader) producer() *producer {
	p := &producer{
		id:       int64(r.uvarint(1<<63 - 1)),
		epoch:    int16(r.uvarint(1<<15 - 1)),
		accepted: int64(r.uvarint(sequences)),
		at:       r.varint(),
		kept:     r.byte(),
	}
	if p.kept > Remembered {
		r.fail()
		p.kept = 0
	}
	for i := range p.kept {
		first := int64(r.uvarint(sequences - 1))
		last := (first + int64(r.uvarint(sequences-1))) % sequences
		p.batches[i] = Batch{First: int32(first), Last: int32(last), Base: stream.Offset(r.uvarint(1<<63 - 1)), At: r.varint()}
	}
	return p
}

func (r *reader) fail() { r.b, r.err = nil, errShort }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uvarint(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}
