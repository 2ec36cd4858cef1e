package wire

import (
	"context"
	"crypto/tls"
	"fmt"
	"runtime"
	"sync/atomic"
)

// handshakes bounds how many TLS handshakes take a processor at a time, so that a storm of them leaves some of the time to the clients that are being
// served. A handshake takes its turn when the client's first message is there, and gives it up when the server has answered: clients that are slow, or
// silent, hold none.
type handshakes chan struct{}

// newHandshakes returns a bound of half the processors.
func newHandshakes() handshakes { return make(handshakes, max(1, runtime.GOMAXPROCS(0)/2)) }

// turn is one connection's.
type turn struct {
	of    handshakes
	until context.Context
	taken atomic.Bool
}

// take waits for a turn, or for the end of the connection.
func (t *turn) take() error {
	select {
	case t.of <- struct{}{}:
		t.taken.Store(true)
		return nil
	case <-t.until.Done():
		return context.Cause(t.until)
	}
}

// give ends the turn, if there is one.
func (t *turn) give() {
	if t.taken.CompareAndSwap(true, false) {
		<-t.of
	}
}

// inTurn returns a configuration of which handshakes take turns. What it has to say about single clients it says.
func inTurn(config *tls.Config) *tls.Config {
	config, choose := config.Clone(), config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if b, ok := hello.Conn.(*bundle); ok {
			if err := b.turn.take(); err != nil {
				return nil, err
			}
		}
		if choose == nil {
			return nil, nil //nolint:nilnil // the configuration stays what it is
		}
		return choose(hello)
	}
	return config
}

// encrypt puts TLS between the connection and the network.
func (c *Conn) encrypt(config *tls.Config) {
	c.bundle = &bundle{Conn: c.socket, turn: turn{of: c.server.handshakes, until: c.ctx}}
	c.tls = tls.Server(c.bundle, config)
	c.net = c.tls
}

// handshake agrees on TLS with the client, if its listener wants that.
func (c *Conn) handshake() error {
	if c.tls == nil {
		return nil
	}
	defer c.bundle.turn.give()
	if err := c.tls.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return nil
}
