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
	f.Add([]byte("\ufeffa,\"b\r\nc\nd,e\n\n0123456789012345678901234567890123456789\nf,\"g\n"), uint8(1), uint8(2))
	f.Add([]byte("a very long line that does not fit at all, really\nshort\n"), uint8(5), uint8(0))
	f.Fuzz(func(t *testing.T, text []byte, cut, kind uint8) {
		whole, _ := frame(text, 0, len(text)+1, kind, true)
		pieces, _ := frame(text, 0, int(cut)+1, kind, true)
		if !slices.Equal(whole, pieces) {
			t.Fatalf("%q in one piece, %q in pieces of %d", whole, pieces, cut)
		}
		stop := int(cut) % (len(text) + 1)
		begin, safe := frame(text[:stop], 0, 7, kind, false)
		rest, _ := frame(text, safe, 7, kind, true)
		if got := slices.Concat(begin, rest); !slices.Equal(got, whole) {
			t.Fatalf("%q, stopped at %d and begun again at %d: %q", whole, stop, safe, got)
		}
	})
}

func TestFramerKnowsWhereRecordsEnd(t *testing.T) {
	const plain, started, quoted = 0, 1, 2
	fits, long := strings.Repeat("x", frameMax), strings.Repeat("x", frameMax+1)
	for _, row := range []struct {
		name string
		kind uint8
		text string
		want []string
	}{
		{"line", plain, "a\n" + long + "\nb\n", []string{"0: a", "2: too long", "34: b"}},
		{"line that just fits", plain, fits + "\n" + fits, []string{"0: " + fits, "31: " + fits}},
		{"line that just fits, with carriage return", plain, fits + "\r\n" + fits + "\r", []string{"0: " + fits, "32: " + fits}},
		{"last line without an end", plain, "a\n" + long, []string{"0: a", "2: too long"}},
		{"line within a record", started, "1 a\n" + long + "\nb\n2 c\n", []string{"0: too long", "38: 2 c"}},
		{"first line of a record", started, "1 a\n2" + long + "\nb\n3 c\n", []string{"0: 1 a", "4: too long", "39: 3 c"}},
		{"last line of a record without an end", started, "1 a\n2 b\n" + long, []string{"0: 1 a", "4: too long"}},
		{"joined lines", started, "1 a\n" + fits + "\n2 c\n", []string{"0: too long", "35: 2 c"}},
		{
			"quote that nothing closes", quoted, "a,\"b\n" + strings.Repeat("c,d\n", 3) + fits + "\ne,f\n",
			[]string{"0: a,\"b", "5: c,d", "9: c,d", "13: c,d", "17: " + fits, "48: e,f"},
		},
		{
			"quote that nothing closes, with carriage returns", quoted, "a,\"b\r\n\r\nc,d\r\n" + fits + "\r\ne,f",
			[]string{"0: a,\"b", "8: c,d", "13: " + fits, "45: e,f"},
		},
		{"quote that nothing closes before the end", quoted, "a\"b\nc,d\n\ne,f", []string{"0: a\"b", "4: c,d", "9: e,f"}},
		{"quote that nothing closes in a last line", quoted, "a,b\nc\"", []string{"0: a,b", "4: c\""}},
		{"quote that nothing closes, after a mark", quoted, "\ufeffa\"b\nc,d\n", []string{"0: a\"b", "7: c,d"}},
		{
			"two quotes that nothing closes", quoted, "a,\"b\n" + fits + "\n\"" + fits + "\nc\"\nd,e\n",
			[]string{"0: a,\"b", "5: " + fits, "36: too long", "68: c\"", "71: d,e"},
		},
		{"quote in what is left out of a line", quoted, long + "\"b\nd,e\n", []string{"0: too long", "34: d,e"}},
		{"long line within quotes", quoted, "a,\"b\n" + long + "\nc,d\n", []string{"0: a,\"b", "5: too long", "37: c,d"}},
		{"byte order mark", plain, "\ufeff" + fits + "\n\ufeffb", []string{"0: " + fits, "34: \ufeffb"}},
		{"byte order mark before a start", started, "\ufeff1 a\r\n b\n2 c", []string{"0: 1 a\n b", "11: 2 c"}},
		{"byte order mark alone", quoted, "\ufeff", nil},
	} {
		for piece := 1; piece <= len(row.text); piece++ {
			if got, _ := frame([]byte(row.text), 0, piece, row.kind, true); !slices.Equal(got, row.want) {
				t.Errorf("%s, in pieces of %d: %q, want %q", row.name, piece, got, row.want)
			}
		}
	}
}

const frameMax = 30

// frame feeds text from an offset in pieces, and finishes if that is all. It returns the records, each after the offset of its start.
func frame(text []byte, from int64, piece int, kind uint8, all bool) (records []string, safe int64) {
	f := framer{max: frameMax, lines: func() {}}
	switch kind % 3 {
	case 1:
		f.start = regexp.MustCompile(`^\d`)
	case 2:
		f.quoted = true
	}
	last := from
	f.reset(from)
	add := func(text string) { records = append(records, fmt.Sprintf("%d: %s", f.safe(), text)) }
	f.tooLong = func() { add("too long") }
	f.emit = func(text []byte, end int64) {
		if end <= last {
			panic(fmt.Sprintf("record ends at %d, after %d", end, last))
		}
		last = end
		add(string(text))
	}
	for p := range slices.Chunk(text[from:], piece) {
		f.feed(p)
	}
	if all {
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
