package wire

import (
	"crypto/tls"
	"net"
	"sync"
)

// Listener is an address at which connections are accepted.
type Listener struct {
	Net net.Listener // Run closes it
	TLS *tls.Config  // nil: connections are not encrypted
	// Guarded says that its connections are guests until their session calls Conn.Admit: they get little memory, little time, and are few.
	Guarded bool
}

// Listener returns which of Config.Listeners the connection came through.
func (c *Conn) Listener() int { return c.listener }

// TLS returns what was agreed with the client, its certificates above all; nil on a connection without TLS.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.tls == nil {
		return nil
	}
	state := c.tls.ConnectionState()
	return &state
}

// bundle collects what TLS makes of one answer, so that the answer costs a system call for each bundleBytes, and not one for each record of
// 16 KiB. Between answers, as in handshakes, everything passes at once.
type bundle struct {
	net.Conn
	turn turn // of its handshake, which ends with the first bytes that it writes

	mu   sync.Mutex // guards what follows: TLS also writes while it reads, as to change keys
	open bool
	buf  *[]byte // nil: nothing is collected
	used int
}

const bundleBytes = 128 << 10

// begin says that an answer is being written, which end sends.
func (b *bundle) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
}

// end sends what was collected.
func (b *bundle) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = false
	err := b.sendLocked()
	if b.buf != nil {
		recycle(b.buf)
		b.buf = nil
	}
	return err
}

func (b *bundle) sendLocked() error {
	if b.used == 0 {
		return nil
	}
	n := b.used
	b.used = 0
	_, err := b.Conn.Write((*b.buf)[:n])
	return err
}

// Write implements net.Conn.
func (b *bundle) Write(p []byte) (int, error) {
	b.turn.give()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return b.Conn.Write(p)
	}
	if b.used+len(p) > bundleBytes {
		if err := b.sendLocked(); err != nil {
			return 0, err
		}
	}
	if len(p) > bundleBytes {
		return b.Conn.Write(p)
	}
	if b.buf == nil {
		b.buf = buffer(bundleBytes)
	}
	b.used += copy((*b.buf)[b.used:], p)
	return len(p), nil
}
