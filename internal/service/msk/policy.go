package msk

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/freshet/freshet/internal/protocol/aws"
	api "github.com/freshet/freshet/internal/protocol/aws/model/kafka"
)

// maxPolicyBytes is the longest policy of a cluster, that of AWS's resource policies.
const maxPolicyBytes = 20 << 10

var errNoPolicy = notFound("clusterArn", "The cluster has no policy.")

func (s *Service) getClusterPolicy(ctx context.Context, call *aws.Call, in *api.GetClusterPolicyRequest) (*api.GetClusterPolicyResponse, error) {
	c, _, err := s.findCluster(ctx, call, *in.ClusterArn)
	switch {
	case err != nil:
		return nil, err
	case c.Policy == "":
		return nil, errNoPolicy
	}
	return &api.GetClusterPolicyResponse{CurrentVersion: &c.PolicyVersion, Policy: &c.Policy}, nil
}

func (s *Service) putClusterPolicy(ctx context.Context, call *aws.Call, in *api.PutClusterPolicyRequest) (*api.PutClusterPolicyResponse, error) {
	if err := checkPolicy(*in.Policy); err != nil {
		return nil, badRequest("policy", "The policy is not valid: %s.", err)
	}
	s.change.Lock()
	defer s.change.Unlock()
	c, version, err := s.findCluster(ctx, call, *in.ClusterArn)
	if err != nil {
		return nil, err
	}
	if in.CurrentVersion != nil && *in.CurrentVersion != c.PolicyVersion {
		return nil, badRequest("currentVersion", "The version of the cluster policy isn’t current. Check the current version and try again.")
	}
	c.Policy = *in.Policy
	if c.PolicyVersion, err = s.names.version(); err != nil {
		return nil, err
	}
	if err := s.clusters.save(ctx, c.key(), c, version); err != nil {
		return nil, err
	}
	return &api.PutClusterPolicyResponse{CurrentVersion: &c.PolicyVersion}, nil
}

// checkPolicy refuses what is no policy document.
func checkPolicy(policy string) error {
	if len(policy) > maxPolicyBytes {
		return fmt.Errorf("it has more than %d bytes", maxPolicyBytes)
	}
	var document struct {
		Version   string
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		return fmt.Errorf("it is no JSON object of a policy")
	}
	if document.Version != "2012-10-17" && document.Version != "2008-10-17" {
		return fmt.Errorf("its Version is %q", document.Version)
	}
	if len(document.Statement) == 0 || document.Statement[0] != '[' && document.Statement[0] != '{' {
		return fmt.Errorf("it has no Statement")
	}
	return nil
}

func (s *Service) deleteClusterPolicy(ctx context.Context, call *aws.Call, in *api.DeleteClusterPolicyRequest) (*api.DeleteClusterPolicyResponse, error) {
	s.change.Lock()
	defer s.change.Unlock()
	c, version, err := s.findCluster(ctx, call, *in.ClusterArn)
	switch {
	case err != nil:
		return nil, err
	case c.Policy == "":
		return nil, errNoPolicy
	}
	c.Policy, c.PolicyVersion = "", ""
	if err := s.clusters.save(ctx, c.key(), c, version); err != nil {
		return nil, err
	}
	return &api.DeleteClusterPolicyResponse{}, nil
}
