package kafka

import (
	"strings"

	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/govern/iam"
	"github.com/freshet/freshet/internal/govern/principal"
)

// newAuthorizer returns who decides where there are access control lists, policies, both or, then nil, neither.
func newAuthorizer(acls *acl.Book, policies *iam.Authorizer) Authorizer {
	switch {
	case policies != nil:
		return withPolicies{acls, policies}
	case acls != nil:
		return acls
	}
	return nil
}

// withPolicies asks policies about principals of AWS, for whom access control lists do not go, as in MSK; about others the lists, if there are any.
type withPolicies struct {
	acls     *acl.Book
	policies *iam.Authorizer
}

// ofAWS returns the ARN of a principal of AWS that no super user is.
func (w withPolicies) ofAWS(who acl.Subject) (arn string, ok bool) {
	arn, ok = strings.CutPrefix(who.Principal, principal.User+":")
	return arn, ok && iam.IsPrincipal(arn) && (w.acls == nil || !w.acls.Super(who.Principal))
}

// Authorize implements Authorizer.
func (w withPolicies) Authorize(who acl.Subject, op acl.Operation, kind acl.Resource, name string) bool {
	if arn, ok := w.ofAWS(who); ok {
		return w.policies.Authorize(arn, op, kind, name)
	}
	return w.acls == nil || w.acls.Authorize(who, op, kind, name)
}

// AuthorizeAny implements Authorizer. Policies have an action of its own for what this is asked for: WriteDataIdempotently.
func (w withPolicies) AuthorizeAny(who acl.Subject, op acl.Operation, kind acl.Resource) bool {
	if _, ok := w.ofAWS(who); ok {
		return false
	}
	return w.acls == nil || w.acls.AuthorizeAny(who, op, kind)
}

// Version implements Authorizer. Both versions only grow, so that their sum changes with either.
func (w withPolicies) Version() uint64 {
	version := w.policies.Version()
	if w.acls != nil {
		version += w.acls.Version()
	}
	return version
}
