package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/protocol/kafka/sasl"
)

// saslAuthenticate takes one message of the mechanism that was agreed on. v1 tells how long what is proved holds.
func (s *Server) saslAuthenticate(ctx context.Context, c *Client, req *kmsg.SASLAuthenticateRequest) *kmsg.SASLAuthenticateResponse {
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	resp.SASLAuthBytes, resp.ErrorMessage = []byte{}, kmsg.StringPtr("") // not null, in Kafka's answers
	if c.auth == nil || c.auth.exchange == nil {
		err := refuse(kerr.IllegalSaslState, "SaslAuthenticate request received after successful authentication")
		resp.ErrorCode, resp.ErrorMessage = code(err), errorMessage(err)
		return resp
	}
	answer, done, err := c.step(ctx, req.SASLAuthBytes)
	if err != nil {
		failure := (*sasl.Failure)(nil)
		if !errors.As(err, &failure) {
			return nil // the server stops
		}
		resp.ErrorCode, resp.ErrorMessage = kerr.SaslAuthenticationFailed.Code, &failure.Text
		c.conn.End(err)
		return resp
	}
	if resp.SASLAuthBytes = answer; done {
		resp.SessionLifetimeMillis = c.lifetime()
	}
	return resp
}
