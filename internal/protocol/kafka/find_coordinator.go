package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The coordinator types of FindCoordinator.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
	shareCoordinator       = 2
)

// findCoordinator names this node: it coordinates every group. v1: other kinds of coordinator, which are not served. v4: several keys.
func (s *Server) findCoordinator(_ context.Context, _ *Client, req *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	keys := req.CoordinatorKeys
	if req.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	for _, key := range keys {
		resp.Coordinators = append(resp.Coordinators, s.coordinator(key, req.CoordinatorType))
	}
	if req.Version < 4 {
		c := resp.Coordinators[0]
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = c.ErrorCode, c.ErrorMessage, c.NodeID, c.Host, c.Port
	}
	return resp
}

func (s *Server) coordinator(key string, kind int8) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	refuse := func(err *kerr.Error, message string) kmsg.FindCoordinatorResponseCoordinator {
		c.ErrorCode, c.ErrorMessage = err.Code, &message
		return c
	}
	switch kind {
	case groupCoordinator:
		c.NodeID, c.Host, c.Port = s.cfg.NodeID, s.host, s.port
		return c
	case transactionCoordinator:
		// Not a code that clients retry: a transactional producer is to fail at once, not when it times out.
		return refuse(kerr.InvalidRequest, "This node serves no transactions.")
	case shareCoordinator:
		return refuse(kerr.InvalidRequest, "This node serves no share groups.")
	}
	return refuse(kerr.InvalidRequest, "Unknown coordinator type.")
}
