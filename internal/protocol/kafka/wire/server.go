package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server accepts connections and serves them until Run's context ends.
type Server struct {
	cfg    Config
	frames [len(frameClasses)]*Budget // by the size of the frame
	arrays *Budget                    // for what Request.Decode allocates
	ticks  atomic.Int64
	served sync.WaitGroup // one per connection

	mu    sync.Mutex
	conns map[*Conn]struct{} // guarded by mu
}

// frameClasses are sizes up to which frames share a budget, with its part of all memory for frames. So clients whose large frames stall do
// not take the memory of those with small ones. Frames that fit the input buffer need none: their number bounds them.
var frameClasses = [...]struct {
	bytes int
	part  int64 // of MaxInFlightBytes, one in
}{{64 << 10, 4}, {1 << 20, 4}, {math.MaxInt, 2}}

// tick is how often the server looks for connections that are idle or stalled; timeouts are exact to one tick.
const tick = time.Second

// New returns a server that does nothing until Run.
func New(cfg Config) (*Server, error) {
	if cfg.Listener == nil || cfg.Handler == nil {
		return nil, errors.New("wire: a listener and a handler are needed")
	}
	cfg.setDefaults()
	s := &Server{cfg: cfg, arrays: NewBudget(maxDecodedTotal), conns: map[*Conn]struct{}{}}
	for i, class := range frameClasses {
		s.frames[i] = NewBudget(max(cfg.MaxInFlightBytes/class.part, int64(min(class.bytes, cfg.MaxRequestBytes))))
	}
	return s, nil
}

// budget returns where a frame of n bytes takes its memory from.
func (s *Server) budget(n int) *Budget {
	for i, class := range frameClasses {
		if n <= class.bytes {
			return s.frames[i]
		}
	}
	panic("wire: the last class has all frames")
}

// Connections returns how many connections are open, and how many bytes of memory their requests hold.
func (s *Server) Connections() (open int, inFlight int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.frames {
		inFlight += b.Used()
	}
	return len(s.conns), inFlight + s.arrays.Used()
}

// Run accepts and serves until ctx ends; then it takes no more, lets served requests finish for DrainTimeout, and closes what is left. It
// returns nil after such a stop, when nothing of the server runs any more, or the error that ended accepting.
func (s *Server) Run(ctx context.Context) error {
	work, stop := context.WithCancelCause(context.Background())
	defer stop(ErrStopping)
	swept := make(chan struct{})
	go func() { defer close(swept); s.sweep(work) }()

	unlisten := context.AfterFunc(ctx, func() { s.cfg.Listener.Close() })
	err := s.accept(work)
	if unlisten() {
		s.cfg.Listener.Close()
	}
	if ctx.Err() != nil {
		err = nil
	}
	stop(ErrStopping)
	s.drain()
	<-swept
	return err
}

// maxAcceptPause bounds the pause after a failed accept, as when file descriptors have run out.
const maxAcceptPause = time.Second

func (s *Server) accept(ctx context.Context) error {
	pause := 5 * time.Millisecond
	for {
		nc, err := s.cfg.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		case err != nil:
			s.cfg.Logger.Warn("accept connection", "error", err, "pause", pause)
			t := s.cfg.Clock.NewTimer(pause)
			select {
			case <-t.C():
			case <-ctx.Done():
			}
			t.Stop()
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = 5 * time.Millisecond
		s.open(ctx, nc)
	}
}

// errTooMany ends a connection for which there is no room.
var errTooMany = errors.New("too many connections")

func (s *Server) open(ctx context.Context, nc net.Conn) {
	c := newConn(ctx, s, nc)
	s.mu.Lock()
	full := len(s.conns) >= s.cfg.MaxConnections
	if !full {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if full {
		s.cfg.Logger.Warn("connection refused", "peer", nc.RemoteAddr().String(), "reason", errTooMany, "max", s.cfg.MaxConnections)
		c.shut(errTooMany)
		return
	}
	s.served.Go(func() {
		c.run()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	})
}

// drain asks every connection to end after what it is doing, and closes those that have not after DrainTimeout.
func (s *Server) drain() {
	s.each(func(c *Conn) { c.finish() })
	done := make(chan struct{})
	go func() { s.served.Wait(); close(done) }()
	t := s.cfg.Clock.NewTimer(s.cfg.DrainTimeout)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C():
	}
	s.each(func(c *Conn) { c.shut(ErrStopping) })
	<-done
}

func (s *Server) each(do func(*Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		do(c)
	}
}

// sweep closes connections that stay in one phase for too long. One ticker for all costs less than deadlines on each read and write.
func (s *Server) sweep(ctx context.Context) {
	t := s.cfg.Clock.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-t.C():
		case <-ctx.Done():
			return
		}
		now := s.ticks.Add(1)
		s.each(func(c *Conn) { c.checkStall(now) })
	}
}

// IdleTimeout returns how long a connection may be idle, MaxRequestBytes how large a request may be.
func (s *Server) IdleTimeout() time.Duration { return s.cfg.IdleTimeout }

// MaxRequestBytes returns the size of the largest frame that is read.
func (s *Server) MaxRequestBytes() int { return s.cfg.MaxRequestBytes }
