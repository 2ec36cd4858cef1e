package msk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

// Each change gives the cluster another version and leaves an operation that is complete, as Terraform waits for.
func TestChangesAreOperations(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	arn := r.created(seed2("a")).ClusterArn
	made := ok[*sdk.CreateConfigurationOutput](t)(r.CreateConfiguration(ctx, &sdk.CreateConfigurationInput{Name: new("c"), ServerProperties: []byte("num.partitions=7")}))
	opens, operations := r.plane.opens, 0
	for _, c := range []struct {
		kind   string
		change func(version *string) (*string, error)
		shows  func(before, after *types.MutableClusterInfo, now *types.ClusterInfo) bool
		reopen int
	}{
		{"UPDATE_BROKER_STORAGE", func(v *string) (*string, error) {
			out, err := r.UpdateBrokerStorage(ctx, &sdk.UpdateBrokerStorageInput{ClusterArn: arn, CurrentVersion: v, TargetBrokerEBSVolumeInfo: []types.BrokerEBSVolumeInfo{
				{KafkaBrokerNodeId: new("All"), VolumeSizeGB: new(int32(1100))},
			}})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			return *b.BrokerEBSVolumeInfo[0].VolumeSizeGB == 1000 && *a.BrokerEBSVolumeInfo[0].VolumeSizeGB == 1100 &&
				*now.BrokerNodeGroupInfo.StorageInfo.EbsStorageInfo.VolumeSize == 1100
		}, 0},
		{"UPDATE_BROKER_TYPE", func(v *string) (*string, error) {
			out, err := r.UpdateBrokerType(ctx, &sdk.UpdateBrokerTypeInput{ClusterArn: arn, CurrentVersion: v, TargetInstanceType: new("kafka.m7g.xlarge")})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			return *b.InstanceType == "kafka.m5.large" && *a.InstanceType == "kafka.m7g.xlarge" && *now.BrokerNodeGroupInfo.InstanceType == "kafka.m7g.xlarge"
		}, 0},
		{"INCREASE_BROKER_COUNT", func(v *string) (*string, error) {
			out, err := r.UpdateBrokerCount(ctx, &sdk.UpdateBrokerCountInput{ClusterArn: arn, CurrentVersion: v, TargetNumberOfBrokerNodes: new(int32(4))})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: arn}))
			return *b.NumberOfBrokerNodes == 2 && *a.NumberOfBrokerNodes == 4 && *now.NumberOfBrokerNodes == 4 &&
				*brokers.BootstrapBrokerStringTls == "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194"
		}, 1},
		{"UPDATE_MONITORING", func(v *string) (*string, error) {
			out, err := r.UpdateMonitoring(ctx, &sdk.UpdateMonitoringInput{
				ClusterArn: arn, CurrentVersion: v, EnhancedMonitoring: types.EnhancedMonitoringPerBroker,
				OpenMonitoring: &types.OpenMonitoringInfo{Prometheus: &types.PrometheusInfo{JmxExporter: &types.JmxExporterInfo{EnabledInBroker: new(true)}}},
				LoggingInfo:    &types.LoggingInfo{BrokerLogs: &types.BrokerLogs{S3: &types.S3{Enabled: new(true), Bucket: new("b")}}},
			})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			return b.EnhancedMonitoring == "DEFAULT" && a.EnhancedMonitoring == "PER_BROKER" && *now.OpenMonitoring.Prometheus.JmxExporter.EnabledInBroker &&
				!*now.OpenMonitoring.Prometheus.NodeExporter.EnabledInBroker && *now.LoggingInfo.BrokerLogs.S3.Bucket == "b" && !*b.OpenMonitoring.Prometheus.JmxExporter.EnabledInBroker
		}, 0},
		{"UPDATE_CLUSTER_CONFIGURATION", func(v *string) (*string, error) {
			out, err := r.UpdateClusterConfiguration(ctx, &sdk.UpdateClusterConfigurationInput{
				ClusterArn: arn, CurrentVersion: v, ConfigurationInfo: &types.ConfigurationInfo{Arn: made.Arn, Revision: new(int64(1))},
			})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			properties := ""
			for _, spec := range r.plane.opened {
				properties = spec.Properties["num.partitions"]
			}
			return b.ConfigurationInfo == nil && *a.ConfigurationInfo.Revision == 1 && *now.CurrentBrokerSoftwareInfo.ConfigurationArn == *made.Arn && properties == "7"
		}, 1},
		{"UPDATE_CLUSTER_KAFKA_VERSION", func(v *string) (*string, error) {
			out, err := r.UpdateClusterKafkaVersion(ctx, &sdk.UpdateClusterKafkaVersionInput{ClusterArn: arn, CurrentVersion: v, TargetKafkaVersion: new("3.7.x")})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			return *b.KafkaVersion == "3.6.0" && *a.KafkaVersion == "3.7.x" && *now.CurrentBrokerSoftwareInfo.KafkaVersion == "3.7.x" && *now.CurrentBrokerSoftwareInfo.ConfigurationRevision == 1
		}, 1},
		{"UPDATE_SECURITY", func(v *string) (*string, error) {
			out, err := r.UpdateSecurity(ctx, &sdk.UpdateSecurityInput{
				ClusterArn: arn, CurrentVersion: v, EncryptionInfo: &types.EncryptionInfo{EncryptionInTransit: &types.EncryptionInTransit{ClientBroker: types.ClientBrokerTlsPlaintext}},
			})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: arn}))
			return b.EncryptionInfo.EncryptionInTransit.ClientBroker == "TLS" && a.EncryptionInfo.EncryptionInTransit.ClientBroker == "TLS_PLAINTEXT" &&
				*now.EncryptionInfo.EncryptionInTransit.InCluster && *brokers.BootstrapBrokerStringTls == "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194" &&
				*brokers.BootstrapBrokerString == "127.0.0.1:9195,127.0.0.1:9196,127.0.0.1:9197"
		}, 1},
		{"UPDATE_CONNECTIVITY", func(v *string) (*string, error) {
			out, err := r.UpdateConnectivity(ctx, &sdk.UpdateConnectivityInput{ClusterArn: arn, CurrentVersion: v, ConnectivityInfo: &types.ConnectivityInfo{NetworkType: types.NetworkTypeDual}})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			return b.ConnectivityInfo.NetworkType == "" && a.ConnectivityInfo.NetworkType == "DUAL" && *now.BrokerNodeGroupInfo.ConnectivityInfo.PublicAccess.Type == "DISABLED"
		}, 0},
		{"UPDATE_STORAGE", func(v *string) (*string, error) {
			out, err := r.UpdateStorage(ctx, &sdk.UpdateStorageInput{ClusterArn: arn, CurrentVersion: v, StorageMode: types.StorageModeTiered})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			return b.StorageMode == "LOCAL" && a.StorageMode == "TIERED" && now.StorageMode == "TIERED" && *now.BrokerNodeGroupInfo.StorageInfo.EbsStorageInfo.VolumeSize == 1100
		}, 0},
		{"UPDATE_REBALANCING", func(v *string) (*string, error) {
			out, err := r.UpdateRebalancing(ctx, &sdk.UpdateRebalancingInput{ClusterArn: arn, CurrentVersion: v, Rebalancing: &types.Rebalancing{Status: types.RebalancingStatusPaused}})
			return field(out, err, func() *string { return out.ClusterOperationArn })
		}, func(b, a *types.MutableClusterInfo, now *types.ClusterInfo) bool {
			return b.Rebalancing == nil && a.Rebalancing.Status == "PAUSED" && now.Rebalancing.Status == "PAUSED"
		}, 0},
	} {
		r.clock.Advance(time.Minute)
		version := r.described(*arn).CurrentVersion
		_, err := c.change(new("K0000000000000"))
		refusedWith(t, err, "BadRequestException", "currentVersion", "The version of the cluster isn’t current. Check the current version and try again.")
		operation, err := c.change(version)
		if err != nil {
			t.Fatalf("%s: %v", c.kind, err)
		}
		now := r.described(*arn)
		if *now.CurrentVersion == *version || now.State != types.ClusterStateActive {
			t.Errorf("%s: version %s, state %s", c.kind, *now.CurrentVersion, now.State)
		}
		info := ok[*sdk.DescribeClusterOperationOutput](t)(r.DescribeClusterOperation(ctx, &sdk.DescribeClusterOperationInput{ClusterOperationArn: operation})).ClusterOperationInfo
		if *info.OperationState != "UPDATE_COMPLETE" || *info.OperationType != c.kind || *info.ClusterArn != *arn || !info.CreationTime.Equal(r.clock.Now()) ||
			!c.shows(info.SourceClusterInfo, info.TargetClusterInfo, now) {
			t.Errorf("%s: %+v\n%+v\n%+v", c.kind, info, info.SourceClusterInfo, info.TargetClusterInfo)
		}
		v2 := ok[*sdk.DescribeClusterOperationV2Output](t)(r.DescribeClusterOperationV2(ctx, &sdk.DescribeClusterOperationV2Input{ClusterOperationArn: operation})).ClusterOperationInfo
		if *v2.OperationState != "UPDATE_COMPLETE" || *v2.OperationType != c.kind || v2.ClusterType != types.ClusterTypeProvisioned || v2.Provisioned.TargetClusterInfo == nil {
			t.Errorf("%s: %+v", c.kind, v2)
		}
		if got := r.plane.opens - opens; got != c.reopen {
			t.Errorf("%s: opened %d times", c.kind, got)
		}
		opens = r.plane.opens
		operations++
	}
	var kinds []string
	for pages := sdk.NewListClusterOperationsPaginator(r, &sdk.ListClusterOperationsInput{ClusterArn: arn, MaxResults: new(int32(3))}); pages.HasMorePages(); {
		for _, o := range ok[*sdk.ListClusterOperationsOutput](t)(pages.NextPage(ctx)).ClusterOperationInfoList {
			kinds = append(kinds, *o.OperationType)
		}
	}
	if len(kinds) != operations || kinds[0] != "UPDATE_REBALANCING" || kinds[len(kinds)-1] != "UPDATE_BROKER_STORAGE" {
		t.Errorf("operations %v", kinds)
	}
	v2 := ok[*sdk.ListClusterOperationsV2Output](t)(r.ListClusterOperationsV2(ctx, &sdk.ListClusterOperationsV2Input{ClusterArn: arn}))
	if len(v2.ClusterOperationInfoList) != operations || *v2.ClusterOperationInfoList[0].OperationType != "UPDATE_REBALANCING" {
		t.Errorf("operations %v", v2.ClusterOperationInfoList)
	}
}

// field returns a field of an answer, if there is one.
func field[T any](_ *T, err error, of func() *string) (*string, error) {
	if err != nil {
		return nil, err
	}
	return of(), nil
}

func TestWrongChangesAreRefused(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("a"))
	arn, v := c.ClusterArn, c.CurrentVersion
	for name, want := range map[string]struct {
		change       func() error
		member, text string
	}{
		"as many brokers": {func() error {
			_, err := r.UpdateBrokerCount(ctx, &sdk.UpdateBrokerCountInput{ClusterArn: arn, CurrentVersion: v, TargetNumberOfBrokerNodes: new(int32(3))})
			return err
		}, "targetNumberOfBrokerNodes", "has 3 broker nodes already"},
		"nothing of the storage": {func() error {
			_, err := r.UpdateStorage(ctx, &sdk.UpdateStorageInput{ClusterArn: arn, CurrentVersion: v})
			return err
		}, "", "Specify what"},
		"logs to nowhere": {func() error {
			to := &types.LoggingInfo{BrokerLogs: &types.BrokerLogs{CloudWatchLogs: &types.CloudWatchLogs{Enabled: new(true)}}}
			_, err := r.UpdateMonitoring(ctx, &sdk.UpdateMonitoringInput{ClusterArn: arn, CurrentVersion: v, LoggingInfo: to})
			return err
		}, "loggingInfo", "Specify the log group"},
		"uneven brokers": {func() error {
			_, err := r.UpdateBrokerCount(ctx, &sdk.UpdateBrokerCountInput{ClusterArn: arn, CurrentVersion: v, TargetNumberOfBrokerNodes: new(int32(4))})
			return err
		}, "targetNumberOfBrokerNodes", "must be a multiple"},
		"smaller volume": {func() error {
			_, err := r.UpdateStorage(ctx, &sdk.UpdateStorageInput{ClusterArn: arn, CurrentVersion: v, VolumeSizeGB: new(int32(999))})
			return err
		}, "volumeSizeGB", "from the current one, 1000 GiB, to 16384 GiB"},
		"another's broker": {func() error {
			_, err := r.UpdateBrokerStorage(ctx, &sdk.UpdateBrokerStorageInput{ClusterArn: arn, CurrentVersion: v, TargetBrokerEBSVolumeInfo: []types.BrokerEBSVolumeInfo{{KafkaBrokerNodeId: new("4")}}})
			return err
		}, "targetBrokerEBSVolumeInfo", `no broker "4"`},
		"same type": {func() error {
			_, err := r.UpdateBrokerType(ctx, &sdk.UpdateBrokerTypeInput{ClusterArn: arn, CurrentVersion: v, TargetInstanceType: new("kafka.m5.large")})
			return err
		}, "targetInstanceType", "already"},
		"older version": {func() error {
			_, err := r.UpdateClusterKafkaVersion(ctx, &sdk.UpdateClusterKafkaVersionInput{ClusterArn: arn, CurrentVersion: v, TargetKafkaVersion: new("2.8.1")})
			return err
		}, "targetKafkaVersion", "3.6.0 cannot be updated to version 2.8.1"},
		"same security": {func() error {
			_, err := r.UpdateSecurity(ctx, &sdk.UpdateSecurityInput{ClusterArn: arn, CurrentVersion: v})
			return err
		}, "", "has these settings already"},
		"no monitoring": {func() error {
			_, err := r.UpdateMonitoring(ctx, &sdk.UpdateMonitoringInput{ClusterArn: arn, CurrentVersion: v})
			return err
		}, "", "Specify what"},
		"no such broker": {func() error {
			_, err := r.RebootBroker(ctx, &sdk.RebootBrokerInput{ClusterArn: arn, BrokerIds: []string{"0"}})
			return err
		}, "brokerIds", `no broker "0"`},
		"stale deletion": {func() error {
			_, err := r.DeleteCluster(ctx, &sdk.DeleteClusterInput{ClusterArn: arn, CurrentVersion: new("K0")})
			return err
		}, "currentVersion", "isn’t current"},
		"VPC connections": {func() error {
			_, err := r.UpdateConnectivity(ctx, &sdk.UpdateConnectivityInput{ClusterArn: arn, CurrentVersion: v, ConnectivityInfo: &types.ConnectivityInfo{VpcConnectivity: &types.VpcConnectivity{}}})
			return err
		}, "connectivityInfo.vpcConnectivity", "no VPCs"},
	} {
		t.Run(name, func(t *testing.T) { refusedWith(t, want.change(), "BadRequestException", want.member, want.text) })
	}
	if now := r.described(*arn); *now.CurrentVersion != *v || r.plane.opens != 1 {
		t.Errorf("version %s, opened %d times", *now.CurrentVersion, r.plane.opens)
	}
}

func TestBrokersAreRemovedThatNoTopicNeeds(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	in := seed2("a")
	in.NumberOfBrokerNodes = new(int32(4))
	arn := r.created(in).ClusterArn
	to := func(brokers int32) (*sdk.UpdateBrokerCountOutput, error) {
		return r.UpdateBrokerCount(ctx, &sdk.UpdateBrokerCountInput{ClusterArn: arn, CurrentVersion: r.described(*arn).CurrentVersion, TargetNumberOfBrokerNodes: &brokers})
	}
	ok[*sdk.CreateTopicOutput](t)(r.CreateTopic(ctx, &sdk.CreateTopicInput{ClusterArn: arn, TopicName: new("wide"), PartitionCount: new(int32(1)), ReplicationFactor: new(int32(4))}))
	_, err := to(2)
	refusedWith(t, err, "BadRequestException", "targetNumberOfBrokerNodes", "Topic 'wide' has 4 replicas, more than 2")
	ok[*sdk.DeleteTopicOutput](t)(r.DeleteTopic(ctx, &sdk.DeleteTopicInput{ClusterArn: arn, TopicName: new("wide")}))
	done := ok[*sdk.UpdateBrokerCountOutput](t)(to(2))
	operation := ok[*sdk.DescribeClusterOperationOutput](t)(r.DescribeClusterOperation(ctx, &sdk.DescribeClusterOperationInput{ClusterOperationArn: done.ClusterOperationArn})).ClusterOperationInfo
	if *operation.OperationType != "DECREASE_BROKER_COUNT" || *operation.SourceClusterInfo.NumberOfBrokerNodes != 4 || *operation.TargetClusterInfo.NumberOfBrokerNodes != 2 {
		t.Errorf("%+v", operation)
	}
	nodes := ok[*sdk.ListNodesOutput](t)(r.ListNodes(ctx, &sdk.ListNodesInput{ClusterArn: arn}))
	brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: arn}))
	if len(nodes.NodeInfoList) != 2 || *brokers.BootstrapBrokerStringTls != "127.0.0.1:9192,127.0.0.1:9193" {
		t.Errorf("%d nodes at %s", len(nodes.NodeInfoList), *brokers.BootstrapBrokerStringTls)
	}
}

// A change that finds no ports leaves the cluster as it was.
func TestAFailedChangeChangesNothing(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("a"))
	r.created(seed("b"))
	r.created(seed2("c"))
	before := *ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: c.ClusterArn})).BootstrapBrokerStringTls
	_, err := r.UpdateSecurity(ctx, &sdk.UpdateSecurityInput{
		ClusterArn: c.ClusterArn, CurrentVersion: c.CurrentVersion,
		EncryptionInfo: &types.EncryptionInfo{EncryptionInTransit: &types.EncryptionInTransit{ClientBroker: types.ClientBrokerTlsPlaintext}},
	})
	refusedWith(t, err, "BadRequestException", "", "no port is free")
	now := r.described(*c.ClusterArn)
	after := *ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: c.ClusterArn})).BootstrapBrokerStringTls
	if *now.CurrentVersion != *c.CurrentVersion || after != before || len(r.plane.opened) != 3 {
		t.Errorf("%s was at %s, and is at %s", *c.ClusterName, before, after)
	}
}

func TestRebootsAreOperationsAndTheOldestAreForgotten(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("a"))
	first := ""
	for i := range maxOperations + 1 {
		r.clock.Advance(time.Second)
		out := ok[*sdk.RebootBrokerOutput](t)(r.RebootBroker(ctx, &sdk.RebootBrokerInput{ClusterArn: c.ClusterArn, BrokerIds: []string{"1", "3"}}))
		if i == 0 {
			first = *out.ClusterOperationArn
		}
	}
	all := ok[*sdk.ListClusterOperationsOutput](t)(r.ListClusterOperations(ctx, &sdk.ListClusterOperationsInput{ClusterArn: c.ClusterArn}))
	if len(all.ClusterOperationInfoList) != maxOperations || all.NextToken != nil || *all.ClusterOperationInfoList[0].OperationType != "REBOOT_NODE" {
		t.Errorf("%d operations", len(all.ClusterOperationInfoList))
	}
	for _, missing := range []string{first, strings.Replace(first, "eu-west-1", "eu-west-2", 1), first[:len(first)-1]} {
		_, err := r.DescribeClusterOperation(ctx, &sdk.DescribeClusterOperationInput{ClusterOperationArn: &missing})
		refusedWith(t, err, "NotFoundException", "clusterOperationArn", "does not exist")
	}
	_, err := r.DescribeClusterOperation(ctx, &sdk.DescribeClusterOperationInput{ClusterOperationArn: c.ClusterArn})
	refusedWith(t, err, "BadRequestException", "clusterOperationArn", "not valid")
	if now := r.described(*c.ClusterArn); *now.CurrentVersion != *c.CurrentVersion {
		t.Error("a reboot changed the version")
	}
	out := ok[*sdk.GetCompatibleKafkaVersionsOutput](t)(r.GetCompatibleKafkaVersions(ctx, &sdk.GetCompatibleKafkaVersionsInput{ClusterArn: c.ClusterArn}))
	if len(out.CompatibleKafkaVersions) != 1 || *out.CompatibleKafkaVersions[0].SourceVersion != "3.6.0" || fmt.Sprint(out.CompatibleKafkaVersions[0].TargetVersions) != "[3.6.0.1 3.7.x 3.8.x 3.9.x]" {
		t.Errorf("%+v", out.CompatibleKafkaVersions)
	}
	every := ok[*sdk.GetCompatibleKafkaVersionsOutput](t)(r.GetCompatibleKafkaVersions(ctx, &sdk.GetCompatibleKafkaVersionsInput{}))
	if len(every.CompatibleKafkaVersions) != len(kafkaVersions) {
		t.Errorf("%d versions", len(every.CompatibleKafkaVersions))
	}
}
