package msk

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

// operation is the document of a change of a cluster, which is complete: under the cluster's key and its own.
type operation struct {
	ARN        string
	ID         string
	ClusterARN string
	Type       string // as UPDATE_MONITORING
	Start, End time.Time
	Before     *api.MutableClusterInfo
	After      *api.MutableClusterInfo
}

// The states and types of operations.
const (
	operationComplete = "UPDATE_COMPLETE"

	addBrokers          = "INCREASE_BROKER_COUNT"
	removeBrokers       = "DECREASE_BROKER_COUNT"
	updateBrokerStorage = "UPDATE_BROKER_STORAGE"
	updateBrokerType    = "UPDATE_BROKER_TYPE"
	updateConfiguration = "UPDATE_CLUSTER_CONFIGURATION"
	updateVersion       = "UPDATE_CLUSTER_KAFKA_VERSION"
	updateConnectivity  = "UPDATE_CONNECTIVITY"
	updateMonitoring    = "UPDATE_MONITORING"
	updateRebalancing   = "UPDATE_REBALANCING"
	updateSecurity      = "UPDATE_SECURITY"
	updateStorage       = "UPDATE_STORAGE"
	rebootNode          = "REBOOT_NODE"
)

// key orders the operations of a cluster, the newest first.
func (o *operation) key() string {
	return fmt.Sprintf("%019d-%s", math.MaxInt64-o.Start.UnixNano(), o.ID)
}

func operationKey(o **operation) string { return (*o).key() }

// maxOperations is how many operations of a cluster are remembered.
const maxOperations = 100

// record returns the changes that remember an operation of a cluster, and forget the oldest beyond maxOperations.
func (s *Service) record(ctx context.Context, c *cluster, o *operation) ([]state.Change, error) {
	put, err := s.operations.put(c.key()+"/"+o.key(), o, state.Absent)
	if err != nil {
		return nil, err
	}
	changes := []state.Change{put}
	all, err := s.operations.list(ctx, c.key()+"/")
	if err != nil {
		return nil, err
	}
	for i := maxOperations - 1; i < len(all); i++ {
		changes = append(changes, s.operations.remove(c.key()+"/"+all[i].key()))
	}
	return changes, nil
}

// findOperation returns the caller's operation with an ARN, and its cluster.
func (s *Service) findOperation(ctx context.Context, call *aws.Call, arn string) (*cluster, *operation, error) {
	r, ok := parseARN(arn)
	if !ok || r.kind != operationType || len(r.parts) != 3 {
		return nil, nil, badRequest("clusterOperationArn", "The cluster operation ARN %.200q is not valid.", arn)
	}
	missing := notFound("clusterOperationArn", "The cluster operation does not exist.")
	if r.account != call.Account || r.region != call.Region {
		return nil, nil, missing
	}
	c, _, err := s.findCluster(ctx, call, makeARN(call, clusterType, r.parts[0], r.parts[1]))
	if err != nil {
		return nil, nil, missing
	}
	all, err := s.operations.list(ctx, c.key()+"/")
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(all, func(o *operation) bool { return o.ARN == arn })
	if i < 0 {
		return nil, nil, missing
	}
	return c, all[i], nil
}

func (o *operation) info() *api.ClusterOperationInfo {
	return &api.ClusterOperationInfo{
		ClusterArn: &o.ClusterARN, CreationTime: &o.Start, EndTime: &o.End, OperationArn: &o.ARN, OperationState: new(operationComplete),
		OperationType: &o.Type, SourceClusterInfo: o.Before, TargetClusterInfo: o.After, OperationSteps: []api.ClusterOperationStep{},
	}
}

func (s *Service) describeClusterOperation(
	ctx context.Context, call *aws.Call, in *api.DescribeClusterOperationRequest,
) (*api.DescribeClusterOperationResponse, error) {
	_, o, err := s.findOperation(ctx, call, *in.ClusterOperationArn)
	if err != nil {
		return nil, err
	}
	return &api.DescribeClusterOperationResponse{ClusterOperationInfo: o.info()}, nil
}

func (s *Service) describeClusterOperationV2(
	ctx context.Context, call *aws.Call, in *api.DescribeClusterOperationV2Request,
) (*api.DescribeClusterOperationV2Response, error) {
	c, o, err := s.findOperation(ctx, call, *in.ClusterOperationArn)
	if err != nil {
		return nil, err
	}
	return &api.DescribeClusterOperationV2Response{ClusterOperationInfo: &api.ClusterOperationV2{
		ClusterArn: &o.ClusterARN, ClusterType: new(c.clusterType()), StartTime: &o.Start, EndTime: &o.End, OperationArn: &o.ARN,
		OperationState: new(operationComplete), OperationType: &o.Type,
		Provisioned: &api.ClusterOperationV2Provisioned{
			OperationSteps: []api.ClusterOperationStep{}, SourceClusterInfo: o.Before, TargetClusterInfo: o.After,
		},
	}}, nil
}

// pageOfOperations returns the part of a cluster's operations that a list call asks for.
func (s *Service) pageOfOperations(ctx context.Context, c *cluster, maxResults *int32, token *string) ([]*operation, *string, error) {
	all, err := s.operations.list(ctx, c.key()+"/")
	if err != nil {
		return nil, nil, err
	}
	return page(all, operationKey, maxResults, token)
}

func (s *Service) listClusterOperations(ctx context.Context, call *aws.Call, in *api.ListClusterOperationsRequest) (*api.ListClusterOperationsResponse, error) {
	c, _, err := s.findProvisioned(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	some, next, err := s.pageOfOperations(ctx, c, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListClusterOperationsResponse{ClusterOperationInfoList: []api.ClusterOperationInfo{}, NextToken: next}
	for _, o := range some {
		out.ClusterOperationInfoList = append(out.ClusterOperationInfoList, *o.info())
	}
	return out, nil
}

func (s *Service) listClusterOperationsV2(
	ctx context.Context, call *aws.Call, in *api.ListClusterOperationsV2Request,
) (*api.ListClusterOperationsV2Response, error) {
	c, _, err := s.findCluster(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	some, next, err := s.pageOfOperations(ctx, c, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListClusterOperationsV2Response{ClusterOperationInfoList: []api.ClusterOperationV2Summary{}, NextToken: next}
	for _, o := range some {
		out.ClusterOperationInfoList = append(out.ClusterOperationInfoList, api.ClusterOperationV2Summary{
			ClusterArn: &o.ClusterARN, ClusterType: new(c.clusterType()), StartTime: &o.Start, EndTime: &o.End, OperationArn: &o.ARN,
			OperationState: new(operationComplete), OperationType: &o.Type,
		})
	}
	return out, nil
}
