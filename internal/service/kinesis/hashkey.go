package kinesis

import (
	"crypto/md5"
	"encoding/binary"
	"math/bits"
)

// hashKey is a point of the key space that the shards of a stream divide: 0 to 2^128-1.
type hashKey struct{ hi, lo uint64 }

var maxHashKey = hashKey{^uint64(0), ^uint64(0)}

// hashOf returns where a partition key lies: the MD5 of its bytes as a big-endian number. MD5 is the protocol's choice, not a protection.
func hashOf(partitionKey string) hashKey {
	sum := md5.Sum([]byte(partitionKey))
	return hashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// parseHashKey reads a decimal; ok is false outside the key space.
func parseHashKey(s string) (k hashKey, ok bool) {
	w, ok := parseDecimal(s)
	if !ok || w[2] != 0 {
		return hashKey{}, false
	}
	return hashKey{w[1], w[0]}, true
}

// String is the decimal that Kinesis writes, without leading zeros.
func (k hashKey) String() string {
	return string(appendDecimal(make([]byte, 0, 39), [3]uint64{k.lo, k.hi}))
}

func (k hashKey) less(o hashKey) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

func (k hashKey) minusOne() hashKey {
	lo, borrow := bits.Sub64(k.lo, 1, 0)
	return hashKey{k.hi - borrow, lo}
}

// hashRange is a shard's part of the key space, both ends included.
type hashRange struct{ first, last hashKey }

// evenRanges divides the key space as CreateStream does: range i begins at floor(2^128/n)*i, and the last one takes the rest.
func evenRanges(n int) []hashRange {
	ranges := make([]hashRange, n)
	if n == 1 {
		ranges[0] = hashRange{hashKey{}, maxHashKey}
		return ranges
	}
	// floor(2^128/n), by long division of 1,0,0 in base 2^64.
	hi, r := bits.Div64(1, 0, uint64(n))
	lo, _ := bits.Div64(r, 0, uint64(n))
	for i := range ranges {
		over, low := bits.Mul64(lo, uint64(i))
		ranges[i].first = hashKey{hi*uint64(i) + over, low}
		if i > 0 {
			ranges[i-1].last = ranges[i].first.minusOne()
		}
	}
	ranges[n-1].last = maxHashKey
	return ranges
}
