package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet/freshet/internal/govern/acl"
)

// The endpoints that DescribeCluster v1 may ask for.
const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

// describeCluster describes the cluster, which is one broker.
func (s *Server) describeCluster(_ context.Context, c *Client, req *kmsg.DescribeClusterRequest) *kmsg.DescribeClusterResponse {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	if req.Version >= 1 && req.EndpointType != brokerEndpoints {
		err := refuse(kerr.MismatchedEndpointType, "this is a broker, it has no endpoints of type %d", req.EndpointType)
		if req.EndpointType != controllerEndpoints {
			err = refuse(kerr.UnsupportedEndpointType, "endpoint type %d is unknown", req.EndpointType)
		}
		resp.ErrorCode, resp.ErrorMessage = code(err), errorMessage(err)
		return resp
	}
	broker := kmsg.NewDescribeClusterResponseBroker()
	broker.NodeID, broker.Host, broker.Port = s.cfg.NodeID, c.listener.host, c.listener.port
	resp.Brokers = []kmsg.DescribeClusterResponseBroker{broker}
	resp.ClusterID, resp.ControllerID, resp.EndpointType = s.clusterID, s.cfg.NodeID, brokerEndpoints
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = c.describedOperations(acl.Cluster, acl.ClusterName)
	}
	return resp
}
