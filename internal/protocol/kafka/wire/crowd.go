package wire

import (
	"fmt"
	"net/netip"
)

// Crowd bounds how many connections there are. It can be changed while the server runs; connections that there are stay.
type Crowd struct {
	Most       int                // of all; 0 = Config.MaxConnections, which is never exceeded
	PerAddress int                // of clients at one address; < 0 = no bound
	Addresses  map[netip.Addr]int // bounds of addresses with one of their own; never written to
}

// SetCrowd makes other bounds hold for connections that come from now on.
func (s *Server) SetCrowd(c Crowd) {
	if c.Most <= 0 || c.Most > s.cfg.MaxConnections {
		c.Most = s.cfg.MaxConnections
	}
	s.crowd.Store(&c)
}

// crowdedError ends a connection for which there is no room.
type crowdedError struct {
	most int
	at   netip.Addr // whose bound it is; not valid: everyone's
}

// Error says whose bound it is.
func (e *crowdedError) Error() string {
	if e.at.IsValid() {
		return fmt.Sprintf("too many connections from %s, %d", e.at, e.most)
	}
	return fmt.Sprintf("too many connections, %d", e.most)
}

// enterLocked counts a new connection, or says why there is no room for it.
func (s *Server) enterLocked(c *Conn) error {
	crowd := s.crowd.Load()
	if len(s.conns) >= crowd.Most {
		return &crowdedError{most: crowd.Most}
	}
	if from, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		c.address = from.Addr().Unmap().WithZone("")
		most, own := crowd.Addresses[c.address]
		if !own {
			most = crowd.PerAddress
		}
		if most >= 0 && s.addresses[c.address] >= most {
			return &crowdedError{most, c.address}
		}
		s.addresses[c.address]++
	}
	s.conns[c] = struct{}{}
	return nil
}

func (s *Server) leaveLocked(c *Conn) {
	delete(s.conns, c)
	if !c.address.IsValid() {
		return
	}
	if s.addresses[c.address]--; s.addresses[c.address] == 0 {
		delete(s.addresses, c.address)
	}
}
