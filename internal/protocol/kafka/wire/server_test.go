package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/clock/clocktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys that the echo session knows.
const (
	keyEcho  = 100 // answers with the body
	keyLater = 101 // the same, when release is closed
	keyNone  = 102 // has no answer
	keyFail  = 103 // closes the connection
	keyWait  = 104 // waits until the peer is gone or the server stops
	keyAdmit = 105 // answers, and makes the connection no guest
	keyToken = 106 // answers, and expects a bare token
	keyEnd   = 107 // answers, and ends the connection
)

// echo is a Handler for tests.
type echo struct {
	release chan struct{}
	served  atomic.Int64
	causes  chan error // of contexts that keyWait saw end
}

func (e *echo) Flexible(_, version int16) bool   { return version >= 5 }
func (e *echo) Connect(c *Conn) (Session, error) { return &echoSession{e, c}, nil }

type echoSession struct {
	*echo
	conn *Conn
}

func (e *echoSession) Close() {}

func (e *echoSession) Serve(ctx context.Context, r *Request) (Answer, error) {
	e.served.Add(1)
	body := bytes.Clone(r.Body)
	if r.Token {
		return &echoAnswer{body: append([]byte("token "), body...)}, nil
	}
	switch r.Key {
	case keyAdmit:
		e.conn.Admit()
	case keyToken:
		e.conn.ExpectToken()
	case keyEnd:
		e.conn.End(errors.New("as asked, after the answer"))
	case keyLater:
		return &echoAnswer{body: body, ready: e.release}, nil
	case keyNone:
		return nil, nil
	case keyFail:
		return nil, errors.New("as asked")
	case keyWait:
		watched, stop := e.conn.WatchPeer(ctx)
		defer stop()
		<-watched.Done()
		e.causes <- context.Cause(watched)
	}
	return &echoAnswer{body: body}, nil
}

type echoAnswer struct {
	body  []byte
	ready chan struct{}
	done  atomic.Int32
}

func (a *echoAnswer) Ready() <-chan struct{} {
	if a.ready == nil {
		return nil
	}
	return a.ready
}
func (a *echoAnswer) Encode(f *Frame) error { f.Attach(a.body); return nil }
func (a *echoAnswer) Done(int, error) {
	if a.done.Add(1) != 1 {
		panic("done twice")
	}
}

// fixture is a server on a loopback port with a virtual clock.
type fixture struct {
	*echo
	server *Server
	clock  *clock.Virtual
	addr   string
	log    *lines
	stop   func()
}

// lines collects what is logged.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func serve(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{echo: &echo{release: make(chan struct{}), causes: make(chan error, 10)}, clock: clock.NewVirtual(time.Unix(1e9, 0)), addr: l.Addr().String(), log: &lines{}}
	cfg := Config{Listeners: []Listener{{Net: l}}, Handler: f.echo, Clock: f.clock, Logger: slog.New(slog.NewJSONHandler(f.log, nil))}
	for _, c := range change {
		c(&cfg)
	}
	if f.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.server.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

func (f *fixture) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // a hanging test ends
	return c
}

// advance lets time pass, and the server look at its connections each tick of it.
func (f *fixture) advance(t *testing.T, d time.Duration) {
	t.Helper()
	for range d / tick {
		clocktest.Eventually(t, "the sweeper waits", func() bool { return f.clock.Waiting() > 0 })
		before := f.server.ticks.Load()
		f.clock.Advance(tick)
		clocktest.Eventually(t, "the sweeper has swept", func() bool { return f.server.ticks.Load() > before })
	}
}

func request(key, version int16, correlation int32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = append(b, 0, 2, 'm', 'e')
	if version >= 5 {
		b = append(b, 1, 9, 3, 'x', 'y', 'z') // a tag nobody knows
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func write(t *testing.T, c net.Conn, frames ...[]byte) {
	t.Helper()
	if _, err := c.Write(bytes.Join(frames, nil)); err != nil {
		t.Fatal(err)
	}
}

// response reads one answer and returns its correlation id and what follows.
func response(t *testing.T, c net.Conn) (int32, string) {
	t.Helper()
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), string(body)
}

func expect(t *testing.T, c net.Conn, correlation int32, body string) {
	t.Helper()
	if id, got := response(t, c); id != correlation || got != body {
		t.Fatalf("answer %d %.40q, want %d %.40q", id, got, correlation, body)
	}
}

// expectClosed waits for the server to close the connection.
func expectClosed(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("the connection is open and has bytes")
	} else if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
		t.Fatal("the connection is still open")
	}
}

func TestHeadersAreReadAndWrittenByVersion(t *testing.T) {
	f := serve(t)
	c := f.dial(t)
	write(t, c, request(keyEcho, 1, 7, "body"), request(keyEcho, 5, 8, "body"), request(apiVersions, 5, 9, "body"))
	expect(t, c, 7, "body")
	expect(t, c, 8, "\x00body")
	expect(t, c, 9, "body")
}

func TestAnswersComeInTheOrderOfRequests(t *testing.T) {
	f := serve(t)
	c := f.dial(t)
	write(t, c, request(keyLater, 0, 1, "one"), request(keyLater, 0, 2, strings.Repeat("two", 50_000)), request(keyNone, 0, 3, ""), request(keyEcho, 0, 4, "four"))
	clocktest.Eventually(t, "the last request is served while the first waits", func() bool { return f.served.Load() == 4 })
	close(f.release)
	expect(t, c, 1, "one")
	expect(t, c, 2, strings.Repeat("two", 50_000))
	expect(t, c, 4, "four")
}

func TestPendingAnswersAreBounded(t *testing.T) {
	f := serve(t, func(c *Config) { c.MaxPending = 3 })
	c := f.dial(t)
	for i := range int32(10) {
		write(t, c, request(keyLater, 0, i, "x"))
	}
	clocktest.Eventually(t, "as many are served as may be pending, and one waits for room", func() bool { return f.served.Load() == 4 })
	close(f.release)
	for i := range int32(10) {
		expect(t, c, i, "x")
	}
}

func TestLargeFramesPass(t *testing.T) {
	f := serve(t)
	c := f.dial(t)
	for _, size := range []int{inBuffer - 20, inBuffer - 14, inBuffer, inBuffer + 1, 100_000, 1<<20 + 1, 20 << 20} {
		body := strings.Repeat("x", size)
		go func() { _, _ = c.Write(request(keyEcho, 0, int32(size), body)) }()
		expect(t, c, int32(size), body)
	}
	clocktest.Eventually(t, "all memory is given back", func() bool { _, used := f.server.Connections(); return used == 0 })
}

func TestBadFramesCloseTheConnectionWithOneLine(t *testing.T) {
	for name, row := range map[string]struct {
		bytes  []byte
		reason string
	}{
		"negative length":          {[]byte{0xff, 0xff, 0xff, 0xff}, "frame length -1"},
		"length of nothing":        {[]byte{0, 0, 0, 0}, "frame length 0"},
		"length beyond the bound":  {[]byte{0x7f, 0xff, 0xff, 0xff}, "frame length 2147483647"},
		"HTTP":                     {[]byte("GET / HTTP/1.1\r\n\r\n"), "frame length 1195725856"},
		"TLS":                      {[]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc}, "frame length 369295618"},
		"client id beyond its end": {[]byte{0, 0, 0, 10, 0, 100, 0, 0, 0, 0, 0, 1, 0x7f, 0xff}, "client id of 32767 bytes"},
		"refused by the session":   {request(keyFail, 0, 1, ""), "as asked"},
		"bad tags":                 {[]byte{0, 0, 0, 11, 0, 100, 0, 5, 0, 0, 0, 1, 0xff, 0xff, 9}, "tagged fields"},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t)
			other := f.dial(t)
			write(t, other, request(keyEcho, 0, 1, "before"))
			expect(t, other, 1, "before")
			c := f.dial(t)
			write(t, c, row.bytes)
			expectClosed(t, c)
			write(t, other, request(keyEcho, 0, 2, "after"))
			expect(t, other, 2, "after")
			f.stop()
			if got := f.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, row.reason) || !strings.Contains(got, c.LocalAddr().String()) {
				t.Errorf("log %q, want one line with %q and the peer %s", got, row.reason, c.LocalAddr())
			}
		})
	}
}

func TestTruncatedFrameIsReportedAndAHangUpIsNot(t *testing.T) {
	f := serve(t)
	quiet, cut := f.dial(t), f.dial(t)
	write(t, quiet, request(keyEcho, 0, 1, "x"))
	expect(t, quiet, 1, "x")
	quiet.Close()
	write(t, cut, request(keyEcho, 0, 1, "a body that is cut off")[:20])
	cut.Close()
	clocktest.Eventually(t, "both are gone", func() bool { open, _ := f.server.Connections(); return open == 0 && f.served.Load() == 1 })
	f.stop()
	if got := f.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "connection ended within a frame") {
		t.Errorf("log %q", got)
	}
}

func TestIdleAndStalledConnectionsAreClosed(t *testing.T) {
	f := serve(t, func(c *Config) { c.IdleTimeout, c.StallTimeout = time.Minute, 10*time.Second })
	idle, half, busy := f.dial(t), f.dial(t), f.dial(t)
	write(t, half, request(keyEcho, 0, 1, "half a frame")[:12])
	write(t, busy, request(keyLater, 0, 1, "x"))
	clocktest.Eventually(t, "all are read", func() bool {
		open, _ := f.server.Connections()
		reading := 0
		f.server.each(func(c *Conn) {
			if c.phase.Load() == 1 {
				reading++
			}
		})
		return open == 3 && f.served.Load() == 1 && reading == 1
	})
	f.advance(t, 12*time.Second)
	expectClosed(t, half)
	f.advance(t, 70*time.Second)
	expectClosed(t, idle)
	close(f.release)
	expect(t, busy, 1, "x")
	if got := f.log.String(); !strings.Contains(got, "no bytes for") {
		t.Errorf("log %q", got)
	}
}

func TestSlowReaderIsClosed(t *testing.T) {
	f := serve(t, func(c *Config) { c.StallTimeout = 5 * time.Second })
	slow, other := f.dial(t), f.dial(t)
	_ = slow.(*net.TCPConn).SetReadBuffer(4 << 10)
	body := strings.Repeat("x", 32<<20)
	write(t, slow, request(keyEcho, 0, 1, body))
	clocktest.Eventually(t, "its answer is being written", func() bool {
		writing := false
		f.server.each(func(c *Conn) { writing = writing || c.wrote.Load() != 0 })
		return writing
	})
	for range 10 {
		f.clock.Advance(tick)
		before := f.server.ticks.Load()
		clocktest.Eventually(t, "sweeper", func() bool { return f.server.ticks.Load() >= before })
		write(t, other, request(keyEcho, 0, 2, "quick"))
		expect(t, other, 2, "quick")
	}
	clocktest.Eventually(t, "the slow one is closed", func() bool {
		f.clock.Advance(tick)
		open, _ := f.server.Connections()
		return open == 1
	})
	if got := f.log.String(); !strings.Contains(got, "has not read its answers") {
		t.Errorf("log %q", got)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	f := serve(t, func(c *Config) { c.MaxConnections = 2 })
	a, b := f.dial(t), f.dial(t)
	for i, c := range []net.Conn{a, b} {
		write(t, c, request(keyEcho, 0, int32(i), "x"))
		expect(t, c, int32(i), "x")
	}
	third := f.dial(t)
	expectClosed(t, third)
	a.Close()
	clocktest.Eventually(t, "there is room again", func() bool { open, _ := f.server.Connections(); return open == 1 })
	fourth := f.dial(t)
	write(t, fourth, request(keyEcho, 0, 4, "x"))
	expect(t, fourth, 4, "x")
}

func TestFramesWaitForMemory(t *testing.T) {
	f := serve(t, func(c *Config) { c.MaxRequestBytes, c.MaxInFlightBytes = 8<<20, 16<<20 })
	hog := f.dial(t)
	frame := request(keyEcho, 0, 1, strings.Repeat("x", 6<<20))
	write(t, hog, frame[:inBuffer]) // it holds memory for all, and sends no more
	clocktest.Eventually(t, "memory is taken", func() bool { _, used := f.server.Connections(); return used >= 6<<20 })
	large, small := f.dial(t), f.dial(t)
	write(t, small, request(keyEcho, 0, 2, strings.Repeat("y", 500_000)))
	expect(t, small, 2, strings.Repeat("y", 500_000)) // small frames have memory of their own
	go func() { _, _ = large.Write(frame) }()
	clocktest.Eventually(t, "the large one waits", func() bool { return f.server.budget(6 << 20).Contended() })
	clocktest.Eventually(t, "the hog is closed for it", func() bool {
		f.clock.Advance(tick)
		return strings.Contains(f.log.String(), "no bytes for")
	})
	if id, body := response(t, large); id != 1 || len(body) != 6<<20 {
		t.Fatalf("answer %d of %d bytes", id, len(body))
	}
}

func TestTrickledFramesAreClosed(t *testing.T) {
	const rate = 1000
	f := serve(t, func(c *Config) { c.StallTimeout, c.MinRequestRate = 10*time.Second, rate })
	trickled, slow := f.dial(t), f.dial(t)
	body := strings.Repeat("x", inBuffer+20*rate)
	frame := request(keyEcho, 0, 1, body)
	write(t, trickled, frame[:inBuffer])
	write(t, slow, frame[:inBuffer])
	clocktest.Eventually(t, "both have memory", func() bool { _, used := f.server.Connections(); return used == 2*int64(len(frame)-4) })
	sent := inBuffer
	for range 15 {
		f.advance(t, tick)
		_, _ = trickled.Write(frame[inBuffer : inBuffer+1])
		write(t, slow, frame[sent:sent+rate])
		sent += rate
		clocktest.Eventually(t, "all that was sent is read", func() bool {
			read := true
			f.server.each(func(c *Conn) { read = read && c.since.Load() == f.server.ticks.Load() })
			return read
		})
	}
	write(t, slow, frame[sent:])
	expect(t, slow, 1, body)
	expectClosed(t, trickled)
	if got := f.log.String(); !strings.Contains(got, "1000 bytes/s") || !strings.Contains(got, trickled.LocalAddr().String()) {
		t.Errorf("log %q", got)
	}
}

func TestStalledFramesDoNotHoldUpSmallOnes(t *testing.T) {
	f := serve(t, func(c *Config) { c.MaxRequestBytes, c.MaxInFlightBytes = 8<<20, 16<<20 })
	half := request(keyEcho, 0, 1, strings.Repeat("x", 900_000))[:50_000]
	for range 50 {
		write(t, f.dial(t), half)
	}
	clocktest.Eventually(t, "most wait for memory", func() bool { return f.server.budget(900_000).Contended() })
	c := f.dial(t)
	for _, size := range []int{10, inBuffer, 60_000} {
		write(t, c, request(keyEcho, 0, 2, strings.Repeat("y", size)))
		expect(t, c, 2, strings.Repeat("y", size))
	}
	if _, used := f.server.Connections(); used > 16<<20 {
		t.Errorf("%d bytes are taken", used)
	}
}

func TestWaitingSessionsLearnThatThePeerIsGone(t *testing.T) {
	f := serve(t)
	c := f.dial(t)
	write(t, c, request(keyWait, 0, 1, ""))
	clocktest.Eventually(t, "it is served", func() bool { return f.served.Load() == 1 })
	c.Close()
	if cause := <-f.causes; !errors.Is(cause, ErrPeerGone) {
		t.Errorf("cause %v", cause)
	}
	second := f.dial(t)
	write(t, second, request(keyWait, 0, 1, "later"))
	clocktest.Eventually(t, "it is served", func() bool { return f.served.Load() == 2 })
	f.stop()
	if cause := <-f.causes; !errors.Is(cause, ErrStopping) {
		t.Errorf("cause %v", cause)
	}
	expect(t, second, 1, "later") // it was answered before the connection ended
	expectClosed(t, second)
}

func TestStoppingAnswersWhatIsPending(t *testing.T) {
	f := serve(t)
	c := f.dial(t)
	write(t, c, request(keyLater, 0, 1, "x"))
	clocktest.Eventually(t, "it is served", func() bool { return f.served.Load() == 1 })
	stopped := make(chan struct{})
	go func() { f.stop(); close(stopped) }()
	clocktest.Eventually(t, "the listener is closed", func() bool {
		other, err := net.Dial("tcp", f.addr)
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	close(f.release)
	expect(t, c, 1, "x")
	<-stopped
}

// TestStoppingDoesNotWaitForEver: an answer that never becomes ready, as of a batch that a full disk holds up, does not keep the server from ending.
func TestStoppingDoesNotWaitForEver(t *testing.T) {
	f := serve(t)
	c := f.dial(t)
	write(t, c, request(keyLater, 0, 1, "x"), request(keyEcho, 0, 2, "x"))
	clocktest.Eventually(t, "both are served", func() bool { return f.served.Load() == 2 })
	stopped := make(chan struct{})
	go func() { f.stop(); close(stopped) }()
	clocktest.Eventually(t, "the server ends", func() bool {
		f.clock.Advance(DefaultDrainTimeout)
		select {
		case <-stopped:
			return true
		default:
			return false
		}
	})
	expectClosed(t, c)
}

// pieces is a connection that counts what it is given to write.
type pieces struct {
	net.Conn
	all     bytes.Buffer
	largest int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.largest = max(p.largest, len(b))
	return p.all.Write(b)
}

// TestLargeAnswersAreWrittenInPieces: the deadline for progress begins again with each write, so that a slow client can have a batch of any size.
func TestLargeAnswersAreWrittenInPieces(t *testing.T) {
	to := &pieces{}
	c := &Conn{server: &Server{}, socket: to, net: to}
	var f Frame
	var want []byte
	for i, size := range []int{10, 5*maxWrite + 3, 2000, maxWrite, maxWrite + 1} {
		b := bytes.Repeat([]byte{byte(i)}, size)
		f.Attach(b)
		want = append(want, b...)
	}
	if err := c.flush(&f); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(to.all.Bytes(), want) {
		t.Error("other bytes were written than were to be")
	}
	if to.largest > maxWrite {
		t.Errorf("%d bytes were written at once", to.largest)
	}
}

func TestBudget(t *testing.T) {
	b := NewBudget(10)
	ctx, cancel := context.WithCancelCause(context.Background())
	if err := b.Take(ctx, 8); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 2)
	go func() { got <- b.Take(ctx, 5) }()
	clocktest.Eventually(t, "a taker waits", b.Contended)
	if n := b.TakeUpTo(100); n != 2 {
		t.Errorf("took %d", n)
	}
	b.Give(2)
	cancel(ErrStopping)
	if err := <-got; !errors.Is(err, ErrStopping) {
		t.Errorf("error %v", err)
	}
	go func() { got <- b.Take(context.Background(), 1000) }()
	clocktest.Eventually(t, "a taker waits for all", b.Contended)
	b.Give(8)
	if err := <-got; err != nil || b.Used() != 10 {
		t.Errorf("error %v, used %d", err, b.Used())
	}
	b.Give(1000)
	if b.Used() != 0 {
		t.Errorf("used %d", b.Used())
	}
}
