package format

import (
	"bytes"
	"errors"
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

// footer returns extents, directory and trailer of one shard, as they lie behind End.
func footer(end int64) ([]byte, []Extent, Span, Trailer) {
	extents := []Extent{{Base: 3, Position: 4096, Size: 70, Latest: 10, Appended: 9}, {Base: 8, Position: 9000, Size: 80, Latest: 8, Appended: 11}}
	b := AppendExtents(nil, extents)
	span := Span{Shard: aShard, Count: 2, First: 3, Next: 12, Latest: 10, Age: 9, Oldest: 9, Bytes: 150, Position: end, Sum: Sum(b)}
	t := Trailer{File: 77, End: end, Directory: end + int64(len(b)), Group: 4, GroupSum: 5, Spans: 1}
	directory := span.Append(nil)
	t.DirectorySum = Sum(directory)
	return t.Append(append(b, directory...)), extents, span, t
}

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
	b, extents, span, trailer := footer(end)
	size := int64(end + len(b))
	got, err := ReadTrailer(b[len(b)-TrailerSize:], 77, size)
	if err != nil || got != trailer {
		t.Fatalf("%+v, %v, want %+v", got, err, trailer)
	}
	spans, err := ReadDirectory(b[got.Directory-end:len(b)-TrailerSize], &got)
	if err != nil || len(spans) != 1 || spans[0] != span {
		t.Fatalf("%+v, %v, want %+v", spans, err, span)
	}
	read, err := ReadExtents(b[:2*ExtentSize], &span)
	if err != nil || len(read) != 2 || read[0] != extents[0] || read[1] != extents[1] {
		t.Fatalf("%+v, %v, want %+v", read, err, extents)
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

func FuzzGroup(f *testing.F) {
	h := GroupHeader{File: 9, Number: 10, Synced: 8, Previous: 7}
	f.Add(group(&h, "one", "two"))
	f.Add(group(&h))
	f.Fuzz(func(t *testing.T, b []byte) {
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
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < TrailerSize {
			return
		}
		trailer, err := ReadTrailer(b[len(b)-TrailerSize:], 77, Align+int64(len(b)))
		if err != nil || trailer.End != Align {
			return
		}
		spans, err := ReadDirectory(b[trailer.Directory-Align:len(b)-TrailerSize], &trailer)
		for i := range spans {
			s := &spans[i]
			extents, extentsErr := ReadExtents(b[s.Position-Align:s.Position-Align+int64(s.Count)*ExtentSize], s)
			if err == nil && extentsErr == nil && len(extents) != int(s.Count) {
				t.Fatalf("%d extents, the span has %d", len(extents), s.Count)
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	body := AppendCheckpointEntry(nil, 17, []byte("a"))
	h := CheckpointHeader{Number: 1}
	f.Add(append(h.Append(nil, body), body...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, at, err := ReadCheckpoint(b, func(Kind, []byte) error { return nil })
		if err == nil && at != len(b) {
			t.Fatalf("read %d of %d bytes without error", at, len(b))
		}
	})
}
