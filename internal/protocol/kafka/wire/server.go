package wire

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/clock"
)

// Server accepts connections and serves them until Run's context ends.
type Server struct {
	cfg    Config
	frames [len(frameClasses)]*Budget // by the size of the frame
	arrays *Budget                    // for what Request.Decode allocates
	lobby  *Budget                    // for frames of guests
	ticks  atomic.Int64
	served sync.WaitGroup // one per connection

	handshakes handshakes

	mu     sync.Mutex
	conns  map[*Conn]struct{} // guarded by mu
	guests []*Conn            // guarded by mu, the oldest first
	places map[string]int     // guarded by mu: guests by where they come from

	crowd     atomic.Pointer[Crowd]
	addresses map[netip.Addr]int // guarded by mu: connections by their clients' addresses
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
	if len(cfg.Listeners) == 0 || cfg.Handler == nil {
		return nil, errors.New("wire: a listener and a handler are needed")
	}
	cfg.setDefaults()
	s := &Server{
		cfg: cfg, arrays: NewBudget(maxDecodedTotal), lobby: NewBudget(guestMemory), conns: map[*Conn]struct{}{}, places: map[string]int{},
		addresses: map[netip.Addr]int{}, handshakes: newHandshakes(),
	}
	s.cfg.Listeners = slices.Clone(cfg.Listeners)
	for i := range s.cfg.Listeners {
		if l := &s.cfg.Listeners[i]; l.TLS != nil {
			l.TLS = inTurn(l.TLS)
		}
	}
	s.SetCrowd(Crowd{PerAddress: -1})
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
	return len(s.conns), inFlight + s.lobby.Used() + s.arrays.Used()
}

// Run accepts and serves until ctx ends; then it takes no more, lets served requests finish for DrainTimeout, and closes what is left. It
// returns nil after such a stop, when nothing of the server runs any more, or the error that ended accepting.
func (s *Server) Run(ctx context.Context) error {
	work, stop := context.WithCancelCause(context.Background())
	defer stop(ErrStopping)
	swept := make(chan struct{})
	go func() { defer close(swept); s.sweep(work) }()

	err := s.acceptAll(ctx, work)
	if ctx.Err() != nil {
		err = nil
	}
	stop(ErrStopping)
	s.drain()
	<-swept
	return err
}

// acceptAll accepts on all listeners until ctx or one of them ends, and returns when none does any more.
func (s *Server) acceptAll(ctx, work context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range s.cfg.Listeners {
		group.Go(func() error { return s.accept(ctx, work, i) })
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-ctx.Done()
		for _, l := range s.cfg.Listeners {
			l.Net.Close()
		}
	}()
	err := group.Wait()
	<-closed
	return err
}

// maxAcceptPause bounds the pause after a failed accept, as when file descriptors have run out.
const maxAcceptPause = time.Second

// accept takes connections until the listener is closed, which happens when soft ends. hard ends those that are open.
func (s *Server) accept(soft, hard context.Context, listener int) error {
	pause := 5 * time.Millisecond
	for {
		nc, err := s.cfg.Listeners[listener].Net.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		case err != nil:
			s.cfg.Logger.Warn("accept connection", "error", err, "pause", pause)
			s.pauseAccepting(soft, pause)
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = 5 * time.Millisecond
		if s.cfg.Pace != nil {
			s.pauseAccepting(soft, s.cfg.Pace())
		}
		s.open(hard, nc, listener)
	}
}

// pauseAccepting waits for a time, or until ctx ends.
func (s *Server) pauseAccepting(ctx context.Context, d time.Duration) {
	if d > 0 {
		_ = clock.Sleep(ctx, s.cfg.Clock, d)
	}
}

func (s *Server) open(ctx context.Context, nc net.Conn, listener int) {
	c := newConn(ctx, s, nc, listener)
	s.mu.Lock()
	full := s.enterLocked(c)
	if full == nil && s.cfg.Listeners[listener].Guarded {
		s.welcomeLocked(c)
	}
	s.mu.Unlock()
	if full != nil {
		s.cfg.Logger.Warn("connection refused", "peer", nc.RemoteAddr().String(), "reason", full)
		c.shut(full)
		return
	}
	s.served.Go(func() {
		if s.admit(c) {
			c.run()
		}
		s.mu.Lock()
		s.leaveLocked(c)
		s.forgetGuestLocked(c)
		s.mu.Unlock()
	})
}

// errTooFast ends a connection that is one too many in its time.
var errTooFast = errors.New("connections are opened too fast")

// admit says whether c is to be served. If not it holds c up, so that its client does not try again at once, and closes it.
func (s *Server) admit(c *Conn) bool {
	if s.cfg.Admit == nil {
		return true
	}
	wait := s.cfg.Admit(c.RemoteAddr())
	if wait <= 0 {
		return true
	}
	c.progress(serving)
	s.cfg.Logger.Warn("connection refused", "peer", c.RemoteAddr().String(), "reason", errTooFast, "after", wait)
	c.Mute(wait)
	c.pause()
	c.shut(errTooFast)
	return false
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
		s.each(func(c *Conn) {
			c.checkStall(now)
			c.checkGuest(now)
		})
	}
}

// IdleTimeout returns how long a connection may be idle, MaxRequestBytes how large a request may be.
func (s *Server) IdleTimeout() time.Duration { return s.cfg.IdleTimeout }

// MaxConnections returns the most connections that there can be, whatever SetCrowd says.
func (s *Server) MaxConnections() int { return s.cfg.MaxConnections }

// MaxRequestBytes returns the size of the largest frame that is read.
func (s *Server) MaxRequestBytes() int { return s.cfg.MaxRequestBytes }
