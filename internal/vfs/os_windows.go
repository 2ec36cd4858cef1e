package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

func isTooManyFiles(err error) bool { return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) }

// syncDir does nothing: NTFS journals names itself, and a directory cannot be flushed through a plain handle.
func syncDir(string) error { return nil }

func syncData(f *os.File) error { return f.Sync() }

func allocate(f *os.File, _, to int64) error { return f.Truncate(to) }

func lockFile(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

func openDirect(name string) (*os.File, error) { return os.OpenFile(name, os.O_RDWR, 0) }

func adviseRandom(*os.File) {}

func prefetch(*os.File, int64, int64) {}

func adviseHuge([]byte) {}
