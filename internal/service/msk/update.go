package msk

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
)

var errStale = badRequest("currentVersion", "The version of the cluster isn’t current. Check the current version and try again.")

// update is one change of a cluster: what it does, and what its operation shows of the cluster before and after.
type update struct {
	kind    string
	version *string // currentVersion of the request; nil for calls without one
	apply   func(c *cluster) error
	show    func(c *cluster) api.MutableClusterInfo
	reopen  bool // clients are disconnected, as by the reboot of brokers
}

// perform makes a change of a provisioned cluster. It returns the ARN of an operation that is complete.
func (s *Service) perform(ctx context.Context, call *aws.Call, arn string, u update) (*string, error) {
	s.change.Lock()
	defer s.change.Unlock()
	old, version, err := s.findProvisioned(ctx, call, arn)
	if err != nil {
		return nil, err
	}
	if u.version != nil && *u.version != old.Version {
		return nil, errStale
	}
	c, started := old.clone(), s.now()
	if err := u.apply(c); err != nil {
		return nil, err
	}
	if u.version != nil {
		if c.Version, err = s.names.version(); err != nil {
			return nil, err
		}
	}
	if u.reopen {
		if err := s.open(ctx, c); err != nil {
			return nil, errors.Join(err, s.open(ctx, old))
		}
	}
	o, err := s.commit(ctx, old, c, version, started, u)
	if err != nil {
		if u.reopen {
			err = errors.Join(err, s.open(ctx, old))
		}
		return nil, err
	}
	s.logger.Info("msk cluster changed", "cluster", c.ARN, "operation", u.kind)
	return &o.ARN, nil
}

// commit stores the changed cluster and its operation, both or neither.
func (s *Service) commit(ctx context.Context, old, c *cluster, version int64, started time.Time, u update) (*operation, error) {
	id, err := s.names.uuid()
	if err != nil {
		return nil, err
	}
	r, _ := parseARN(c.ARN)
	o := &operation{
		ARN: aws.MakeARN("kafka", r.region, r.account, operationType+"/"+c.Name+"/"+c.ID+"/"+id), ID: id, ClusterARN: c.ARN, Type: u.kind, Start: started, End: s.now(),
	}
	if u.show != nil {
		o.Before, o.After = new(u.show(old)), new(u.show(c))
	}
	changes, err := s.record(ctx, c, o)
	if err != nil {
		return nil, err
	}
	put, err := s.clusters.put(c.key(), c, version)
	if err != nil {
		return nil, err
	}
	_, err = s.state.Apply(ctx, append(changes, put)...)
	return o, stored(err)
}

func (s *Service) updateBrokerCount(ctx context.Context, call *aws.Call, in *api.UpdateBrokerCountRequest) (*api.UpdateBrokerCountResponse, error) {
	const member = "targetNumberOfBrokerNodes"
	u := update{
		kind: addBrokers, version: in.CurrentVersion, reopen: true,
		show: func(c *cluster) api.MutableClusterInfo {
			return api.MutableClusterInfo{NumberOfBrokerNodes: c.Provisioned.NumberOfBrokerNodes}
		},
	}
	u.apply = func(c *cluster) error {
		p, target := c.Provisioned, *in.TargetNumberOfBrokerNodes
		if target == *p.NumberOfBrokerNodes {
			return badRequest(member, "The cluster has %d broker nodes already.", target)
		}
		if err := checkBrokerCount(member, target, p.BrokerNodeGroupInfo.ClientSubnets); err != nil {
			return err
		}
		p.NumberOfBrokerNodes = &target
		return s.checkReplicas(ctx, c, member)
	}
	if c, _, err := s.findProvisioned(ctx, call, *in.ClusterArn); err == nil && *in.TargetNumberOfBrokerNodes < *c.Provisioned.NumberOfBrokerNodes {
		u.kind = removeBrokers // another change in between is refused for its version
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateBrokerCountResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

// checkReplicas refuses fewer brokers than a topic was asked to have replicas: at MSK brokers that hold some cannot be removed.
func (s *Service) checkReplicas(ctx context.Context, c *cluster, member string) error {
	topics, err := s.topicMetadata(ctx, c, nil)
	if err != nil {
		return err
	}
	for i := range topics {
		factor, err := s.replication(ctx, c, &topics[i])
		if err != nil {
			return err
		}
		if factor > c.brokers() {
			return badRequest(member, "Topic '%s' has %d replicas, more than %d broker nodes can hold.", *topics[i].Topic, factor, c.brokers())
		}
	}
	return nil
}

// showNodes shows what of the brokers' machines can change.
func showNodes(c *cluster) api.MutableClusterInfo {
	nodes := c.Provisioned.BrokerNodeGroupInfo
	out := api.MutableClusterInfo{InstanceType: nodes.InstanceType, StorageMode: c.Provisioned.StorageMode}
	if nodes.StorageInfo != nil && nodes.StorageInfo.EbsStorageInfo != nil {
		volume := nodes.StorageInfo.EbsStorageInfo
		out.BrokerEBSVolumeInfo = []api.BrokerEBSVolumeInfo{{
			KafkaBrokerNodeId: new(allBrokers), ProvisionedThroughput: volume.ProvisionedThroughput, VolumeSizeGB: volume.VolumeSize,
		}}
	}
	return out
}

// allBrokers stands for every broker in targetBrokerEBSVolumeInfo.
const allBrokers = "All"

// setVolume changes what brokers have to store on.
func (c *cluster) setVolume(member string, size *int32, throughput *api.ProvisionedThroughput) error {
	if size == nil && throughput == nil {
		return nil
	}
	nodes := *c.Provisioned.BrokerNodeGroupInfo
	volume := api.EBSStorageInfo{}
	if nodes.StorageInfo != nil && nodes.StorageInfo.EbsStorageInfo != nil {
		volume = *nodes.StorageInfo.EbsStorageInfo
	}
	if size != nil {
		const most = 16384 // as of volumeSize in CreateCluster
		if *size < value(volume.VolumeSize, 1) || *size > most {
			return badRequest(member, "The volume size must be from the current one, %d GiB, to %d GiB.", value(volume.VolumeSize, 1), most)
		}
		volume.VolumeSize = size
	}
	if throughput != nil {
		volume.ProvisionedThroughput = throughput
	}
	nodes.StorageInfo = &api.StorageInfo{EbsStorageInfo: &volume}
	c.Provisioned.BrokerNodeGroupInfo = &nodes
	return nil
}

func (s *Service) updateBrokerStorage(ctx context.Context, call *aws.Call, in *api.UpdateBrokerStorageRequest) (*api.UpdateBrokerStorageResponse, error) {
	const member = "targetBrokerEBSVolumeInfo"
	u := update{kind: updateBrokerStorage, version: in.CurrentVersion, show: showNodes}
	u.apply = func(c *cluster) error {
		if len(in.TargetBrokerEBSVolumeInfo) == 0 {
			return badRequest(member, "Specify a volume.")
		}
		for i := range in.TargetBrokerEBSVolumeInfo {
			target := &in.TargetBrokerEBSVolumeInfo[i]
			if *target.KafkaBrokerNodeId != allBrokers && !c.hasBroker(*target.KafkaBrokerNodeId) {
				return badRequest(member, "The cluster has no broker %q.", *target.KafkaBrokerNodeId)
			}
			if err := c.setVolume(member, target.VolumeSizeGB, target.ProvisionedThroughput); err != nil {
				return err
			}
		}
		return nil
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateBrokerStorageResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

// hasBroker tells whether a text is the id of one of the cluster's brokers.
func (c *cluster) hasBroker(id string) bool {
	n, err := strconv.Atoi(id)
	return err == nil && n >= 1 && n <= int(*c.Provisioned.NumberOfBrokerNodes)
}

func (s *Service) updateStorage(ctx context.Context, call *aws.Call, in *api.UpdateStorageRequest) (*api.UpdateStorageResponse, error) {
	u := update{kind: updateStorage, version: in.CurrentVersion, show: showNodes}
	u.apply = func(c *cluster) error {
		if in.StorageMode == nil && in.VolumeSizeGB == nil && in.ProvisionedThroughput == nil {
			return badRequest("", "Specify what of the storage is to be changed.")
		}
		if in.StorageMode != nil {
			c.Provisioned.StorageMode = in.StorageMode
		}
		return c.setVolume("volumeSizeGB", in.VolumeSizeGB, in.ProvisionedThroughput)
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateStorageResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

func (s *Service) updateBrokerType(ctx context.Context, call *aws.Call, in *api.UpdateBrokerTypeRequest) (*api.UpdateBrokerTypeResponse, error) {
	const member = "targetInstanceType"
	u := update{kind: updateBrokerType, version: in.CurrentVersion, show: showNodes}
	u.apply = func(c *cluster) error {
		nodes := *c.Provisioned.BrokerNodeGroupInfo
		if *nodes.InstanceType == *in.TargetInstanceType {
			return badRequest(member, "The cluster has the instance type %s already.", *in.TargetInstanceType)
		}
		nodes.InstanceType = in.TargetInstanceType
		c.Provisioned.BrokerNodeGroupInfo = &nodes
		return checkInstance(member, *in.TargetInstanceType)
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateBrokerTypeResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

// showSoftware shows what a cluster's brokers run.
func showSoftware(c *cluster) api.MutableClusterInfo {
	software := c.Provisioned.CurrentBrokerSoftwareInfo
	out := api.MutableClusterInfo{KafkaVersion: software.KafkaVersion}
	if software.ConfigurationArn != nil {
		out.ConfigurationInfo = &api.ConfigurationInfo{Arn: software.ConfigurationArn, Revision: software.ConfigurationRevision}
	}
	return out
}

func (s *Service) updateClusterConfiguration(
	ctx context.Context, call *aws.Call, in *api.UpdateClusterConfigurationRequest,
) (*api.UpdateClusterConfigurationResponse, error) {
	u := update{kind: updateConfiguration, version: in.CurrentVersion, reopen: true, show: showSoftware}
	u.apply = func(c *cluster) error { return s.configure(ctx, call, c, in.ConfigurationInfo) }
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateClusterConfigurationResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

func (s *Service) updateClusterKafkaVersion(
	ctx context.Context, call *aws.Call, in *api.UpdateClusterKafkaVersionRequest,
) (*api.UpdateClusterKafkaVersionResponse, error) {
	u := update{kind: updateVersion, version: in.CurrentVersion, reopen: true, show: showSoftware}
	u.apply = func(c *cluster) error {
		software := *c.Provisioned.CurrentBrokerSoftwareInfo
		if all := compatible(*software.KafkaVersion); !slices.Contains(all, *in.TargetKafkaVersion) {
			return badRequest("targetKafkaVersion", "A cluster of version %s cannot be updated to version %s.", *software.KafkaVersion, *in.TargetKafkaVersion)
		}
		software.KafkaVersion = in.TargetKafkaVersion
		c.Provisioned.CurrentBrokerSoftwareInfo = &software
		return s.configure(ctx, call, c, in.ConfigurationInfo)
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateClusterKafkaVersionResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

func (s *Service) updateMonitoring(ctx context.Context, call *aws.Call, in *api.UpdateMonitoringRequest) (*api.UpdateMonitoringResponse, error) {
	u := update{
		kind: updateMonitoring, version: in.CurrentVersion,
		show: func(c *cluster) api.MutableClusterInfo {
			p := c.Provisioned
			return api.MutableClusterInfo{EnhancedMonitoring: p.EnhancedMonitoring, OpenMonitoring: openMonitoring(p.OpenMonitoring), LoggingInfo: p.LoggingInfo}
		},
	}
	u.apply = func(c *cluster) error {
		p := c.Provisioned
		if in.EnhancedMonitoring == nil && in.OpenMonitoring == nil && in.LoggingInfo == nil {
			return badRequest("", "Specify what of the monitoring is to be changed.")
		}
		if err := checkLogging(in.LoggingInfo); err != nil {
			return err
		}
		if in.EnhancedMonitoring != nil {
			p.EnhancedMonitoring = in.EnhancedMonitoring
		}
		if in.LoggingInfo != nil {
			p.LoggingInfo = in.LoggingInfo
		}
		p.OpenMonitoring = mergeMonitoring(p.OpenMonitoring, in.OpenMonitoring)
		return nil
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateMonitoringResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

func (s *Service) updateSecurity(ctx context.Context, call *aws.Call, in *api.UpdateSecurityRequest) (*api.UpdateSecurityResponse, error) {
	u := update{
		kind: updateSecurity, version: in.CurrentVersion, reopen: true,
		show: func(c *cluster) api.MutableClusterInfo {
			return api.MutableClusterInfo{ClientAuthentication: c.Provisioned.ClientAuthentication, EncryptionInfo: c.Provisioned.EncryptionInfo}
		},
	}
	u.apply = func(c *cluster) error {
		before := *c.Provisioned
		if err := c.secure(in.ClientAuthentication, in.EncryptionInfo); err != nil {
			return err
		}
		if reflect.DeepEqual(before, *c.Provisioned) {
			return badRequest("", "Specify a change of the security: the cluster has these settings already.")
		}
		return nil
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateSecurityResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

func (s *Service) updateConnectivity(ctx context.Context, call *aws.Call, in *api.UpdateConnectivityRequest) (*api.UpdateConnectivityResponse, error) {
	u := update{
		kind: updateConnectivity, version: in.CurrentVersion,
		show: func(c *cluster) api.MutableClusterInfo {
			return api.MutableClusterInfo{ConnectivityInfo: c.Provisioned.BrokerNodeGroupInfo.ConnectivityInfo}
		},
	}
	u.apply = func(c *cluster) (err error) {
		nodes := *c.Provisioned.BrokerNodeGroupInfo
		nodes.ConnectivityInfo, err = mergeConnectivity(nodes.ConnectivityInfo, in.ConnectivityInfo)
		c.Provisioned.BrokerNodeGroupInfo = &nodes
		return err
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateConnectivityResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

func (s *Service) updateRebalancing(ctx context.Context, call *aws.Call, in *api.UpdateRebalancingRequest) (*api.UpdateRebalancingResponse, error) {
	u := update{
		kind: updateRebalancing, version: in.CurrentVersion,
		show: func(c *cluster) api.MutableClusterInfo {
			return api.MutableClusterInfo{Rebalancing: c.Provisioned.Rebalancing}
		},
		apply: func(c *cluster) error {
			c.Provisioned.Rebalancing = in.Rebalancing
			return nil
		},
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.UpdateRebalancingResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}

// rebootBroker ends the connections of all clients, whichever brokers are named: one serves for all.
func (s *Service) rebootBroker(ctx context.Context, call *aws.Call, in *api.RebootBrokerRequest) (*api.RebootBrokerResponse, error) {
	const member = "brokerIds"
	u := update{kind: rebootNode, reopen: true}
	u.apply = func(c *cluster) error {
		if len(in.BrokerIds) == 0 {
			return badRequest(member, "Specify a broker.")
		}
		for _, id := range in.BrokerIds {
			if !c.hasBroker(id) {
				return badRequest(member, "The cluster has no broker %q.", id)
			}
		}
		return nil
	}
	arn, err := s.perform(ctx, call, *in.ClusterArn, u)
	if err != nil {
		return nil, err
	}
	return &api.RebootBrokerResponse{ClusterArn: in.ClusterArn, ClusterOperationArn: arn}, nil
}
