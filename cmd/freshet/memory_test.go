package main

import (
	"runtime"
	"testing"
)

func TestHeapLimit(t *testing.T) {
	const target = 216 << 20
	for _, c := range []struct{ inUse, want int64 }{
		{0, target},
		{target * 8 / 9, target},
		{target*8/9 + 8, 224 << 20},
		{256 << 20, 288 << 20},
		{8 << 30, 9 << 30},
	} {
		if got := heapLimit(target, c.inUse); got != c.want {
			t.Errorf("%d bytes in use: limit %d, want %d", c.inUse, got, c.want)
		}
	}
	held := make([]byte, 64<<20)
	runtime.GC()
	if used := inUse(); used < int64(len(held)) {
		t.Errorf("%d bytes in use, %d are held", used, len(held))
	}
	runtime.KeepAlive(held)
}
