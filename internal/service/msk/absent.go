package msk

import (
	"context"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
)

// Replicators, VPC connections and channels cannot be made: there are none. Consoles and Terraform ask for them all the same, and get empty lists.

const (
	noSuchReplicator = "The replicator does not exist."
	noSuchConnection = "The VPC connection does not exist."
	noSuchChannel    = "The channel does not exist."
)

// absent lists the operations on what there is none of.
func (s *Service) absent() []aws.Operation {
	return []aws.Operation{
		aws.Handle("DeleteChannel", s.deleteChannel),
		aws.Handle("DeleteReplicator", s.deleteReplicator),
		aws.Handle("DeleteVpcConnection", s.deleteVpcConnection),
		aws.Handle("DescribeChannel", s.describeChannel),
		aws.Handle("DescribeReplicator", s.describeReplicator),
		aws.Handle("DescribeVpcConnection", s.describeVpcConnection),
		aws.Handle("ListChannels", s.listChannels),
		aws.Handle("ListClientVpcConnections", s.listClientVpcConnections),
		aws.Handle("ListReplicators", s.listReplicators),
		aws.Handle("ListVpcConnections", s.listVpcConnections),
		aws.Handle("RejectClientVpcConnection", s.rejectClientVpcConnection),
	}
}

// none is the page of a list without elements, which has no token.
func none(maxResults *int32, token *string) error {
	var all []string
	_, _, err := page(all, func(s *string) string { return *s }, maxResults, token)
	return err
}

func (s *Service) listReplicators(_ context.Context, _ *aws.Call, in *api.ListReplicatorsRequest) (*api.ListReplicatorsResponse, error) {
	return &api.ListReplicatorsResponse{Replicators: []api.ReplicatorSummary{}}, none(in.MaxResults, in.NextToken)
}

func (s *Service) describeReplicator(context.Context, *aws.Call, *api.DescribeReplicatorRequest) (*api.DescribeReplicatorResponse, error) {
	return nil, notFound("replicatorArn", noSuchReplicator)
}

func (s *Service) deleteReplicator(context.Context, *aws.Call, *api.DeleteReplicatorRequest) (*api.DeleteReplicatorResponse, error) {
	return nil, notFound("replicatorArn", noSuchReplicator)
}

func (s *Service) listVpcConnections(_ context.Context, _ *aws.Call, in *api.ListVpcConnectionsRequest) (*api.ListVpcConnectionsResponse, error) {
	return &api.ListVpcConnectionsResponse{VpcConnections: []api.VpcConnection{}}, none(in.MaxResults, in.NextToken)
}

func (s *Service) describeVpcConnection(context.Context, *aws.Call, *api.DescribeVpcConnectionRequest) (*api.DescribeVpcConnectionResponse, error) {
	return nil, notFound("arn", noSuchConnection)
}

func (s *Service) deleteVpcConnection(context.Context, *aws.Call, *api.DeleteVpcConnectionRequest) (*api.DeleteVpcConnectionResponse, error) {
	return nil, notFound("arn", noSuchConnection)
}

func (s *Service) listClientVpcConnections(
	ctx context.Context, call *aws.Call, in *api.ListClientVpcConnectionsRequest,
) (*api.ListClientVpcConnectionsResponse, error) {
	if _, _, err := s.findCluster(ctx, call, *in.ClusterArn); err != nil {
		return nil, err
	}
	return &api.ListClientVpcConnectionsResponse{ClientVpcConnections: []api.ClientVpcConnection{}}, none(in.MaxResults, in.NextToken)
}

// rejectClientVpcConnection has no NotFoundException at MSK.
func (s *Service) rejectClientVpcConnection(
	ctx context.Context, call *aws.Call, in *api.RejectClientVpcConnectionRequest,
) (*api.RejectClientVpcConnectionResponse, error) {
	if _, _, err := s.findCluster(ctx, call, *in.ClusterArn); err != nil {
		return nil, err
	}
	return nil, badRequest("vpcConnectionArn", noSuchConnection)
}

func (s *Service) listChannels(ctx context.Context, call *aws.Call, in *api.ListChannelsRequest) (*api.ListChannelsResponse, error) {
	if _, _, err := s.findCluster(ctx, call, *in.ClusterArn); err != nil {
		return nil, err
	}
	return &api.ListChannelsResponse{Channels: []api.ChannelInfo{}}, none(in.MaxResults, in.NextToken)
}

func (s *Service) describeChannel(ctx context.Context, call *aws.Call, in *api.DescribeChannelRequest) (*api.DescribeChannelResponse, error) {
	return nil, s.noChannel(ctx, call, *in.ClusterArn)
}

func (s *Service) deleteChannel(ctx context.Context, call *aws.Call, in *api.DeleteChannelRequest) (*api.DeleteChannelResponse, error) {
	return nil, s.noChannel(ctx, call, *in.ClusterArn)
}

func (s *Service) noChannel(ctx context.Context, call *aws.Call, cluster string) error {
	if _, _, err := s.findCluster(ctx, call, cluster); err != nil {
		return err
	}
	return notFound("channelArn", noSuchChannel)
}
