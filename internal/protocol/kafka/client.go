package kafka

import (
	"context"
	"fmt"
	"net"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/principal"
	"github.com/freshet/freshet/internal/protocol/kafka/wire"
)

// Client is the client at the other end of a connection. Handlers of one client never run at the same time.
type Client struct {
	ID       string // as the current request says
	Addr     net.Addr
	Software string // name and version as ApiVersions v3 and later says, or ""

	server    *Server
	conn      *wire.Conn
	listener  *listener
	auth      *authentication // nil: the listener has no SASL
	principal principal.Principal
	proved    bool    // by SASL
	delegated bool    // by a delegation token
	grants    grants  // what was decided about it
	metered   metered // what it took
	trusted   bool    // it is the node's own control plane
}

// Principal returns who the client is: principal.Anonymous where its listener authenticates nobody.
func (c *Client) Principal() principal.Principal { return c.principal }

// Listener returns the name of the listener that the client connected to.
func (c *Client) Listener() string { return c.listener.Name }

// Host returns the client's IP address, or its whole address if it has none.
func (c *Client) Host() string {
	host, _, err := net.SplitHostPort(c.Addr.String())
	if err != nil {
		return c.Addr.String()
	}
	return host
}

// Connect begins the session of a connection.
func (s *Server) Connect(c *wire.Conn) (wire.Session, error) {
	l := s.listeners[c.Listener()]
	client := &Client{Addr: c.RemoteAddr(), server: s, conn: c, listener: l, principal: principal.Anonymous}
	if l.authenticates() {
		client.auth = &authentication{}
		return client, nil
	}
	var err error
	if client.principal, err = l.certified(c.TLS()); err != nil {
		return nil, err
	}
	c.Admit()
	return client, nil
}

// Close ends the session.
func (c *Client) Close() {
	c.server.sessions.drop(c)
	c.server.shares.Disconnect(c)
	c.server.telemetry.Disconnect(c)
}

// Serve serves one request.
func (c *Client) Serve(ctx context.Context, r *wire.Request) (wire.Answer, error) {
	a, err := c.serveMetered(ctx, r)
	if err != nil {
		var o observed
		o.begin(c, r)
		o.end(0, 0, err)
	}
	return a, err
}

func (c *Client) serve(ctx context.Context, r *wire.Request) (wire.Answer, error) {
	c.ID = r.ClientID
	if c.auth != nil {
		if err := c.auth.admit(r, c.server.clock.Now()); err != nil {
			return nil, err
		}
		if r.Token {
			return c.serveToken(ctx, r)
		}
	}
	a := c.server.apis[r.Key]
	if a == nil {
		return nil, fmt.Errorf("request key %d is not served", r.Key)
	}
	if r.Version < a.min || r.Version > a.max {
		if a.key == kmsg.ApiVersions {
			return c.answer(r, c.server.apiVersionsTooNew()), nil
		}
		return nil, fmt.Errorf("%s v%d is not served, only v%d to v%d", a.key.Name(), r.Version, a.min, a.max)
	}
	if a.raw != nil {
		return a.raw(c.server, ctx, c, r)
	}
	req := kmsg.RequestForKey(r.Key)
	if err := r.Decode(ctx, req); err != nil {
		return nil, fmt.Errorf("%s v%d: %w", a.key.Name(), r.Version, err)
	}
	if a.waits {
		var stop func()
		ctx, stop = c.conn.WatchPeer(ctx)
		defer stop()
		defer c.waits(c.waitBegins())
	}
	resp, err := c.authorized(ctx, a, req)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, fmt.Errorf("%s v%d: %w", a.key.Name(), r.Version, context.Cause(ctx))
	}
	resp.SetVersion(r.Version)
	return c.answer(r, resp), nil
}

func (c *Client) answer(r *wire.Request, resp kmsg.Response) wire.Answer {
	a := &message{resp: resp}
	a.begin(c, r)
	return a
}

// message is an answer that kmsg encodes.
type message struct {
	observed
	resp kmsg.Response
}

// Ready implements wire.Answer: there is nothing to wait for.
func (m *message) Ready() <-chan struct{} { return nil }

// Encode implements wire.Answer.
func (m *message) Encode(f *wire.Frame) error {
	f.Buf = m.resp.AppendTo(f.Buf)
	return nil
}

// Done implements wire.Answer: it reports the first error code in the answer.
func (m *message) Done(written int, err error) {
	code := int16(0)
	if m.client.server.cfg.Observe != nil {
		code = errorCode(reflect.ValueOf(m.resp).Elem(), 2)
	}
	m.end(written, code, err)
}

// observed is the part of an answer that tells Observe of it.
type observed struct {
	client  *Client
	request wire.Request
}

func (o *observed) begin(c *Client, r *wire.Request) {
	o.client, o.request = c, *r
	o.request.Body = nil
}

func (o *observed) end(written int, code int16, err error) {
	s := o.client.server
	if s.cfg.Observe == nil {
		return
	}
	r := &o.request
	s.cfg.Observe(Observation{
		API: kmsg.Key(r.Key).Name(), Key: r.Key, Version: r.Version, ClientID: r.ClientID, Peer: o.client.Addr,
		Listener: o.client.listener.Name, Principal: o.client.principal,
		Received: r.Received, Latency: s.clock.Now().Sub(r.Received), RequestBytes: r.Bytes,
		AnswerBytes: written, ErrorCode: code, Err: err,
	})
}

// errorCode returns the first ErrorCode of v, a struct, that is not 0, looking into arrays depth levels down.
func errorCode(v reflect.Value, depth int) int16 {
	if f := v.FieldByName("ErrorCode"); f.IsValid() && f.Int() != 0 {
		return int16(f.Int())
	}
	if depth == 0 {
		return 0
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() != reflect.Struct {
			continue
		}
		for j := range f.Len() {
			if code := errorCode(f.Index(j), depth-1); code != 0 {
				return code
			}
		}
	}
	return 0
}
