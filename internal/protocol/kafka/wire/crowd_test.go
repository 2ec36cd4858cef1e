package wire

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/clock/clocktest"
)

// Bounds hold for who comes, not for who is there; who goes makes room.
func TestCrowdsAreBounded(t *testing.T) {
	f := serve(t, func(c *Config) { c.MaxConnections = 3 })
	here := netip.MustParseAddr("127.0.0.1")
	first := f.dial(t)
	write(t, first, request(keyEcho, 0, 1, "x"))
	expect(t, first, 1, "x")
	open := func(n int) {
		t.Helper()
		clocktest.Eventually(t, "so many are open", func() bool { got, _ := f.server.Connections(); return got == n })
	}
	for _, row := range []struct {
		crowd Crowd
		more  int // that get in beside the first
		words string
	}{
		{Crowd{PerAddress: -1}, 2, "too many connections, 3"},
		{Crowd{Most: 99, PerAddress: 99}, 2, "too many connections, 3"},
		{Crowd{Most: 2, PerAddress: -1}, 1, "too many connections, 2"},
		{Crowd{PerAddress: 2}, 1, "too many connections from 127.0.0.1, 2"},
		{Crowd{PerAddress: 0, Addresses: map[netip.Addr]int{here: 3}}, 2, "too many connections, 3"},
		{Crowd{PerAddress: -1, Addresses: map[netip.Addr]int{here: 1}}, 0, "too many connections from 127.0.0.1, 1"},
	} {
		f.server.SetCrowd(row.crowd)
		before := len(f.log.String())
		var others []net.Conn
		for range row.more {
			c := f.dial(t)
			write(t, c, request(keyEcho, 0, 1, "x"))
			expect(t, c, 1, "x")
			others = append(others, c)
		}
		expectClosed(t, f.dial(t))
		if got := f.log.String()[before:]; !strings.Contains(got, row.words) {
			t.Errorf("%+v: log %s", row.crowd, got)
		}
		for _, c := range others {
			c.Close()
		}
		open(1)
		write(t, first, request(keyEcho, 0, 2, "x"))
		expect(t, first, 2, "x")
	}
	first.Close()
	open(0)
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	if len(f.server.addresses) > 0 {
		t.Errorf("%v are remembered", f.server.addresses)
	}
}

// Connections that come too fast wait until they are not too early, and none is lost.
func TestConnectionsArePaced(t *testing.T) {
	var asked atomic.Int64
	f := serve(t, func(c *Config) {
		c.Pace = func() time.Duration {
			if asked.Add(1) == 2 {
				return 3 * time.Second
			}
			return 0
		}
	})
	for i := range 3 {
		c := f.dial(t)
		write(t, c, request(keyEcho, 0, 1, "x"))
		if i == 1 {
			clocktest.Eventually(t, "it waits, beside the sweeper", func() bool { return f.clock.Waiting() == 2 })
			if open, _ := f.server.Connections(); open != 1 {
				t.Errorf("%d are open", open)
			}
			f.advance(t, 3*time.Second)
		}
		expect(t, c, 1, "x")
	}
}
