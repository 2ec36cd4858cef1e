package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one client's connection.
type Conn struct {
	server  *Server
	socket  net.Conn // the network's
	net     net.Conn // the same, or TLS upon it
	tls     *tls.Conn
	bundle  *bundle // between tls and socket
	session Session
	ctx     context.Context // ends when the server stops or the connection is shut
	cancel  context.CancelCauseFunc
	in      *bufio.Reader
	client  string // the last client id: clients send the same one with each request
	direct  Frame  // answers the reading goroutine writes itself
	vectors net.Buffers

	listener int
	address  netip.Addr  // the client's, not valid if it has none of IP
	guest    atomic.Bool // not admitted yet
	born     int64       // of a guest: the tick of its coming
	place    string      // of a guest: where it comes from
	tokens   bool        // the next frame is a bare token
	end      error       // why to end after the answer being served

	holds atomic.Pointer[Budget] // where the frame being read has its memory from

	phase atomic.Int32 // what the reading goroutine does, for checkStall
	since atomic.Int64 // tick of the last progress in it
	paid  atomic.Int64 // tick up to which a frame's bytes have come as fast as MinRequestRate wants
	wrote atomic.Int64 // tick of the last progress in writing; 0 = nobody writes

	muted time.Duration // of the reading goroutine: how long nothing is to be read

	queue queue
	gone  chan struct{} // closed by shut: what is pending will never be written
	once  sync.Once     // closes gone
}

type phase = int32

const (
	idle    phase = iota // between requests
	reading              // a frame has begun
	serving              // the session or a budget is at work
)

// inBuffer is the size of the buffer in front of reading. A frame that fits needs no other memory until it is complete.
const inBuffer = 4 << 10

func newConn(ctx context.Context, s *Server, nc net.Conn, listener int) *Conn {
	c := &Conn{server: s, socket: nc, net: nc, listener: listener, gone: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	if config := s.cfg.Listeners[listener].TLS; config != nil {
		c.encrypt(config)
	}
	c.in = bufio.NewReaderSize(c.net, inBuffer)
	c.queue.init(c)
	return c
}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// End makes the connection end when the answer to the request being served has been written.
func (c *Conn) End(reason error) { c.end = reason }

// ExpectToken makes the next frame a bare token: Serve gets it as the whole Body of a request whose Token is set, and its answer is sent
// as bare (SaslHandshake v0). It is called by the session while it serves.
func (c *Conn) ExpectToken() { c.tokens = true }

func (c *Conn) run() {
	c.progress(serving)
	err := c.handshake()
	if err == nil {
		c.session, err = c.server.cfg.Handler.Connect(c)
	}
	if err == nil {
		c.progress(idle)
		err = c.serve()
		c.queue.close()
		c.session.Close()
	}
	stopped := errors.Is(context.Cause(c.ctx), ErrStopping)
	if cause := context.Cause(c.ctx); cause != nil {
		err = cause
	}
	c.cancel(err)
	c.net.Close()
	if !stopped && err != errHungUp {
		c.server.cfg.Logger.Warn("connection closed", "peer", c.RemoteAddr().String(), "client", c.client, "reason", err)
	}
}

// errHungUp ends a connection that its client closed between requests: nothing to report.
var errHungUp = errors.New("client hung up")

func (c *Conn) serve() error {
	for {
		r, mem, err := c.read()
		if err != nil {
			return err
		}
		err = c.serveOne(r, mem)
		r.release()
		if err == nil {
			err = c.end
		}
		if err != nil {
			return err
		}
		c.pause()
		c.progress(idle)
	}
}

// Mute has nothing read from the client for a time, once the request being served has been. It is for the session, within Serve.
func (c *Conn) Mute(wait time.Duration) { c.muted = wait }

// pause lets the time of Mute pass, or the connection end.
func (c *Conn) pause() {
	if c.muted <= 0 {
		return
	}
	t := c.server.cfg.Clock.NewTimer(c.muted)
	defer t.Stop()
	c.muted = 0
	select {
	case <-t.C():
	case <-c.ctx.Done():
	}
}

// memory is what a frame occupies.
type memory struct {
	budget *Budget // nil: none, it fits the input buffer
	bytes  int64
	buf    *[]byte
}

func (m *memory) release(pooled bool) {
	if m.budget != nil {
		m.budget.Give(m.bytes)
		m.budget = nil
	}
	if m.buf != nil && pooled {
		recycle(m.buf)
	}
	m.buf = nil
}

func (c *Conn) serveOne(r *Request, mem memory) error {
	answer, err := c.session.Serve(c.ctx, r)
	if answer == nil || err != nil {
		mem.release(r.Pooled)
		return err
	}
	if answer.Ready() != nil {
		mem.release(r.Pooled)
		return c.queue.put(r, answer)
	}
	if err = c.queue.wait(0); err != nil {
		answer.Done(0, err)
		mem.release(r.Pooled)
		return err
	}
	n, err := c.direct.add(r, answer)
	if err == nil {
		err = c.flush(&c.direct)
	}
	c.direct.reset()
	if cap(c.direct.Buf) > keepBuf {
		c.direct.Buf = nil
	}
	if errors.Is(err, ErrNoAnswer) {
		err = nil
	}
	answer.Done(n, err)
	mem.release(r.Pooled)
	return err
}

// read reads one request. Its frame is in memory of its own.
func (c *Conn) read() (*Request, memory, error) {
	head, err := c.in.Peek(4)
	if err != nil {
		if len(head) == 0 {
			return nil, memory{}, errHungUp
		}
		return nil, memory{}, fmt.Errorf("connection ended within a frame's length")
	}
	n, least := int(int32(binary.BigEndian.Uint32(head))), minRequest
	if c.tokens {
		least = 0
	}
	if most := c.maxFrame(); n < least || n > most {
		return nil, memory{}, fmt.Errorf("frame length %d is outside %d..%d", n, least, most)
	}
	c.progress(reading)
	// Memory is taken when bytes have come, not when they are promised.
	if _, err = c.in.Peek(min(4+n, inBuffer)); err != nil {
		return nil, memory{}, fmt.Errorf("connection ended within a frame of %d bytes: %w", n, err)
	}
	_, _ = c.in.Discard(4)
	mem, err := c.take(n)
	if err != nil {
		return nil, memory{}, err
	}
	if err = c.fill(*mem.buf); err != nil {
		mem.release(true)
		return nil, memory{}, fmt.Errorf("connection ended within a frame of %d bytes: %w", n, err)
	}
	c.holds.Store(nil)
	c.progress(serving)
	r, err := c.parse(*mem.buf)
	if err != nil {
		mem.release(true)
		return nil, memory{}, err
	}
	r.Received, r.budget = c.server.cfg.Clock.Now(), c.server.arrays
	return &r, mem, nil
}

func (c *Conn) parse(frame []byte) (Request, error) {
	if c.tokens {
		c.tokens = false
		return Request{ClientID: c.client, Body: frame, Bytes: 4 + len(frame), Token: true}, nil
	}
	return parseHeader(frame, c.server.cfg.Handler.Flexible, c.keepClient)
}

// take waits for memory for a frame of n bytes.
func (c *Conn) take(n int) (memory, error) {
	if 4+n <= inBuffer {
		small := make([]byte, n)
		return memory{buf: &small}, nil
	}
	mem := memory{budget: c.server.budget(n), bytes: int64(n)}
	if c.guest.Load() {
		mem.budget = c.server.lobby
	}
	c.progress(serving)
	if err := mem.budget.Take(c.ctx, mem.bytes); err != nil {
		return memory{}, err
	}
	c.holds.Store(mem.budget)
	c.progress(reading)
	mem.buf = buffer(n)
	return mem, nil
}

// fill reads len(b) bytes, and notes progress on the way: in time, and in the ticks that so many bytes may take.
func (c *Conn) fill(b []byte) error {
	perTick := c.server.cfg.MinRequestRate * int(tick/time.Second)
	for unpaid := 0; len(b) > 0; unpaid %= perTick {
		n, err := c.in.Read(b)
		b = b[n:]
		if err != nil {
			return err
		}
		now := c.server.ticks.Load()
		c.since.Store(now)
		unpaid += n
		c.paid.Store(min(now, c.paid.Load()+int64(unpaid/perTick)))
	}
	return nil
}

func (c *Conn) keepClient(id []byte) string {
	if c.client != string(id) {
		c.client = string(id)
	}
	return c.client
}

// maxWrite is how much is handed to the network at once; the deadline for progress starts again with each.
const maxWrite = 1 << 20

// flush writes f's bytes. Only one goroutine does so at a time.
func (c *Conn) flush(f *Frame) (err error) {
	c.vectors = f.vectors(c.vectors[:0])
	all := c.vectors
	defer func() { clear(all); c.wrote.Store(0) }()
	if c.bundle != nil {
		c.bundle.begin()
		defer func() {
			if sent := c.bundle.end(); sent != nil && err == nil {
				err = fmt.Errorf("write answer: %w", sent)
			}
		}()
	}
	for rest := all; len(rest) > 0; {
		c.wrote.Store(c.server.ticks.Load() + 1)
		n, size := 0, 0
		for n < len(rest) && size+len(rest[n]) <= maxWrite {
			size += len(rest[n])
			n++
		}
		part := rest[:n:n]
		if n == 0 { // a large one goes in pieces
			part, rest[0] = net.Buffers{rest[0][:maxWrite]}, rest[0][maxWrite:]
		}
		if _, err := part.WriteTo(c.net); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		rest = rest[n:]
	}
	return nil
}

func (c *Conn) progress(p phase) {
	now := c.server.ticks.Load()
	c.since.Store(now)
	c.paid.Store(now)
	c.phase.Store(p)
}

// pressureStall is how many ticks a frame or an answer may stall while others wait for the memory that it holds.
const pressureStall = 2

// checkStall shuts the connection if it makes no progress.
func (c *Conn) checkStall(now int64) {
	stall := int64(c.server.cfg.StallTimeout / tick)
	if w := c.wrote.Load(); w != 0 {
		patience := stall
		if a := c.server.cfg.Answers; a != nil && a.Contended() {
			patience = min(pressureStall, stall)
		}
		if now+1-w > patience {
			c.shut(fmt.Errorf("client has not read its answers for %s", time.Duration(patience)*tick))
			return
		}
	}
	quiet := now - c.since.Load()
	switch c.phase.Load() {
	case idle:
		if t := c.server.cfg.IdleTimeout; t > 0 && quiet > int64(t/tick) && c.queue.empty() {
			c.server.cfg.Logger.Debug("connection idle", "peer", c.RemoteAddr().String(), "after", t)
			c.finish()
		}
	case reading:
		held := c.holds.Load()
		if quiet > stall || quiet > pressureStall && held != nil && held.Contended() {
			c.shut(fmt.Errorf("no bytes for %d s within a frame", quiet))
		} else if now-c.paid.Load() > stall {
			c.shut(fmt.Errorf("a frame's bytes come at less than %d bytes/s", c.server.cfg.MinRequestRate))
		}
	}
}

// past is a deadline that ends reads at once.
var past = time.Unix(1, 0)

// finish makes the connection end when it has served and answered what it has begun.
func (c *Conn) finish() {
	c.cancel(ErrStopping)
	_ = c.net.SetReadDeadline(past)
}

// shut ends the connection at once: it closes the network's socket, as TLS would first write its farewell and wait.
func (c *Conn) shut(reason error) {
	c.cancel(reason)
	c.socket.Close()
	c.once.Do(func() { close(c.gone) })
}

// WatchPeer returns a context that ends as ctx does, or with ErrPeerGone when the client closes the connection. stop must be called before
// the session returns from Serve. For requests that wait long: it costs a goroutine and two calls of the poller.
func (c *Conn) WatchPeer(ctx context.Context) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := c.in.Peek(1); err != nil {
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				cancel(ErrPeerGone)
			}
		}
	}()
	return watched, func() {
		_ = c.net.SetReadDeadline(past)
		<-done
		cancel(nil)
		_ = c.net.SetReadDeadline(time.Time{})
		if c.ctx.Err() != nil { // finish may have come in between
			_ = c.net.SetReadDeadline(past)
		}
	}
}
