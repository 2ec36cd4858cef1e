//go:build linux || darwin

package vfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTooManyFiles: whatever has to open something says so when the process may not, and has done nothing.
func TestTooManyFiles(t *testing.T) {
	dir := t.TempDir()
	f, err := OS().Create(filepath.Join(dir, "a"))
	check(t, err)
	check(t, f.Close())
	var limit unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	probe, err := os.Open(dir)
	check(t, err)
	low := limit
	low.Cur = uint64(probe.Fd()) // whatever is opened next has this number or a higher one
	check(t, probe.Close())
	check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	defer func() { check(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	for name, do := range map[string]func() error{
		"create":      func() error { _, err := OS().Create(filepath.Join(dir, "b")); return err },
		"open":        func() error { _, err := OS().Open(filepath.Join(dir, "a")); return err },
		"open direct": func() error { _, err := OS().OpenDirect(filepath.Join(dir, "a")); return err },
		"list":        func() error { _, err := OS().List(dir); return err },
		"sync names":  func() error { return OS().SyncDir(dir) },
	} {
		if err := do(); !errors.Is(err, ErrTooManyFiles) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
