package wire

import (
	"math/bits"
	"sync"
)

// Frames of up to largestBuffer bytes are read into buffers that are used again. Their sizes are powers of two with three steps between each
// (4, 5, 6, 7, 8, 10, 12 KiB and so on), so that a buffer is at most a quarter larger than its frame.
const (
	smallestBuffer = 4 << 10
	largestBuffer  = 32 << 20
)

// bufferClasses is the number of sizes, 4 between each two powers of two.
const bufferClasses = 13*4 + 1

var classes [bufferClasses]sync.Pool

// bufferClass returns the class of frames of n bytes, and the size of its buffers.
func bufferClass(n int) (class, size int) {
	n = max(n, smallestBuffer)
	exponent := bits.Len(uint(n - 1)) // the size is at most 1<<exponent, and more than half of that
	step := 1 << (exponent - 3)
	quarters := (n + step - 1) / step // 5 to 8
	return (exponent-12)*4 + quarters - 8, quarters * step
}

// buffer returns n bytes of memory, of no particular content.
func buffer(n int) *[]byte {
	if n > largestBuffer {
		b := make([]byte, n)
		return &b
	}
	class, size := bufferClass(n)
	if v := classes[class].Get(); v != nil {
		b := v.(*[]byte)
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, size)
	return &b
}

// recycle gives back what buffer returned.
func recycle(b *[]byte) {
	n := cap(*b)
	if n > largestBuffer {
		return
	}
	if class, size := bufferClass(n); size == n {
		classes[class].Put(b)
	}
}
