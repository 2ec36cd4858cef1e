package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errNoAuthorizer answers everything about access control lists.
var errNoAuthorizer = refuse(kerr.SecurityDisabled, "No Authorizer is configured.")

func (s *Server) describeACLs(_ context.Context, _ *Client, req *kmsg.DescribeACLsRequest) *kmsg.DescribeACLsResponse {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	resp.ErrorCode, resp.ErrorMessage = code(errNoAuthorizer), errorMessage(errNoAuthorizer)
	return resp
}

func (s *Server) createACLs(_ context.Context, _ *Client, req *kmsg.CreateACLsRequest) *kmsg.CreateACLsResponse {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	for range req.Creations {
		r := kmsg.NewCreateACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = code(errNoAuthorizer), errorMessage(errNoAuthorizer)
		resp.Results = append(resp.Results, r)
	}
	return resp
}

func (s *Server) deleteACLs(_ context.Context, _ *Client, req *kmsg.DeleteACLsRequest) *kmsg.DeleteACLsResponse {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	for range req.Filters {
		r := kmsg.NewDeleteACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = code(errNoAuthorizer), errorMessage(errNoAuthorizer)
		resp.Results = append(resp.Results, r)
	}
	return resp
}
