// Package batch reads and writes the Kafka record batch v2, the unit in which records are stored, kept in memory and sent.
//
//	 0 baseOffset       i64 | 8 batchLength      i32 (counts from byte 12) | 12 partitionLeaderEpoch i32
//	16 magic            i8  | 17 crc             u32 (CRC-32C of byte 21 to the end)
//	21 attributes       i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
//	43 producerId       i64 | 51 producerEpoch   i16 | 53 baseSequence  i32 | 57 recordCount  i32 | 61 records
//
// All integers are big-endian. The checksum leaves out the first 17 bytes, so that a log can set base offset and leader epoch in place.
// Header is the fixed part, Builder writes a batch, Records walks one. Source: Kafka's message format documentation, KIP-98.
//
// It refuses to know where a batch is stored or what its records mean.
package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// HeaderSize is the size of the fixed part in bytes, the least a batch can have.
const HeaderSize = 61

// Prefix is how many bytes say how long a batch is: base offset and length.
const Prefix = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Attributes are a batch's flags: bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
type Attributes int16

// Codec is how a batch's records are compressed.
type Codec int8

// The codecs.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// String returns the codec's name.
func (c Codec) String() string {
	if names := [...]string{"none", "gzip", "snappy", "lz4", "zstd"}; c >= 0 && int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec %d", int8(c))
}

const (
	logAppendTime = 1 << 3
	transactional = 1 << 4
	control       = 1 << 5
	deleteHorizon = 1 << 6
)

// Codec returns how the records are compressed.
func (a Attributes) Codec() Codec { return Codec(a & 7) }

// LogAppendTime says that all records have the batch's maximum timestamp, set by the log.
func (a Attributes) LogAppendTime() bool { return a&logAppendTime != 0 }

// Transactional says that the batch belongs to a transaction.
func (a Attributes) Transactional() bool { return a&transactional != 0 }

// Control says that the batch holds a transaction marker.
func (a Attributes) Control() bool { return a&control != 0 }

// DeleteHorizon returns the time from which the batch's tombstones may go, in milliseconds since 1970, 0 if none is set. It is set by the compaction
// that comes upon them first, and lies where else the base timestamp is: a batch that has one has its timestamps relative to it (KIP-534).
func (h *Header) DeleteHorizon() int64 {
	if h.Attributes&deleteHorizon == 0 {
		return 0
	}
	return h.BaseTimestamp
}

// Header is the fixed part of a batch.
type Header struct {
	BaseOffset      int64
	Length          int32 // of the whole batch in bytes, the first 12 included
	LeaderEpoch     int32
	CRC             uint32
	Attributes      Attributes
	LastOffsetDelta int32
	BaseTimestamp   int64 // milliseconds since 1970
	MaxTimestamp    int64 // milliseconds since 1970
	ProducerID      int64 // -1 = none
	ProducerEpoch   int16
	BaseSequence    int32
	Records         int32
}

// LastOffset returns the offset of the batch's last record.
func (h *Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// LastSequence returns the producer sequence of the last record; sequences wrap from 2^31-1 to 0.
func (h *Header) LastSequence() int32 {
	return int32((int64(h.BaseSequence) + int64(h.LastOffsetDelta)) & 0x7fffffff)
}

// Fault is the kind of thing that is wrong with a batch.
type Fault int8

// The faults, each with its own answer in the Kafka protocol.
const (
	Truncated    Fault = iota + 1 // fewer bytes than the batch says, or than any batch has
	Magic                         // not format 2
	Checksum                      // bytes are not those the checksum was made of
	Inconsistent                  // header or records contradict themselves
	Compression                   // unknown codec, or records that do not decompress
	TooBig                        // records decompress to more than the caller allows
)

// Error says what is wrong with a batch.
type Error struct {
	Fault  Fault
	Reason string
}

// Error is the reason, which protocols pass on to clients.
func (e *Error) Error() string { return "record batch: " + e.Reason }

func fault(f Fault, format string, args ...any) error {
	return &Error{Fault: f, Reason: fmt.Sprintf(format, args...)}
}

// Size returns how many bytes the batch at the start of b has, from its first 12 bytes; ok is false if b is shorter than those or the
// length is impossible.
func Size(b []byte) (size int, ok bool) {
	if len(b) < Prefix {
		return 0, false
	}
	n := int32(binary.BigEndian.Uint32(b[8:]))
	if n < HeaderSize-Prefix {
		return 0, false
	}
	return Prefix + int(n), true
}

// Parse reads the header of the batch at the start of b. It checks length and format, not the checksum: Verify does.
func Parse(b []byte) (Header, error) {
	if len(b) > 16 && b[16] != 2 { // where older formats have theirs, and may be shorter than a header
		return Header{}, fault(Magic, "format %d, only 2 is supported", int8(b[16]))
	}
	if len(b) < HeaderSize {
		return Header{}, fault(Truncated, "%d bytes are less than a header", len(b))
	}
	size, ok := Size(b)
	if !ok || size > len(b) {
		return Header{}, fault(Truncated, "length %d does not fit %d bytes", int32(binary.BigEndian.Uint32(b[8:])), len(b))
	}
	return Header{
		BaseOffset:      int64(binary.BigEndian.Uint64(b)),
		Length:          int32(size),
		LeaderEpoch:     int32(binary.BigEndian.Uint32(b[12:])),
		CRC:             binary.BigEndian.Uint32(b[17:]),
		Attributes:      Attributes(binary.BigEndian.Uint16(b[21:])),
		LastOffsetDelta: int32(binary.BigEndian.Uint32(b[23:])),
		BaseTimestamp:   int64(binary.BigEndian.Uint64(b[27:])),
		MaxTimestamp:    int64(binary.BigEndian.Uint64(b[35:])),
		ProducerID:      int64(binary.BigEndian.Uint64(b[43:])),
		ProducerEpoch:   int16(binary.BigEndian.Uint16(b[51:])),
		BaseSequence:    int32(binary.BigEndian.Uint32(b[53:])),
		Records:         int32(binary.BigEndian.Uint32(b[57:])),
	}, nil
}

// Verify parses the one batch that b is and checks everything that needs no decompression: length, checksum, that the header does not
// contradict itself, and that it has a record.
func Verify(b []byte) (Header, error) {
	h, err := VerifyStored(b)
	if err == nil && h.Records == 0 {
		err = fault(Inconsistent, "no records")
	}
	return h, err
}

// VerifyStored is Verify for a batch that a log has: compaction may have left no record in it.
func VerifyStored(b []byte) (Header, error) {
	h, err := Parse(b)
	if err != nil {
		return h, err
	}
	if int(h.Length) != len(b) {
		return h, fault(Inconsistent, "batch of %d bytes is followed by %d more", h.Length, len(b)-int(h.Length))
	}
	if sum := crc32.Checksum(b[21:], castagnoli); sum != h.CRC {
		return h, fault(Checksum, "checksum is %08x, the bytes have %08x", h.CRC, sum)
	}
	return h, h.check()
}

func (h *Header) check() error {
	switch {
	case h.Records < 0 || h.LastOffsetDelta < 0:
		return fault(Inconsistent, "%d records, last offset delta %d", h.Records, h.LastOffsetDelta)
	case h.Records > h.LastOffsetDelta+1 && h.LastOffsetDelta != 1<<31-1:
		return fault(Inconsistent, "%d records do not fit last offset delta %d", h.Records, h.LastOffsetDelta)
	case h.Attributes.Codec() > Zstd:
		return fault(Compression, "codec %d is unknown", h.Attributes.Codec())
	case h.ProducerID >= 0 && (h.BaseSequence < 0 && !h.Attributes.Control() || h.ProducerEpoch < 0):
		return fault(Inconsistent, "producer %d epoch %d has sequence %d", h.ProducerID, h.ProducerEpoch, h.BaseSequence)
	case h.ProducerID < 0 && h.Attributes.Transactional():
		return fault(Inconsistent, "a transactional batch without a producer id")
	}
	return nil
}

// SetBase sets base offset and leader epoch in place; the checksum does not cover them.
func SetBase(b []byte, offset int64, epoch int32) {
	binary.BigEndian.PutUint64(b, uint64(offset))
	binary.BigEndian.PutUint32(b[12:], uint32(epoch))
}

// SetLogAppendTime marks the batch as timestamped by the log at ms and renews the checksum.
func SetLogAppendTime(b []byte, ms int64) {
	attributes := binary.BigEndian.Uint16(b[21:]) | logAppendTime
	binary.BigEndian.PutUint16(b[21:], attributes)
	SetMaxTimestamp(b, ms)
}

// SetProducer makes a batch one of producer p outside of any transaction, and renews the checksum.
func SetProducer(b []byte, p Producer) {
	attributes := binary.BigEndian.Uint16(b[21:])
	binary.BigEndian.PutUint16(b[21:], attributes&^uint16(transactional))
	binary.BigEndian.PutUint64(b[43:], uint64(p.ID))
	binary.BigEndian.PutUint16(b[51:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(p.Sequence))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
}

// SetMaxTimestamp sets the largest timestamp of a batch to ms and renews the checksum.
func SetMaxTimestamp(b []byte, ms int64) {
	binary.BigEndian.PutUint64(b[35:], uint64(ms))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
}
