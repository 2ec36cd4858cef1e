package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
)

// Frame collects the bytes of answers. Buf is appended to directly; Attach adds foreign memory in its place without copying it.
type Frame struct {
	Buf []byte

	pieces []piece
	length int // bytes attached
}

// piece is foreign memory that belongs before Buf[at].
type piece struct {
	at    int
	bytes []byte
}

// attachMin is the least that is worth an own entry in the vector of a write; less is copied.
const attachMin = 1 << 10

// Attach appends b by reference; it must stay as it is until the Answer is Done.
func (f *Frame) Attach(b []byte) {
	if len(b) < attachMin {
		f.Buf = append(f.Buf, b...)
		return
	}
	f.pieces = append(f.pieces, piece{len(f.Buf), b})
	f.length += len(b)
}

// size returns how many bytes f holds.
func (f *Frame) size() int { return len(f.Buf) + f.length }

func (f *Frame) reset() {
	f.Buf = f.Buf[:0]
	clear(f.pieces)
	f.pieces = f.pieces[:0]
	f.length = 0
}

// keepBuf is the most of Buf that is kept between answers.
const keepBuf = 64 << 10

// add appends a's response to r, header and all. On an error f is as before.
func (f *Frame) add(r *Request, a Answer) (int, error) {
	start, pieces, length := len(f.Buf), len(f.pieces), f.length
	undo := func() {
		f.Buf, f.length = f.Buf[:start], length
		clear(f.pieces[pieces:])
		f.pieces = f.pieces[:pieces]
	}
	f.Buf = append(f.Buf, 0, 0, 0, 0)
	if !r.Token {
		f.Buf = binary.BigEndian.AppendUint32(f.Buf, uint32(r.CorrelationID))
	}
	if r.flexible {
		f.Buf = append(f.Buf, 0)
	}
	if err := a.Encode(f); err != nil {
		undo()
		return 0, err
	}
	n := f.size() - start - length
	if n-4 > math.MaxInt32 {
		undo()
		return 0, fmt.Errorf("answer of %d bytes does not fit a frame", n)
	}
	binary.BigEndian.PutUint32(f.Buf[start:], uint32(n-4))
	return n, nil
}

// vectors appends f's bytes in order to into.
func (f *Frame) vectors(into net.Buffers) net.Buffers {
	from := 0
	for _, p := range f.pieces {
		if p.at > from {
			into = append(into, f.Buf[from:p.at])
			from = p.at
		}
		into = append(into, p.bytes)
	}
	if from < len(f.Buf) {
		into = append(into, f.Buf[from:])
	}
	return into
}
