package sasl

import (
	"context"
	"errors"

	"github.com/freshet/freshet/internal/govern/jwt"
	"github.com/freshet/freshet/internal/govern/principal"
)

// jwts are tokens that are JSON Web Tokens.
type jwts struct{ verifier *jwt.Verifier }

// JWTs returns the tokens that a verifier knows.
func JWTs(v *jwt.Verifier) Tokens { return jwts{v} }

// Claimed implements Tokens.
func (j jwts) Claimed(token string) string { return j.verifier.Claimed(token) }

// Verify implements Tokens.
func (j jwts) Verify(ctx context.Context, token string) (*Identity, error) {
	subject, err := j.verifier.Verify(ctx, token)
	if errors.Is(err, jwt.ErrInvalid) {
		return nil, refuse(err.Error())
	}
	if err != nil {
		return nil, err
	}
	return &Identity{Principal: principal.Of(subject.Name), Expires: subject.Expires}, nil
}
