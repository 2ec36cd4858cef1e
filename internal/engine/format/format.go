// Package format is the engine's bytes on disk: log files, the index at the end of a finished one, and checkpoints.
//
// A log file is a header, then groups. A group is what one group commit wrote: batches of any shards and changes of state, which survive a
// crash together or not at all. A finished file ends with a footer that says where each shard's batches are, so that opening a log
// reads no batch. A rewritten file has the same form, its groups sorted by shard.
//
//	FileHeader | Group | Group | ... | zeros or the leavings of an older file        while it is written to
//	FileHeader | Group | Group | ... | index of shard A | of shard B | ... | directory | Trailer          afterwards
//
// A shard's index is the extents of its batches, then the aborted transactions whose markers are among them.
//
// All integers are little-endian (the record batches inside are Kafka's and big-endian); all checksums are CRC-32C. The package is pure: it
// encodes and decodes, and every decoder takes bytes from anywhere. It refuses to open files or to know what a change means.
package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/freshet/freshet/internal/stream"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the checksum used everywhere in these formats.
func Sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ErrFormat is wrapped by every error of this package's decoders.
var ErrFormat = errors.New("not as it was written")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// Version is the version of all formats of this package, but that of a footer with aborted transactions, which is abortedVersion: what has none is
// written as before there were any.
const (
	Version        = 1
	abortedVersion = 2
)

var le = binary.LittleEndian

// FileHeaderSize is the size of a FileHeader in bytes.
const FileHeaderSize = 64

const fileMagic = "freshlog"

// FileHeader begins a log file.
//
//	 0 "freshlog" | 8 version u32 | 12 sum u32 (of the header with these four bytes zero)
//	16 id u64 | 24 first u64 | 32 last u64 | 40 generation u32 | 44 zero u32 | 48 group u64 | 56 zero u64
type FileHeader struct {
	ID         uint64 // random: what an older life of the file left behind is never taken for a group of this one
	First      uint64 // a log file has one number; a rewritten file has those of all files it replaces
	Last       uint64
	Generation uint32 // 0 for a log file, then +1 with each rewrite
	Group      uint64 // number of the first group
	Sum        uint32 // set by Append and by ReadFileHeader; the first group names it as the sum before its own
}

// Append appends the header's bytes to dst.
func (h *FileHeader) Append(dst []byte) []byte {
	var b [FileHeaderSize]byte
	copy(b[:], fileMagic)
	le.PutUint32(b[8:], Version)
	le.PutUint64(b[16:], h.ID)
	le.PutUint64(b[24:], h.First)
	le.PutUint64(b[32:], h.Last)
	le.PutUint32(b[40:], h.Generation)
	le.PutUint64(b[48:], h.Group)
	h.Sum = Sum(b[:])
	le.PutUint32(b[12:], h.Sum)
	return append(dst, b[:]...)
}

// ReadFileHeader reads what Append wrote.
func ReadFileHeader(b []byte) (FileHeader, error) {
	if len(b) < FileHeaderSize {
		return FileHeader{}, wrong("%d bytes are no file header", len(b))
	}
	if string(b[:8]) != fileMagic {
		return FileHeader{}, wrong("file begins with %q, not %q", b[:8], fileMagic)
	}
	if err := checkSealed(b[:FileHeaderSize], Version, "file header"); err != nil {
		return FileHeader{}, err
	}
	return FileHeader{
		ID:         le.Uint64(b[16:]),
		First:      le.Uint64(b[24:]),
		Last:       le.Uint64(b[32:]),
		Generation: le.Uint32(b[40:]),
		Group:      le.Uint64(b[48:]),
		Sum:        le.Uint32(b[12:]),
	}, nil
}

// checkSealed checks version, 1 to newest, and checksum of a block with the version at byte 8 and the sum at byte 12.
func checkSealed(b []byte, newest uint32, what string) error {
	plain := append([]byte(nil), b...)
	clear(plain[12:16])
	if sum := Sum(plain); sum != le.Uint32(b[12:]) {
		return wrong("%s has checksum %08x, its bytes %08x", what, le.Uint32(b[12:]), sum)
	}
	if v := le.Uint32(b[8:]); v < Version || v > newest {
		return wrong("%s has version %d, only %d to %d are known", what, v, Version, newest)
	}
	return nil
}

// Kind says what an entry of a group or checkpoint holds.
type Kind uint8

// KindBatch is a record batch, KindAborted what AppendAborted writes of the transaction that the batch before it has aborted: an index is made of the
// two kinds alone. The engine numbers the kinds of its changes from KindChange.
const (
	KindBatch   Kind = 1
	KindAborted Kind = 2
	KindChange  Kind = 16
)

// EntrySize is the size in bytes of an Entry in a group's table.
const EntrySize = 40

// Entry describes one payload of a group.
//
//	0 kind u8 | 1 zero [3] | 4 size u32 | 8 stream [16] | 24 shard i32 | 28 sum u32 | 32 time i64
type Entry struct {
	Kind  Kind
	Size  uint32       // of the payload in bytes
	Shard stream.Shard // of a batch or an aborted transaction
	// Sum is the checksum of the payload; of a batch, of its first 21 bytes: the rest is under the batch's own.
	Sum  uint32
	Time int64 // when the log took it, milliseconds since 1970
}

// BatchPrefix is how much of a batch its own checksum leaves out, that checksum itself included.
const BatchPrefix = 21

// PayloadSum returns what the Sum of an entry with this payload has to be.
func PayloadSum(kind Kind, payload []byte) uint32 {
	if kind == KindBatch {
		payload = payload[:min(BatchPrefix, len(payload))]
	}
	return Sum(payload)
}

// Append appends the entry's bytes to dst.
func (e *Entry) Append(dst []byte) []byte {
	dst = append(dst, byte(e.Kind), 0, 0, 0)
	dst = le.AppendUint32(dst, e.Size)
	dst = append(dst, e.Shard.Stream[:]...)
	dst = le.AppendUint32(dst, uint32(e.Shard.Index))
	dst = le.AppendUint32(dst, e.Sum)
	return le.AppendUint64(dst, uint64(e.Time))
}

// ReadEntry reads what Append wrote from EntrySize bytes.
func ReadEntry(b []byte) Entry {
	_ = b[EntrySize-1]
	return Entry{
		Kind:  Kind(b[0]),
		Size:  le.Uint32(b[4:]),
		Shard: stream.Shard{Stream: stream.ID(b[8:24]), Index: int32(le.Uint32(b[24:]))},
		Sum:   le.Uint32(b[28:]),
		Time:  int64(le.Uint64(b[32:])),
	}
}
