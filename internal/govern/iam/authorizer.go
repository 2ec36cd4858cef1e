package iam

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/freshet/freshet/internal/clock"
	"github.com/freshet/freshet/internal/govern/acl"
	"github.com/freshet/freshet/internal/watchfile"
)

// prefix is what actions of a cluster begin with.
const prefix = "kafka-cluster:"

// connect is the action that every other one needs.
const connect = "Connect"

// actions are what an operation on a kind of resource is called. What is not here nobody may do by a policy, as in MSK: acting as a broker, tokens.
var actions = map[acl.Resource]map[acl.Operation]string{
	acl.Cluster: {
		acl.Describe: "DescribeCluster", acl.Alter: "AlterCluster", acl.IdempotentWrite: "WriteDataIdempotently",
		acl.DescribeConfigs: "DescribeClusterDynamicConfiguration", acl.AlterConfigs: "AlterClusterDynamicConfiguration",
	},
	acl.Topic: {
		acl.Create: "CreateTopic", acl.Describe: "DescribeTopic", acl.Alter: "AlterTopic", acl.Delete: "DeleteTopic", acl.Read: "ReadData", acl.Write: "WriteData",
		acl.DescribeConfigs: "DescribeTopicDynamicConfiguration", acl.AlterConfigs: "AlterTopicDynamicConfiguration",
	},
	acl.Group:           {acl.Describe: "DescribeGroup", acl.Read: "AlterGroup", acl.Delete: "DeleteGroup"},
	acl.TransactionalID: {acl.Describe: "DescribeTransactionalId", acl.Write: "AlterTransactionalId"},
}

// actionNames are all actions.
var actionNames = func() []string {
	names := []string{connect}
	for _, of := range actions {
		for _, name := range of {
			names = append(names, name)
		}
	}
	return names
}()

// resourceWords are what the ARNs of resources have in the place of cluster.
var resourceWords = map[acl.Resource]string{acl.Topic: "topic", acl.Group: "group", acl.TransactionalID: "transactional-id"}

// Policies are what an Authorizer goes by. Its method is called from many goroutines.
type Policies interface {
	// Serial returns the policy, and a number that is another when the policy is.
	Serial() (*Policy, uint64)
}

// Serial implements Policies: a policy stays what it is.
func (p *Policy) Serial() (*Policy, uint64) { return p, 0 }

// OpenFile returns the policy of a file, which is read again when it changes; what becomes of that is logged, and counted in counts. While the file is
// no policy, what it was before stays in force.
func OpenFile(path string, c clock.Clock, logger *slog.Logger, counts *watchfile.Counts) (Policies, error) {
	return watchfile.Open([]string{path}, c, logger, counts, func(contents [][]byte) (*Policy, error) {
		policy, err := Parse(contents[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return policy, nil
	})
}

// Authorizer decides about one cluster.
type Authorizer struct {
	policy  Policies
	base    string // arn:aws:kafka:region:account:
	cluster string // name/uuid
	unknown bool
}

var clusterARN = regexp.MustCompile(`^(arn:aws[a-z-]*:kafka:[a-z0-9-]+:[0-9]{12}:)cluster/([^/*?]+/[^/*?]+)$`)

// CheckCluster returns an error if arn is not that of a cluster, as arn:aws:kafka:us-east-1:111122223333:cluster/name/uuid.
func CheckCluster(arn string) error {
	if !clusterARN.MatchString(arn) {
		return fmt.Errorf("%q is not the ARN of a cluster, as arn:aws:kafka:us-east-1:111122223333:cluster/name/uuid", arn)
	}
	return nil
}

// NewAuthorizer returns who decides about the cluster of an ARN. A principal that no statement of the policy is about may do everything if unknown is
// set, and nothing otherwise.
func NewAuthorizer(policy Policies, arn string, unknown bool) (*Authorizer, error) {
	if err := CheckCluster(arn); err != nil {
		return nil, err
	}
	parts := clusterARN.FindStringSubmatch(arn)
	return &Authorizer{policy: policy, base: parts[1], cluster: parts[2], unknown: unknown}, nil
}

// Authorize says whether the principal of an ARN may do op to the resource of a kind and name.
func (a *Authorizer) Authorize(arn string, op acl.Operation, kind acl.Resource, name string) bool {
	policy, _ := a.policy.Serial()
	of := policy.of(arn)
	if len(of) == 0 {
		return a.unknown
	}
	action, known := actions[kind][op]
	if !known || !evaluate(of, connect, a.base+"cluster/"+a.cluster) {
		return false
	}
	resource := a.base + "cluster/" + a.cluster
	if word := resourceWords[kind]; word != "" {
		resource = a.base + word + "/" + a.cluster + "/" + name
	}
	return evaluate(of, action, resource)
}

// Version changes when what was decided may be wrong.
func (a *Authorizer) Version() uint64 {
	_, serial := a.policy.Serial()
	return serial
}

// of returns the statements about a principal.
func (p *Policy) of(arn string) []*statement {
	var all []*statement
	for i := range p.statements {
		s := &p.statements[i]
		for j := range s.principals {
			if s.principals[j].is(arn) {
				all = append(all, s)
				break
			}
		}
	}
	return all
}

// evaluate says whether an action on a resource is allowed: by a statement, and denied by none.
func evaluate(statements []*statement, action, resource string) bool {
	action = strings.ToLower(prefix + action)
	allowed := false
	for _, s := range statements {
		if !s.about(action, resource) {
			continue
		}
		if s.deny {
			return false
		}
		allowed = true
	}
	return allowed
}
