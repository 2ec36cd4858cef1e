package batch

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Marker ends a producer's transaction in one shard: what the producer wrote there since the transaction began is committed or aborted. It is
// stored as a batch of its own, with the transactional and control bits, no sequence, and one record (KIP-98, EndTransactionMarker):
//
//	key   version i16 = 0 | type i16: 0 abort, 1 commit
//	value version i16 = 0 | coordinator epoch i32
type Marker struct {
	ProducerID       int64
	Epoch            int16 // of the producer; larger than that of its batches if the transaction's end fences them
	Commit           bool
	CoordinatorEpoch int32
	Time             time.Time // to the millisecond
}

// MarkerSize is the size in bytes of the batch that AppendMarker makes.
const MarkerSize = HeaderSize + 1 + markerRecord

const (
	markerRecord = 16 // bytes of the record behind its length
	markerKey    = 4
	markerValue  = 6

	// mostMarker bounds a marker's record in bytes, which future versions may make longer.
	mostMarker = 1 << 10
)

// AppendMarker appends the batch that holds m to dst, byte for byte as Apache Kafka writes it, with base offset 0 and leader epoch -1.
func AppendMarker(dst []byte, m Marker) []byte {
	from := len(dst)
	dst = append(dst, make([]byte, MarkerSize)...)
	b := dst[from:]
	binary.BigEndian.PutUint32(b[8:], MarkerSize-Prefix)
	binary.BigEndian.PutUint32(b[12:], 0xffffffff)
	b[16] = 2
	binary.BigEndian.PutUint16(b[21:], transactional|control)
	at := uint64(m.Time.UnixMilli())
	binary.BigEndian.PutUint64(b[27:], at)
	binary.BigEndian.PutUint64(b[35:], at)
	binary.BigEndian.PutUint64(b[43:], uint64(m.ProducerID))
	binary.BigEndian.PutUint16(b[51:], uint16(m.Epoch))
	binary.BigEndian.PutUint32(b[53:], 0xffffffff)
	binary.BigEndian.PutUint32(b[57:], 1)
	r := b[HeaderSize:]
	r[0] = markerRecord << 1 // lengths are zigzag varints of one byte; attributes, both deltas and the number of headers are 0
	r[4] = markerKey << 1
	if m.Commit {
		r[8] = 1
	}
	r[9] = markerValue << 1
	binary.BigEndian.PutUint32(r[12:], uint32(m.CoordinatorEpoch))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return dst
}

// ParseMarker reads the marker in the one control batch that b is. It takes later versions of key and value for what they share with version 0, as
// Kafka does. A batch that is none is Inconsistent.
func ParseMarker(b []byte) (Marker, error) {
	h, err := Parse(b)
	if err != nil {
		return Marker{}, err
	}
	if !h.Attributes.Control() || !h.Attributes.Transactional() || h.ProducerID < 0 || h.ProducerEpoch < 0 || h.Records != 1 {
		return Marker{}, fault(Inconsistent, "a batch that is no transaction marker: attributes %#x, producer %d epoch %d, %d records", int16(h.Attributes), h.ProducerID, h.ProducerEpoch, h.Records)
	}
	m := Marker{ProducerID: h.ProducerID, Epoch: h.ProducerEpoch}
	whole := false
	err = Records(b, mostMarker, func(r *Record) bool {
		m.Time = time.UnixMilli(r.Timestamp)
		whole = m.read(r.Key, r.Value)
		return true
	})
	if err == nil && !whole {
		err = fault(Inconsistent, "a control record that ends no transaction")
	}
	if err != nil {
		return Marker{}, err
	}
	return m, nil
}

// read takes key and value of a marker's record, and reports whether they are one's.
func (m *Marker) read(key, value []byte) bool {
	if len(key) < markerKey || len(value) < markerValue {
		return false
	}
	version, kind := int16(binary.BigEndian.Uint16(key)), binary.BigEndian.Uint16(key[2:])
	if version < 0 || kind > 1 || int16(binary.BigEndian.Uint16(value)) < 0 {
		return false
	}
	m.Commit = kind == 1
	m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(value[2:]))
	return true
}
