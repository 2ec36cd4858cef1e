package kinesis

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestEvenRangesGolden(t *testing.T) {
	for n, want := range map[int]string{
		1: "0-340282366920938463463374607431768211455",
		2: "0-170141183460469231731687303715884105727 170141183460469231731687303715884105728-340282366920938463463374607431768211455",
		3: "0-113427455640312821154458202477256070484 113427455640312821154458202477256070485-226854911280625642308916404954512140969 " +
			"226854911280625642308916404954512140970-340282366920938463463374607431768211455",
	} {
		got := ""
		for i, r := range evenRanges(n) {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%s-%s", r.first, r.last)
		}
		if got != want {
			t.Errorf("%d shards: got %s, want %s", n, got, want)
		}
	}
}

func TestEvenRangesDivideTheKeySpace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		ranges := evenRanges(n)
		if ranges[0].first != (hashKey{}) || ranges[n-1].last != maxHashKey {
			t.Fatalf("%d ranges go from %s to %s", n, ranges[0].first, ranges[n-1].last)
		}
		for i := 1; i < n; i++ {
			if ranges[i].first.minusOne() != ranges[i-1].last || !ranges[i-1].first.less(ranges[i].first) {
				t.Fatalf("range %d of %d begins at %s after %s", i, n, ranges[i].first, ranges[i-1].last)
			}
		}
	})
}

func TestHashOfAndParse(t *testing.T) {
	// MD5("a") is 0cc175b9c0f1b6a831c399e269772661.
	if got, want := hashOf("a"), (hashKey{0x0cc175b9c0f1b6a8, 0x31c399e269772661}); got != want {
		t.Errorf("hash of a is %x, want %x", got, want)
	}
	for text, want := range map[string]bool{
		"0": true, "340282366920938463463374607431768211455": true, "340282366920938463463374607431768211456": false, "00": false, "": false,
	} {
		if k, ok := parseHashKey(text); ok != want || ok && k.String() != text {
			t.Errorf("%q: got %s, %v", text, k, ok)
		}
	}
}
