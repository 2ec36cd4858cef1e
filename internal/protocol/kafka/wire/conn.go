package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one client's connection.
type Conn struct {
	server  *Server
	net     net.Conn
	session Session
	ctx     context.Context // ends when the server stops or the connection is shut
	cancel  context.CancelCauseFunc
	in      *bufio.Reader
	client  string // the last client id: clients send the same one with each request
	direct  Frame  // answers the reading goroutine writes itself
	vectors net.Buffers

	holds atomic.Pointer[Budget] // where the frame being read has its memory from

	phase atomic.Int32 // what the reading goroutine does, for checkStall
	since atomic.Int64 // tick of the last progress in it
	paid  atomic.Int64 // tick up to which a frame's bytes have come as fast as MinRequestRate wants
	wrote atomic.Int64 // tick of the last progress in writing; 0 = nobody writes

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

func newConn(ctx context.Context, s *Server, nc net.Conn) *Conn {
	c := &Conn{server: s, net: nc, in: bufio.NewReaderSize(nc, inBuffer), gone: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.queue.init(c)
	return c
}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.net.RemoteAddr() }

func (c *Conn) run() {
	c.progress(idle)
	c.session = c.server.cfg.Handler.Connect(c)
	err := c.serve()
	c.queue.close()
	c.session.Close()
	stopped := errors.Is(context.Cause(c.ctx), ErrStopping)
	if cause := context.Cause(c.ctx); cause != nil {
		err = cause
	}
	c.cancel(err)
	c.net.Close()
	if !stopped && err != errHungUp {
		c.server.cfg.Logger.Warn("connection closed", "peer", c.net.RemoteAddr().String(), "client", c.client, "reason", err)
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
		if err != nil {
			return err
		}
		c.progress(idle)
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
	n := int(int32(binary.BigEndian.Uint32(head)))
	if n < minRequest || n > c.server.cfg.MaxRequestBytes {
		return nil, memory{}, fmt.Errorf("frame length %d is outside %d..%d", n, minRequest, c.server.cfg.MaxRequestBytes)
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
	r, err := parseHeader(*mem.buf, c.server.cfg.Handler.Flexible, c.keepClient)
	if err != nil {
		mem.release(true)
		return nil, memory{}, err
	}
	r.Received, r.budget = c.server.cfg.Clock.Now(), c.server.arrays
	return &r, mem, nil
}

// take waits for memory for a frame of n bytes.
func (c *Conn) take(n int) (memory, error) {
	if 4+n <= inBuffer {
		small := make([]byte, n)
		return memory{buf: &small}, nil
	}
	mem := memory{budget: c.server.budget(n), bytes: int64(n)}
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
func (c *Conn) flush(f *Frame) error {
	c.vectors = f.vectors(c.vectors[:0])
	all := c.vectors
	defer func() { clear(all); c.wrote.Store(0) }()
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

// pressureStall is how many ticks a frame may stall while others wait for the memory that it holds.
const pressureStall = 2

// checkStall shuts the connection if it makes no progress.
func (c *Conn) checkStall(now int64) {
	stall := int64(c.server.cfg.StallTimeout / tick)
	if w := c.wrote.Load(); w != 0 && now+1-w > stall {
		c.shut(fmt.Errorf("client has not read its answers for %s", c.server.cfg.StallTimeout))
		return
	}
	quiet := now - c.since.Load()
	switch c.phase.Load() {
	case idle:
		if t := c.server.cfg.IdleTimeout; t > 0 && quiet > int64(t/tick) && c.queue.empty() {
			c.server.cfg.Logger.Debug("connection idle", "peer", c.net.RemoteAddr().String(), "after", t)
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

// shut ends the connection at once.
func (c *Conn) shut(reason error) {
	c.cancel(reason)
	c.net.Close()
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
