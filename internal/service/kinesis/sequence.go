package kinesis

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
)

// sequence is what a sequence number says. Its layout is the one of real Kinesis, version 2, which KCL and KPL take apart; 47 hexadecimal
// digits, of which 186 bits are used, printed in decimal (56 digits):
//
//	2 | created 9 | low digit of shard 1 | index 16 | 00 | arrived 9 | shard 8 | 2
//
// index is the record's offset + 1, so that a shard's StartingSequenceNumber (index 0) lies before its first record, and the number with
// index n is both the record's at offset n-1 and the position of a reader whose next offset is n. All but index is the same for all
// numbers of a shard, or grows with the clock, and index is above what grows: numbers order as offsets do.
type sequence struct {
	created int64 // when the shard was made, seconds since 1970, 36 bits; see shard.numbered
	index   uint64
	arrived int64 // when the record arrived, seconds since 1970, 36 bits
	shard   int32
	older   bool // of a layout that no shard here ever used: see parseSequence
}

const (
	sequenceVersion = 2
	maxSequenceTime = 1<<36 - 1
	// closedIndex is the index in the EndingSequenceNumber of a closed shard.
	closedIndex = math.MaxInt64
)

var errSequenceForm = errors.New("not a sequence number")

// append writes the number in decimal.
func (s sequence) append(dst []byte) []byte {
	created, arrived := uint64(clampTime(s.created)), uint64(clampTime(s.arrived))
	shard := uint64(uint32(s.shard))
	w0 := sequenceVersion | shard<<4 | arrived<<36
	w1 := arrived>>28 | s.index<<16
	w2 := s.index>>48 | (shard&0xf)<<16 | created<<20 | sequenceVersion<<56
	return appendDecimal(dst, [3]uint64{w0, w1, w2})
}

// String is the decimal that Kinesis writes: 56 digits for today's times.
func (s sequence) String() string { return string(s.append(make([]byte, 0, 58))) }

func clampTime(seconds int64) int64 { return min(max(seconds, 0), maxSequenceTime) }

// parseSequence reads a number that append wrote, and that real Kinesis writes today; and the older layouts, which real Kinesis still accepts
// where a number need not name a record. Of those it tells shard and times as far as they have them:
//
//	version 1: 2 | created 9 | ? 1 | ? 2 | arrived 9 | random 14 | index 2 | shard 8 | 1
//	version 0: 1 | created 9 | ? 2 | random 16 | shard 4, where the leading 1 may be missing
func parseSequence(text string) (sequence, error) {
	w, ok := parseDecimal(text)
	if !ok {
		return sequence{}, errSequenceForm
	}
	const leading = 1 << 60 // the bit of version 0's first digit in the second word
	if w[2] == 0 && w[1] < 2*leading {
		return sequence{created: int64(w[1] >> 24 & maxSequenceTime), shard: int32(w[0] & 0xffff), older: true}, nil
	}
	shard, created := uint32(w[0]>>4), int64(w[2]>>20&maxSequenceTime)
	if w[2]>>56 != sequenceVersion || shard > math.MaxInt32 {
		return sequence{}, errSequenceForm
	}
	switch w[0] & 0xf {
	case 1:
		return sequence{created: created, arrived: int64(w[1]>>36 | w[2]&0xff<<28), shard: int32(shard), older: true}, nil
	case sequenceVersion:
	default:
		return sequence{}, errSequenceForm
	}
	index := w[2]<<48 | w[1]>>16
	if index > closedIndex || w[2]>>16&0xf != uint64(shard&0xf) {
		return sequence{}, errSequenceForm
	}
	return sequence{created: created, index: index, arrived: int64(w[0]>>36 | w[1]&0xff<<28), shard: int32(shard)}, nil
}

// Numbers are printed and read in groups of 18 digits: twice decimalStep still fits 64 bits.
const (
	decimalStep   = 1_000_000_000_000_000_000
	decimalDigits = 18
)

// appendDecimal prints a number of three words, lowest first. By hand, because math/big allocates and this runs once per record.
func appendDecimal(dst []byte, w [3]uint64) []byte {
	var groups [4]uint64 // of 18 digits, lowest first
	n := 0
	for top := len(w) - 1; top >= 0; {
		if w[top] == 0 {
			top--
			continue
		}
		var r uint64
		for i := top; i >= 0; i-- {
			w[i], r = bits.Div64(r, w[i], decimalStep)
		}
		groups[n] = r
		n++
	}
	if n == 0 {
		return append(dst, '0')
	}
	dst = strconv.AppendUint(dst, groups[n-1], 10)
	for i := n - 2; i >= 0; i-- {
		// A 1 in front keeps the group's zeros; it is printed over the digit before, which is then put back.
		at := len(dst) - 1
		digit := dst[at]
		dst = strconv.AppendUint(dst[:at], groups[i]+decimalStep, 10)
		dst[at] = digit
	}
	return dst
}

// parseDecimal reads a number of up to three words in the form 0 or [1-9][0-9]*, lowest word first.
func parseDecimal(s string) (w [3]uint64, ok bool) {
	if s == "" || len(s) > 58 || s[0] == '0' && len(s) > 1 {
		return w, false
	}
	for i := 0; i < len(s); {
		var group, scale uint64 = 0, 1
		for n := 0; n < decimalDigits && i < len(s); n, i = n+1, i+1 {
			c := s[i]
			if c < '0' || c > '9' {
				return w, false
			}
			group, scale = group*10+uint64(c-'0'), scale*10
		}
		carry := group
		for k := range w {
			hi, lo := bits.Mul64(w[k], scale)
			var c uint64
			w[k], c = bits.Add64(lo, carry, 0)
			carry = hi + c
		}
		if carry != 0 {
			return w, false
		}
	}
	return w, true
}
