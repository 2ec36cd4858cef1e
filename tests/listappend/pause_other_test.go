//go:build !unix

package listappend

import (
	"context"
	"testing"
	"time"

	"github.com/freshet/freshet/tests/process"
)

// pause kills the node where there is no way to stop it for a while.
func pause(ctx context.Context, t *testing.T, node *process.Node, d time.Duration) {
	t.Helper()
	node.Kill()
	wait(ctx, d)
	start(ctx, t, node)
}
