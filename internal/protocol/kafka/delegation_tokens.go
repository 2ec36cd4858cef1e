package kafka

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/delegation"
	"github.com/freshet/freshet/internal/govern/principal"
)

var (
	errTokensNotAllowed = refuse(kerr.DelegationTokenRequestNotAllowed, "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels.")
	errTokensDisabled   = refuse(kerr.DelegationTokenAuthDisabled, "Delegation Token feature is not enabled.")
	errRenewerKind      = refuse(kerr.InvalidPrincipalType, "Supplied principalType is not supported.")
	errTokenDenied      = refuse(kerr.DelegationTokenAuthorizationFailed, "Delegation Token authorization failed.")
)

// noTokenTime is the time in refusals that Apache Kafka's brokers give themselves; its controllers have 0 there.
const noTokenTime = -1

// mayUseTokens says whether the client may make, renew, end and list delegation tokens: it must have proved who it is, and not by such a token.
func (c *Client) mayUseTokens() bool { return c.Principal() != principal.Anonymous && !c.delegated }

// tokens returns the delegation tokens for a request of c, or why it has none.
func (s *Server) tokens(c *Client) (*delegation.Book, error) {
	switch {
	case !c.mayUseTokens():
		return nil, errTokensNotAllowed
	case s.cfg.Tokens == nil:
		return nil, errTokensDisabled
	}
	return s.cfg.Tokens, nil
}

// tokenError gives an error of the book its code.
func tokenError(err error) error {
	for _, known := range []struct {
		is   error
		kind *kerr.Error
	}{
		{delegation.ErrNotFound, kerr.DelegationTokenNotFound},
		{delegation.ErrExpired, kerr.DelegationTokenExpired},
		{delegation.ErrNotOwner, kerr.DelegationTokenOwnerMismatch},
		{delegation.ErrTooMany, kerr.PolicyViolation},
		{delegation.ErrInvalid, kerr.InvalidRequest},
	} {
		if errors.Is(err, known.is) {
			return refuse(known.kind, "%s", err)
		}
	}
	return err
}

// tokenPeriod makes a time span of a request's milliseconds, of which there may be more than a Duration holds.
func tokenPeriod(millis int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(max(-1, min(millis, most))) * time.Millisecond
}

// tokenOwner returns for whom a token is asked for: for the client unless the request names somebody else (KIP-373).
func (c *Client) tokenOwner(req *kmsg.CreateDelegationTokenRequest) principal.Principal {
	if name := value(req.OwnerPrincipalName); name != "" {
		return principal.Principal{Type: value(req.OwnerPrincipalType), Name: name}
	}
	return c.Principal()
}

// createDelegationToken makes a token, durable when it answers (KIP-48).
func (s *Server) createDelegationToken(ctx context.Context, c *Client, req *kmsg.CreateDelegationTokenRequest) *kmsg.CreateDelegationTokenResponse {
	made, err := s.makeToken(ctx, c, req)
	if err != nil {
		return c.noToken(req, err)
	}
	resp := c.noToken(req, nil)
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = made.Issued.UnixMilli(), made.Expires.UnixMilli(), made.Max.UnixMilli()
	resp.TokenID, resp.HMAC = made.ID, made.HMAC
	return resp
}

func (s *Server) makeToken(ctx context.Context, c *Client, req *kmsg.CreateDelegationTokenRequest) (delegation.Token, error) {
	book, err := s.tokens(c)
	if err != nil {
		return delegation.Token{}, err
	}
	renewers := make([]principal.Principal, len(req.Renewers))
	for i := range req.Renewers {
		renewers[i] = principal.Principal{Type: req.Renewers[i].PrincipalType, Name: req.Renewers[i].PrincipalName}
		if renewers[i].Type != principal.User {
			return delegation.Token{}, errRenewerKind
		}
	}
	made, err := book.Create(ctx, c.tokenOwner(req), c.Principal(), renewers, tokenPeriod(req.MaxLifetimeMillis))
	if err != nil {
		s.logger.Info("delegation token refused", "principal", c.Principal(), "peer", c.Addr, "client", c.ID, "reason", err)
		return delegation.Token{}, tokenError(err)
	}
	s.logger.Info("delegation token created", "token", made.ID, "owner", made.Owner, "principal", made.Requester, "expires", made.Expires, "ends", made.Max,
		"peer", c.Addr, "client", c.ID)
	return made, nil
}

// noToken returns an answer without a token.
func (c *Client) noToken(req *kmsg.CreateDelegationTokenRequest, err error) *kmsg.CreateDelegationTokenResponse {
	resp := req.ResponseKind().(*kmsg.CreateDelegationTokenResponse)
	resp.ErrorCode, resp.HMAC = code(err), []byte{}
	owner, self := c.tokenOwner(req), c.Principal()
	resp.PrincipalType, resp.PrincipalName = owner.Type, owner.Name
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = self.Type, self.Name
	if errors.Is(err, errTokensNotAllowed) || errors.Is(err, errTokenDenied) || errors.Is(err, errRenewerKind) {
		resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = noTokenTime, noTokenTime, noTokenTime
	}
	return resp
}

// renewDelegationToken lets a token expire later.
func (s *Server) renewDelegationToken(ctx context.Context, c *Client, req *kmsg.RenewDelegationTokenRequest) *kmsg.RenewDelegationTokenResponse {
	resp := req.ResponseKind().(*kmsg.RenewDelegationTokenResponse)
	book, err := s.tokens(c)
	if err == nil {
		var renewed delegation.Token
		renewed, err = book.Renew(ctx, c.Principal(), req.HMAC, tokenPeriod(req.RenewTimeMillis))
		resp.ExpiryTimestamp = s.tokenChanged(c, "delegation token renewed", renewed, err)
	} else if errors.Is(err, errTokensNotAllowed) {
		resp.ExpiryTimestamp = noTokenTime
	}
	resp.ErrorCode = code(tokenError(err))
	return resp
}

// expireDelegationToken lets a token expire at another time or, if the time is negative, removes it.
func (s *Server) expireDelegationToken(ctx context.Context, c *Client, req *kmsg.ExpireDelegationTokenRequest) *kmsg.ExpireDelegationTokenResponse {
	resp := req.ResponseKind().(*kmsg.ExpireDelegationTokenResponse)
	book, err := s.tokens(c)
	switch {
	case errors.Is(err, errTokensNotAllowed):
		resp.ExpiryTimestamp = noTokenTime
	case err != nil:
	case req.ExpiryPeriodMillis < 0:
		var gone delegation.Token
		gone, err = book.Remove(ctx, c.Principal(), req.HMAC)
		resp.ExpiryTimestamp = s.tokenChanged(c, "delegation token removed", gone, err)
	default:
		var changed delegation.Token
		changed, err = book.Expire(ctx, c.Principal(), req.HMAC, tokenPeriod(req.ExpiryPeriodMillis))
		resp.ExpiryTimestamp = s.tokenChanged(c, "delegation token expires", changed, err)
	}
	resp.ErrorCode = code(tokenError(err))
	return resp
}

// tokenChanged logs what a client has changed, or has been refused, and returns when the token expires, 0 if it has not been changed.
func (s *Server) tokenChanged(c *Client, what string, t delegation.Token, err error) int64 {
	if err != nil {
		s.logger.Info("delegation token refused", "principal", c.Principal(), "peer", c.Addr, "client", c.ID, "reason", err)
		return 0
	}
	s.logger.Info(what, "token", t.ID, "owner", t.Owner, "principal", c.Principal(), "expires", t.Expires, "peer", c.Addr, "client", c.ID)
	return t.Expires.UnixMilli()
}

// describeDelegationToken lists tokens, with their secrets: what of them the client may see is decided by authorizeDescribeDelegationToken.
func (s *Server) describeDelegationToken(_ context.Context, c *Client, req *kmsg.DescribeDelegationTokenRequest) *kmsg.DescribeDelegationTokenResponse {
	resp := req.ResponseKind().(*kmsg.DescribeDelegationTokenResponse)
	book, err := s.tokens(c)
	if err != nil {
		resp.ErrorCode = code(err)
		return resp
	}
	var owners []principal.Principal // nil = everybody, as in the request
	if req.Owners != nil {
		owners = []principal.Principal{}
	}
	for i := range req.Owners {
		owners = append(owners, principal.Principal{Type: req.Owners[i].PrincipalType, Name: req.Owners[i].PrincipalName})
	}
	for _, t := range book.List(owners) {
		d := kmsg.NewDescribeDelegationTokenResponseTokenDetail()
		d.PrincipalType, d.PrincipalName = t.Owner.Type, t.Owner.Name
		d.TokenRequesterPrincipalType, d.TokenRequesterPrincipalName = t.Requester.Type, t.Requester.Name
		d.IssueTimestamp, d.ExpiryTimestamp, d.MaxTimestamp = t.Issued.UnixMilli(), t.Expires.UnixMilli(), t.Max.UnixMilli()
		d.TokenID, d.HMAC = t.ID, t.HMAC
		for _, r := range t.Renewers {
			d.Renewers = append(d.Renewers, kmsg.DescribeDelegationTokenResponseTokenDetailRenewer{PrincipalType: r.Type, PrincipalName: r.Name})
		}
		resp.TokenDetails = append(resp.TokenDetails, d)
	}
	return resp
}
