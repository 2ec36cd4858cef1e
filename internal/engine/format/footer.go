package format

import (
	"hash/crc32"
	"math"

	"github.com/freshet/freshet/internal/stream"
)

func updateSum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// ExtentSize is the size in bytes of an Extent on disk.
const ExtentSize = 32

// Extent says where a batch lies in a file.
//
//	0 base i64 | 8 position u32 | 12 size u32 | 16 latest i64 | 24 appended i64
type Extent struct {
	Base     stream.Offset // of the first record
	Position uint32        // in the file
	Size     uint32        // bytes, never 0
	Latest   int64         // largest record timestamp, milliseconds since 1970
	Appended int64         // when the log took the batch, milliseconds since 1970
}

// Age is the time that retention counts from: the records' own, unless they have none, or one in the future, which would keep them for ever.
func (e *Extent) Age() int64 {
	if e.Latest < 0 {
		return e.Appended
	}
	return min(e.Latest, e.Appended)
}

// AppendExtents appends the bytes of extents to dst.
func AppendExtents(dst []byte, extents []Extent) []byte {
	for i := range extents {
		e := &extents[i]
		dst = le.AppendUint64(dst, uint64(e.Base))
		dst = le.AppendUint32(dst, e.Position)
		dst = le.AppendUint32(dst, e.Size)
		dst = le.AppendUint64(dst, uint64(e.Latest))
		dst = le.AppendUint64(dst, uint64(e.Appended))
	}
	return dst
}

// readExtents reads what AppendExtents wrote for the shard that span describes, and checks it.
func readExtents(b []byte, span *Span) ([]Extent, error) {
	extents := make([]Extent, len(b)/ExtentSize)
	before := span.First - 1
	for i := range extents {
		p := b[i*ExtentSize:]
		e := Extent{
			Base:     stream.Offset(le.Uint64(p)),
			Position: le.Uint32(p[8:]),
			Size:     le.Uint32(p[12:]),
			Latest:   int64(le.Uint64(p[16:])),
			Appended: int64(le.Uint64(p[24:])),
		}
		if e.Base <= before || e.Base >= span.Next || e.Size == 0 {
			return nil, wrong("extent %d at offset %d does not lie between %d and %d", i, e.Base, before, span.Next)
		}
		before = e.Base
		extents[i] = e
	}
	return extents, nil
}

// ReadIndex reads the shard's index that span describes, and checks it.
func ReadIndex(b []byte, span *Span) ([]Extent, []stream.Aborted, error) {
	if int64(len(b)) != span.IndexSize() {
		return nil, nil, wrong("%d bytes are not %d extents and %d aborted transactions", len(b), span.Count, span.Aborted)
	}
	if sum := Sum(b); sum != span.Sum {
		return nil, nil, wrong("index has checksum %08x, its bytes %08x", span.Sum, sum)
	}
	at := int(span.Count) * ExtentSize
	extents, err := readExtents(b[:at], span)
	if err != nil {
		return nil, nil, err
	}
	aborted, err := readAborted(b[at:], span)
	return extents, aborted, err
}

// SpanSize is the size in bytes of a Span on disk, abortedSpanSize that of one in a directory with aborted transactions.
const (
	SpanSize        = 88
	abortedSpanSize = 96
)

// Span is what a footer's directory says of one shard: the offsets that the file holds of it, and where its index is.
//
//	 0 stream [16] | 16 shard i32 | 20 count u32 | 24 first i64 | 32 next i64 | 40 latest i64 | 48 age i64
//	56 bytes i64 | 64 position u64 | 72 sum u32 | 76 oldest i64 | 84 aborted u32
//	88 first aborted i64, in a directory with aborted transactions
type Span struct {
	Shard    stream.Shard
	Count    uint32 // extents
	Aborted  uint32 // transactions whose markers are among the extents' batches and aborted them
	First    stream.Offset
	Next     stream.Offset // the offset after the last
	Latest   int64         // largest record timestamp, milliseconds since 1970
	Age      int64         // largest Extent.Age
	Oldest   int64         // Extent.Age of the first
	Bytes    int64         // of batches
	Position int64         // of the index in the file
	Sum      uint32        // of the index
	// FirstAborted is the smallest first offset of the aborted transactions, 0 if there are none.
	FirstAborted stream.Offset
}

// IndexSize returns the size of the shard's index in bytes.
func (s *Span) IndexSize() int64 { return int64(s.Count)*ExtentSize + int64(s.Aborted)*AbortedSize }

// AppendDirectory appends the bytes of spans to dst and sets number and version in t.
func (t *Trailer) AppendDirectory(dst []byte, spans []Span) []byte {
	t.Spans, t.version = uint32(len(spans)), Version
	for i := range spans {
		if spans[i].Aborted > 0 {
			t.version = abortedVersion
		}
	}
	for i := range spans {
		dst = spans[i].append(dst, t.version)
	}
	return dst
}

func (s *Span) append(dst []byte, version uint32) []byte {
	dst = append(dst, s.Shard.Stream[:]...)
	dst = le.AppendUint32(dst, uint32(s.Shard.Index))
	dst = le.AppendUint32(dst, s.Count)
	for _, v := range []int64{int64(s.First), int64(s.Next), s.Latest, s.Age, s.Bytes, s.Position} {
		dst = le.AppendUint64(dst, uint64(v))
	}
	dst = le.AppendUint32(dst, s.Sum)
	dst = le.AppendUint64(dst, uint64(s.Oldest))
	dst = le.AppendUint32(dst, s.Aborted)
	if version >= abortedVersion {
		dst = le.AppendUint64(dst, uint64(s.FirstAborted))
	}
	return dst
}

func readSpan(b []byte) Span {
	i64 := func(at int) int64 { return int64(le.Uint64(b[at:])) }
	s := Span{
		Shard:    stream.Shard{Stream: stream.ID(b[:16]), Index: int32(le.Uint32(b[16:]))},
		Count:    le.Uint32(b[20:]),
		First:    stream.Offset(i64(24)),
		Next:     stream.Offset(i64(32)),
		Latest:   i64(40),
		Age:      i64(48),
		Bytes:    i64(56),
		Position: i64(64),
		Sum:      le.Uint32(b[72:]),
		Oldest:   i64(76),
	}
	if len(b) == abortedSpanSize {
		s.Aborted, s.FirstAborted = le.Uint32(b[84:]), stream.Offset(i64(88))
	}
	return s
}

// ReadDirectory reads the spans of the directory that b is and checks them against the trailer.
func ReadDirectory(b []byte, t *Trailer) ([]Span, error) {
	if len(b) != t.DirectorySize() {
		return nil, wrong("%d bytes are not %d spans", len(b), t.Spans)
	}
	if sum := Sum(b); sum != t.DirectorySum {
		return nil, wrong("directory has checksum %08x, its bytes %08x", t.DirectorySum, sum)
	}
	spans := make([]Span, t.Spans)
	for i := range spans {
		s := readSpan(b[i*t.spanSize() : (i+1)*t.spanSize()])
		room := t.Directory - max(s.Position, t.End)
		if s.First >= s.Next || s.Position < t.End || s.Count == 0 || s.IndexSize() > room || s.Aborted > s.Count {
			return nil, wrong("span %d holds offsets %d to %d and its %d extents and %d aborted transactions at %d", i, s.First, s.Next, s.Count, s.Aborted, s.Position)
		}
		spans[i] = s
	}
	return spans, nil
}

// TrailerSize is the size of a Trailer in bytes.
const TrailerSize = 64

const trailerMagic = "freshidx"

// Trailer ends a finished file.
//
//	 0 "freshidx" | 8 version u32 | 12 sum u32 (of the trailer with these four bytes zero)
//	16 file u64 | 24 end u64 | 32 directory u64 | 40 group u64 | 48 group sum u32 | 52 spans u32 | 56 directory sum u32 | 60 zero u32
type Trailer struct {
	File         uint64 // id of the file
	End          int64  // where the groups end and the extents begin
	Directory    int64  // where the directory begins; it ends with the trailer
	Group        uint64 // number of the last group
	GroupSum     uint32 // its sum, or the file header's if there is none
	Spans        uint32
	DirectorySum uint32

	version uint32
}

func (t *Trailer) spanSize() int {
	if t.version >= abortedVersion {
		return abortedSpanSize
	}
	return SpanSize
}

// DirectorySize returns the size of the directory in bytes.
func (t *Trailer) DirectorySize() int { return int(t.Spans) * t.spanSize() }

// Append appends the trailer's bytes to dst.
func (t *Trailer) Append(dst []byte) []byte {
	var b [TrailerSize]byte
	copy(b[:], trailerMagic)
	le.PutUint32(b[8:], max(t.version, Version))
	le.PutUint64(b[16:], t.File)
	le.PutUint64(b[24:], uint64(t.End))
	le.PutUint64(b[32:], uint64(t.Directory))
	le.PutUint64(b[40:], t.Group)
	le.PutUint32(b[48:], t.GroupSum)
	le.PutUint32(b[52:], t.Spans)
	le.PutUint32(b[56:], t.DirectorySum)
	le.PutUint32(b[12:], Sum(b[:]))
	return append(dst, b[:]...)
}

// ReadTrailer reads the trailer at the end of a file of size bytes with that id.
func ReadTrailer(b []byte, file uint64, size int64) (Trailer, error) {
	if len(b) != TrailerSize || string(b[:8]) != trailerMagic {
		return Trailer{}, wrong("no trailer")
	}
	if err := checkSealed(b, abortedVersion, "trailer"); err != nil {
		return Trailer{}, err
	}
	t := Trailer{
		File:         le.Uint64(b[16:]),
		End:          int64(le.Uint64(b[24:])),
		Directory:    int64(le.Uint64(b[32:])),
		Group:        le.Uint64(b[40:]),
		GroupSum:     le.Uint32(b[48:]),
		Spans:        le.Uint32(b[52:]),
		DirectorySum: le.Uint32(b[56:]),
		version:      le.Uint32(b[8:]),
	}
	if t.File != file {
		return Trailer{}, wrong("trailer belongs to file %016x, not %016x", t.File, file)
	}
	if t.End < FirstGroup || t.End > t.Directory || t.End > math.MaxUint32 || t.Directory+int64(t.DirectorySize())+TrailerSize != size {
		return Trailer{}, wrong("trailer places groups up to %d and %d spans at %d in %d bytes", t.End, t.Spans, t.Directory, size)
	}
	return t, nil
}
