package agent

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzFramer checks that the cuts between reads do not matter, that ends ascend, and that beginning again at a safe offset emits the rest.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\nthree"), uint8(3), uint8(0))
	f.Add([]byte("1 a\n b\n2 c\n d\n"), uint8(2), uint8(1))
	f.Add([]byte("a,\"b\nc\"\nd,e\n"), uint8(1), uint8(2))
	f.Add([]byte("a very long line that does not fit at all, really\nshort\n"), uint8(5), uint8(0))
	f.Fuzz(func(t *testing.T, text []byte, cut, kind uint8) {
		whole, _ := frame(text, len(text)+1, kind, len(text)+1)
		pieces, _ := frame(text, int(cut)+1, kind, len(text)+1)
		if !slices.Equal(whole, pieces) {
			t.Fatalf("%q in one piece, %q in pieces of %d", whole, pieces, cut)
		}
		stop := int(cut) % (len(text) + 1)
		begin, safe := frame(text[:stop], 7, kind, -1)
		rest, _ := frame(text[safe:], 7, kind, len(text)+1)
		if got := slices.Concat(begin, rest); !slices.Equal(got, whole) {
			t.Fatalf("%q, stopped at %d and begun again at %d: %q", whole, stop, safe, got)
		}
	})
}

func TestFramerLeavesOutLongRecordsWhole(t *testing.T) {
	const plain, started, quoted = 0, 1, 2
	fits, long := strings.Repeat("x", frameMax), strings.Repeat("x", frameMax+1)
	for _, row := range []struct {
		name string
		kind uint8
		text string
		want []string
	}{
		{"line", plain, "a\n" + long + "\nb\n", []string{"a", "too long", "b"}},
		{"line that just fits", plain, fits + "\n" + fits, []string{fits, fits}},
		{"line that just fits, with carriage return", plain, fits + "\r\n" + fits + "\r", []string{fits, fits}},
		{"last line without an end", plain, "a\n" + long, []string{"a", "too long"}},
		{"line within a record", started, "1 a\n" + long + "\nb\n2 c\n", []string{"too long", "2 c"}},
		{"first line of a record", started, "1 a\n2" + long + "\nb\n3 c\n", []string{"1 a", "too long", "3 c"}},
		{"last line of a record without an end", started, "1 a\n2 b\n" + long, []string{"1 a", "too long"}},
		{"joined lines", started, "1 a\n" + fits + "\n2 c\n", []string{"too long", "2 c"}},
		{"line that closes quotes", quoted, "a,\"b\n" + long + "\"\nc,d\n", []string{"too long", "c,d"}},
	} {
		for piece := 1; piece <= len(row.text); piece++ {
			if got, _ := frame([]byte(row.text), piece, row.kind, len(row.text)); !slices.Equal(got, row.want) {
				t.Errorf("%s, in pieces of %d: %q, want %q", row.name, piece, got, row.want)
			}
		}
	}
}

const frameMax = 30

// frame feeds text in pieces, and finishes unless end is -1.
func frame(text []byte, piece int, kind uint8, end int) (records []string, safe int64) {
	f := framer{max: frameMax, lines: func() {}}
	switch kind % 3 {
	case 1:
		f.start = regexp.MustCompile(`^\d`)
	case 2:
		f.quoted = true
	}
	last := int64(0)
	f.tooLong = func() { records = append(records, "too long") }
	f.emit = func(text []byte, end int64) {
		if end <= last {
			panic(fmt.Sprintf("record ends at %d, after %d", end, last))
		}
		last = end
		records = append(records, string(text))
	}
	for p := range slices.Chunk(text, piece) {
		f.feed(p)
	}
	if end >= 0 {
		f.finish()
	}
	return records, f.safe()
}

func FuzzApache(f *testing.F) {
	f.Add(`83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 203023 "http://x/" "Mozilla/5.0"`)
	f.Add(`h - - [10/Oct/2000:13:55:36 -0700] "\"\\" 304 -`)
	f.Fuzz(func(t *testing.T, line string) {
		data, _, err := apacheFormat{key: "host"}.record([]byte(line))
		if err == nil && len(data) == 0 {
			t.Fatal("neither record nor error")
		}
	})
}
