package codec

import (
	"encoding/binary"
	"fmt"
	"math"
)

// cborReader reads the data items of RFC 8949 one head at a time. The libraries at hand decode into Go types by Go's rules; here the shapes rule,
// and a wrong type has AWS's text.
//
//	head: major type (3 bits) | argument (5 bits, or 1, 2, 4, 8 bytes behind, or 31 = indefinite)
type cborReader struct {
	data []byte
	pos  int
}

// The major types.
const (
	cborUnsigned = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// Arguments of simple values.
const (
	cborFalse = 20
	cborTrue  = 21
	cborNull  = 22
	cborUndef = 23
	cborHalf  = 25
	cborFloat = 26
	cborBreak = 31
)

// cborHead is the start of a data item. info is the low five bits, argument what they stand for.
type cborHead struct {
	major, info byte
	argument    uint64
}

func (h cborHead) indefinite() bool { return h.info == 31 }

func (h cborHead) isBreak() bool { return h.major == cborSimple && h.info == cborBreak }

func (r *cborReader) malformed(what string) error {
	return fmt.Errorf("%s at byte %d: %w", what, r.pos, ErrSyntax)
}

func (r *cborReader) head() (cborHead, error) {
	if r.pos >= len(r.data) {
		return cborHead{}, r.malformed("unexpected end")
	}
	first := r.data[r.pos]
	h := cborHead{major: first >> 5, info: first & 31}
	r.pos++
	switch {
	case h.info < 24:
		h.argument = uint64(h.info)
		return h, nil
	case h.info == 31:
		if h.major == cborUnsigned || h.major == cborNegative || h.major == cborTag {
			return h, r.malformed("item of indefinite length")
		}
		return h, nil
	case h.info > 27:
		return h, r.malformed("reserved length")
	}
	size := 1 << (h.info - 24)
	if len(r.data)-r.pos < size {
		return h, r.malformed("unexpected end")
	}
	switch b := r.data[r.pos:]; size {
	case 1:
		h.argument = uint64(b[0])
	case 2:
		h.argument = uint64(binary.BigEndian.Uint16(b))
	case 4:
		h.argument = uint64(binary.BigEndian.Uint32(b))
	case 8:
		h.argument = binary.BigEndian.Uint64(b)
	}
	r.pos += size
	if h.major == cborSimple && h.info == 24 && h.argument < 32 {
		return h, r.malformed("simple value in two bytes")
	}
	return h, nil
}

// peekBreak tells whether an indefinite item ends here, and steps over its end.
func (r *cborReader) peekBreak() (bool, error) {
	if r.pos >= len(r.data) {
		return false, r.malformed("unexpected end")
	}
	if r.data[r.pos] != 0xff {
		return false, nil
	}
	r.pos++
	return true, nil
}

// bytes returns the content of a byte or text string. That of definite length lies in the request; chunks are joined in fresh memory.
func (r *cborReader) bytes(h cborHead) ([]byte, error) {
	if !h.indefinite() {
		return r.run(h.argument)
	}
	var joined []byte
	for {
		end, err := r.peekBreak()
		if err != nil || end {
			return joined, err
		}
		chunk, err := r.head()
		if err != nil {
			return nil, err
		}
		if chunk.major != h.major || chunk.indefinite() {
			return nil, r.malformed("chunk of another type")
		}
		b, err := r.run(chunk.argument)
		if err != nil {
			return nil, err
		}
		joined = append(joined, b...)
	}
}

func (r *cborReader) run(n uint64) ([]byte, error) {
	if n > uint64(len(r.data)-r.pos) {
		return nil, r.malformed("unexpected end")
	}
	b := r.data[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b, nil
}

// each calls item for every element of an array, or every pair of a map, that h begins.
func (r *cborReader) each(h cborHead, depth int, item func() error) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
	}
	// Every element takes a byte at least: a huge count ends with the data.
	for i := uint64(0); h.indefinite() || i < h.argument; i++ {
		if h.indefinite() {
			if end, err := r.peekBreak(); err != nil || end {
				return err
			}
		}
		if err := item(); err != nil {
			return err
		}
	}
	return nil
}

// skip steps over the rest of the item that h begins.
func (r *cborReader) skip(h cborHead, depth int) error {
	next := func() error {
		h, err := r.head()
		if err != nil {
			return err
		}
		return r.skip(h, depth+1)
	}
	switch h.major {
	case cborBytes, cborText:
		_, err := r.bytes(h)
		return err
	case cborArray:
		return r.each(h, depth, next)
	case cborMap:
		return r.each(h, depth, func() error {
			if err := next(); err != nil {
				return err
			}
			return next()
		})
	case cborTag:
		if depth > maxDepth {
			return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrSyntax)
		}
		return next()
	case cborSimple:
		if h.isBreak() {
			return r.malformed("unexpected break")
		}
	}
	return nil
}

// number returns the value of an integer or float as both; whole tells which is exact.
func (h cborHead) number() (n int64, f float64, whole bool) {
	switch {
	case h.major == cborUnsigned:
		return int64(min(h.argument, math.MaxInt64)), float64(h.argument), true
	case h.major == cborNegative:
		return -1 - int64(min(h.argument, math.MaxInt64)), -1 - float64(h.argument), true
	case h.info == cborHalf:
		f = half(uint16(h.argument))
	case h.info == cborFloat:
		f = float64(math.Float32frombits(uint32(h.argument)))
	default:
		f = math.Float64frombits(h.argument)
	}
	return truncate(f), f, false
}

// half widens a float of 16 bits: sign, 5 bits of exponent, 10 of mantissa.
func half(bits uint16) float64 {
	exponent, mantissa := int(bits>>10&31), float64(bits&1023)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		if f = math.Inf(1); mantissa != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		return -f
	}
	return f
}

func (h cborHead) isNull() bool {
	return h.major == cborSimple && (h.info == cborNull || h.info == cborUndef)
}

// isNumber tells integers and floats from the other simple values.
func (h cborHead) isNumber() bool {
	return h.major == cborUnsigned || h.major == cborNegative || h.major == cborSimple && cborHalf <= h.info && h.info <= 27
}
