package kinesis

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func (s sequence) dump() string {
	return fmt.Sprintf("created %d index %d arrived %d shard %d", s.created, s.index, s.arrived, s.shard)
}

// The first two numbers are real ones, from AWS's documentation of Lambda's Kinesis events, where records of shardId-000000000006
// arrived at 1545084650.987 and later.
func TestSequenceLayout(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"49590338271490256608559692538361571095921575989136588898", "created 1542776258 index 1734642199 arrived 1545084650 shard 6"},
		{"49590338271490256608559692540925702759324208523137515618", "created 1542776258 index 1734644320 arrived 1545084709 shard 6"},
		{sequence{created: 1763710000, shard: 3}.String(), "created 1763710000 index 0 arrived 0 shard 3"},
		{
			sequence{created: 1, index: closedIndex, arrived: maxSequenceTime, shard: math.MaxInt32}.String(),
			fmt.Sprintf("created 1 index %d arrived %d shard %d", closedIndex, maxSequenceTime, math.MaxInt32),
		},
	} {
		got, err := parseSequence(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got.dump() != test.want {
			t.Errorf("%s: got %s, want %s", test.text, got.dump(), test.want)
		}
		if got.String() != test.text {
			t.Errorf("%s prints as %s, want %s", got.dump(), got, test.text)
		}
	}
}

func TestSequenceRefused(t *testing.T) {
	valid := sequence{created: 1763710000, index: 7, arrived: 1763710001, shard: 5}.String()
	for _, text := range []string{
		"", "x", "-1", "01", valid + "0",
		valid[:len(valid)-1] + string(valid[len(valid)-1]^1),
		"9999999999999999999999999999999999999999999999999999999999999999",
		hexadecimal("2", "000000000", "0", "8000000000000000", "00", "000000000", "00000000", "2"), // index
		hexadecimal("2", "000000000", "0", "0000000000000000", "00", "000000000", "80000000", "2"), // shard
		hexadecimal("2", "000000000", "0", "00", "000000000", "00000000000000", "00", "80000000", "1"),
		hexadecimal("2", "000000000", "0", "0000000000000000", "00", "000000000", "00000000", "3"), // version
		hexadecimal("1" + strings.Repeat("f", 46)),
		hexadecimal("2" + strings.Repeat("0", 31)),
	} {
		if q, err := parseSequence(text); !errors.Is(err, errSequenceForm) {
			t.Errorf("%q: got %s, %v", text, q.dump(), err)
		}
	}
}

// hexadecimal writes a number that is given by its digits to the base of 16.
func hexadecimal(digits ...string) string {
	number, _ := new(big.Int).SetString(strings.Join(digits, ""), 16)
	return number.String()
}

func TestSequenceOfOlderLayouts(t *testing.T) {
	for text, want := range map[string]string{
		"0": "created 0 index 0 arrived 0 shard 0",
		"5": "created 0 index 0 arrived 0 shard 5",
		hexadecimal("692019b0c", "00", "0123456789abcdef", "0007"):                                     "created 28219382540 index 0 arrived 0 shard 7",
		hexadecimal("1", "0692019b0", "ff", "0123456789abcdef", "0007"):                                "created 1763711408 index 0 arrived 0 shard 7",
		hexadecimal("2", "000000000", "0", "00", "000000000", "00000000000000", "00", "00000000", "1"): "created 0 index 0 arrived 0 shard 0",
		hexadecimal("2", "0692019b0", "3", "ff", "0692019b1", "0123456789abcd", "ff", "7fffffff", "1"): "created 1763711408 index 0 arrived 1763711409 shard 2147483647",
	} {
		if q, err := parseSequence(text); err != nil || !q.older || q.dump() != want {
			t.Errorf("%s: got %s, %v, want %s", text, q.dump(), err, want)
		}
	}
}

// Every number has 186 bits, which is how KCL tells the layout, reads back, and orders as the offset whatever the clock does.
func TestSequenceProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) sequence {
			return sequence{
				created: 1763710000,
				index:   rapid.Uint64Range(0, closedIndex).Draw(t, name+" index"),
				arrived: rapid.Int64Range(0, maxSequenceTime).Draw(t, name+" arrived"),
				shard:   3,
			}
		}
		a, b := draw("a"), draw("b")
		for _, s := range []sequence{a, b} {
			number, _ := new(big.Int).SetString(s.String(), 10)
			if number.BitLen() != 186 {
				t.Fatalf("%s has %d bits", s, number.BitLen())
			}
			if back, err := parseSequence(s.String()); err != nil || back != s {
				t.Fatalf("%s reads back as %s, %v", s.dump(), back.dump(), err)
			}
		}
		x, _ := new(big.Int).SetString(a.String(), 10)
		y, _ := new(big.Int).SetString(b.String(), 10)
		if a.index != b.index && (a.index < b.index) != (x.Cmp(y) < 0) {
			t.Fatalf("index %d and %d order as %s and %s", a.index, b.index, x, y)
		}
	})
}

func TestDecimalAgainstBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := [3]uint64{rapid.Uint64().Draw(t, "w0"), rapid.Uint64().Draw(t, "w1"), rapid.Uint64().Draw(t, "w2")}
		number := new(big.Int)
		for i := 2; i >= 0; i-- {
			number.Lsh(number, 64).Or(number, new(big.Int).SetUint64(w[i]))
		}
		if got := string(appendDecimal(nil, w)); got != number.String() {
			t.Fatalf("%x prints as %s, want %s", w, got, number)
		}
		if back, ok := parseDecimal(number.String()); ok != (len(number.String()) <= 58 && number.BitLen() <= 192) || ok && back != w {
			t.Fatalf("%s reads as %x, %v", number, back, ok)
		}
	})
}

func FuzzParseSequence(f *testing.F) {
	f.Add("49590338271490256608559692538361571095921575989136588898")
	f.Add("0")
	f.Add("49590338271490256608559692538361571095921575989136588897") // version 1
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSequence(text)
		if err != nil || s.older {
			return
		}
		if again, err := parseSequence(s.String()); err != nil || again != s {
			t.Fatalf("%q is %s, which reads back as %s, %v", text, s.dump(), again.dump(), err)
		}
	})
}

func BenchmarkSequenceAppend(b *testing.B) {
	var dst []byte
	for i := range b.N {
		dst = sequence{created: 1763710000, index: uint64(i), arrived: 1763720000, shard: 3}.append(dst[:0])
	}
}
