package producers

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/stream"
)

// The first byte of a snapshot. A table that has met no marker and no transaction writes what there was before there were any.
const (
	plainSnapshot         = 1
	transactionalSnapshot = 2
)

// Snapshot appends the table to dst in the form that Load reads:
//
//	version u8 | producers uvarint | each, longest silent first, then those with an open transaction, in the order in which these began:
//	    id uvarint | epoch uvarint | accepted uvarint | last sign of life varint (ms) | batches u8 | each, oldest first:
//	        first uvarint | records-1 uvarint | base offset uvarint | at varint (ms)
//	    and in version 2: coordinator epoch varint, -1 = none | first offset of the open transaction varint, -1 = none
func (t *Table) Snapshot(dst []byte) []byte {
	version := byte(plainSnapshot)
	if t.opened > 0 || t.anyCoordinator() {
		version = transactionalSnapshot
	}
	dst = append(dst, version)
	dst = binary.AppendUvarint(dst, uint64(len(t.producers)))
	for _, ring := range []*producer{&t.ring, &t.open} {
		for p := ring.next; p != ring; p = p.next {
			dst = p.snapshot(dst)
			if version == transactionalSnapshot {
				dst = binary.AppendVarint(dst, int64(p.coordinator))
				dst = binary.AppendVarint(dst, int64(p.first))
			}
		}
	}
	return dst
}

func (t *Table) anyCoordinator() bool {
	for _, p := range t.producers {
		if p.coordinator != none {
			return true
		}
	}
	return false
}

func (p *producer) snapshot(dst []byte) []byte {
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
	return dst
}

// Load returns the table of at most limit producers (0 = DefaultMaxProducers) that a snapshot holds; with a smaller limit than the snapshot's
// the longest silent are left out, but none with an open transaction. src must end with the snapshot.
func Load(src []byte, limit int) (*Table, error) {
	t := New(limit)
	r := reader{b: src}
	version := r.byte()
	if r.err == nil && version != plainSnapshot && version != transactionalSnapshot {
		return nil, fmt.Errorf("producer snapshot: version %d, only %d and %d are known", version, plainSnapshot, transactionalSnapshot)
	}
	n := r.uvarint(uint64(len(src)))
	for range n {
		if r.err != nil {
			break
		}
		p := r.producer(version)
		if t.producers[p.id] != nil {
			return nil, fmt.Errorf("producer snapshot: producer %d appears twice", p.id)
		}
		if p.first != none && t.opened > 0 && p.first <= t.open.prev.first {
			r.fail()
			break
		}
		t.producers[p.id] = p
		p.link(&t.ring)
		if p.first != none {
			t.begin(p, p.first)
		}
		t.forgetBeyondLimit()
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

func (r *reader) producer(version byte) *producer {
	p := &producer{
		id:          int64(r.uvarint(1<<63 - 1)),
		epoch:       int16(r.uvarint(1<<15 - 1)),
		accepted:    int64(r.uvarint(sequences)),
		at:          r.varint(),
		kept:        r.byte(),
		coordinator: none,
		first:       none,
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
	if version == transactionalSnapshot {
		coordinator, opened := r.varint(), r.varint()
		if coordinator < none || coordinator > 1<<31-1 || opened < none {
			r.fail()
			return p
		}
		p.coordinator, p.first = int32(coordinator), stream.Offset(opened)
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
