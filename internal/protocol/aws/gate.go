package aws

import "sync"

// gate counts the requests inside, so that a server that was closed can wait for their handlers: closing connections does not.
type gate struct {
	mu     sync.Mutex // guards closed, and entering against closing
	closed bool
	inside sync.WaitGroup
}

// enter lets a request in; the caller calls leave. False means that the gate is closed.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside.Add(1)
	return true
}

func (g *gate) leave() { g.inside.Done() }

// close lets nobody in any more and waits until all have left.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
