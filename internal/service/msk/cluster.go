package msk

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
	"github.com/freshet/freshet/internal/state"
)

// cluster is the document of a cluster, under owner and id. Settings are kept as they are described.
type cluster struct {
	ARN       string
	ID        string // the ARN's end, a UUID and a number
	Name      string
	Namespace string
	Created   time.Time
	Version   string // currentVersion
	Deleting  bool   // it is being removed; a restart goes on with that
	Tags      map[string]string
	Ports     Ports

	Provisioned *api.Provisioned // nil of a serverless cluster
	Serverless  *api.Serverless
	// Configuration is a copy of the revision's properties: a cluster keeps them when the configuration is deleted.
	Configuration []byte

	Secrets map[string]string // the users that are made of associated secrets, by the secrets' ARNs; "" of a secret that cannot be used any more

	Policy        string
	PolicyVersion string
}

// key returns the id of the cluster's document.
func (c *cluster) key() string {
	r, _ := parseARN(c.ARN)
	return owner(r.account, r.region) + c.ID
}

func (c *cluster) clusterType() api.ClusterType {
	if c.Serverless != nil {
		return api.ClusterTypeServerless
	}
	return api.ClusterTypeProvisioned
}

func (c *cluster) state() api.ClusterState {
	if c.Deleting {
		return api.ClusterStateDeleting
	}
	return api.ClusterStateActive
}

// clone returns a copy whose settings can be replaced without changing c's.
func (c *cluster) clone() *cluster {
	next := *c
	next.Tags, next.Ports, next.Secrets = maps.Clone(c.Tags), maps.Clone(c.Ports), maps.Clone(c.Secrets)
	if c.Provisioned != nil {
		settings := *c.Provisioned
		next.Provisioned = &settings
	}
	return &next
}

// findCluster returns the caller's cluster with an ARN, and its document's version.
func (s *Service) findCluster(ctx context.Context, call *aws.Call, arn string) (*cluster, int64, error) {
	r, ok := parseARN(arn)
	if !ok || r.kind != clusterType || len(r.parts) != 2 {
		return nil, 0, badRequest("clusterArn", "The cluster ARN %.200q is not valid.", arn)
	}
	if r.account != call.Account || r.region != call.Region {
		return nil, 0, errNoCluster
	}
	c, version, err := s.clusters.get(ctx, owner(r.account, r.region)+r.parts[1])
	if errors.Is(err, state.ErrNotFound) || err == nil && c.ARN != arn {
		return nil, 0, errNoCluster
	}
	return c, version, err
}

var errNoCluster = notFound("clusterArn", "The cluster does not exist.")

// findProvisioned is findCluster for calls that serverless clusters do not have.
func (s *Service) findProvisioned(ctx context.Context, call *aws.Call, arn string) (*cluster, int64, error) {
	c, version, err := s.findCluster(ctx, call, arn)
	if err == nil && c.Provisioned == nil {
		return nil, 0, badRequest("clusterArn", "This operation cannot be performed on serverless clusters.")
	}
	return c, version, err
}

// ownClusters returns the caller's clusters that wanted accepts, in the order of their ARNs.
func (s *Service) ownClusters(ctx context.Context, call *aws.Call, wanted func(*cluster) bool) ([]*cluster, error) {
	all, err := s.clusters.list(ctx, ownerOf(call))
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c *cluster) bool { return !wanted(c) })
	slices.SortFunc(all, func(a, b *cluster) int { return strings.Compare(a.ARN, b.ARN) })
	return all, nil
}

// spec returns what the plane has to know of the cluster. brokers with ports keep them.
func (c *cluster) spec() Spec {
	s := Spec{Namespace: c.Namespace, Name: c.Name, ARN: c.ARN, Ports: c.wantedPorts(), Properties: applied(c.Configuration)}
	if c.Provisioned != nil && tlsEnabled(c.Provisioned.ClientAuthentication) {
		s.Authorities = c.Provisioned.ClientAuthentication.Tls.CertificateAuthorityArnList
		s.Anybody = anybodyEnabled(c.Provisioned.ClientAuthentication)
	}
	return s
}

// maxBootstrap is how many brokers GetBootstrapBrokers names at most.
const maxBootstrap = 3

// wantedPorts returns the ports of the listeners that the cluster's settings ask for.
func (c *cluster) wantedPorts() Ports {
	wanted := Ports{}
	brokers := min(maxBootstrap, int(c.brokers()))
	if c.Serverless != nil {
		brokers = 1 // MSK gives one address, behind which brokers are found
	}
	for _, access := range c.listeners() {
		ports := make([]int, brokers)
		copy(ports, c.Ports[access])
		wanted[access] = ports
	}
	return wanted
}

// listeners returns what clients may use.
func (c *cluster) listeners() []Access {
	if c.Serverless != nil {
		return []Access{IAM}
	}
	var all []Access
	broker, clients := *c.Provisioned.EncryptionInfo.EncryptionInTransit.ClientBroker, c.Provisioned.ClientAuthentication
	if anybodyEnabled(clients) && broker != api.ClientBrokerTls {
		all = append(all, Plaintext)
	}
	if (anybodyEnabled(clients) || tlsEnabled(clients)) && broker != api.ClientBrokerPlaintext {
		all = append(all, TLS)
	}
	if scramEnabled(clients) {
		all = append(all, Scram)
	}
	if iamEnabled(clients) {
		all = append(all, IAM)
	}
	return all
}

// scramEnabled says whether clients may come with the passwords of secrets.
func scramEnabled(clients *api.ClientAuthentication) bool {
	return clients.Sasl != nil && clients.Sasl.Scram != nil && value(clients.Sasl.Scram.Enabled, false)
}

// iamEnabled says whether clients may come with signatures of access keys.
func iamEnabled(clients *api.ClientAuthentication) bool {
	return clients.Sasl != nil && clients.Sasl.Iam != nil && value(clients.Sasl.Iam.Enabled, false)
}

// tlsEnabled says whether clients may come with certificates: unless that is said, if authorities are named.
func tlsEnabled(clients *api.ClientAuthentication) bool {
	return clients.Tls != nil && value(clients.Tls.Enabled, len(clients.Tls.CertificateAuthorityArnList) > 0)
}

// anybodyEnabled says whether clients may come without being known: unless that is said, if they cannot come otherwise.
func anybodyEnabled(clients *api.ClientAuthentication) bool {
	if clients.Unauthenticated != nil && clients.Unauthenticated.Enabled != nil {
		return *clients.Unauthenticated.Enabled
	}
	return !scramEnabled(clients) && !iamEnabled(clients) && !tlsEnabled(clients)
}
