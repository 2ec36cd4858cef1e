package engine

import (
	"time"
)

// pace holds work back so that it moves no more bytes in a second than it may.
type pace struct {
	engine *Engine
	due    time.Time
}

// paceSlack is how far work may run ahead before it waits: waiting for less costs more than it spares.
const paceSlack = 20 * time.Millisecond

// spend waits until n bytes more may be moved, or the engine stops.
func (p *pace) spend(n int) {
	rate := p.engine.Upkeep().CompactRate
	if rate < 0 {
		return
	}
	now := p.engine.cfg.Clock.Now()
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	wait := p.due.Sub(now)
	if wait < paceSlack {
		return
	}
	t := p.engine.cfg.Clock.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C():
	case <-p.engine.stop:
	}
}
