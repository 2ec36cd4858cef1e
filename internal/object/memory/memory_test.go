package memory_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/object"
	"github.com/freshet/freshet/internal/object/memory"
	"github.com/freshet/freshet/internal/object/objecttest"
)

func TestContract(t *testing.T) {
	objecttest.Run(t, func(*testing.T) object.Store { return memory.New(clock.NewVirtual(time.Unix(1_700_000_000, 0))) })
}
