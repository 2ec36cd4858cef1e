package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/vfs"
)

func TestErrorsHaveTheirExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		exitOK:       nil,
		exitFailed:   errors.New("anything"),
		exitUsage:    &app.ConfigError{Key: "data"},
		exitDamaged:  &stream.CorruptError{File: "f"},
		exitLocked:   vfs.ErrLocked,
		exitStorage:  &app.StorageError{Err: errors.New("fsync")},
		exitNotFound: object.ErrNotFound,
	} {
		if err != nil {
			err = errors.Join(fmt.Errorf("while doing this: %w", err), nil)
		}
		if got := exitCode(err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}

// runFreshet runs a command line in a process of its own and returns its exit code and what it said on standard error.
func runFreshet(t *testing.T, args ...string) (int, string) {
	t.Helper()
	command := exec.Command(os.Args[0], args...)
	command.Env = append(os.Environ(), asProgram+"=1")
	var stderr strings.Builder
	command.Stderr = &stderr
	err := command.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), stderr.String()
}

func TestSecondNodeIsRefused(t *testing.T) {
	node := startChild(t, t.TempDir())
	code, said := runFreshet(t, "--data", node.Data, "--kafka", "127.0.0.1:0", "--aws", "127.0.0.1:0")
	if code != exitLocked || !strings.Contains(said, "locked by another process") {
		t.Errorf("on the same directory: exit code %d, %s", code, said)
	}
	code, said = runFreshet(t, "--data", t.TempDir(), "--kafka", node.Kafka, "--aws", "127.0.0.1:0")
	if code != exitUsage || !strings.Contains(said, "kafka: listen tcp "+node.Kafka) || !strings.Contains(said, "give another HOST:PORT") {
		t.Errorf("on the same address: exit code %d, %s", code, said)
	}
	node.stop(t)
}
