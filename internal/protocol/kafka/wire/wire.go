// Package wire carries Kafka's requests and answers over connections: frames of an i32 length and that many bytes, requests pipelined by
// the client and answered in their order. Server accepts and bounds connections; a Handler gives each a Session, which turns a Request into
// an Answer; a Frame collects the answer's bytes without copying records.
//
//	request   length i32 | key i16, version i16, correlation i32, client id (i16 length, -1 null) [| tags, if flexible] | body
//	response  length i32 | correlation i32 [| tags, if flexible and not ApiVersions]                                    | body
//
// A connection has one goroutine, which reads a request, has it served and writes the answer. Answers that become ready later (a
// Produce waits for the disk) go through a second goroutine, which begins with the first such answer, so that requests behind them are
// served meanwhile.
//
// It refuses to know what a request means: keys and versions are numbers here. Request header v0 (ControlledShutdown v0 alone) is not read.
package wire

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/freshet/freshet/internal/clock"
)

// Handler serves connections. Its methods are called from many goroutines.
type Handler interface {
	// Flexible says whether a version of a request has tagged fields in its headers (KIP-482). Unknown ones have none.
	Flexible(key, version int16) bool
	// Connect begins a connection's session, after the TLS handshake if there is one. An error closes the connection and is logged as its reason.
	Connect(c *Conn) (Session, error)
}

// Session serves one connection's requests, one at a time.
type Session interface {
	// Serve does what r asks. ctx ends when the server stops or the connection is shut; for the client hanging up see Conn.WatchPeer. r.Body
	// is the session's to keep, unless it sets r.Pooled: then its memory is used again when Serve has returned. An error closes the
	// connection and is logged as its reason. A nil answer means that none is sent.
	Serve(ctx context.Context, r *Request) (Answer, error)
	// Close ends the session: no Serve is running or will.
	Close()
}

// Answer is what a session leaves for the client.
type Answer interface {
	// Ready is closed once Encode can be called; nil means that it can be at once.
	Ready() <-chan struct{}
	// Encode appends the body of the response. ErrNoAnswer sends nothing; any other error closes the connection.
	Encode(f *Frame) error
	// Done is called once, when the client has the bytes or never will: what Frame.Attach was given is not used any more. written is the
	// size of the frame. If err is not nil Encode may not have been called, and Ready not be closed.
	Done(written int, err error)
}

// ErrNoAnswer is returned by an Answer that turns out to be none, as of a Produce without acknowledgement.
var ErrNoAnswer = errors.New("no answer")

// ErrStopping is the cause of contexts that end because the server stops.
var ErrStopping = errors.New("server is stopping")

// ErrPeerGone is the cause of contexts that end because the client closed the connection.
var ErrPeerGone = errors.New("client closed the connection")

// Config is what a Server needs. Zero values mean the defaults.
type Config struct {
	Listeners []Listener // where connections are accepted; at least one
	Handler   Handler
	Clock     clock.Clock
	Logger    *slog.Logger

	// Answers, if set, is memory that answers hold until they are written. While somebody waits for it, connections whose clients do not read for two
	// seconds are closed.
	Answers *Budget

	// Pace, if set, is asked when a connection has come, and returns how long to let it and those behind it on its listener wait.
	Pace func() time.Duration
	// Admit, if set, is asked about each new connection, and returns 0 to serve it. Otherwise it is closed, not served, after that time.
	Admit func(peer net.Addr) time.Duration

	MaxConnections   int           // connections beyond are closed at once; 0 = DefaultMaxConnections
	MaxRequestBytes  int           // a larger frame closes its connection; 0 = DefaultMaxRequestBytes
	MaxInFlightBytes int64         // memory of all frames being read or served; at least MaxRequestBytes; 0 = DefaultMaxInFlightBytes
	MaxPending       int           // answers a connection may have pending before it is read no further; 0 = DefaultMaxPending
	IdleTimeout      time.Duration // between requests; 0 = DefaultIdleTimeout, < 0 = none
	StallTimeout     time.Duration // without progress within a request's or an answer's bytes; 0 = DefaultStallTimeout
	MinRequestRate   int           // bytes/s at which a frame comes, or its connection ends once it is StallTimeout behind; 0 = DefaultMinRequestRate
	DrainTimeout     time.Duration // given to served requests when Run's context ends; 0 = DefaultDrainTimeout

	MaxGuests            int           // connections that are not admitted yet; 0 = DefaultMaxGuests
	MaxGuestRequestBytes int           // a larger frame of theirs closes its connection; 0 = DefaultMaxGuestRequestBytes
	GuestTimeout         time.Duration // until they are admitted, TLS handshake included; 0 = DefaultGuestTimeout
}

// The defaults of Config. MaxRequestBytes, IdleTimeout, MaxGuestRequestBytes as Apache Kafka's socket.request.max.bytes,
// connections.max.idle.ms and sasl.server.max.receive.size.
const (
	DefaultMaxConnections   = 20_000
	DefaultMaxRequestBytes  = 100 << 20
	DefaultMaxInFlightBytes = 256 << 20
	DefaultMaxPending       = 64
	DefaultIdleTimeout      = 10 * time.Minute
	DefaultStallTimeout     = 30 * time.Second
	DefaultMinRequestRate   = 64 << 10
	DefaultDrainTimeout     = 5 * time.Second

	DefaultMaxGuests            = 1000
	DefaultMaxGuestRequestBytes = 512 << 10
	DefaultGuestTimeout         = 30 * time.Second
)

func (c *Config) setDefaults() {
	if c.Clock == nil {
		c.Clock = clock.Real()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&c.MaxConnections, DefaultMaxConnections)
	orDefault(&c.MaxRequestBytes, DefaultMaxRequestBytes)
	orDefault(&c.MaxInFlightBytes, DefaultMaxInFlightBytes)
	orDefault(&c.MaxPending, DefaultMaxPending)
	orDefault(&c.IdleTimeout, DefaultIdleTimeout)
	orDefault(&c.StallTimeout, DefaultStallTimeout)
	orDefault(&c.MinRequestRate, DefaultMinRequestRate)
	orDefault(&c.DrainTimeout, DefaultDrainTimeout)
	orDefault(&c.MaxGuests, DefaultMaxGuests)
	orDefault(&c.MaxGuestRequestBytes, DefaultMaxGuestRequestBytes)
	orDefault(&c.GuestTimeout, DefaultGuestTimeout)
	c.MaxInFlightBytes = max(c.MaxInFlightBytes, int64(c.MaxRequestBytes))
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}
