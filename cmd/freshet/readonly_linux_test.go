package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/freshet/freshet/internal/engine"
	"github.com/freshet/freshet/internal/stream"
)

// closedLog makes a log with one stream of two shards in a directory.
func closedLog(t *testing.T, dir string) {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Dir: dir, AllocateBytes: 64 << 10})
	if err == nil {
		_, err = e.Create(t.Context(), stream.Spec{Name: "s", Shards: 2})
	}
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readOnlyVerbs runs the verbs that only read, and wants them to.
func readOnlyVerbs(t *testing.T, what, dir string) {
	t.Helper()
	if code, said := output("check", dir); code != exitOK || !strings.Contains(said, ": sound\n") {
		t.Errorf("%s: check: exit code %d, %s", what, code, said)
	}
	if code, said := output("dump", dir); code != exitOK || !strings.Contains(said, "stream s") {
		t.Errorf("%s: dump: exit code %d, %s", what, code, said)
	}
}

// TestReadOnlyFileSystem: a log is checked and printed where nothing can be written, with its lock file and without.
func TestReadOnlyFileSystem(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("no file system of its own to be had: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	closedLog(t, dir)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	readOnlyVerbs(t, "with a lock", dir)
	remount(0)
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	remount(syscall.MS_RDONLY)
	readOnlyVerbs(t, "without a lock", dir)
}

// TestAnothersDirectory: a log that one may only read is checked and printed; of one that one may not even enter nothing is claimed.
func TestAnothersDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may everything")
	}
	dir := t.TempDir()
	closedLog(t, dir)
	modes := func(directory, file os.FileMode) {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				return os.Chmod(path, 0o700)
			} else if err == nil {
				return os.Chmod(path, file)
			}
			return err
		})
		if err == nil {
			err = os.Chmod(dir, directory)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	modes(0o500, 0o400)
	readOnlyVerbs(t, "read-only", dir)
	modes(0o000, 0o400)
	if code, said := output("check", dir); code != exitFailed || !strings.Contains(said, "permission denied") {
		t.Errorf("no permission: exit code %d, %s", code, said)
	}
	modes(0o700, 0o600)
}
