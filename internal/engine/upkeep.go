package engine

import (
	"sync/atomic"

	"github.com/freshet/freshet/internal/stream"
)

// upkeep is what may be changed of a Config while the engine is open.
type upkeep struct {
	atomic.Pointer[stream.Upkeep]
	again chan struct{} // has room for one: the interval may be another
}

func (u *upkeep) init(c *Config) {
	u.again = make(chan struct{}, 1)
	u.Store(&stream.Upkeep{
		CompactInterval: c.CompactInterval, CompactRate: c.CompactRate, CompactMemory: c.CompactMemory, ProducerExpiration: c.ProducerExpiration,
	})
}

// Upkeep implements stream.Upkeeper.
func (e *Engine) Upkeep() stream.Upkeep { return *e.upkeep.Load() }

// SetUpkeep implements stream.Upkeeper. The pass that is going on goes on with its memory, at the new rate.
func (e *Engine) SetUpkeep(u stream.Upkeep) {
	u.CompactInterval, u.CompactMemory = max(1, u.CompactInterval), max(kib, u.CompactMemory)
	e.upkeep.Store(&u)
	select {
	case e.upkeep.again <- struct{}{}:
	default: // it will look in any case
	}
}
