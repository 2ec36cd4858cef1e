package batch

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// Filter leaves records out of stored batches, as compaction does. What it keeps has the offset that it had: of a batch only its records go, its
// first and last offset, producer and sequence stay in the header (Kafka's MemoryRecords.filterTo).
type Filter struct {
	// Keep says whether a record stays. key is nil if it has none and is valid only during the call; a tombstone is a record without value. horizon is
	// the batch's delete horizon, 0 if it has none.
	Keep func(offset int64, key []byte, tombstone bool, horizon int64) bool
	// Horizon is the delete horizon of a batch with tombstones that stay and that has none yet, in milliseconds since 1970.
	Horizon int64
	// MaxBytes bounds what one batch may decompress to; 0 = DefaultMaxDecompressed.
	MaxBytes int

	marks bool // all batches get the horizon
}

// Keys calls visit with offset and key of each record of a batch, nil if it has none. The key is valid only during the call.
func Keys(b []byte, maxBytes int, visit func(offset int64, key []byte)) error {
	h, plain, err := open(b, maxBytes)
	if err != nil {
		return err
	}
	return eachBare(&h, plain, func(r *bare) { visit(h.BaseOffset+r.offset, r.key) })
}

// open parses a batch and returns its records in plain form.
func open(b []byte, maxBytes int) (h Header, plain []byte, err error) {
	if h, err = Parse(b); err == nil {
		err = h.check()
	}
	if err != nil || h.Records == 0 {
		return h, nil, err
	}
	plain, err = Decompress(h.Attributes.Codec(), b[HeaderSize:h.Length], maxBytes)
	return h, plain, err
}

// Apply returns the batch b without the records that are not kept: b itself if all are and it need not change, else in memory of dst, whose bytes it
// overwrites, compressed as it was; nil if no record is left.
func (f *Filter) Apply(dst, b []byte) ([]byte, error) {
	h, plain, err := open(b, f.MaxBytes)
	if err != nil || h.Records == 0 {
		return nil, err
	}
	horizon := h.DeleteHorizon()
	kept, tombstones := int32(0), false
	latest := int64(math.MinInt64)
	stays := make([]bool, 0, min(h.Records, maxStays))
	err = eachBare(&h, plain, func(r *bare) {
		stay := f.Keep(h.BaseOffset+r.offset, r.key, r.tombstone, horizon)
		stays = append(stays, stay)
		if stay {
			kept++
			tombstones = tombstones || r.tombstone
			latest = max(latest, h.BaseTimestamp+r.timestamp)
		}
	})
	marks := (tombstones || f.marks) && horizon == 0
	if err != nil || kept == 0 || kept == h.Records && !marks {
		if kept == 0 {
			b = nil
		}
		return b, err
	}
	out := appendRoom(dst[:0], HeaderSize)
	body, move := plain[:0], int64(0) // which was made for this batch, and shrinks
	if marks {
		body, move = make([]byte, 0, len(plain)), h.BaseTimestamp-f.Horizon
		h.Attributes |= deleteHorizon
		h.BaseTimestamp = f.Horizon
	}
	if h.Attributes.Codec() == None {
		body = out
	}
	n := 0
	_ = eachBare(&h, plain, func(r *bare) { // it went well before
		if stays[n] {
			body = r.append(body, move)
		}
		n++
	})
	if !h.Attributes.LogAppendTime() {
		h.MaxTimestamp = latest
	}
	h.Records = kept
	return h.finish(out, body, 0)
}

// Mark returns a batch that is to go at the horizon although it has no tombstone: a transaction's marker of which nothing is left. It does nothing to one
// that has a horizon.
func (f *Filter) Mark(dst, b []byte) ([]byte, error) {
	g := Filter{Horizon: f.Horizon, MaxBytes: f.MaxBytes, marks: true, Keep: func(int64, []byte, bool, int64) bool { return true }}
	return g.Apply(dst, b)
}

// maxStays bounds what a header's number of records is believed for before they are read.
const maxStays = 1 << 20

// finish returns the batch with that header and those plain records, which either lie behind the room for the header in out or are compressed into it.
func (h *Header) finish(out, body []byte, level int) ([]byte, error) {
	var err error
	if h.Attributes.Codec() == None {
		out = body
	} else if out, err = compress(out, h.Attributes.Codec(), level, body); err != nil {
		return nil, err
	}
	h.Length = int32(len(out))
	h.put(out)
	return out, nil
}

// Emptied appends to dst what stays of a batch without records where its last offset has to be seen: its header (Kafka's
// DefaultRecordBatch.writeEmptyHeader).
func Emptied(dst, b []byte) ([]byte, error) {
	h, err := Parse(b)
	if err != nil {
		return nil, err
	}
	h.Attributes &= logAppendTime | transactional | control
	h.Records, h.Length, h.BaseTimestamp = 0, HeaderSize, -1
	at := len(dst)
	dst = appendRoom(dst, HeaderSize)
	h.put(dst[at:])
	return dst, nil
}

// Recode returns the batch b with its records compressed by another codec, at the level that the codec's names; 0 is its default. The bytes are in
// memory of dst, which it overwrites.
func Recode(dst, b []byte, codec Codec, level, maxBytes int) ([]byte, error) {
	h, plain, err := open(b, maxBytes)
	if err != nil {
		return nil, err
	}
	h.Attributes = h.Attributes&^7 | Attributes(codec)
	out := appendRoom(dst[:0], HeaderSize)
	body := plain
	if codec == None {
		body = append(out, plain...)
	}
	return h.finish(out, body, level)
}

// put writes the header into the batch b, with the checksum of what follows it.
func (h *Header) put(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(h.BaseOffset))
	binary.BigEndian.PutUint32(b[8:], uint32(h.Length-Prefix))
	binary.BigEndian.PutUint32(b[12:], uint32(h.LeaderEpoch))
	b[16] = 2
	binary.BigEndian.PutUint16(b[21:], uint16(h.Attributes))
	binary.BigEndian.PutUint32(b[23:], uint32(h.LastOffsetDelta))
	binary.BigEndian.PutUint64(b[27:], uint64(h.BaseTimestamp))
	binary.BigEndian.PutUint64(b[35:], uint64(h.MaxTimestamp))
	binary.BigEndian.PutUint64(b[43:], uint64(h.ProducerID))
	binary.BigEndian.PutUint16(b[51:], uint16(h.ProducerEpoch))
	binary.BigEndian.PutUint32(b[53:], uint32(h.BaseSequence))
	binary.BigEndian.PutUint32(b[57:], uint32(h.Records))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
}

func appendRoom(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, 0)
	}
	return dst
}

// bare is a record as far as a filter looks at it.
type bare struct {
	timestamp, offset int64 // deltas
	key               []byte
	tombstone         bool
	whole             []byte // with its length
	attributes        byte
	tail              []byte // behind the offset delta
}

// append appends the record, with its timestamp delta moved.
func (r *bare) append(dst []byte, move int64) []byte {
	if move == 0 {
		return append(dst, r.whole...)
	}
	timestamp := r.timestamp + move
	dst = binary.AppendVarint(dst, int64(1+varintSize(timestamp)+varintSize(r.offset)+len(r.tail)))
	dst = append(dst, r.attributes)
	dst = binary.AppendVarint(dst, timestamp)
	dst = binary.AppendVarint(dst, r.offset)
	return append(dst, r.tail...)
}

// eachBare calls visit with each of the header's records in plain. The layout is that of Record.read.
func eachBare(h *Header, plain []byte, visit func(*bare)) error {
	var r bare
	next := int64(0)
	for i := range h.Records {
		rest, err := r.read(plain)
		if err != nil {
			return fault(Inconsistent, "record %d of %d: %s", i, h.Records, err)
		}
		if r.offset < next || r.offset > int64(h.LastOffsetDelta) {
			return fault(Inconsistent, "record %d of %d has offset delta %d, expected %d..%d", i, h.Records, r.offset, next, h.LastOffsetDelta)
		}
		next = r.offset + 1
		visit(&r)
		plain = rest
	}
	if len(plain) != 0 {
		return fault(Inconsistent, "%d bytes follow the last record", len(plain))
	}
	return nil
}

// read takes one record off b. Of its headers it looks at nothing.
func (r *bare) read(b []byte) (rest []byte, err error) {
	length, p, err := varint(b)
	if err != nil || length < 1 || length > int64(len(p)) {
		return nil, errShort
	}
	r.whole, rest = b[:len(b)-len(p)+int(length)], p[length:]
	p = p[:length]
	r.attributes = p[0]
	if r.timestamp, p, err = varint(p[1:]); err != nil {
		return nil, err
	}
	if r.offset, p, err = varint(p); err != nil {
		return nil, err
	}
	r.tail = p
	if r.key, p, err = bytesField(p); err != nil {
		return nil, err
	}
	value, _, err := bytesField(p)
	r.tombstone = value == nil
	return rest, err
}
