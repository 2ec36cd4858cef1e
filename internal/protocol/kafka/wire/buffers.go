package wire

import (
	"math/bits"
	"sync"
)

// Frames of up to largestClass bytes are read into buffers that are used again, in classes of powers of two.
const (
	smallestClass = 12 // 4 KiB
	largestClass  = 22 // 4 MiB
)

var classes [largestClass - smallestClass + 1]sync.Pool

// buffer returns n bytes of memory, of no particular content.
func buffer(n int) *[]byte {
	class := max(bits.Len(uint(n-1)), smallestClass)
	if class > largestClass {
		b := make([]byte, n)
		return &b
	}
	if v := classes[class-smallestClass].Get(); v != nil {
		b := v.(*[]byte)
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<class)
	return &b
}

// recycle gives back what buffer returned.
func recycle(b *[]byte) {
	class := bits.Len(uint(cap(*b) - 1))
	if class < smallestClass || class > largestClass || cap(*b) != 1<<class {
		return
	}
	classes[class-smallestClass].Put(b)
}
