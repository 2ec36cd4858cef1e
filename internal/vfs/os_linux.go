package vfs

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syncData is fdatasync: size and bytes, without a journal commit for the modification time.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func allocate(f *os.File, from, to int64) error {
	for {
		switch err := unix.Fallocate(int(f.Fd()), 0, from, to-from); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return f.Truncate(to)
		default:
			return err
		}
	}
}

// openDirect falls back to a cached handle on file systems without O_DIRECT.
func openDirect(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return os.OpenFile(name, os.O_RDWR, 0)
	}
	return f, err
}

// prefetch begins to read into the page cache; what the system cannot do loses nothing. One call reads no more than the larger of the disk's largest
// request and its usual read-ahead, and leaves the rest out: so it is asked in steps of what is the least of the latter.
func prefetch(f *os.File, at, n int64) {
	const step = 128 << 10
	for ; n > 0; at, n = at+step, n-step {
		if err := unix.Fadvise(int(f.Fd()), at, min(n, step), unix.FADV_WILLNEED); err != nil {
			return
		}
	}
}

// adviseRandom turns read-ahead off: a page read ahead of a direct write could show what was there before it.
func adviseRandom(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM) } // advice: what refuses it loses nothing

// adviseHuge asks for huge pages under b: most systems give them on request only. A huge page begins at a multiple of its size, so b's neighbours
// may come to lie in some too. This is advice: what the system refuses costs speed alone.
func adviseHuge(b []byte) {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	from := first &^ (hugePage - 1)
	n := (first+uintptr(len(b))+hugePage-1)&^(hugePage-1) - from
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, n, unix.MADV_HUGEPAGE)
}
