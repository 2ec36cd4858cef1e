package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData asks the drive to flush its cache too (F_FULLFSYNC, which os.File.Sync uses on this system): fsync alone does not on macOS.
func syncData(f *os.File) error { return f.Sync() }

func allocate(f *os.File, from, to int64) error {
	store := unix.Fstore_t{Flags: unix.F_ALLOCATEALL, Posmode: unix.F_PEOFPOSMODE, Length: to - from}
	if err := unix.FcntlFstore(f.Fd(), unix.F_PREALLOCATE, &store); err != nil && isNoSpace(err) {
		return err
	}
	return f.Truncate(to)
}

func openDirect(name string) (*os.File, error) { return os.OpenFile(name, os.O_RDWR, 0) }

func adviseRandom(*os.File) {}

func prefetch(*os.File, int64, int64) {}

func adviseHuge([]byte) {}
