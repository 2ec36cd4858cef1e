package kafka

import (
	"context"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/principal"
)

// controlPlane is the client id of requests that come through Server.Request.
const controlPlane = "freshet-control-plane"

// localAddr is where a client is that has no connection.
type localAddr struct{}

// Network implements net.Addr.
func (localAddr) Network() string { return "local" }

// String implements net.Addr.
func (localAddr) String() string { return "local" }

var _ net.Addr = localAddr{}

// Request answers a request of the node's own control plane, which may do everything: as a broker with this server's state would, and without a
// connection. The response has the version of req. A request that is not served in that version, or that carries records, is an error.
func (s *Server) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	a := s.apis[req.Key()]
	if a == nil || a.serve == nil || req.GetVersion() < a.min || req.GetVersion() > a.max {
		return nil, fmt.Errorf("%s v%d is not served without a connection", kmsg.NameForKey(req.Key()), req.GetVersion())
	}
	c := &Client{ID: controlPlane, Addr: localAddr{}, server: s, listener: s.listeners[0], principal: principal.Anonymous, trusted: true}
	resp := a.serve(s, ctx, c, req)
	if resp == nil {
		return nil, fmt.Errorf("%s v%d: %w", a.key.Name(), req.GetVersion(), context.Cause(ctx))
	}
	resp.SetVersion(req.GetVersion())
	return resp, nil
}
