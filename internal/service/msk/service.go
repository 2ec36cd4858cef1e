package msk

import (
	"cmp"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

// Config bounds the service. Zero values mean the defaults.
type Config struct {
	// MaxConfigurations bounds the configurations of an account in a region, MaxRevisions those of a configuration.
	MaxConfigurations int
	MaxRevisions      int
	// MaxClusters bounds the clusters of all accounts and regions.
	MaxClusters int
}

// The defaults of Config.
const (
	DefaultMaxConfigurations = 100
	DefaultMaxRevisions      = 50
	DefaultMaxClusters       = 30
)

// Dependencies are what the service stands on; all are required.
type Dependencies struct {
	State   state.Store
	Plane   Plane
	Secrets Secrets
	Clock   clock.Clock
	Random  io.Reader
	Logger  *slog.Logger
}

// Service serves the API. Its methods are safe for concurrent use.
type Service struct {
	config  Config
	state   state.Store
	plane   Plane
	secrets Secrets
	clock   clock.Clock
	names   names
	logger  *slog.Logger

	configurations table[configuration]
	clusters       table[cluster]
	operations     table[operation]
	topics         table[topic]

	change sync.Mutex // serialises changes: each reads, checks and writes documents
}

// New returns the service. No cluster is served before Start.
func New(config Config, deps Dependencies) *Service {
	config.MaxConfigurations = cmp.Or(config.MaxConfigurations, DefaultMaxConfigurations)
	config.MaxRevisions = cmp.Or(config.MaxRevisions, DefaultMaxRevisions)
	config.MaxClusters = cmp.Or(config.MaxClusters, DefaultMaxClusters)
	return &Service{
		config: config, state: deps.State, plane: deps.Plane, secrets: deps.Secrets, clock: deps.Clock, names: names{deps.Random}, logger: deps.Logger,
		configurations: table[configuration]{deps.State, "msk-configuration"}, clusters: table[cluster]{deps.State, "msk-cluster"},
		operations: table[operation]{deps.State, "msk-operation"}, topics: table[topic]{deps.State, "msk-topic"},
	}
}

// API lists what is served.
func (s *Service) API() aws.Service {
	return aws.Service{
		Model:   api.Model,
		Ledger:  Ledger,
		Refused: refused,
		Operations: append(s.absent(), []aws.Operation{
			aws.Handle("BatchAssociateScramSecret", s.batchAssociate),
			aws.Handle("BatchDisassociateScramSecret", s.batchDisassociate),
			aws.Handle("CreateCluster", s.createCluster),
			aws.Handle("CreateClusterV2", s.createClusterV2),
			aws.Handle("CreateConfiguration", s.createConfiguration),
			aws.Handle("CreateTopic", s.createTopic),
			aws.Handle("DeleteCluster", s.deleteCluster),
			aws.Handle("DeleteClusterPolicy", s.deleteClusterPolicy),
			aws.Handle("DeleteConfiguration", s.deleteConfiguration),
			aws.Handle("DeleteTopic", s.deleteTopic),
			aws.Handle("DescribeCluster", s.describeCluster),
			aws.Handle("DescribeClusterOperation", s.describeClusterOperation),
			aws.Handle("DescribeClusterOperationV2", s.describeClusterOperationV2),
			aws.Handle("DescribeClusterV2", s.describeClusterV2),
			aws.Handle("DescribeConfiguration", s.describeConfiguration),
			aws.Handle("DescribeConfigurationRevision", s.describeConfigurationRevision),
			aws.Handle("DescribeTopic", s.describeTopic),
			aws.Handle("DescribeTopicPartitions", s.describeTopicPartitions),
			aws.Handle("GetBootstrapBrokers", s.getBootstrapBrokers),
			aws.Handle("GetClusterPolicy", s.getClusterPolicy),
			aws.Handle("GetCompatibleKafkaVersions", s.getCompatibleKafkaVersions),
			aws.Handle("ListClusterOperations", s.listClusterOperations),
			aws.Handle("ListClusterOperationsV2", s.listClusterOperationsV2),
			aws.Handle("ListClusters", s.listClusters),
			aws.Handle("ListClustersV2", s.listClustersV2),
			aws.Handle("ListConfigurationRevisions", s.listConfigurationRevisions),
			aws.Handle("ListConfigurations", s.listConfigurations),
			aws.Handle("ListKafkaVersions", s.listKafkaVersions),
			aws.Handle("ListNodes", s.listNodes),
			aws.Handle("ListScramSecrets", s.listScramSecrets),
			aws.Handle("ListTagsForResource", s.listTagsForResource),
			aws.Handle("ListTopics", s.listTopics),
			aws.Handle("PutClusterPolicy", s.putClusterPolicy),
			aws.Handle("RebootBroker", s.rebootBroker),
			aws.Handle("TagResource", s.tagResource),
			aws.Handle("UntagResource", s.untagResource),
			aws.Handle("UpdateBrokerCount", s.updateBrokerCount),
			aws.Handle("UpdateBrokerStorage", s.updateBrokerStorage),
			aws.Handle("UpdateBrokerType", s.updateBrokerType),
			aws.Handle("UpdateClusterConfiguration", s.updateClusterConfiguration),
			aws.Handle("UpdateClusterKafkaVersion", s.updateClusterKafkaVersion),
			aws.Handle("UpdateConfiguration", s.updateConfiguration),
			aws.Handle("UpdateConnectivity", s.updateConnectivity),
			aws.Handle("UpdateMonitoring", s.updateMonitoring),
			aws.Handle("UpdateRebalancing", s.updateRebalancing),
			aws.Handle("UpdateSecurity", s.updateSecurity),
			aws.Handle("UpdateStorage", s.updateStorage),
			aws.Handle("UpdateTopic", s.updateTopic),
		}...),
	}
}

// now is the clock in the milliseconds of the protocol.
func (s *Service) now() time.Time { return s.clock.Now().UTC().Truncate(time.Millisecond) }
