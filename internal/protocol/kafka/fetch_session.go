package kafka

import (
	"io"

	"github.com/freshet/freshet/internal/clock"
)

// fetchSessions remembers fetch sessions (KIP-227).
type fetchSessions struct {
	max    int
	clock  clock.Clock
	random io.Reader
}

func newFetchSessions(limit int, c clock.Clock, random io.Reader) *fetchSessions {
	return &fetchSessions{max: limit, clock: c, random: random}
}
