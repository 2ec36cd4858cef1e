package format

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/freshet/freshet/internal/stream"
)

var aShard = stream.Shard{Stream: stream.ID{1, 2, 3, 15: 9}, Index: 7}

// group returns the bytes of a group with these payloads.
func group(h *GroupHeader, payloads ...string) []byte {
	b := make([]byte, GroupHeaderSize)
	var table []byte
	for _, p := range payloads {
		b = append(b, p...)
		e := Entry{Kind: KindChange, Size: uint32(len(p)), Shard: aShard, Sum: PayloadSum(KindChange, []byte(p)), Time: 5}
		table = e.Append(table)
	}
	h.Payload, h.Entries = uint32(len(b)-GroupHeaderSize), uint32(len(payloads))
	b = append(b, table...)
	b = append(b, make([]byte, h.Size()-len(b))...)
	h.Seal(b)
	return b
}

// footer returns index, directory and trailer of one shard, as they lie behind End.
func footer(end int64, aborted ...stream.Aborted) ([]byte, []Extent, Span, Trailer) {
	extents := []Extent{{Base: 3, Position: 4096, Size: 70, Latest: 10, Appended: 9}, {Base: 8, Position: 9000, Size: 80, Latest: 8, Appended: 11}}
	b := AppendAborted(AppendExtents(nil, extents), aborted...)
	span := Span{Shard: aShard, Count: 2, First: 3, Next: 12, Latest: 10, Age: 9, Oldest: 9, Bytes: 150, Position: end, Sum: Sum(b)}
	if span.Aborted = uint32(len(aborted)); span.Aborted > 0 {
		span.FirstAborted = aborted[0].First
	}
	t := Trailer{File: 77, End: end, Directory: end + int64(len(b)), Group: 4, GroupSum: 5}
	directory := t.AppendDirectory(nil, []Span{span})
	t.DirectorySum = Sum(directory)
	return t.Append(append(b, directory...)), extents, span, t
}

var someAborted = []stream.Aborted{{ProducerID: 5, First: 1, Last: 3}, {ProducerID: 6, First: 2, Last: 8}}

func TestFileHeaderRoundTrip(t *testing.T) {
	h := FileHeader{ID: 1, First: 2, Last: 3, Generation: 4, Group: 5}
	b := h.Append(nil)
	got, err := ReadFileHeader(b)
	if err != nil || got != h {
		t.Fatalf("%+v, %v, want %+v", got, err, h)
	}
	for i := range b {
		b[i] ^= 1
		if _, err := ReadFileHeader(b); !errors.Is(err, ErrFormat) {
			t.Errorf("flip in byte %d: %v", i, err)
		}
		b[i] ^= 1
	}
}

func TestGroupRoundTrip(t *testing.T) {
	h := GroupHeader{File: 9, Number: 10, Synced: 8, Previous: 7}
	b := group(&h, "one", "", "three")
	g, ok := ReadGroup(b, 9)
	if !ok || g.GroupHeader != h || g.Size() != len(b) || len(b)%Align != 0 {
		t.Fatalf("%+v, %v, want %+v", g.GroupHeader, ok, h)
	}
	var got []string
	err := g.Each(func(e Entry, payload []byte, at int) error {
		if e.Shard != aShard || e.Sum != PayloadSum(e.Kind, payload) || string(b[at:at+len(payload)]) != string(payload) {
			t.Errorf("entry %+v of %q at %d", e, payload, at)
		}
		got = append(got, string(payload))
		return nil
	})
	if err != nil || len(got) != 3 || got[0]+got[1]+got[2] != "onethree" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, ok := ReadGroup(b, 8); ok {
		t.Error("a group of another file is taken for one of this")
	}
	if _, ok := ReadGroup(b[:len(b)-1], 9); ok {
		t.Error("a cut group is taken for whole")
	}
	covered := GroupHeaderSize + int(h.Payload) + int(h.Entries)*EntrySize
	for i := range covered {
		if i >= GroupHeaderSize && i < GroupHeaderSize+int(h.Payload) {
			continue // under the entries' sums
		}
		b[i] ^= 0x80
		if _, ok := ReadGroup(b, 9); ok {
			t.Errorf("flip in byte %d is not noticed", i)
		}
		b[i] ^= 0x80
	}
}

func TestFooterRoundTrip(t *testing.T) {
	const end = 2 * Align
	for version, aborted := range map[int][]stream.Aborted{1: nil, 2: someAborted} {
		b, extents, span, trailer := footer(end, aborted...)
		size := int64(end + len(b))
		at := b[len(b)-TrailerSize:]
		got, err := ReadTrailer(at, 77, size)
		if err != nil || got != trailer || int(at[8]) != version {
			t.Fatalf("%+v, %v, want %+v of version %d", got, err, trailer, version)
		}
		spans, err := ReadDirectory(b[got.Directory-end:len(b)-TrailerSize], &got)
		if err != nil || len(spans) != 1 || spans[0] != span {
			t.Fatalf("%+v, %v, want %+v", spans, err, span)
		}
		read, ends, err := ReadIndex(b[:span.IndexSize()], &span)
		if err != nil || !slices.Equal(read, extents) || !slices.Equal(ends, aborted) {
			t.Fatalf("%+v, %+v, %v, want %+v, %+v", read, ends, err, extents, aborted)
		}
	}
}

func TestReadIndexRefuses(t *testing.T) {
	rows := map[string][]stream.Aborted{
		"a marker before the span":       {{ProducerID: 5, First: 1, Last: 2}},
		"a marker behind the span":       {{ProducerID: 5, First: 1, Last: 12}},
		"markers that do not ascend":     {{ProducerID: 5, First: 1, Last: 8}, {ProducerID: 6, First: 2, Last: 8}},
		"a transaction without records":  {{ProducerID: 5, First: 8, Last: 8}},
		"a transaction without producer": {{ProducerID: -1, First: 1, Last: 8}},
		"another first offset":           {{ProducerID: 5, First: 2, Last: 3}, {ProducerID: 6, First: 1, Last: 8}},
	}
	for name, aborted := range rows {
		b, _, span, _ := footer(Align, aborted...)
		if _, _, err := ReadIndex(b[:span.IndexSize()], &span); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckpointRoundTrip(t *testing.T) {
	body := AppendCheckpointEntry(AppendCheckpointEntry(nil, 17, []byte("a")), 18, nil)
	h := CheckpointHeader{Number: 1, File: 2, Position: 3, Group: 4, GroupSum: 5, Closed: true}
	b := append(h.Append(nil, body), body...)
	read := func() (string, CheckpointHeader, error) {
		var seen bytes.Buffer
		got, _, err := ReadCheckpoint(b, func(kind Kind, payload []byte) error {
			seen.WriteByte(byte(kind))
			seen.Write(payload)
			return nil
		})
		return seen.String(), got, err
	}
	seen, got, err := read()
	if err != nil || got != h || seen != "\x11a\x12" {
		t.Fatalf("%+v with %q, %v, want %+v", got, seen, err, h)
	}
	for i := range b {
		b[i] ^= 4
		if _, _, err := read(); !errors.Is(err, ErrFormat) {
			t.Errorf("flip in byte %d: %v", i, err)
		}
		b[i] ^= 4
	}
}

// TestDirectoryBoundsExtents: no span is believed whose extents do not lie between groups and directory, however large its numbers.
func TestDirectoryBoundsExtents(t *testing.T) {
	const end = Align
	for _, c := range []struct {
		position int64
		count    uint32
		ok       bool
	}{
		{end, 2, true},
		{end + ExtentSize, 1, true},
		{end, 0, false},
		{end, 3, false},
		{end - 1, 1, false},
		{end + 1, 2, false},
		{end + 3*ExtentSize, 1, false},
		{math.MaxInt64 - 10, 1, false},
		{math.MaxInt64 - 10, math.MaxUint32, false},
		{math.MinInt64, 1, false},
	} {
		_, _, span, trailer := footer(end)
		span.Position, span.Count = c.position, c.count
		directory := trailer.AppendDirectory(nil, []Span{span})
		trailer.DirectorySum = Sum(directory)
		if _, err := ReadDirectory(directory, &trailer); (err == nil) != c.ok {
			t.Errorf("%d extents at %d: %v", c.count, c.position, err)
		}
	}
}

// The fuzz targets below put right what the fuzzer could only guess, magic and sums, so that it gets at what lies behind them.

// seal makes a block of those with version and sum at bytes 8 and 12 a valid one.
func seal(b []byte, magic string) {
	copy(b, magic)
	if magic != trailerMagic || le.Uint32(b[8:]) != abortedVersion {
		le.PutUint32(b[8:], Version)
	}
	clear(b[12:16])
	le.PutUint32(b[12:], Sum(b))
}

func FuzzFileHeader(f *testing.F) {
	f.Add((&FileHeader{ID: 1, First: 2, Last: 3, Generation: 4, Group: 5}).Append(nil))
	f.Add([]byte(fileMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if b = bytes.Clone(b); len(b) >= FileHeaderSize {
			seal(b[:FileHeaderSize], fileMagic)
		}
		h, err := ReadFileHeader(b)
		if (err == nil) != (len(b) >= FileHeaderSize) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		again, err := ReadFileHeader(h.Append(nil))
		if again.Sum = h.Sum; err != nil || again != h { // what should be zero may not have been
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzGroup(f *testing.F) {
	h := GroupHeader{File: 9, Number: 10, Synced: 8, Previous: 7}
	f.Add(group(&h, "one", "two"))
	f.Add(group(&h))
	f.Fuzz(func(t *testing.T, b []byte) {
		if b = bytes.Clone(b); len(b) >= GroupHeaderSize {
			le.PutUint32(b, groupMagic)
			le.PutUint64(b[8:], 9)
			if h, ok := ReadGroupHeader(b, 9); ok && h.Size() <= len(b) {
				le.PutUint32(b[4:], h.sum(b))
			}
		}
		g, ok := ReadGroup(b, 9)
		if !ok {
			return
		}
		total := 0
		if err := g.Each(func(_ Entry, payload []byte, _ int) error { total += len(payload); return nil }); err != nil || total != int(g.Payload) {
			t.Fatalf("%d of %d bytes, %v", total, g.Payload, err)
		}
	})
}

func FuzzFooter(f *testing.F) {
	b, _, _, _ := footer(Align)
	f.Add(b)
	b, _, _, _ = footer(Align, someAborted...)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if !sealFooter(b) {
			return
		}
		trailer, err := ReadTrailer(b[len(b)-TrailerSize:], 77, Align+int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		spans, err := ReadDirectory(b[trailer.Directory-Align:len(b)-TrailerSize], &trailer)
		if err != nil {
			return
		}
		for i := range spans {
			s := &spans[i]
			at := b[s.Position-Align:][:s.IndexSize()]
			s.Sum = Sum(at)
			checkIndex(t, at, s)
		}
	})
}

// sealFooter makes b the footer, of as many spans as its trailer says, of a file whose groups end at Align. It reports whether there is room for it.
func sealFooter(b []byte) bool {
	if len(b) < TrailerSize {
		return false
	}
	trailer := b[len(b)-TrailerSize:]
	t := Trailer{Spans: le.Uint32(trailer[52:]), version: le.Uint32(trailer[8:])}
	if t.version != abortedVersion {
		t.version = Version
	}
	directory := len(b) - TrailerSize - t.DirectorySize()
	if directory < 0 {
		return false
	}
	le.PutUint64(trailer[16:], 77)
	le.PutUint64(trailer[24:], Align)
	le.PutUint64(trailer[32:], uint64(Align+directory))
	le.PutUint32(trailer[56:], Sum(b[directory:len(b)-TrailerSize]))
	seal(trailer, trailerMagic)
	return true
}

func FuzzIndex(f *testing.F) {
	b, _, span, _ := footer(Align)
	f.Add(b[:2*ExtentSize], int64(span.First), int64(span.Next), uint16(0), int64(0))
	b, _, span, _ = footer(Align, someAborted...)
	f.Add(b[:span.IndexSize()], int64(span.First), int64(span.Next), uint16(2), int64(span.FirstAborted))
	f.Fuzz(func(t *testing.T, b []byte, first, next int64, aborted uint16, firstAborted int64) {
		s := Span{
			Aborted: uint32(aborted), Count: uint32(max(0, len(b)-int(aborted)*AbortedSize) / ExtentSize),
			First: stream.Offset(first), Next: stream.Offset(next), FirstAborted: stream.Offset(firstAborted), Sum: Sum(b),
		}
		checkIndex(t, b, &s)
	})
}

// checkIndex reads an index whose sum is right and checks what must be true of it.
func checkIndex(t *testing.T, b []byte, s *Span) {
	t.Helper()
	extents, aborted, err := ReadIndex(b, s)
	if err != nil {
		return
	}
	if !bytes.Equal(AppendAborted(AppendExtents(nil, extents), aborted...), b) {
		t.Fatalf("%d bytes are read as %+v and %+v", len(b), extents, aborted)
	}
	before := s.First - 1
	for _, e := range extents {
		if e.Base <= before || e.Base >= s.Next {
			t.Fatalf("extents %+v of offsets %d to %d", extents, s.First, s.Next)
		}
		before = e.Base
	}
	for _, a := range aborted {
		if a.First < s.FirstAborted || a.First >= a.Last || a.Last < s.First || a.Last >= s.Next {
			t.Fatalf("aborted %+v of offsets %d to %d, the first at %d", aborted, s.First, s.Next, s.FirstAborted)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	body := AppendCheckpointEntry(AppendCheckpointEntry(nil, 17, []byte("a")), 18, nil)
	h := CheckpointHeader{Number: 1}
	f.Add(append(h.Append(nil, body), body...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if b = bytes.Clone(b); len(b) >= CheckpointHeaderSize {
			body := b[CheckpointHeaderSize:]
			le.PutUint64(b[56:], uint64(len(body)))
			le.PutUint32(b[64:], Sum(body))
			seal(b[:CheckpointHeaderSize], checkpointMagic)
		}
		var entries []byte
		_, at, err := ReadCheckpoint(b, func(kind Kind, payload []byte) error {
			entries = AppendCheckpointEntry(entries, kind, payload)
			return nil
		})
		if at > len(b) || err == nil && (at != len(b) || !bytes.Equal(entries, b[CheckpointHeaderSize:])) {
			t.Fatalf("read %d of %d bytes, %v", at, len(b), err)
		}
	})
}
