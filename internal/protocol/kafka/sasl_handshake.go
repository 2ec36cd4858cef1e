package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
)

// saslHandshake agrees on a mechanism. After v0 the client sends bare tokens, after v1 SaslAuthenticate.
func (s *Server) saslHandshake(_ context.Context, c *Client, req *kmsg.SASLHandshakeRequest) *kmsg.SASLHandshakeResponse {
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	for _, m := range c.listener.Mechanisms {
		resp.SupportedMechanisms = append(resp.SupportedMechanisms, m.Name())
	}
	now := s.clock.Now()
	if c.auth == nil || c.auth.stage == proved && !c.auth.mayRenew(now) {
		resp.ErrorCode, resp.SupportedMechanisms = kerr.IllegalSaslState.Code, nil
		return resp
	}
	i := slices.IndexFunc(c.listener.Mechanisms, func(m sasl.Mechanism) bool { return m.Name() == req.Mechanism })
	if i < 0 || c.auth.stage == proved && c.listener.Mechanisms[i] != c.auth.mechanism { // which one a client uses is for the connection's life
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		c.conn.End(fmt.Errorf("client asks for the mechanism %.40q, the listener has %s", req.Mechanism, strings.Join(resp.SupportedMechanisms, ", ")))
		return resp
	}
	c.auth.begin(c.listener.Mechanisms[i], sasl.Peer{Host: c.conn.Place(), Attempts: s.attempts}, now)
	if req.Version == 0 {
		c.conn.ExpectToken()
	}
	return resp
}
