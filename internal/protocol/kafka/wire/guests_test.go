package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/tlsfiles/tlstest"
)

func guarded(c *Config) { c.Listeners[0].Guarded = true }

func TestGuestsHaveTheirTime(t *testing.T) {
	f := serve(t, guarded, func(c *Config) { c.GuestTimeout = 5 * time.Second })
	late, member := f.dial(t), f.dial(t)
	write(t, late, request(keyEcho, 0, 1, "x"))
	expect(t, late, 1, "x")
	write(t, member, request(keyAdmit, 0, 1, "x"))
	expect(t, member, 1, "x")
	f.advance(t, 5*time.Second)
	write(t, late, request(keyEcho, 0, 2, "x"))
	expect(t, late, 2, "x")
	f.advance(t, time.Second)
	expectClosed(t, late)
	write(t, member, request(keyEcho, 0, 2, "x"))
	expect(t, member, 2, "x")
	if got := f.log.String(); !strings.Contains(got, "not authenticated within 5s") {
		t.Errorf("log %s", got)
	}
}

func TestGuestsSendSmallFramesOnly(t *testing.T) {
	f := serve(t, guarded, func(c *Config) { c.MaxGuestRequestBytes = 8 << 10 })
	c := f.dial(t)
	write(t, c, request(keyEcho, 0, 1, strings.Repeat("x", 8<<10-12)))
	expect(t, c, 1, strings.Repeat("x", 8<<10-12))
	write(t, c, request(keyAdmit, 0, 2, ""))
	expect(t, c, 2, "")
	write(t, c, request(keyEcho, 0, 3, strings.Repeat("x", 8<<10)))
	expect(t, c, 3, strings.Repeat("x", 8<<10))
	c = f.dial(t)
	write(t, c, request(keyEcho, 0, 1, strings.Repeat("x", 8<<10))[:100])
	expectClosed(t, c)
}

func TestGuestsDoNotTakeTheMemoryOfOthers(t *testing.T) {
	f := serve(t, guarded)
	c := f.dial(t)
	write(t, c, request(keyEcho, 0, 1, strings.Repeat("x", 100_000))[:50_000])
	clocktest.Eventually(t, "the frame's memory is taken from what is for guests", func() bool { return f.server.lobby.Used() > 100_000 })
	for _, b := range f.server.frames {
		if b.Used() > 0 {
			t.Error("a guest has memory of others")
		}
	}
}

// TestTheOldestGuestOfTheBusiestPlaceGivesWay has two guests of 127.0.0.1 and room for three: the first of them ends when there are more.
func TestTheOldestGuestOfTheBusiestPlaceGivesWay(t *testing.T) {
	f := serve(t, guarded, func(c *Config) { c.MaxGuests = 3 })
	from := func(host string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
		c, err := d.DialContext(t.Context(), "tcp", f.addr)
		if err != nil {
			t.Skipf("no second address on loopback: %v", err) // some systems have 127.0.0.1 alone
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		write(t, c, request(keyEcho, 0, 1, "x"))
		expect(t, c, 1, "x")
		return c
	}
	other, first, second := from("127.0.0.2"), from("127.0.0.1"), from("127.0.0.1")
	third := from("127.0.0.1")
	expectClosed(t, first)
	for _, c := range []net.Conn{other, second, third} {
		write(t, c, request(keyAdmit, 0, 2, "y"))
		expect(t, c, 2, "y")
	}
	if n := f.server.Guests(); n != 0 {
		t.Errorf("%d guests", n)
	}
	if len(f.server.places) != 0 {
		t.Errorf("places %v", f.server.places)
	}
	clocktest.Eventually(t, "it is logged", func() bool { return strings.Contains(f.log.String(), "too many connections wait") })
}

func TestBareTokensAreReadAndAnswered(t *testing.T) {
	f := serve(t, guarded)
	c := f.dial(t)
	write(t, c, request(keyToken, 0, 1, "x"), []byte{0, 0, 0, 3, 'a', 'b', 'c'}, request(keyToken, 5, 2, ""), []byte{0, 0, 0, 0}, request(keyEcho, 0, 3, "y"))
	expect(t, c, 1, "x")
	want := []byte("\x00\x00\x00\x09token abc")
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%q, %v", got, err)
	}
	expect(t, c, 2, "\x00")
	want = []byte("\x00\x00\x00\x06token ")
	got = make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%q, %v", got, err)
	}
	expect(t, c, 3, "y")
}

func TestAConnectionEndsAfterItsAnswer(t *testing.T) {
	f := serve(t)
	c := f.dial(t)
	write(t, c, request(keyEnd, 0, 1, "x"), request(keyEcho, 0, 2, "not served"))
	expect(t, c, 1, "x")
	expectClosed(t, c)
	clocktest.Eventually(t, "it is logged", func() bool { return strings.Contains(f.log.String(), "as asked, after the answer") })
	if n := f.served.Load(); n != 1 {
		t.Errorf("%d requests served", n)
	}
}

// secured is a server with TLS, and how its clients connect.
func secured(t *testing.T, change ...func(*Config)) (*fixture, func() net.Conn) {
	t.Helper()
	certificate, key := tlstest.Pair(t, pkix.Name{CommonName: "server"}, time.Now())
	f := serve(t, append([]func(*Config){func(c *Config) {
		c.Listeners[0].TLS = &tls.Config{Certificates: []tls.Certificate{tlstest.Keys(t, certificate, key)}, MinVersion: tls.VersionTLS12, DynamicRecordSizingDisabled: true}
		c.Listeners[0].Guarded = true
	}}, change...)...)
	return f, func() net.Conn {
		t.Helper()
		c := tls.Client(f.dial(t), &tls.Config{RootCAs: tlstest.Pool(t, certificate), ServerName: "localhost"})
		if err := c.HandshakeContext(context.Background()); err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func TestAnswersPassTLS(t *testing.T) {
	f, dial := secured(t)
	c := dial()
	write(t, c, request(keyAdmit, 0, 1, "x"))
	expect(t, c, 1, "x")
	for i, size := range []int{0, 1, attachMin, 16 << 10, bundleBytes - 50, bundleBytes, 3*maxWrite + 17} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		write(t, c, request(keyEcho, 0, int32(i), body))
		expect(t, c, int32(i), body)
	}
	close(f.release)
	write(t, c, request(keyLater, 0, 50, "later"), request(keyLater, 0, 51, "and later"))
	expect(t, c, 50, "later")
	expect(t, c, 51, "and later")
}

func TestAnAnswerOfManyPiecesIsFewWrites(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	sink := &countingConn{Conn: near}
	go func() { _, _ = io.Copy(io.Discard, far) }()
	b := &bundle{Conn: sink}
	b.begin()
	for range 100 {
		if n, err := b.Write(make([]byte, 10_000)); n != 10_000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := b.end(); err != nil || sink.bytes != 1_000_000 || sink.writes > 1_000_000/bundleBytes+2 {
		t.Errorf("%d bytes in %d writes, %v", sink.bytes, sink.writes, err)
	}
	if n, err := b.Write([]byte("an alert")); n != 8 || err != nil || sink.bytes != 1_000_008 {
		t.Errorf("%d bytes after %d, %v: it was kept back", sink.bytes, n, err)
	}
}

type countingConn struct {
	net.Conn
	writes, bytes int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes++
	c.bytes += len(p)
	return c.Conn.Write(p)
}

func TestWhoDoesNotSpeakTLSIsClosed(t *testing.T) {
	f, dial := secured(t, func(c *Config) { c.GuestTimeout = 5 * time.Second })
	plain, silent, member := f.dial(t), f.dial(t), dial()
	write(t, member, request(keyAdmit, 0, 1, "x"))
	expect(t, member, 1, "x")
	write(t, plain, request(keyEcho, 0, 1, "x"))
	if _, err := io.Copy(io.Discard, plain); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the plain client: %v", err)
	}
	clocktest.Eventually(t, "the silent one is a guest", func() bool { return f.server.Guests() == 1 })
	f.advance(t, 6*time.Second)
	expectClosed(t, silent)
	write(t, member, request(keyEcho, 0, 2, "x"))
	expect(t, member, 2, "x")
	f.stop()
	if got := f.log.String(); !strings.Contains(got, "TLS handshake: ") || !strings.Contains(got, "not authenticated within 5s") {
		t.Errorf("log %s", got)
	}
}

func TestWaitingRequestsSeeTheClientLeaveThroughTLS(t *testing.T) {
	f, dial := secured(t)
	c := dial()
	write(t, c, request(keyAdmit, 0, 1, ""))
	expect(t, c, 1, "")
	write(t, c, request(keyWait, 0, 2, ""))
	clocktest.Eventually(t, "it is served", func() bool { return f.served.Load() == 2 })
	c.Close()
	if cause := <-f.causes; cause != ErrPeerGone {
		t.Errorf("cause %v", cause)
	}
}

func TestServerListensAtSeveralAddresses(t *testing.T) {
	second, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := serve(t, func(c *Config) { c.Listeners = append(c.Listeners, Listener{Net: second}) })
	for _, addr := range []string{f.addr, second.Addr().String()} {
		f.addr = addr
		c := f.dial(t)
		write(t, c, request(keyEcho, 0, 1, "x"))
		expect(t, c, 1, "x")
	}
	f.stop()
	if c, err := net.Dial("tcp", second.Addr().String()); err == nil {
		c.Close()
		t.Error("the second address is still open")
	}
}
