package batch

import (
	"encoding/binary"
	"hash/crc32"
)

// Builder writes one uncompressed batch, record by record. The zero value is ready; Reset makes it so again and keeps the memory.
type Builder struct {
	buf           []byte
	records       int32
	baseTimestamp int64
	maxTimestamp  int64
}

// Reset forgets all records.
func (w *Builder) Reset() {
	w.buf = w.buf[:0]
	w.records, w.baseTimestamp, w.maxTimestamp = 0, 0, 0
}

// Len returns how many records there are, Bytes how large the batch would now be.
func (w *Builder) Len() int { return int(w.records) }

// Bytes returns the size that Finish would return now.
func (w *Builder) Bytes() int { return max(len(w.buf), HeaderSize) }

// Add appends a record with a timestamp in milliseconds since 1970. nil key and value are kept as nil. It copies what it needs.
func (w *Builder) Add(timestamp int64, key, value []byte, headers ...RecordHeader) {
	if w.records == 0 {
		w.buf = append(w.buf[:0], make([]byte, HeaderSize)...)
		w.baseTimestamp, w.maxTimestamp = timestamp, timestamp
	}
	w.maxTimestamp = max(w.maxTimestamp, timestamp)
	timestampDelta, offsetDelta := timestamp-w.baseTimestamp, int64(w.records)
	size := 1 + varintSize(timestampDelta) + varintSize(offsetDelta) + fieldSize(key) + fieldSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		size += varintSize(int64(len(h.Name))) + len(h.Name) + fieldSize(h.Value)
	}
	w.buf = binary.AppendVarint(w.buf, int64(size))
	w.buf = append(w.buf, 0)
	w.buf = binary.AppendVarint(w.buf, timestampDelta)
	w.buf = binary.AppendVarint(w.buf, offsetDelta)
	w.buf = appendField(w.buf, key)
	w.buf = appendField(w.buf, value)
	w.buf = binary.AppendVarint(w.buf, int64(len(headers)))
	for _, h := range headers {
		w.buf = binary.AppendVarint(w.buf, int64(len(h.Name)))
		w.buf = append(w.buf, h.Name...)
		w.buf = appendField(w.buf, h.Value)
	}
	w.records++
}

// Producer is an idempotent producer's identity in a batch. NoProducer is none.
type Producer struct {
	ID       int64
	Epoch    int16
	Sequence int32
}

// NoProducer marks a batch without producer id.
var NoProducer = Producer{ID: -1, Epoch: -1, Sequence: -1}

// Finish writes the header and returns the batch, which is valid until the next Reset or Add. It needs at least one record.
func (w *Builder) Finish(p Producer) []byte {
	if w.records == 0 {
		panic("batch: finish without records")
	}
	b := w.buf
	binary.BigEndian.PutUint64(b, 0)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-Prefix))
	binary.BigEndian.PutUint32(b[12:], 0xffffffff)
	b[16] = 2
	binary.BigEndian.PutUint16(b[21:], 0)
	binary.BigEndian.PutUint32(b[23:], uint32(w.records-1))
	binary.BigEndian.PutUint64(b[27:], uint64(w.baseTimestamp))
	binary.BigEndian.PutUint64(b[35:], uint64(w.maxTimestamp))
	binary.BigEndian.PutUint64(b[43:], uint64(p.ID))
	binary.BigEndian.PutUint16(b[51:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(p.Sequence))
	binary.BigEndian.PutUint32(b[57:], uint32(w.records))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b
}

func varintSize(v int64) int {
	u := uint64(v<<1) ^ uint64(v>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}

func fieldSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func appendField(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 1) // varint -1
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}
