package msk

import (
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

// TestWhatCannotBeMadeIsNotThere: consoles and Terraform list replicators, VPC connections and channels whether or not there can be any.
func TestWhatCannotBeMadeIsNotThere(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	arn := r.created(seed("a")).ClusterArn
	if out := ok[*sdk.ListReplicatorsOutput](t)(r.ListReplicators(ctx, &sdk.ListReplicatorsInput{})); out.Replicators == nil || len(out.Replicators) != 0 || out.NextToken != nil {
		t.Errorf("%+v", out)
	}
	if out := ok[*sdk.ListVpcConnectionsOutput](t)(r.ListVpcConnections(ctx, &sdk.ListVpcConnectionsInput{MaxResults: new(int32(1))})); out.VpcConnections == nil || len(out.VpcConnections) != 0 {
		t.Errorf("%+v", out)
	}
	if out := ok[*sdk.ListClientVpcConnectionsOutput](t)(r.ListClientVpcConnections(ctx, &sdk.ListClientVpcConnectionsInput{ClusterArn: arn})); out.ClientVpcConnections == nil || len(out.ClientVpcConnections) != 0 {
		t.Errorf("%+v", out)
	}
	if out := ok[*sdk.ListChannelsOutput](t)(r.ListChannels(ctx, &sdk.ListChannelsInput{ClusterArn: arn})); out.Channels == nil || len(out.Channels) != 0 {
		t.Errorf("%+v", out)
	}
	_, err := r.ListReplicators(ctx, &sdk.ListReplicatorsInput{NextToken: new("?")})
	refusedWith(t, err, "BadRequestException", "nextToken", "not valid")

	other := new(*arn + "x")
	_, err = r.ListClientVpcConnections(ctx, &sdk.ListClientVpcConnectionsInput{ClusterArn: other})
	refusedWith(t, err, "NotFoundException", "clusterArn", "cluster does not exist")
	_, err = r.ListChannels(ctx, &sdk.ListChannelsInput{ClusterArn: other})
	refusedWith(t, err, "NotFoundException", "clusterArn", "cluster does not exist")
	_, err = r.DescribeReplicator(ctx, &sdk.DescribeReplicatorInput{ReplicatorArn: new("x")})
	refusedWith(t, err, "NotFoundException", "replicatorArn", "replicator does not exist")
	_, err = r.DeleteReplicator(ctx, &sdk.DeleteReplicatorInput{ReplicatorArn: new("x")})
	refusedWith(t, err, "NotFoundException", "replicatorArn", "replicator does not exist")
	_, err = r.DescribeVpcConnection(ctx, &sdk.DescribeVpcConnectionInput{Arn: new("x")})
	refusedWith(t, err, "NotFoundException", "arn", "connection does not exist")
	_, err = r.DeleteVpcConnection(ctx, &sdk.DeleteVpcConnectionInput{Arn: new("x")})
	refusedWith(t, err, "NotFoundException", "arn", "connection does not exist")
	_, err = r.RejectClientVpcConnection(ctx, &sdk.RejectClientVpcConnectionInput{ClusterArn: arn, VpcConnectionArn: new("x")})
	refusedWith(t, err, "BadRequestException", "vpcConnectionArn", "connection does not exist")
	_, err = r.DescribeChannel(ctx, &sdk.DescribeChannelInput{ClusterArn: arn, ChannelArn: new("x")})
	refusedWith(t, err, "NotFoundException", "channelArn", "channel does not exist")
	_, err = r.DeleteChannel(ctx, &sdk.DeleteChannelInput{ClusterArn: arn, ChannelArn: new("x")})
	refusedWith(t, err, "NotFoundException", "channelArn", "channel does not exist")

	_, err = r.CreateVpcConnection(ctx, &sdk.CreateVpcConnectionInput{
		TargetClusterArn: arn, Authentication: new("SASL_IAM"), VpcId: new("v"), ClientSubnets: []string{"s"}, SecurityGroups: []string{"g"},
	})
	refusedWith(t, err, "UnknownOperationException", "", "there are no VPCs")
	_, err = r.CreateReplicator(ctx, &sdk.CreateReplicatorInput{
		ReplicatorName: new("r"), ServiceExecutionRoleArn: new("arn"), KafkaClusters: []types.KafkaCluster{}, ReplicationInfoList: []types.ReplicationInfo{},
	})
	refusedWith(t, err, "UnknownOperationException", "", "MirrorMaker 2")
}
