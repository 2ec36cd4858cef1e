package msk

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/kafka"
	"github.com/aws/aws-sdk-go-v2/service/kafka/types"
)

// seed is the request of a cluster as most are.
func seed(name string) *sdk.CreateClusterInput {
	return &sdk.CreateClusterInput{
		ClusterName: &name, KafkaVersion: new("3.6.0"), NumberOfBrokerNodes: new(int32(3)),
		BrokerNodeGroupInfo: &types.BrokerNodeGroupInfo{
			InstanceType: new("kafka.m5.large"), ClientSubnets: []string{"subnet-a", "subnet-b", "subnet-c"}, SecurityGroups: []string{"sg-1"},
			StorageInfo: &types.StorageInfo{EbsStorageInfo: &types.EBSStorageInfo{VolumeSize: new(int32(1000))}},
		},
		EncryptionInfo: &types.EncryptionInfo{EncryptionInTransit: &types.EncryptionInTransit{ClientBroker: types.ClientBrokerTls, InCluster: new(true)}},
		Tags:           map[string]string{"Environment": "test"},
	}
}

func (r *rig) created(in *sdk.CreateClusterInput) *types.ClusterInfo {
	r.t.Helper()
	out := ok[*sdk.CreateClusterOutput](r.t)(r.CreateCluster(r.t.Context(), in))
	if out.State != types.ClusterStateCreating || *out.ClusterName != *in.ClusterName {
		r.t.Errorf("created %+v", out)
	}
	return r.described(*out.ClusterArn)
}

func (r *rig) described(arn string) *types.ClusterInfo {
	r.t.Helper()
	return ok[*sdk.DescribeClusterOutput](r.t)(r.DescribeCluster(r.t.Context(), &sdk.DescribeClusterInput{ClusterArn: &arn})).ClusterInfo
}

// The calls of aws_msk_cluster: create, wait, read, delete, wait.
func TestAClusterLivesAndDies(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("orders"))
	if !regexp.MustCompile(`^arn:aws:kafka:eu-west-1:000000000000:cluster/orders/[0-9a-f-]{36}-[0-9]{1,2}$`).MatchString(*c.ClusterArn) ||
		!regexp.MustCompile(`^K[0-9A-Z]{13}$`).MatchString(*c.CurrentVersion) || c.State != types.ClusterStateActive || !c.CreationTime.Equal(rigStart) {
		t.Errorf("%+v", c)
	}
	nodes := c.BrokerNodeGroupInfo
	if *c.NumberOfBrokerNodes != 3 || *nodes.InstanceType != "kafka.m5.large" || *nodes.StorageInfo.EbsStorageInfo.VolumeSize != 1000 || len(nodes.ClientSubnets) != 3 ||
		nodes.BrokerAZDistribution != types.BrokerAZDistributionDefault || *nodes.ConnectivityInfo.PublicAccess.Type != "DISABLED" {
		t.Errorf("nodes %+v", nodes)
	}
	if *c.CurrentBrokerSoftwareInfo.KafkaVersion != "3.6.0" || c.EncryptionInfo.EncryptionInTransit.ClientBroker != types.ClientBrokerTls ||
		!*c.EncryptionInfo.EncryptionInTransit.InCluster || c.EnhancedMonitoring != types.EnhancedMonitoringDefault || c.Tags["Environment"] != "test" ||
		c.StorageMode != types.StorageModeLocal || *c.OpenMonitoring.Prometheus.JmxExporter.EnabledInBroker || !*c.ClientAuthentication.Unauthenticated.Enabled {
		t.Errorf("%+v", c)
	}
	key := *c.EncryptionInfo.EncryptionAtRest.DataVolumeKMSKeyId
	if !regexp.MustCompile(`^arn:aws:kms:eu-west-1:000000000000:key/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(key) {
		t.Errorf("volumes' key %s", key)
	}
	v2 := ok[*sdk.DescribeClusterV2Output](t)(r.DescribeClusterV2(ctx, &sdk.DescribeClusterV2Input{ClusterArn: c.ClusterArn})).ClusterInfo
	if v2.ClusterType != types.ClusterTypeProvisioned || *v2.Provisioned.NumberOfBrokerNodes != 3 || *v2.CurrentVersion != *c.CurrentVersion || v2.State != types.ClusterStateActive {
		t.Errorf("%+v", v2)
	}
	brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: c.ClusterArn}))
	if *brokers.BootstrapBrokerStringTls != "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194" || brokers.BootstrapBrokerString != nil {
		t.Errorf("%+v", brokers)
	}
	var ids []float64
	for pages := sdk.NewListNodesPaginator(r, &sdk.ListNodesInput{ClusterArn: c.ClusterArn, MaxResults: new(int32(2))}); pages.HasMorePages(); {
		for _, n := range ok[*sdk.ListNodesOutput](t)(pages.NextPage(ctx)).NodeInfoList {
			ids = append(ids, *n.BrokerNodeInfo.BrokerId)
			if n.NodeType != types.NodeTypeBroker || *n.InstanceType != "kafka.m5.large" || n.BrokerNodeInfo.Endpoints[0] != "127.0.0.1" || *n.BrokerNodeInfo.CurrentBrokerSoftwareInfo.KafkaVersion != "3.6.0" {
				t.Errorf("%+v", n)
			}
		}
	}
	if fmt.Sprint(ids) != "[1 2 3]" {
		t.Errorf("brokers %v", ids)
	}
	deleted := ok[*sdk.DeleteClusterOutput](t)(r.DeleteCluster(ctx, &sdk.DeleteClusterInput{ClusterArn: c.ClusterArn, CurrentVersion: c.CurrentVersion}))
	if deleted.State != types.ClusterStateDeleting {
		t.Errorf("%+v", deleted)
	}
	_, err := r.DescribeCluster(ctx, &sdk.DescribeClusterInput{ClusterArn: c.ClusterArn})
	refusedWith(t, err, "NotFoundException", "clusterArn", "does not exist")
	if len(r.plane.opened) != 0 {
		t.Errorf("still open: %v", r.plane.opened)
	}
	for _, kind := range []string{"msk-cluster", "msk-operation", "msk-topic"} {
		if docs, err := r.service.state.List(ctx, kind, ""); err != nil || len(docs) != 0 {
			t.Errorf("%s: %v, %v", kind, docs, err)
		}
	}
}

func TestClustersAreListed(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	for _, name := range []string{"b", "a1", "a2"} {
		r.created(seed(name))
	}
	if _, err := r.as("OTHER", "eu-west-1").CreateCluster(ctx, seed("other")); err == nil {
		t.Error("a fourth cluster has ports")
	}
	_, err := r.CreateCluster(ctx, seed("b"))
	refusedWith(t, err, "ConflictException", "clusterName", "already exists")
	for filter, want := range map[string]string{"": "a1 a2 b", "a": "a1 a2", "x": ""} {
		var v1, v2 []string
		for pages := sdk.NewListClustersPaginator(r, &sdk.ListClustersInput{ClusterNameFilter: &filter, MaxResults: new(int32(2))}); pages.HasMorePages(); {
			for _, c := range ok[*sdk.ListClustersOutput](t)(pages.NextPage(ctx)).ClusterInfoList {
				v1 = append(v1, *c.ClusterName)
			}
		}
		for pages := sdk.NewListClustersV2Paginator(r, &sdk.ListClustersV2Input{ClusterNameFilter: &filter, ClusterTypeFilter: new("PROVISIONED")}); pages.HasMorePages(); {
			for _, c := range ok[*sdk.ListClustersV2Output](t)(pages.NextPage(ctx)).ClusterInfoList {
				v2 = append(v2, *c.ClusterName)
			}
		}
		if strings.Join(v1, " ") != want || strings.Join(v2, " ") != want {
			t.Errorf("%q: %v, %v", filter, v1, v2)
		}
	}
	if out := ok[*sdk.ListClustersV2Output](t)(r.ListClustersV2(ctx, &sdk.ListClustersV2Input{ClusterTypeFilter: new("SERVERLESS")})); len(out.ClusterInfoList) != 0 {
		t.Errorf("serverless: %v", out.ClusterInfoList)
	}
	_, err = r.ListClustersV2(ctx, &sdk.ListClustersV2Input{ClusterTypeFilter: new("OTHER")})
	refusedWith(t, err, "BadRequestException", "clusterTypeFilter", "must be")
}

func TestWrongClustersAreRefused(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{MaxClusters: 1})
	for _, c := range []struct {
		change       func(in *sdk.CreateClusterInput)
		member, text string
	}{
		{func(in *sdk.CreateClusterInput) { in.ClusterName = new("a_b") }, "clusterName", "letters, digits"},
		{func(in *sdk.CreateClusterInput) { in.ClusterName = new(strings.Repeat("a", 65)) }, "clusterName", "less than or equal to 64"},
		{func(in *sdk.CreateClusterInput) { in.KafkaVersion = new("9.9") }, "kafkaVersion", "Unsupported KafkaVersion [9.9]. Valid values: ["},
		{func(in *sdk.CreateClusterInput) { in.NumberOfBrokerNodes = new(int32(4)) }, "numberOfBrokerNodes", "must be a multiple of Availability Zones"},
		{func(in *sdk.CreateClusterInput) { in.NumberOfBrokerNodes = new(int32(16)) }, "numberOfBrokerNodes", "less than or equal to 15"},
		{func(in *sdk.CreateClusterInput) { in.BrokerNodeGroupInfo.ClientSubnets = []string{"a"} }, "clientSubnets", "either two or three client subnets"},
		{func(in *sdk.CreateClusterInput) { in.BrokerNodeGroupInfo.InstanceType = new("m5.large") }, "instanceType", "Unsupported InstanceType [m5.large]"},
		{func(in *sdk.CreateClusterInput) {
			in.BrokerNodeGroupInfo.StorageInfo.EbsStorageInfo.VolumeSize = new(int32(0))
		}, "brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize", "greater than or equal to 1"},
		{func(in *sdk.CreateClusterInput) { in.EncryptionInfo.EncryptionInTransit.ClientBroker = "SSL" }, "encryptionInfo.encryptionInTransit.clientBroker", "enum value set: [TLS, TLS_PLAINTEXT, PLAINTEXT]"},
		{func(in *sdk.CreateClusterInput) {
			in.LoggingInfo = &types.LoggingInfo{BrokerLogs: &types.BrokerLogs{S3: &types.S3{Enabled: new(true)}}}
		}, "loggingInfo", "Specify the bucket"},
		{func(in *sdk.CreateClusterInput) { in.Tags = map[string]string{"aws:x": ""} }, "tags", "begin with aws:"},
		{func(in *sdk.CreateClusterInput) {
			in.BrokerNodeGroupInfo.ConnectivityInfo = &types.ConnectivityInfo{PublicAccess: &types.PublicAccess{Type: new("SERVICE_PROVIDED_EIPS")}}
		}, "publicAccess", "not supported by freshet"},
		{func(in *sdk.CreateClusterInput) {
			in.ClientAuthentication = &types.ClientAuthentication{Unauthenticated: &types.Unauthenticated{Enabled: new(false)}}
		}, "clientAuthentication", "at least one"},
		{func(in *sdk.CreateClusterInput) {
			in.ClientAuthentication = &types.ClientAuthentication{Tls: &types.Tls{CertificateAuthorityArnList: []string{"arn"}}}
		}, "certificateAuthorityArnList", "is not valid"},
		{func(in *sdk.CreateClusterInput) {
			in.ClientAuthentication = &types.ClientAuthentication{Tls: &types.Tls{CertificateAuthorityArnList: []string{authorityARN, authorityARN}}}
		}, "certificateAuthorityArnList", "there twice"},
		{func(in *sdk.CreateClusterInput) {
			in.ClientAuthentication = &types.ClientAuthentication{Tls: &types.Tls{Enabled: new(true)}}
		}, "certificateAuthorityArnList", "from 1 to 10"},
		{func(in *sdk.CreateClusterInput) {
			in.ClientAuthentication = &types.ClientAuthentication{Tls: &types.Tls{CertificateAuthorityArnList: []string{authorityARN}}}
			in.EncryptionInfo.EncryptionInTransit.ClientBroker = types.ClientBrokerPlaintext
		}, "clientAuthentication", "takes encryption in transit"},
		{func(in *sdk.CreateClusterInput) {
			in.ConfigurationInfo = &types.ConfigurationInfo{Arn: new("arn:aws:kafka:eu-west-1:000000000000:configuration/a/b-1"), Revision: new(int64(1))}
		}, "configurationInfo", "Invalid Configuration ARN."},
	} {
		in := seed("a")
		c.change(in)
		_, err := r.CreateCluster(ctx, in)
		refusedWith(t, err, "BadRequestException", c.member, c.text)
	}
	if r.plane.opens != 0 {
		t.Error("something was opened")
	}
	r.created(seed("a"))
	_, err := r.CreateCluster(ctx, seed("b"))
	refusedWith(t, err, "BadRequestException", "", "1 clusters")
	_, err = r.CreateClusterV2(ctx, &sdk.CreateClusterV2Input{ClusterName: new("b")})
	refusedWith(t, err, "BadRequestException", "provisioned", "what kind")
	_, err = r.DescribeCluster(ctx, &sdk.DescribeClusterInput{ClusterArn: new("arn:aws:kafka:eu-west-1:000000000000:configuration/a/b")})
	refusedWith(t, err, "BadRequestException", "clusterArn", "not valid")
}

func TestPortsRunOut(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	both := seed("both")
	both.EncryptionInfo.EncryptionInTransit.ClientBroker = types.ClientBrokerTlsPlaintext
	c := r.created(both)
	brokers := ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: c.ClusterArn}))
	if *brokers.BootstrapBrokerString != "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194" || *brokers.BootstrapBrokerStringTls != "127.0.0.1:9195,127.0.0.1:9196,127.0.0.1:9197" {
		t.Errorf("%+v", brokers)
	}
	r.created(seed("three"))
	_, err := r.CreateCluster(ctx, seed("more"))
	refusedWith(t, err, "BadRequestException", "", "no port is free of 9192-9199. Delete a cluster")
	if all := ok[*sdk.ListClustersOutput](t)(r.ListClusters(ctx, &sdk.ListClustersInput{})); len(all.ClusterInfoList) != 2 {
		t.Errorf("%d clusters", len(all.ClusterInfoList))
	}
}

func TestTagsAreTheClusters(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("a"))
	if _, err := r.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: c.ClusterArn, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Error(err)
	}
	if _, err := r.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: c.ClusterArn, TagKeys: []string{"a", "Environment"}}); err != nil {
		t.Error(err)
	}
	tags := ok[*sdk.ListTagsForResourceOutput](t)(r.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: c.ClusterArn})).Tags
	if after := r.described(*c.ClusterArn); fmt.Sprint(tags) != "map[b:2]" || fmt.Sprint(after.Tags) != "map[b:2]" || *after.CurrentVersion != *c.CurrentVersion {
		t.Errorf("%v, %+v", tags, after)
	}
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint("k", i)] = ""
	}
	_, err := r.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: c.ClusterArn, Tags: many})
	refusedWith(t, err, "BadRequestException", "tags", "50 tags, not 51")
	_, err = r.ListTagsForResource(ctx, &sdk.ListTagsForResourceInput{ResourceArn: new(*c.ClusterArn + "0")})
	refusedWith(t, err, "NotFoundException", "resourceArn", "")
}

func TestPoliciesAreKept(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	c := r.created(seed("a"))
	_, err := r.GetClusterPolicy(ctx, &sdk.GetClusterPolicyInput{ClusterArn: c.ClusterArn})
	refusedWith(t, err, "NotFoundException", "clusterArn", "no policy")
	const policy = `{"Version":"2012-10-17","Statement":[]}`
	first := ok[*sdk.PutClusterPolicyOutput](t)(r.PutClusterPolicy(ctx, &sdk.PutClusterPolicyInput{ClusterArn: c.ClusterArn, Policy: new(policy)}))
	_, err = r.PutClusterPolicy(ctx, &sdk.PutClusterPolicyInput{ClusterArn: c.ClusterArn, Policy: new(policy), CurrentVersion: new("K0")})
	refusedWith(t, err, "BadRequestException", "currentVersion", "isn’t current")
	got := ok[*sdk.GetClusterPolicyOutput](t)(r.GetClusterPolicy(ctx, &sdk.GetClusterPolicyInput{ClusterArn: c.ClusterArn}))
	if *got.Policy != policy || *got.CurrentVersion != *first.CurrentVersion {
		t.Errorf("%+v", got)
	}
	for _, wrong := range []string{"x", `{"Version":"1","Statement":[]}`, `{"Version":"2012-10-17"}`, `{"Version":"2012-10-17","Statement":1}`, strings.Repeat(" ", 20<<10+1)} {
		_, err = r.PutClusterPolicy(ctx, &sdk.PutClusterPolicyInput{ClusterArn: c.ClusterArn, Policy: &wrong})
		refusedWith(t, err, "BadRequestException", "policy", "not valid")
	}
	if _, err = r.DeleteClusterPolicy(ctx, &sdk.DeleteClusterPolicyInput{ClusterArn: c.ClusterArn}); err != nil {
		t.Error(err)
	}
	_, err = r.DeleteClusterPolicy(ctx, &sdk.DeleteClusterPolicyInput{ClusterArn: c.ClusterArn})
	refusedWith(t, err, "NotFoundException", "clusterArn", "no policy")
}

// After a restart the clusters are served again, at their ports where these are free, and deletions go on that were begun.
func TestClustersComeBack(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	kept, moved, gone := r.created(seed("kept")), r.created(seed("moved")), r.created(seed2("gone"))
	r.plane.fail = errors.New("the disk is full")
	if _, err := r.DeleteCluster(ctx, &sdk.DeleteClusterInput{ClusterArn: gone.ClusterArn}); err == nil {
		t.Error("a cluster was deleted that could not be dropped")
	}
	if c := r.described(*gone.ClusterArn); c.State != types.ClusterStateDeleting {
		t.Errorf("state %s", c.State)
	}
	r.plane.fail = nil
	before := r.plane.opened
	r.restart(12)
	r.plane.free = r.plane.free[4:] // somebody has taken one of the second cluster's ports, and those of the first
	if err := r.service.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if len(r.plane.opened) != 2 {
		t.Errorf("%d clusters are open", len(r.plane.opened))
	}
	for namespace, spec := range r.plane.opened {
		if spec.Name != before[namespace].Name {
			t.Errorf("%s is %s now", namespace, spec.Name)
		}
	}
	_, err := r.DescribeCluster(ctx, &sdk.DescribeClusterInput{ClusterArn: gone.ClusterArn})
	refusedWith(t, err, "NotFoundException", "clusterArn", "")
	want := map[string]string{}
	for _, arn := range []string{*kept.ClusterArn, *moved.ClusterArn} {
		want[arn] = *ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: &arn})).BootstrapBrokerStringTls
		if strings.Contains(want[arn], ":9192") {
			t.Errorf("%s has a port of somebody else: %s", arn, want[arn])
		}
	}
	r.restart(20)
	if err := r.service.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for arn, addresses := range want {
		if got := *ok[*sdk.GetBootstrapBrokersOutput](t)(r.GetBootstrapBrokers(ctx, &sdk.GetBootstrapBrokersInput{ClusterArn: &arn})).BootstrapBrokerStringTls; got != addresses {
			t.Errorf("%s was at %s, and is at %s", arn, addresses, got)
		}
	}
}

// seed2 is a cluster of two brokers.
func seed2(name string) *sdk.CreateClusterInput {
	in := seed(name)
	in.BrokerNodeGroupInfo.ClientSubnets, in.NumberOfBrokerNodes = in.BrokerNodeGroupInfo.ClientSubnets[:2], new(int32(2))
	return in
}

func TestAClusterKeepsItsConfiguration(t *testing.T) {
	ctx, r := t.Context(), newRig(t, Config{})
	made := ok[*sdk.CreateConfigurationOutput](t)(r.CreateConfiguration(ctx, &sdk.CreateConfigurationInput{Name: new("c"), ServerProperties: []byte("num.partitions=7\nnum.io.threads=3")}))
	in := seed("a")
	in.ConfigurationInfo = &types.ConfigurationInfo{Arn: made.Arn, Revision: new(int64(1))}
	c := r.created(in)
	if got := c.CurrentBrokerSoftwareInfo; *got.ConfigurationArn != *made.Arn || *got.ConfigurationRevision != 1 {
		t.Errorf("%+v", got)
	}
	ok[*sdk.UpdateConfigurationOutput](t)(r.UpdateConfiguration(ctx, &sdk.UpdateConfigurationInput{Arn: made.Arn, ServerProperties: []byte("num.partitions=9")}))
	r.restart(8)
	if err := r.service.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, spec := range r.plane.opened {
		if fmt.Sprint(spec.Properties) != "map[num.partitions:7]" {
			t.Errorf("properties %v", spec.Properties)
		}
	}
}
