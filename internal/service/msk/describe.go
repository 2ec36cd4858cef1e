package msk

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
)

// info returns a provisioned cluster as the first version of the API describes it.
func (c *cluster) info() *api.ClusterInfo {
	p := c.Provisioned
	return &api.ClusterInfo{
		BrokerNodeGroupInfo: p.BrokerNodeGroupInfo, Rebalancing: p.Rebalancing, ClientAuthentication: p.ClientAuthentication, ClusterArn: &c.ARN,
		ClusterName: &c.Name, CreationTime: &c.Created, CurrentBrokerSoftwareInfo: p.CurrentBrokerSoftwareInfo, CurrentVersion: &c.Version,
		EncryptionInfo: p.EncryptionInfo, EnhancedMonitoring: p.EnhancedMonitoring, OpenMonitoring: openMonitoring(p.OpenMonitoring),
		LoggingInfo: p.LoggingInfo, NumberOfBrokerNodes: p.NumberOfBrokerNodes, State: new(c.state()), Tags: c.tags(), StorageMode: p.StorageMode,
		CustomerActionStatus: p.CustomerActionStatus,
	}
}

// infoV2 returns a cluster of any type as the second version of the API describes it.
func (c *cluster) infoV2() *api.Cluster {
	return &api.Cluster{
		ClusterType: new(c.clusterType()), ClusterArn: &c.ARN, ClusterName: &c.Name, CreationTime: &c.Created, CurrentVersion: &c.Version,
		State: new(c.state()), Tags: c.tags(), Provisioned: c.Provisioned, Serverless: c.Serverless,
	}
}

// tags returns the tags, present if there are none.
func (c *cluster) tags() map[string]string {
	if c.Tags == nil {
		return map[string]string{}
	}
	return c.Tags
}

// openMonitoring returns what requests say in the shape of answers.
func openMonitoring(in *api.OpenMonitoringInfo) *api.OpenMonitoring {
	return &api.OpenMonitoring{Prometheus: &api.Prometheus{
		JmxExporter:  &api.JmxExporter{EnabledInBroker: in.Prometheus.JmxExporter.EnabledInBroker},
		NodeExporter: &api.NodeExporter{EnabledInBroker: in.Prometheus.NodeExporter.EnabledInBroker},
	}}
}

func (s *Service) describeCluster(ctx context.Context, call *aws.Call, in *api.DescribeClusterRequest) (*api.DescribeClusterResponse, error) {
	c, _, err := s.findProvisioned(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	return &api.DescribeClusterResponse{ClusterInfo: c.info()}, nil
}

func (s *Service) describeClusterV2(ctx context.Context, call *aws.Call, in *api.DescribeClusterV2Request) (*api.DescribeClusterV2Response, error) {
	c, _, err := s.findCluster(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	return &api.DescribeClusterV2Response{ClusterInfo: c.infoV2()}, nil
}

func clusterKey(c **cluster) string { return (*c).ARN }

func (s *Service) listClusters(ctx context.Context, call *aws.Call, in *api.ListClustersRequest) (*api.ListClustersResponse, error) {
	all, err := s.ownClusters(ctx, call, func(c *cluster) bool {
		return c.Provisioned != nil && strings.HasPrefix(c.Name, value(in.ClusterNameFilter, ""))
	})
	if err != nil {
		return nil, err
	}
	some, next, err := page(all, clusterKey, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListClustersResponse{ClusterInfoList: []api.ClusterInfo{}, NextToken: next}
	for _, c := range some {
		out.ClusterInfoList = append(out.ClusterInfoList, *c.info())
	}
	return out, nil
}

func (s *Service) listClustersV2(ctx context.Context, call *aws.Call, in *api.ListClustersV2Request) (*api.ListClustersV2Response, error) {
	wanted := value(in.ClusterTypeFilter, "")
	if wanted != "" && wanted != string(api.ClusterTypeProvisioned) && wanted != string(api.ClusterTypeServerless) {
		return nil, badRequest("clusterTypeFilter", "The cluster type must be %s or %s.", api.ClusterTypeProvisioned, api.ClusterTypeServerless)
	}
	all, err := s.ownClusters(ctx, call, func(c *cluster) bool {
		return (wanted == "" || wanted == string(c.clusterType())) && strings.HasPrefix(c.Name, value(in.ClusterNameFilter, ""))
	})
	if err != nil {
		return nil, err
	}
	some, next, err := page(all, clusterKey, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &api.ListClustersV2Response{ClusterInfoList: []api.Cluster{}, NextToken: next}
	for _, c := range some {
		out.ClusterInfoList = append(out.ClusterInfoList, *c.infoV2())
	}
	return out, nil
}

func (s *Service) getBootstrapBrokers(ctx context.Context, call *aws.Call, in *api.GetBootstrapBrokersRequest) (*api.GetBootstrapBrokersResponse, error) {
	c, _, err := s.findCluster(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	return &api.GetBootstrapBrokersResponse{
		BootstrapBrokerString: s.bootstrap(c, Plaintext), BootstrapBrokerStringTls: s.bootstrap(c, TLS), BootstrapBrokerStringSaslScram: s.bootstrap(c, Scram),
		BootstrapBrokerStringSaslIam: s.bootstrap(c, IAM),
	}, nil
}

// bootstrap returns the addresses of a listener as clients take them, nil if the cluster has none.
func (s *Service) bootstrap(c *cluster, access Access) *string {
	if len(c.Ports[access]) == 0 {
		return nil
	}
	var addresses []string
	for _, port := range c.Ports[access] {
		addresses = append(addresses, s.plane.Address(port))
	}
	return new(strings.Join(addresses, ","))
}

// listNodes lists the brokers that the cluster was asked to have. One of the node serves for all of them.
func (s *Service) listNodes(ctx context.Context, call *aws.Call, in *api.ListNodesRequest) (*api.ListNodesResponse, error) {
	c, _, err := s.findProvisioned(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	all := make([]api.NodeInfo, 0, *c.Provisioned.NumberOfBrokerNodes)
	for id := range *c.Provisioned.NumberOfBrokerNodes {
		all = append(all, s.broker(call, c, int(id)))
	}
	some, next, err := page(all, func(n *api.NodeInfo) string { return fmt.Sprintf("%09.0f", *n.BrokerNodeInfo.BrokerId) }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.ListNodesResponse{NodeInfoList: some, NextToken: next}, nil
}

// broker describes broker index+1.
func (s *Service) broker(call *aws.Call, c *cluster, index int) api.NodeInfo {
	nodes := c.Provisioned.BrokerNodeGroupInfo
	about := &api.BrokerNodeInfo{
		BrokerId: new(float64(index + 1)), ClientSubnet: &nodes.ClientSubnets[index%len(nodes.ClientSubnets)],
		CurrentBrokerSoftwareInfo: c.Provisioned.CurrentBrokerSoftwareInfo,
	}
	for _, access := range c.listeners() {
		ports := c.Ports[access]
		host, _, _ := net.SplitHostPort(s.plane.Address(ports[index%len(ports)]))
		about.Endpoints = []string{host}
		if net.ParseIP(host) != nil {
			about.ClientVpcIpAddress = &host
		}
	}
	return api.NodeInfo{
		AddedToClusterTime: new(c.Created.Format("2006-01-02T15:04:05.000Z")), BrokerNodeInfo: about, InstanceType: nodes.InstanceType,
		NodeARN: new(makeARN(call, brokerType, c.Name, c.ID, fmt.Sprint(index+1))), NodeType: new(api.NodeTypeBroker),
	}
}

func (s *Service) getCompatibleKafkaVersions(
	ctx context.Context, call *aws.Call, in *api.GetCompatibleKafkaVersionsRequest,
) (*api.GetCompatibleKafkaVersionsResponse, error) {
	from := versionNames()
	if in.ClusterArn != nil {
		c, _, err := s.findProvisioned(ctx, call, *in.ClusterArn)
		if err != nil {
			return nil, err
		}
		from = []string{*c.Provisioned.CurrentBrokerSoftwareInfo.KafkaVersion}
	}
	out := &api.GetCompatibleKafkaVersionsResponse{CompatibleKafkaVersions: []api.CompatibleKafkaVersion{}}
	for _, version := range from {
		out.CompatibleKafkaVersions = append(out.CompatibleKafkaVersions, api.CompatibleKafkaVersion{SourceVersion: &version, TargetVersions: present(compatible(version))})
	}
	return out, nil
}
