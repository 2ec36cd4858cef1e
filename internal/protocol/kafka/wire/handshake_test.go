package wire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509/pkix"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock/clocktest"
	"github.com/freshet/freshet/internal/tlsfiles/tlstest"
)

// crowd counts the handshakes that a server is at work for, and holds them until they are released, by the test's end at last.
type crowd struct {
	hold    chan struct{}
	release func()

	mu        sync.Mutex
	now, most int // guarded by mu
}

// choose is a tls.Config's GetConfigForClient.
func (c *crowd) choose(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mu.Lock()
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	<-c.hold
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return nil, nil //nolint:nilnil // the configuration stays what it is
}

func (c *crowd) counts() (now, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.most
}

// shaking is a server with TLS that counts its handshakes, and how clients begin one.
func shaking(t *testing.T) (f *fixture, c *crowd, begin func() *tls.Conn) {
	certificate, key := tlstest.Pair(t, pkix.Name{CommonName: "server"}, time.Now())
	c = &crowd{hold: make(chan struct{})}
	c.release = sync.OnceFunc(func() { close(c.hold) })
	f = serve(t, guarded, func(config *Config) {
		config.Listeners[0].TLS = &tls.Config{Certificates: []tls.Certificate{tlstest.Keys(t, certificate, key)}, MinVersion: tls.VersionTLS12, GetConfigForClient: c.choose}
	})
	t.Cleanup(c.release) // before the server stops
	return f, c, func() *tls.Conn {
		return tls.Client(f.dial(t), &tls.Config{RootCAs: tlstest.Pool(t, certificate), ServerName: "localhost", MinVersion: tls.VersionTLS12})
	}
}

func TestHandshakesTakeTurns(t *testing.T) {
	_, c, begin := shaking(t)
	const clients = 20
	var work sync.WaitGroup
	for range clients {
		client := begin()
		work.Go(func() {
			if err := client.Handshake(); err != nil {
				t.Error(err)
			}
		})
	}
	turns := max(1, runtime.GOMAXPROCS(0)/2)
	clocktest.Eventually(t, "handshakes are at work", func() bool { now, _ := c.counts(); return now == turns })
	c.release()
	work.Wait()
	if _, most := c.counts(); most != turns {
		t.Errorf("%d handshakes at a time, want %d", most, turns)
	}
}

// first passes on what a client sends first, and nothing more.
type first struct {
	net.Conn
	sent bool
}

func (f *first) Write(p []byte) (int, error) {
	if f.sent {
		return len(p), nil
	}
	f.sent = true
	return f.Conn.Write(p)
}

// TestSlowClientsHoldNoTurn has clients that begin a handshake and stop: before their message is whole, after it, and as it waits for its turn.
func TestSlowClientsHoldNoTurn(t *testing.T) {
	f, c, begin := shaking(t)
	for range 10 {
		write(t, f.dial(t), append([]byte{0x16, 3, 1, 1, 0, 1, 0, 0, 0xfc, 3, 3}, bytes.Repeat([]byte{0}, 100)...))
	}
	for range 10 {
		half := begin()
		silent := tls.Client(&first{Conn: half.NetConn()}, &tls.Config{InsecureSkipVerify: true})
		go silent.Handshake() //nolint:errcheck // it ends with its connection
	}
	for range 10 {
		leaving := begin()
		go leaving.Handshake() //nolint:errcheck // it is closed below
		clocktest.Eventually(t, "a handshake waits", func() bool { now, _ := c.counts(); return now > 0 })
		leaving.NetConn().Close()
	}
	c.release()
	friend := begin()
	write(t, friend, request(keyEcho, 0, 1, "x"))
	expect(t, friend, 1, "x")
}
