package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Guests are connections whose clients have not yet proved who they are. What they may cost is bounded apart from everyone else: their number,
// the time until they are admitted, the size of a frame, and the memory of all their frames.

// guestMemory bounds the frames of all guests together, beyond those that fit their input buffers.
const guestMemory = 16 << 20

// errCrowded ends the guest that gives way to a new one.
var errCrowded = errors.New("too many connections wait for authentication")

// Admit makes the connection no guest any more. It is called by the session's goroutine.
func (c *Conn) Admit() {
	if c.guest.Swap(false) {
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		c.server.forgetGuestLocked(c)
	}
}

// welcomeLocked takes a new guest. If there are too many, the one that has waited longest among those from the busiest address gives way: who
// floods the node with connections from one place ends its own.
func (s *Server) welcomeLocked(c *Conn) {
	c.guest.Store(true)
	c.born = s.ticks.Load()
	c.place = c.Place()
	if len(s.guests) >= s.cfg.MaxGuests {
		busiest := 0
		for _, n := range s.places {
			busiest = max(busiest, n)
		}
		for i, g := range s.guests {
			if s.places[g.place] == busiest {
				s.removeGuestLocked(i)
				g.shut(errCrowded)
				break
			}
		}
	}
	s.guests = append(s.guests, c)
	s.places[c.place]++
}

func (s *Server) forgetGuestLocked(c *Conn) {
	for i, g := range s.guests {
		if g == c {
			s.removeGuestLocked(i)
			return
		}
	}
}

func (s *Server) removeGuestLocked(i int) {
	g := s.guests[i]
	s.guests = append(s.guests[:i], s.guests[i+1:]...)
	if s.places[g.place]--; s.places[g.place] == 0 {
		delete(s.places, g.place)
	}
}

// Place returns what of the client's address counts as one place when those that cost too much are told apart: an IPv4 address, or the 64 bits of
// an IPv6 address that name a network, whose owner has all addresses in it.
func (c *Conn) Place() string {
	whole := c.RemoteAddr().String()
	from, err := netip.ParseAddrPort(whole)
	if err != nil {
		return whole
	}
	address := from.Addr().Unmap()
	if !address.Is6() {
		return address.String()
	}
	network, err := address.WithZone("").Prefix(64)
	if err != nil {
		return whole
	}
	return network.String()
}

// checkGuest shuts the connection if its client has had its time to prove who it is.
func (c *Conn) checkGuest(now int64) {
	if limit := c.server.cfg.GuestTimeout; c.guest.Load() && now-c.born > int64(limit/time.Second) {
		c.shut(fmt.Errorf("not authenticated within %s", limit))
	}
}

// maxFrame returns how large a frame the connection may send now.
func (c *Conn) maxFrame() int {
	if c.guest.Load() {
		return min(c.server.cfg.MaxGuestRequestBytes, c.server.cfg.MaxRequestBytes)
	}
	return c.server.cfg.MaxRequestBytes
}

// Guests returns how many connections have not been admitted.
func (s *Server) Guests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.guests)
}
