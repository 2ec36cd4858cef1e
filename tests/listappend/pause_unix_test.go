//go:build unix

package listappend

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// pause stops the node for a while, as a machine that hangs does.
func pause(ctx context.Context, t *testing.T, node *process.Node, d time.Duration) {
	t.Helper()
	pid := node.Process().PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wait(ctx, d)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}
