package flow

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait between attempts: Initial, doubled each time up to Max, of which a random half is left out, so that flows
// that failed together do not come back together. Zero fields mean the defaults.
type Backoff struct {
	Initial time.Duration // 0 = 500 ms
	Max     time.Duration // 0 = 30 s
}

func (b Backoff) orDefault() Backoff {
	return Backoff{cmp.Or(b.Initial, 500*time.Millisecond), cmp.Or(b.Max, 30*time.Second)}
}

// delay returns the wait after attempt 0, 1, ...
func (b Backoff) delay(attempt int, random *rand.Rand) time.Duration {
	d := b.Max
	if attempt < 30 && b.Initial<<attempt > 0 {
		d = min(d, b.Initial<<attempt)
	}
	return d/2 + time.Duration(random.Int64N(int64(d/2)+1))
}

// pause waits after a failed attempt; a stop or the end of ctx ends it early.
func (f *Flow) pause(ctx context.Context, attempt int) {
	t := f.deps.Clock.NewTimer(f.config.Retry.delay(attempt, f.deps.Random))
	defer t.Stop()
	select {
	case <-t.C():
	case <-f.stop:
	case <-ctx.Done():
	}
}
