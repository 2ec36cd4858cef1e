package app

import (
	"testing"

	"github.com/freshet/freshet/internal/protocol/aws"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// TestConnectionsLeaveDescriptorsToFiles: however few descriptors there are, connections leave some, and have some.
func TestConnectionsLeaveDescriptorsToFiles(t *testing.T) {
	usual := connectionBounds{wire.DefaultMaxConnections, aws.DefaultMaxConnections}
	for _, c := range []struct{ limit, listeners, least int }{
		{64, 1, 32}, {64, 2, 32}, {256, 2, 128}, {1024, 1, 512}, {4096, 2, 1024}, {65_536, 2, 16_384}, {0, 2, 0}, {1 << 20, 2, 1 << 18},
	} {
		b, lowered := boundConnections(c.limit, c.listeners)
		sum := b.kafka + c.listeners*b.aws
		if b.kafka < 1 || b.aws < 1 || lowered == (b == usual) || c.limit > 0 && c.limit-sum < c.least {
			t.Errorf("%d descriptors, %d AWS listeners: %+v, lowered: %v", c.limit, c.listeners, b, lowered)
		}
		if (c.limit == 0 || c.limit == 1<<20) && lowered {
			t.Errorf("%d descriptors are enough for %+v", c.limit, usual)
		}
	}
}
