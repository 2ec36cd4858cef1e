package msk

import (
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

func serverless(name string) *sdk.CreateClusterV2Input {
	return &sdk.CreateClusterV2Input{ClusterName: &name, Tags: map[string]string{"a": "b"}, Serverless: &types.ServerlessRequest{
		VpcConfigs:           []types.VpcConfig{{SubnetIds: []string{"s1", "s2"}}},
		ClientAuthentication: &types.ServerlessClientAuthentication{Sasl: &types.ServerlessSasl{Iam: &types.Iam{Enabled: new(true)}}},
	}}
}

// The calls of aws_msk_serverless_cluster, and those that such a cluster does not have.
func TestServerlessClustersHaveOneAddressAndNoBrokers(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	created := ok[*sdk.CreateClusterV2Output](t)(r.CreateClusterV2(ctx, serverless("a")))
	if created.ClusterType != types.ClusterTypeServerless || created.State != types.ClusterStateCreating {
		t.Errorf("%+v", created)
	}
	arn := created.ClusterArn
	about := ok[*sdk.DescribeClusterV2Output](t)(r.DescribeClusterV2(ctx, &sdk.DescribeClusterV2Input{ClusterArn: arn})).ClusterInfo
	if about.ClusterType != types.ClusterTypeServerless || about.Provisioned != nil || len(about.Serverless.VpcConfigs[0].SubnetIds) != 2 ||
		!*about.Serverless.ClientAuthentication.Sasl.Iam.Enabled || about.Tags["a"] != "b" || about.State != types.ClusterStateActive {
		t.Errorf("%+v", about)
	}
	brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: arn}))
	if *brokers.BootstrapBrokerStringSaslIam != "127.0.0.1:9192" || brokers.BootstrapBrokerStringTls != nil {
		t.Errorf("%+v", brokers)
	}
	ok[*sdk.CreateTopicOutput](t)(r.CreateTopic(ctx, &sdk.CreateTopicInput{ClusterArn: arn, TopicName: new("t"), PartitionCount: new(int32(1)), ReplicationFactor: new(int32(3))}))
	const text = "cannot be performed on serverless clusters"
	_, err := r.DescribeCluster(ctx, &sdk.DescribeClusterInput{ClusterArn: arn})
	refusedWith(t, err, "BadRequestException", "clusterArn", text)
	_, err = r.ListNodes(ctx, &sdk.ListNodesInput{ClusterArn: arn})
	refusedWith(t, err, "BadRequestException", "clusterArn", text)
	_, err = r.UpdateMonitoring(ctx, &sdk.UpdateMonitoringInput{ClusterArn: arn, CurrentVersion: about.CurrentVersion})
	refusedWith(t, err, "BadRequestException", "clusterArn", text)
	for filter, want := range map[string]int{"SERVERLESS": 1, "PROVISIONED": 0} {
		if all := ok[*sdk.ListClustersV2Output](t)(r.ListClustersV2(ctx, &sdk.ListClustersV2Input{ClusterTypeFilter: &filter})); len(all.ClusterInfoList) != want {
			t.Errorf("%d clusters are %s", len(all.ClusterInfoList), filter)
		}
	}
	if all := ok[*sdk.ListClustersOutput](t)(r.ListClusters(ctx, &sdk.ListClustersInput{})); len(all.ClusterInfoList) != 0 {
		t.Errorf("%+v", all.ClusterInfoList)
	}
	r.restart(8)
	if err := r.service.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.DeleteCluster(ctx, &sdk.DeleteClusterInput{ClusterArn: arn}); err != nil {
		t.Error(err)
	}
	_, err = r.DescribeClusterV2(ctx, &sdk.DescribeClusterV2Input{ClusterArn: arn})
	refusedWith(t, err, "NotFoundException", "clusterArn", "")
}

func TestWrongServerlessClustersAreRefused(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	both := serverless("a")
	both.Provisioned = &types.ProvisionedRequest{KafkaVersion: new("3.6.0"), NumberOfBrokerNodes: new(int32(2)), BrokerNodeGroupInfo: seed("a").BrokerNodeGroupInfo}
	_, err := r.CreateClusterV2(ctx, both)
	refusedWith(t, err, "BadRequestException", "provisioned", "either provisioned or serverless")
	open := serverless("a")
	open.Serverless.ClientAuthentication = nil
	_, err = r.CreateClusterV2(ctx, open)
	refusedWith(t, err, "BadRequestException", "clientAuthentication", "must be enabled")
	nowhere := serverless("a")
	nowhere.Serverless.VpcConfigs = []types.VpcConfig{}
	_, err = r.CreateClusterV2(ctx, nowhere)
	refusedWith(t, err, "BadRequestException", "vpcConfigs", "VPC configuration")
	r.plane.noKeys = true
	_, err = r.CreateClusterV2(ctx, serverless("a"))
	refusedWith(t, err, "BadRequestException", "clientAuthentication", "Start the node with access keys")
}
