package aws

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
)

// watchedListener tells connections that bring requests from those whose bytes are none, or come too slowly. The HTTP server answers the latter
// by itself, if at all, and says nothing of it.
type watchedListener struct {
	net.Listener
	log *slog.Logger
}

// Accept waits for a connection and watches it.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn, log: l.log}, nil
}

type watchedConn struct {
	net.Conn
	log      *slog.Logger
	received atomic.Bool // bytes
	served   atomic.Bool // a request has reached the handler
	closed   atomic.Bool
}

// Read notes that something was received.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.received.Load() {
		c.received.Store(true)
	}
	return n, err
}

// Close logs a connection that was of no use.
func (c *watchedConn) Close() error {
	// Connections without a byte are how others look whether we are there.
	if !c.closed.Swap(true) && c.received.Load() && !c.served.Load() {
		c.log.Info("aws connection closed: its bytes were no request, or came too slowly", "peer", c.RemoteAddr().String())
	}
	return c.Conn.Close()
}

// connectionKey is the key of the *watchedConn in the context of its requests.
type connectionKey struct{}

func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// reached notes that a request arrived.
func reached(r *http.Request) {
	if c, ok := r.Context().Value(connectionKey{}).(*watchedConn); ok && !c.served.Load() {
		c.served.Store(true)
	}
}
