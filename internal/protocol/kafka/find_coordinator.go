package kafka

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The coordinator types of FindCoordinator.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
	shareCoordinator       = 2
)

// shareKey is how brokers name a share-partition: group, topic id in base64 and partition.
var shareKey = regexp.MustCompile(`^.+:[A-Za-z0-9_-]{22}:[0-9]{1,10}$`)

// findCoordinator names this node: it coordinates every group and transactional id. v1: kinds of coordinator. v4: several keys.
func (s *Server) findCoordinator(ctx context.Context, c *Client, req *kmsg.FindCoordinatorRequest) *kmsg.FindCoordinatorResponse {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	keys := req.CoordinatorKeys
	if req.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	if req.CoordinatorType == groupCoordinator && len(keys) > 0 {
		s.needOffsetsTopic(ctx)
	}
	for _, key := range keys {
		r := s.coordinator(c.listener, key, req.CoordinatorType)
		if r.ErrorCode == 0 {
			r.ErrorMessage = messageOrEmpty(nil)
		}
		resp.Coordinators = append(resp.Coordinators, r)
	}
	if req.Version < 4 {
		r := resp.Coordinators[0]
		if r.ErrorCode == 0 {
			r.ErrorMessage = kmsg.StringPtr("NONE") // nor here
		}
		resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = r.ErrorCode, r.ErrorMessage, r.NodeID, r.Host, r.Port
	}
	return resp
}

func (s *Server) coordinator(at *listener, key string, kind int8) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	refuse := func(err *kerr.Error, message string) kmsg.FindCoordinatorResponseCoordinator {
		c.ErrorCode, c.ErrorMessage = err.Code, &message
		return c
	}
	switch kind {
	case groupCoordinator, transactionCoordinator:
		c.NodeID, c.Host, c.Port = s.cfg.NodeID, at.host, at.port
		return c
	case shareCoordinator:
		if !shareKey.MatchString(key) {
			return refuse(kerr.InvalidRequest, "A share-partition's key is a group, a topic's id and a partition.")
		}
		c.NodeID, c.Host, c.Port = s.cfg.NodeID, at.host, at.port
		return c
	}
	return refuse(kerr.InvalidRequest, "Unknown coordinator type.")
}
