package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// errNoAuthorizer answers everything about access control lists where there are none.
var errNoAuthorizer = refuse(kerr.SecurityDisabled, "No Authorizer is configured.")

// aclError gives an error of the book its code.
func aclError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, acl.ErrInvalid), errors.Is(err, acl.ErrTooMany):
		return refuse(kerr.InvalidRequest, "%s", err.Error())
	}
	return err
}

// describeACLs lists the bindings that a filter selects, those of one pattern together. v0 knows literal patterns alone, and asks for these.
func (s *Server) describeACLs(_ context.Context, _ *Client, req *kmsg.DescribeACLsRequest) *kmsg.DescribeACLsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	found, err := []acl.Binding(nil), errNoAuthorizer
	if s.cfg.ACLs != nil {
		found, err = s.cfg.ACLs.Find(acl.Filter{
			Resource: acl.Resource(req.ResourceType), Pattern: aclPattern(req.ResourcePatternType, req.Version), Name: req.ResourceName,
			Principal: req.Principal, Host: req.Host, Operation: acl.Operation(req.Operation), Permission: acl.Permission(req.PermissionType),
		})
		err = aclError(err)
	}
	resp.ErrorCode, resp.ErrorMessage = code(err), messageOrEmpty(err)
	for i := range found {
		b := &found[i]
		if req.Version == 0 && b.Pattern != acl.Literal {
			continue
		}
		if n := len(resp.Resources); n == 0 || i == 0 || found[i-1].Name != b.Name || found[i-1].Resource != b.Resource || found[i-1].Pattern != b.Pattern {
			r := kmsg.NewDescribeACLsResponseResource()
			r.ResourceType, r.ResourceName, r.ResourcePatternType = kmsg.ACLResourceType(b.Resource), b.Name, kmsg.ACLResourcePatternType(b.Pattern)
			resp.Resources = append(resp.Resources, r)
		}
		r := &resp.Resources[len(resp.Resources)-1]
		e := kmsg.NewDescribeACLsResponseResourceACL()
		e.Principal, e.Host, e.Operation, e.PermissionType = b.Principal, b.Host, kmsg.ACLOperation(b.Operation), kmsg.ACLPermissionType(b.Permission)
		r.ACLs = append(r.ACLs, e)
	}
	return resp
}

// aclPattern returns the pattern of a request: v0 has none but literal ones.
func aclPattern(p kmsg.ACLResourcePatternType, version int16) acl.Pattern {
	if version == 0 {
		return acl.Literal
	}
	return acl.Pattern(p)
}

// createACLs adds bindings, each alone, durable when it answers.
func (s *Server) createACLs(ctx context.Context, c *Client, req *kmsg.CreateACLsRequest) *kmsg.CreateACLsResponse {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	bindings := make([]acl.Binding, 0, len(req.Creations))
	for i := range req.Creations {
		a := &req.Creations[i]
		bindings = append(bindings, acl.Binding{
			Resource: acl.Resource(a.ResourceType), Pattern: aclPattern(a.ResourcePatternType, req.Version), Name: a.ResourceName,
			Principal: a.Principal, Host: a.Host, Operation: acl.Operation(a.Operation), Permission: acl.Permission(a.PermissionType),
		})
	}
	errs := make([]error, len(bindings))
	if s.cfg.ACLs != nil {
		errs = s.cfg.ACLs.Create(ctx, bindings)
	}
	for i, err := range errs {
		r := kmsg.NewCreateACLsResponseResult()
		if err = aclError(err); s.cfg.ACLs == nil {
			err = errNoAuthorizer
		}
		r.ErrorCode, r.ErrorMessage = code(err), errorMessage(err)
		resp.Results = append(resp.Results, r)
		if err == nil {
			resp.Results[i].ErrorMessage = new(string) // as Apache Kafka has it here, and in no other answer
			s.logger.Info("ACL created", "acl", bindings[i], "principal", c.Principal(), "peer", c.Addr, "client", c.ID)
		}
	}
	return resp
}

// deleteACLs removes the bindings that filters select, and tells which, durable when it answers.
func (s *Server) deleteACLs(ctx context.Context, c *Client, req *kmsg.DeleteACLsRequest) *kmsg.DeleteACLsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	filters := make([]acl.Filter, 0, len(req.Filters))
	for i := range req.Filters {
		f := &req.Filters[i]
		filters = append(filters, acl.Filter{
			Resource: acl.Resource(f.ResourceType), Pattern: aclPattern(f.ResourcePatternType, req.Version), Name: f.ResourceName,
			Principal: f.Principal, Host: f.Host, Operation: acl.Operation(f.Operation), Permission: acl.Permission(f.PermissionType),
		})
	}
	removed := make([]acl.Removed, len(filters))
	if s.cfg.ACLs != nil {
		removed = s.cfg.ACLs.Delete(ctx, filters)
	}
	for i := range removed {
		r, err := kmsg.NewDeleteACLsResponseResult(), aclError(removed[i].Err)
		if s.cfg.ACLs == nil {
			err = errNoAuthorizer
		}
		r.ErrorCode, r.ErrorMessage = code(err), errorMessage(err)
		for _, b := range removed[i].Bindings {
			m := kmsg.NewDeleteACLsResponseResultMatchingACL()
			m.ResourceType, m.ResourceName, m.ResourcePatternType = kmsg.ACLResourceType(b.Resource), b.Name, kmsg.ACLResourcePatternType(b.Pattern)
			m.Principal, m.Host, m.Operation, m.PermissionType = b.Principal, b.Host, kmsg.ACLOperation(b.Operation), kmsg.ACLPermissionType(b.Permission)
			r.MatchingACLs = append(r.MatchingACLs, m)
			s.logger.Info("ACL deleted", "acl", b, "principal", c.Principal(), "peer", c.Addr, "client", c.ID)
		}
		resp.Results = append(resp.Results, r)
	}
	return resp
}
