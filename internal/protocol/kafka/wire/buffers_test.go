package wire

import "testing"

// TestBufferClasses: each size has a class of its own, that frames up to it share, and none is much larger than what it is for.
func TestBufferClasses(t *testing.T) {
	last, size := bufferClass(1)
	if last != 0 || size != smallestBuffer {
		t.Fatalf("a byte has class %d of %d bytes", last, size)
	}
	for n := smallestBuffer + 1; n <= largestBuffer; n += 1 + n/999 {
		class, got := bufferClass(n)
		if got < n || got > n+n/4+1 || class < last || class > last+1 || (class == last) != (got == size) {
			t.Fatalf("%d bytes have class %d of %d bytes, after class %d of %d", n, class, got, last, size)
		}
		if c, s := bufferClass(got); c != class || s != got {
			t.Fatalf("a buffer of class %d is taken for one of class %d", class, c)
		}
		last, size = class, got
	}
	if class, got := bufferClass(largestBuffer); class != bufferClasses-1 || got != largestBuffer {
		t.Errorf("the largest has class %d of %d bytes, not the last", class, got)
	}
}
