package msk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

func (s *Service) createCluster(ctx context.Context, call *aws.Call, in *api.CreateClusterRequest) (*api.CreateClusterResponse, error) {
	c := &cluster{Name: *in.ClusterName, Tags: in.Tags}
	err := s.createProvisioned(ctx, call, c, &api.ProvisionedRequest{
		BrokerNodeGroupInfo: in.BrokerNodeGroupInfo, Rebalancing: in.Rebalancing, ClientAuthentication: in.ClientAuthentication,
		ConfigurationInfo: in.ConfigurationInfo, EncryptionInfo: in.EncryptionInfo, EnhancedMonitoring: in.EnhancedMonitoring,
		OpenMonitoring: in.OpenMonitoring, KafkaVersion: in.KafkaVersion, LoggingInfo: in.LoggingInfo,
		NumberOfBrokerNodes: in.NumberOfBrokerNodes, StorageMode: in.StorageMode,
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateClusterResponse{ClusterArn: &c.ARN, ClusterName: &c.Name, State: new(api.ClusterStateCreating)}, nil
}

func (s *Service) createClusterV2(ctx context.Context, call *aws.Call, in *api.CreateClusterV2Request) (*api.CreateClusterV2Response, error) {
	if (in.Provisioned == nil) == (in.Serverless == nil) {
		return nil, badRequest("provisioned", "Specify what kind of cluster is to be created: either provisioned or serverless.")
	}
	c := &cluster{Name: *in.ClusterName, Tags: in.Tags}
	var err error
	if in.Provisioned != nil {
		err = s.createProvisioned(ctx, call, c, in.Provisioned)
	} else {
		err = s.createServerless(ctx, call, c, in.Serverless)
	}
	if err != nil {
		return nil, err
	}
	return &api.CreateClusterV2Response{
		ClusterArn: &c.ARN, ClusterName: &c.Name, ClusterType: new(c.clusterType()), State: new(api.ClusterStateCreating),
	}, nil
}

func (s *Service) createProvisioned(ctx context.Context, call *aws.Call, c *cluster, in *api.ProvisionedRequest) error {
	if err := c.provision(in); err != nil {
		return err
	}
	return s.create(ctx, call, c, in.ConfigurationInfo)
}

// createServerless makes a cluster without settings, whose clients sign with access keys.
func (s *Service) createServerless(ctx context.Context, call *aws.Call, c *cluster, in *api.ServerlessRequest) error {
	if len(in.VpcConfigs) == 0 {
		return badRequest("vpcConfigs", "Specify a VPC configuration.")
	}
	for i := range in.VpcConfigs {
		in.VpcConfigs[i].SecurityGroupIds = present(in.VpcConfigs[i].SecurityGroupIds)
	}
	if a := in.ClientAuthentication; a == nil || a.Sasl == nil || a.Sasl.Iam == nil || !value(a.Sasl.Iam.Enabled, false) {
		return badRequest("clientAuthentication", "A serverless cluster takes IAM for its clients: it must be enabled.")
	}
	c.Serverless = &api.Serverless{VpcConfigs: in.VpcConfigs, ClientAuthentication: in.ClientAuthentication}
	return s.create(ctx, call, c, nil)
}

// create makes a cluster of settings that have been checked. It serves when create returns.
func (s *Service) create(ctx context.Context, call *aws.Call, c *cluster, which *api.ConfigurationInfo) error {
	if !namePattern.MatchString(c.Name) {
		return badRequest("clusterName", "The cluster name must have letters, digits and hyphens, and begin with a letter or digit.")
	}
	if err := checkTags(c.Tags); err != nil {
		return err
	}
	c.Created = s.now()
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.configure(ctx, call, c, which); err != nil {
		return err
	}
	if err := s.makeRoom(ctx, call, c.Name); err != nil {
		return err
	}
	if err := s.nameCluster(call, c); err != nil {
		return err
	}
	if p := c.Provisioned; p != nil && p.EncryptionInfo.EncryptionAtRest == nil {
		p.EncryptionInfo.EncryptionAtRest = &api.EncryptionAtRest{DataVolumeKMSKeyId: new(managedKey(c.ARN))}
	}
	if err := s.open(ctx, c); err != nil {
		return err
	}
	if err := s.clusters.save(ctx, c.key(), c, state.Absent); err != nil {
		return errors.Join(err, s.plane.Drop(ctx, c.Namespace))
	}
	s.logger.Info("msk cluster created", "cluster", c.ARN, "type", c.clusterType(), "brokers", c.brokers())
	return nil
}

// makeRoom refuses a name that a cluster of the caller has, and more clusters than the node may have.
func (s *Service) makeRoom(ctx context.Context, call *aws.Call, name string) error {
	all, err := s.clusters.list(ctx, "")
	if err != nil {
		return err
	}
	if len(all) >= s.config.MaxClusters {
		return badRequest("", "This node can have %d clusters.", s.config.MaxClusters)
	}
	own := ownerOf(call)
	for _, c := range all {
		if c.Name == name && strings.HasPrefix(c.key(), own) {
			return errNameTaken("clusterName")
		}
	}
	return nil
}

// nameCluster draws what identifies a new cluster.
func (s *Service) nameCluster(call *aws.Call, c *cluster) (err error) {
	if c.ID, err = s.names.id(); err != nil {
		return err
	}
	const digits = 13 // of the UUID and a hyphen: 48 random bits tell clusters apart
	c.ARN = makeARN(call, clusterType, c.Name, c.ID)
	c.Namespace = "msk-" + c.ID[:digits]
	c.Version, err = s.names.version()
	return err
}

// open has the cluster served, and notes its ports.
func (s *Service) open(ctx context.Context, c *cluster) error {
	ports, err := s.plane.Open(ctx, c.spec())
	switch {
	case errors.Is(err, ErrNoKeys):
		return badRequest("clientAuthentication", "Nobody could connect by IAM: %s. Start the node with access keys.", err)
	case errors.Is(err, ErrNoAuthority):
		return badRequest("certificateAuthorityArnList", "Clients' certificates could not be verified: %s. Start the node with the certificates of each authority.", err)
	case errors.Is(err, ErrNoPorts):
		return badRequest("", "The cluster cannot be served: %s. Delete a cluster, or give the node more ports.", err)
	case err != nil:
		return err
	}
	c.Ports = ports
	return nil
}

var instancePattern = regexp.MustCompile(`^(kafka|express)\.[a-z0-9]+\.[a-z0-9]+$`)

// provision sets what a request says of a provisioned cluster, and MSK's defaults.
func (c *cluster) provision(in *api.ProvisionedRequest) error {
	nodes := *in.BrokerNodeGroupInfo
	if err := checkKafkaVersion("kafkaVersion", *in.KafkaVersion); err != nil {
		return err
	}
	if err := checkInstance("instanceType", *nodes.InstanceType); err != nil {
		return err
	}
	if n := len(nodes.ClientSubnets); n != 2 && n != 3 {
		return badRequest("clientSubnets", "Specify either two or three client subnets.")
	}
	if err := checkBrokerCount("numberOfBrokerNodes", *in.NumberOfBrokerNodes, nodes.ClientSubnets); err != nil {
		return err
	}
	if err := checkLogging(in.LoggingInfo); err != nil {
		return err
	}
	if nodes.BrokerAZDistribution == nil {
		nodes.BrokerAZDistribution = new(api.BrokerAZDistributionDefault)
	}
	nodes.SecurityGroups = present(nodes.SecurityGroups)
	connectivity, err := mergeConnectivity(nil, nodes.ConnectivityInfo)
	if err != nil {
		return err
	}
	nodes.ConnectivityInfo = connectivity
	c.Provisioned = &api.Provisioned{
		BrokerNodeGroupInfo: &nodes, Rebalancing: in.Rebalancing, CurrentBrokerSoftwareInfo: &api.BrokerSoftwareInfo{KafkaVersion: in.KafkaVersion},
		ClientAuthentication: in.ClientAuthentication, EnhancedMonitoring: in.EnhancedMonitoring, OpenMonitoring: in.OpenMonitoring,
		LoggingInfo: in.LoggingInfo, NumberOfBrokerNodes: in.NumberOfBrokerNodes, StorageMode: in.StorageMode,
		CustomerActionStatus: new(api.CustomerActionStatusNone),
	}
	p := c.Provisioned
	if p.EnhancedMonitoring == nil {
		p.EnhancedMonitoring = new(api.EnhancedMonitoringDefault)
	}
	if p.StorageMode == nil {
		p.StorageMode = new(api.StorageModeLocal)
	}
	p.OpenMonitoring = mergeMonitoring(nil, p.OpenMonitoring)
	return c.secure(in.ClientAuthentication, in.EncryptionInfo)
}

// managedKey is the ARN of the key of AWS that MSK encrypts volumes with where no other is named, which each account has one of in each region. What it
// encrypts here is nothing.
func managedKey(cluster string) string {
	r, _ := parseARN(cluster)
	sum := sha256.Sum256([]byte("aws/kafka " + r.account + " " + r.region))
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/%x-%x-%x-%x-%x", r.region, r.account, sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// checkLogging refuses logs that are to go nowhere.
func checkLogging(in *api.LoggingInfo) error {
	if in == nil || in.BrokerLogs == nil {
		return nil
	}
	to := in.BrokerLogs
	missing := func(enabled *bool, where *string) bool {
		return enabled != nil && *enabled && (where == nil || *where == "")
	}
	switch {
	case to.CloudWatchLogs != nil && missing(to.CloudWatchLogs.Enabled, to.CloudWatchLogs.LogGroup):
		return badRequest("loggingInfo", "Specify the log group that broker logs are delivered to.")
	case to.Firehose != nil && missing(to.Firehose.Enabled, to.Firehose.DeliveryStream):
		return badRequest("loggingInfo", "Specify the delivery stream that broker logs are delivered to.")
	case to.S3 != nil && missing(to.S3.Enabled, to.S3.Bucket):
		return badRequest("loggingInfo", "Specify the bucket that broker logs are delivered to.")
	}
	return nil
}

func checkInstance(member, instance string) error {
	if !instancePattern.MatchString(instance) {
		return badRequest(member, "Unsupported InstanceType [%s]. Valid values are names as kafka.m5.large.", instance)
	}
	return nil
}

func checkBrokerCount(member string, brokers int32, subnets []string) error {
	if int(brokers)%len(subnets) != 0 {
		return badRequest(member, "The number of broker nodes must be a multiple of Availability Zones in the Client Subnets parameter.")
	}
	return nil
}

// secure sets how clients are protected and known; what is not said stays, or is MSK's default.
func (c *cluster) secure(clients *api.ClientAuthentication, encryption *api.EncryptionInfo) error {
	p := c.Provisioned
	if clients != nil {
		p.ClientAuthentication = clients
	}
	if p.ClientAuthentication == nil {
		p.ClientAuthentication = &api.ClientAuthentication{Unauthenticated: &api.Unauthenticated{Enabled: new(true)}}
	}
	known := scramEnabled(p.ClientAuthentication) || iamEnabled(p.ClientAuthentication) || tlsEnabled(p.ClientAuthentication)
	if err := checkAuthorities(p.ClientAuthentication); err != nil {
		return err
	}
	if !anybodyEnabled(p.ClientAuthentication) && !known {
		return badRequest("clientAuthentication", "Specify at least one client authentication mechanism that is enabled.")
	}
	merged := api.EncryptionInfo{EncryptionInTransit: &api.EncryptionInTransit{ClientBroker: new(api.ClientBrokerTls), InCluster: new(true)}}
	if p.EncryptionInfo != nil {
		merged = *p.EncryptionInfo
	}
	if encryption != nil && encryption.EncryptionAtRest != nil {
		merged.EncryptionAtRest = encryption.EncryptionAtRest
	}
	if encryption != nil && encryption.EncryptionInTransit != nil {
		transit := *merged.EncryptionInTransit
		if v := encryption.EncryptionInTransit.ClientBroker; v != nil {
			transit.ClientBroker = v
		}
		if v := encryption.EncryptionInTransit.InCluster; v != nil {
			transit.InCluster = v
		}
		merged.EncryptionInTransit = &transit
	}
	if known && *merged.EncryptionInTransit.ClientBroker == api.ClientBrokerPlaintext {
		return badRequest("clientAuthentication", "Client authentication takes encryption in transit: the client broker setting must be TLS or TLS_PLAINTEXT.")
	}
	p.EncryptionInfo = &merged
	return nil
}

// maxAuthorities is how many authorities a cluster can trust.
const maxAuthorities = 10

var authorityPattern = regexp.MustCompile(`^arn:aws[a-z-]*:acm-pca:[a-z0-9-]+:\d{12}:certificate-authority/[A-Za-z0-9-]+$`)

// IsAuthority tells whether a text is the ARN of a private certificate authority.
func IsAuthority(arn string) bool { return authorityPattern.MatchString(arn) }

// checkAuthorities checks the names of those who sign clients' certificates.
func checkAuthorities(clients *api.ClientAuthentication) error {
	const member = "certificateAuthorityArnList"
	if clients.Tls == nil {
		return nil
	}
	list := clients.Tls.CertificateAuthorityArnList
	if tlsEnabled(clients) && len(list) == 0 || len(list) > maxAuthorities {
		return badRequest(member, "Specify from 1 to %d certificate authorities.", maxAuthorities)
	}
	for i, arn := range list {
		if !IsAuthority(arn) || slices.Contains(list[:i], arn) {
			return badRequest(member, "The certificate authority ARN %.200q is not valid, or there twice.", arn)
		}
	}
	return nil
}

// The values of publicAccess.type.
const (
	publicDisabled = "DISABLED"
	publicAccess   = "SERVICE_PROVIDED_EIPS"
)

// mergeConnectivity returns old with what in says put over it.
func mergeConnectivity(old, in *api.ConnectivityInfo) (*api.ConnectivityInfo, error) {
	merged := api.ConnectivityInfo{PublicAccess: &api.PublicAccess{Type: new(publicDisabled)}}
	if old != nil {
		merged = *old
	}
	if in == nil {
		return &merged, nil
	}
	if in.PublicAccess != nil && in.PublicAccess.Type != nil {
		switch *in.PublicAccess.Type {
		case publicDisabled:
		case publicAccess:
			return nil, badRequest("publicAccess", "Public access is not supported by freshet: who may connect is decided by the address that the node listens on.")
		default:
			return nil, badRequest("publicAccess", "The public access type must be %s or %s.", publicDisabled, publicAccess)
		}
		merged.PublicAccess = in.PublicAccess
	}
	if in.NetworkType != nil {
		merged.NetworkType = in.NetworkType
	}
	return &merged, nil
}

// mergeMonitoring returns old with what in says put over it; exporters are off if nobody says anything.
func mergeMonitoring(old, in *api.OpenMonitoringInfo) *api.OpenMonitoringInfo {
	merged := api.PrometheusInfo{JmxExporter: &api.JmxExporterInfo{EnabledInBroker: new(false)}, NodeExporter: &api.NodeExporterInfo{EnabledInBroker: new(false)}}
	if old != nil {
		merged = *old.Prometheus
	}
	if in != nil && in.Prometheus.JmxExporter != nil {
		merged.JmxExporter = in.Prometheus.JmxExporter
	}
	if in != nil && in.Prometheus.NodeExporter != nil {
		merged.NodeExporter = in.Prometheus.NodeExporter
	}
	return &api.OpenMonitoringInfo{Prometheus: &merged}
}

// configure gives the cluster a revision of a configuration. The caller holds change.
func (s *Service) configure(ctx context.Context, call *aws.Call, c *cluster, which *api.ConfigurationInfo) error {
	if which == nil {
		return nil
	}
	configuration, _, err := s.findConfiguration(ctx, call, *which.Arn)
	if errors.Is(err, errNoConfiguration) {
		return badRequest("configurationInfo", "Invalid Configuration ARN.")
	}
	if err != nil {
		return err
	}
	if *which.Revision < 1 || *which.Revision > configuration.latest() {
		return badRequest("configurationInfo", "The configuration has no revision %d.", *which.Revision)
	}
	software := *c.Provisioned.CurrentBrokerSoftwareInfo
	software.ConfigurationArn, software.ConfigurationRevision = which.Arn, which.Revision
	c.Provisioned.CurrentBrokerSoftwareInfo = &software
	c.Configuration = configuration.Revisions[*which.Revision-1].Properties
	return nil
}
